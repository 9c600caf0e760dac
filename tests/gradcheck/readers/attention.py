"""Attention over pixels (Vaswani et al. 2017, one head), as a reader may write it."""

import numpy as np

import minicnn as mc

D, F = 5, 7


class Attention(mc.Layer):
    """y = softmax(q·kᵀ / √D)·v with q = x·Wq, k = x·Wk, v = x·Wv: each pixel asks all of its image.
    (N, H, W, C) -> (N, H, W, F)."""

    def param_shapes(self, input_shape):
        C = input_shape[-1]
        return {"Wq": (C, D), "Wk": (C, D), "Wv": (C, F)}

    def output_shape(self, input_shape):
        return (*input_shape[:-1], F)

    def forward(self, x, training=False, keep=True):
        self.x = x.reshape(len(x), -1, x.shape[-1])  # (N, T, C), T = H·W pixels
        self.q, self.k, self.v = (self.x @ self.params[key] for key in ("Wq", "Wk", "Wv"))
        scores = self.q @ self.k.swapaxes(1, 2) / np.sqrt(D)
        e = np.exp(scores - scores.max(axis=2, keepdims=True))
        self.p = e / e.sum(axis=2, keepdims=True)
        self.y = self.p @ self.v
        return self.y.reshape(*x.shape[:-1], F)

    def backward(self, dy):
        N, H, Wd, _ = dy.shape
        dy = dy.reshape(N, H * Wd, F)
        x, q, k, v, p = self.x, self.q, self.k, self.v, self.p
        dv = p.swapaxes(1, 2) @ dy
        dp = dy @ v.swapaxes(1, 2)
        ds = p * (dp - (dp * p).sum(axis=2, keepdims=True))
        dq = ds @ k / np.sqrt(D)
        dk = ds.swapaxes(1, 2) @ q / np.sqrt(D)
        dWq = (x.swapaxes(1, 2) @ dq).sum(axis=0)
        dWk = (x.swapaxes(1, 2) @ dk).sum(axis=0)
        dWv = (x.swapaxes(1, 2) @ dv).sum(axis=0)
        self.grads = {"Wq": dWq, "Wk": dWk, "Wv": dWv}
        dx = (dq @ self.params["Wq"].T + dk @ self.params["Wk"].T
              + dv @ self.params["Wv"].T)
        return dx.reshape(N, H, Wd, -1)
