"""Bilinear upsampling to twice the size, as a reader may write it."""

import numpy as np

import minicnn as mc


def neighbours(size):
    """For each of 2·size outputs: its two neighbours in the input, and the weight of the second.
    Output k lies at (k + 0.5) / 2 − 0.5; beyond the border the border is repeated."""
    place = np.clip((np.arange(2 * size) + 0.5) / 2 - 0.5, 0, size - 1)
    first = np.floor(place).astype(int)
    second = np.minimum(first + 1, size - 1)
    return first, second, place - first


class Upsampling(mc.Layer):
    """y[n,i,j,c]: between the four pixels of x around it. (N, H, W, C) -> (N, 2H, 2W, C)."""

    def output_shape(self, input_shape):
        H, Wd, C = input_shape
        return 2 * H, 2 * Wd, C

    def forward(self, x, training=False, keep=True):
        self.rows, self.columns = neighbours(x.shape[1]), neighbours(x.shape[2])
        self.input_shape = x.shape
        top, bottom, v = self.rows
        left, right, u = self.columns
        v, u = v[:, None, None], u[:, None]
        rows = (1 - v) * x[:, top] + v * x[:, bottom]
        return (1 - u) * rows[:, :, left] + u * rows[:, :, right]

    def backward(self, dy):
        N, H, Wd, C = self.input_shape
        top, bottom, v = self.rows
        left, right, u = self.columns
        v, u = v[:, None, None], u[:, None]
        drows = np.zeros((N, 2 * H, Wd, C))
        for j in range(2 * Wd):
            drows[:, :, left[j]] += (1 - u[j]) * dy[:, :, j]
            drows[:, :, right[j]] += u[j] * dy[:, :, j]
        dx = np.zeros((N, H, Wd, C))
        for i in range(2 * H):
            dx[:, top[i]] += (1 - v[i]) * drows[:, i]
            dx[:, bottom[i]] += v[i] * drows[:, i]
        return dx
