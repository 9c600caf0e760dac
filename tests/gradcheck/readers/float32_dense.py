"""A dense layer with tanh that computes in float32, as a reader may write it."""

import numpy as np

import minicnn as mc

F = 6


class Float32Dense(mc.Layer):
    """y = tanh(x·W + b) in float32. (N, D) -> (N, F)."""

    def param_shapes(self, input_shape):
        return {"W": (input_shape[-1], F), "b": (F,)}

    def output_shape(self, input_shape):
        return (F,)

    def forward(self, x, training=False, keep=True):
        self.x = x.astype(np.float32)
        self.W = self.params["W"].astype(np.float32)
        self.y = np.tanh(self.x @ self.W + self.params["b"].astype(np.float32))
        return self.y

    def backward(self, dy):
        dz = (dy * (1 - self.y * self.y)).astype(np.float32)
        self.grads = {"W": self.x.T @ dz, "b": dz.sum(axis=0)}
        return dz @ self.W.T
