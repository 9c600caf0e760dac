"""Spatial pyramid pooling (He et al. 2014), as a reader may write it."""

import numpy as np

import minicnn as mc

LEVELS = (1, 2)


def bins(size, n):
    """The n parts of `size` pixels as (begin, end), which overlap if n does not divide size."""
    return [(i * size // n, -(-(i + 1) * size // n)) for i in range(n)]


class PyramidPooling(mc.Layer):
    """The maximum of the whole image, then those of its quarters, for each channel.
    (N, H, W, C) -> (N, 5·C)."""

    def output_shape(self, input_shape):
        return (sum(n * n for n in LEVELS) * input_shape[-1],)

    def windows(self, shape):
        """Rows and columns of each bin, level by level."""
        for n in LEVELS:
            for top, bottom in bins(shape[1], n):
                for left, right in bins(shape[2], n):
                    yield slice(top, bottom), slice(left, right)

    def forward(self, x, training=False, keep=True):
        self.x = x
        return np.concatenate([x[:, rows, columns].max(axis=(1, 2))
                               for rows, columns in self.windows(x.shape)], axis=1)

    def backward(self, dy):
        x, C = self.x, self.x.shape[-1]
        dx = np.zeros(x.shape)
        for k, (rows, columns) in enumerate(self.windows(x.shape)):
            window = x[:, rows, columns]
            largest = window == window.max(axis=(1, 2), keepdims=True)
            upstream = dy[:, k * C:(k + 1) * C]
            dx[:, rows, columns] += largest * upstream[:, None, None]
        return dx
