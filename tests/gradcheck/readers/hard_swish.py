"""Hard-swish (Howard et al. 2019), as a reader may write it."""

import numpy as np

import minicnn as mc


class HardSwish(mc.Layer):
    """y = x · min(max(x + 3, 0), 6) / 6."""

    def forward(self, x, training=False, keep=True):
        self.training = training
        self.x = x
        return x * np.clip(x + 3, 0, 6) / 6

    def backward(self, dy):
        x = self.x
        slope = np.where(x > 3, 1, np.where(x < -3, 0, (2 * x + 3) / 6))
        return dy * slope
