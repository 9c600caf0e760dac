"""A factor for each channel, of very different sizes, as a reader may write it."""

import numpy as np

import minicnn as mc

SCALES = np.array([1.0, 1e7, 2.0])


class Scales(mc.Layer):
    """y = tanh(x)·SCALES."""

    def forward(self, x, training=False, keep=True):
        self.t = np.tanh(x)
        return self.t * SCALES

    def backward(self, dy):
        slope = 1 - self.t**2
        return dy * slope * SCALES
