"""The fully connected layer."""

from __future__ import annotations

import numpy as np

from ..ops import ops_for
from ..utils.errors import check_int
from . import checks
from .activations import make_activation
from .base import ActivatedLayer


class Dense(ActivatedLayer):
    """Every output sees every input.

    Shapes:  x (N, D) -> y (N, units), W (D, units), b (units,)
    Forward: y = activation(Z), Z = X @ W + b
    Cost:    2·N·D·units flops
    use_bias: False leaves b out, since a BatchNormalization after it would subtract it again.
    Raises:  ArgumentError for arguments that do not fit, ShapeError for an x that does not.
    """

    arguments = ("units", "activation", "use_bias", "kernel_initializer")

    def __init__(self, units: int, activation: str | None = None,
                 kernel_initializer: str = "glorot_uniform", name: str | None = None,
                 use_bias: bool = True) -> None:
        super().__init__(activation, kernel_initializer, name, use_bias)
        self.activation = make_activation(activation, self.name)
        self.units = check_int(units, f"{self.name}, units")

    def window(self, shape: tuple[int, ...]) -> None:
        """None: every output looks at all of x."""

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """(D,) -> (units,)."""
        checks.check_dense(self, input_shape)
        return (self.units,)

    def param_shapes(self, input_shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """W (D, units), b (units,)."""
        W, b = (input_shape[0], self.units), (self.units,)
        return {"W": W, "b": b} if self.use_bias else {"W": W}

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x (N, D) -> y (N, units) = activation(X @ W + b)."""
        checks.check_input(self, x)
        b = self.param("b", x) if self.use_bias else self.no_bias(x)
        z = ops_for(x).dense(x, self.param("W", x), b, relu=self.fused_relu)
        self.cache = x if keep else None
        return self.activation_forward(z, training, keep)

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        """dy (N, units) -> dx (N, D); dW and db unless frozen.

        Derivation: dL = <dZ, X @ dW + dX @ W + db>, hence dW = Xᵀ @ dZ, dX = dZ @ Wᵀ, and db = Σ dZ
                    over the rows, to each of which b was added.
        """
        x = self.read_cache()
        dz = self.activation_backward(dy)
        if self.trainable:
            ops = ops_for(x, dz)
            self.grads["W"] = ops.dense_weight_grad(x, dz)
            if self.use_bias:
                self.grads["b"] = ops.bias_grad(dz)
        return self.input_gradient(dz) if self.needs_dx else None

    def input_gradient(self, dz: np.ndarray) -> np.ndarray:
        """dz (N, units) -> dx (N, D)."""
        return ops_for(dz).dense_input_grad(dz, self.param("W", dz))
