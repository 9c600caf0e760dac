"""Each number divided by its standard deviation over the batch, as a reader may write it."""

import numpy as np

import minicnn as mc


class Standardise(mc.Layer):
    """y = (x − μ) / s with s² = Σ_n (x − μ)² / (N − 1): nothing for one sample."""

    def forward(self, x, training=False, keep=True):
        self.s = np.sqrt(((x - x.mean(axis=0)) ** 2).sum(axis=0) / (len(x) - 1))
        self.y = (x - x.mean(axis=0)) / self.s
        return self.y

    def backward(self, dy):
        centred = dy - dy.mean(axis=0)
        var_part = self.y * (dy * self.y).sum(axis=0) / (len(dy) - 1)
        return (centred - var_part) / self.s
