"""ReLU6 (Howard et al. 2017), as a reader may write it."""

import numpy as np

import minicnn as mc


class ReLU6(mc.Layer):
    """y = min(max(x, 0), 6)."""

    def forward(self, x, training=False, keep=True):
        self.x = x
        return np.clip(x, 0, 6)

    def backward(self, dy):
        return dy * ((self.x > 0) & (self.x < 6))
