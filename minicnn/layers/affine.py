"""What Conv2D and Dense share: z = x·W + b, an optional activation after it, and freezing."""

from __future__ import annotations

from operator import iadd

import numpy as np

from .. import initializers, ops
from ..errors import ArgumentError
from .activations import ACTIVATIONS, ReLU
from .base import Layer


class Affine(Layer):
    """y = activation(z), z linear in x, W and b. Subclasses give the linear part:

    linear_shape(input_shape) -> shape of z without N
    linear(x, finish) -> z without b, on whose parts finish(part, its units) was called
    weight_gradient(x, dz) -> dW, or the same as a matrix
    input_gradient(x, dz) -> dx

    activation: None, "relu", "sigmoid" or "softmax"; the layer then computes both, as in Keras.
    """

    def __init__(self, activation: str | None, kernel_initializer: str, name: str | None) -> None:
        super().__init__(name)
        if activation is not None and activation not in ACTIVATIONS:
            raise ArgumentError(f"{self.name}: expected activation None or one of "
                                f"{', '.join(ACTIVATIONS)}, received {activation!r}.")
        if kernel_initializer not in initializers.NAMES:
            raise ArgumentError(f"{self.name}: expected a kernel_initializer of "
                                f"{initializers.NAMES}, received {kernel_initializer!r}.")
        self.activation = ACTIVATIONS[activation](self.name) if activation else None
        self.activation_name = activation
        self.kernel_initializer = kernel_initializer

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """That of z, which the activation keeps (and a softmax of one unit refuses)."""
        shape = self.linear_shape(input_shape)
        return self.activation.output_shape(shape) if self.activation else shape

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x -> y = activation(z); keeps x, from which backward rebuilds what it needs."""
        self.check(x)
        self.cache = x if keep else None
        b, fused = self.params["b"].astype(x.dtype, copy=False), isinstance(self.activation, ReLU)
        add = ops.bias_relu if fused else iadd
        y = self.linear(x, lambda z, units: add(z, b[units]))
        if fused:
            self.activation.cache = y if keep else None
            return y
        return self.activation.forward(y, training, keep) if self.activation else y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dy -> dx by the chain rule, from the activation down; dW and db unless frozen."""
        return self.input_gradient(self.kept(), self._dz_with_grads(dy))

    def backward_params(self, dy: np.ndarray) -> None:
        """dy -> dW, db unless frozen; dx is not computed."""
        self._dz_with_grads(dy)

    def _dz_with_grads(self, dy: np.ndarray) -> np.ndarray:
        dz = self.activation.backward(dy) if self.activation else dy
        if self.trainable:
            dW = self.weight_gradient(self.kept(), dz).reshape(self.params["W"].shape)
            self.grads.update(W=dW, b=ops.column_sums(dz))  # b is added to every row: db = Σ dz
        return dz

    def config(self) -> dict:
        """As Layer.config, the activation by its name."""
        return {**super().config(), "activation": self.activation_name}

    def weight(self, dtype: np.dtype) -> np.ndarray:
        """W in the dtype of the data."""
        return self.params["W"].astype(dtype, copy=False)
