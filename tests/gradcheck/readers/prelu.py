"""Parametric ReLU (He et al. 2015), as a reader may write it."""

import numpy as np

import minicnn as mc


class PReLU(mc.Layer):
    """y = x for x > 0, else α·x, with a slope α for each channel."""

    def param_shapes(self, input_shape):
        return {"alpha": (input_shape[-1],)}

    def forward(self, x, training=False, keep=True):
        self.x = x
        self.positive = x > 0
        return np.where(self.positive, x, self.params["alpha"] * x)

    def backward(self, dy):
        negative_part = np.where(self.positive, 0, self.x)
        self.grads = {"alpha": (dy * negative_part).sum((0, 1, 2))}
        slope = np.where(self.positive, 1, self.params["alpha"])
        return dy * slope
