"""Layer normalisation (Ba, Kiros & Hinton 2016), as a reader may write it."""

import numpy as np

import minicnn as mc


class LayerNorm(mc.Layer):
    """y = γ·x̂ + β with x̂ = (x − μ) / σ, where μ and σ are those of one sample; γ as an x."""

    def param_shapes(self, input_shape):
        return {"gamma": input_shape, "beta": input_shape}

    def forward(self, x, training=False, keep=True):
        mean, var = x.mean((1, 2, 3), keepdims=True), x.var((1, 2, 3), keepdims=True)
        self.sigma = np.sqrt(var + 1e-3)
        self.xhat = (x - mean) / self.sigma
        self.x = x
        return self.params["gamma"] * self.xhat + self.params["beta"]

    def backward(self, dy):
        dgamma = (dy * self.xhat).sum(0)
        dbeta = dy.sum(0)
        self.grads = {"gamma": dgamma, "beta": dbeta}
        dxhat = dy * self.params["gamma"]
        mean_part = dxhat.mean((1, 2, 3), keepdims=True)
        var_part = self.xhat * (dxhat * self.xhat).mean((1, 2, 3), keepdims=True)
        return (dxhat - mean_part - var_part) / self.sigma
