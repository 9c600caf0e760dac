"""The logarithm of a softmax over the channels, as a reader may write it."""

import numpy as np

import minicnn as mc


class LogSoftmax(mc.Layer):
    """y = x − log Σ_c exp(x[…, c]), so exp(y) is the softmax of x."""

    def forward(self, x, training=False, keep=True):
        z = x - x.max(axis=-1, keepdims=True)
        self.x = x
        self.y = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
        return self.y.copy()

    def backward(self, dy):
        p = np.exp(self.y)
        total = dy.sum(axis=-1, keepdims=True)
        return dy - p * total
