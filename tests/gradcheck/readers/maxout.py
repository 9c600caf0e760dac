"""Max-out (Goodfellow et al. 2013), as a reader may write it."""

import numpy as np

import minicnn as mc

K, F = 2, 7


class MaxOut(mc.Layer):
    """y[…,f] = max_k (x·W[k] + b[k])[…,f]: of K linear maps the largest, for each output.
    (N, H, W, C) -> (N, H, W, F)."""

    def param_shapes(self, input_shape):
        return {"W": (K, input_shape[-1], F), "b": (K, F)}

    def output_shape(self, input_shape):
        return (*input_shape[:-1], F)

    def forward(self, x, training=False, keep=True):
        W, b = self.params["W"], self.params["b"]
        z = np.stack([x @ W[k] + b[k] for k in range(K)])  # (K, N, H, W, F)
        self.x = x
        self.winner = z.argmax(axis=0)
        return z.max(axis=0)

    def backward(self, dy):
        W, x = self.params["W"], self.x
        dW, db = np.zeros(W.shape), np.zeros((K, F))
        dx = np.zeros(x.shape)
        for k in range(K):
            dz = dy * (self.winner == k)
            dW[k] = np.tensordot(x, dz, ((0, 1, 2), (0, 1, 2)))
            db[k] = dz.sum((0, 1, 2))
            dx += dz @ W[k].T
        self.grads = {"W": dW, "b": db}
        return dx
