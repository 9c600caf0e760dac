"""Means of windows of 2 × 2 pixels, without an odd last row, as a reader may write it."""

import numpy as np

import minicnn as mc


class AveragePool(mc.Layer):
    """y[i, j] = mean of x[2i:2i+2, 2j:2j+2]. (N, H, W, C) -> (N, H // 2, W // 2, C)."""

    def output_shape(self, input_shape):
        H, W, C = input_shape
        return H // 2, W // 2, C

    def forward(self, x, training=False, keep=True):
        self.shape = x.shape
        N, H, W, C = x.shape
        x = x[:, :H // 2 * 2, :W // 2 * 2]
        return x.reshape(N, H // 2, 2, W // 2, 2, C).mean(axis=(2, 4))

    def backward(self, dy):
        dx = np.zeros(self.shape)
        for i in range(2):
            for j in range(2):
                rows, columns = slice(i, 2 * dy.shape[1], 2), slice(j, 2 * dy.shape[2], 2)
                dx[:, rows, columns] = dy / 4
        return dx
