"""Group normalisation (Wu & He 2018), as a reader may write it."""

import numpy as np

import minicnn as mc

GROUPS = 2


class GroupNorm(mc.Layer):
    """y = γ·x̂ + β, with mean and variance of one sample's pixels and of one group's channels."""

    def param_shapes(self, input_shape):
        return {"gamma": (input_shape[-1],), "beta": (input_shape[-1],)}

    def forward(self, x, training=False, keep=True):
        N, H, W, C = x.shape
        g = x.reshape(N, H, W, GROUPS, C // GROUPS)
        mean, var = g.mean((1, 2, 4), keepdims=True), g.var((1, 2, 4), keepdims=True)
        self.sigma = np.sqrt(var + 1e-3)
        self.ghat = (g - mean) / self.sigma
        self.xhat = self.ghat.reshape(x.shape)
        return self.params["gamma"] * self.xhat + self.params["beta"]

    def backward(self, dy):
        N, H, W, C = dy.shape
        self.grads = {"gamma": (dy * self.xhat).sum((0, 1, 2)), "beta": dy.sum((0, 1, 2))}
        d = (dy * self.params["gamma"]).reshape(N, H, W, GROUPS, C // GROUPS)
        mean_part = d.mean((1, 2, 4), keepdims=True)
        var_part = self.ghat * (d * self.ghat).mean((1, 2, 4), keepdims=True)
        return ((d - mean_part - var_part) / self.sigma).reshape(dy.shape)
