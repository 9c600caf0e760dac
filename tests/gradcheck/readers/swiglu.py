"""A gated linear unit with swish (SwiGLU, Shazeer 2020), as a reader may write it."""

import numpy as np

import minicnn as mc

F = 7


class SwiGLU(mc.Layer):
    """y = u · v·sigmoid(v) with u = x·Wu, v = x·Wv, for each pixel.
    (N, H, W, C) -> (N, H, W, F)."""

    x = None

    def param_shapes(self, input_shape):
        return {"Wu": (input_shape[-1], F), "Wv": (input_shape[-1], F)}

    def output_shape(self, input_shape):
        return (*input_shape[:-1], F)

    def forward(self, x, training=False, keep=True):
        self.x = x
        self.u, self.v = x @ self.params["Wu"], x @ self.params["Wv"]
        self.gate = 1 / (1 + np.exp(-self.v))
        return self.u * self.v * self.gate

    def backward(self, dy):
        x, u, v, gate = self.x, self.u, self.v, self.gate
        du = dy * v * gate
        dv = dy * u * gate * (1 + v * (1 - gate))
        dWu = np.tensordot(x, du, ((0, 1, 2), (0, 1, 2)))
        dWv = np.tensordot(x, dv, ((0, 1, 2), (0, 1, 2)))
        self.grads = {"Wu": dWu, "Wv": dWv}
        return du @ self.params["Wu"].T + dv @ self.params["Wv"].T
