"""Dropout (Srivastava et al. 2014) with a mask that is given, as a reader may write it."""

import numpy as np

import minicnn as mc


class MaskedDropout(mc.Layer):
    """y = mask·x / (1 − rate) in training, with the same mask (H, W, C) for each sample; else x."""

    def __init__(self, mask=None, rate=0.4):
        super().__init__()
        self.rate = rate
        self.mask = np.random.default_rng(5).random((4, 5, 3)) >= rate if mask is None else mask

    def forward(self, x, training=False, keep=True):
        self.x = x
        self.training = training
        if not training:
            return x
        return x * self.mask / (1 - self.rate)

    def backward(self, dy):
        if not self.training:
            return dy
        scale = 1 / (1 - self.rate)
        return dy * self.mask * scale
