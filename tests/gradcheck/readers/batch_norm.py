"""Batch normalisation (Ioffe & Szegedy 2015), as a reader may write it."""

import numpy as np

import minicnn as mc


class BatchNorm(mc.Layer):
    """y = γ·x̂ + β with x̂ = (x − μ) / σ: μ and σ of this batch in training, else running ones."""

    def __init__(self):
        super().__init__()
        self.running_mean, self.running_var = 0.0, 1.0

    def param_shapes(self, input_shape):
        return {"gamma": (input_shape[-1],), "beta": (input_shape[-1],)}

    def forward(self, x, training=False, keep=True):
        self.training = training
        if training:
            mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
            self.running_mean = 0.9 * self.running_mean + 0.1 * mean
            self.running_var = 0.9 * self.running_var + 0.1 * var
        else:
            mean, var = self.running_mean, self.running_var
        self.sigma = np.sqrt(var + 1e-3)
        self.xhat = (x - mean) / self.sigma
        self.x = x
        return self.params["gamma"] * self.xhat + self.params["beta"]

    def backward(self, dy):
        dgamma = (dy * self.xhat).sum((0, 1, 2))
        dbeta = dy.sum((0, 1, 2))
        self.grads = {"gamma": dgamma, "beta": dbeta}
        dxhat = dy * self.params["gamma"]
        if not self.training:
            return dxhat / self.sigma
        mean_part = dxhat.mean((0, 1, 2))
        var_part = self.xhat * (dxhat * self.xhat).mean((0, 1, 2))
        return (dxhat - mean_part - var_part) / self.sigma
