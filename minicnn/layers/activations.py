"""ReLU, Sigmoid, Softmax: functions without parameters, each kept by its output y."""

from __future__ import annotations

import numpy as np

from .. import ops
from ..errors import ArgumentError
from .base import Layer


class Activation(Layer):
    """y = function(x), of x's shape, and dx = derivative(dy, y)."""

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x -> y of the same shape."""
        self.check(x)
        y = self.function(x)
        self.cache = y if keep else None
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dx, as the class derives it."""
        return self.derivative(dy, self.kept())


class ReLU(Activation):
    """y = max(x, 0), of any shape. At x = 0 the derivative is taken as 0.

    Derivation: dy/dx is 1 where x > 0, and that is where y > 0; hence dx = dy · [y > 0].
    Source: Nair & Hinton 2010.
    """

    function, derivative = staticmethod(ops.relu), staticmethod(ops.relu_backward)


class Sigmoid(Activation):
    """y = σ(x) = 1 / (1 + e⁻ˣ), of any shape, in 0…1.

    Derivation: σ' = e⁻ˣ / (1 + e⁻ˣ)² = σ (1 − σ); hence dx = dy · y · (1 − y).
    """

    function, derivative = staticmethod(ops.sigmoid), staticmethod(ops.sigmoid_backward)


class Softmax(Activation):
    """y_k = e^{x_k} / Σ_j e^{x_j} over the last axis, which needs two entries at least.

    With a single one y would be 1 whatever x is, and nothing could be learnt: use Sigmoid.
    Derivation: ∂y_j/∂x_k = y_j (δ_jk − y_k); hence dx_k = Σ_j dy_j ∂y_j/∂x_k
                = y_k (dy_k − Σ_j dy_j y_j).
    """

    function, derivative = staticmethod(ops.softmax), staticmethod(ops.softmax_backward)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """As the input."""
        if not input_shape or input_shape[-1] < 2:
            raise ArgumentError(
                f"{self.name}: expected at least 2 units, received {('N', *input_shape)}. The "
                f"softmax of one unit is always 1, so it cannot learn; use Dense(1) with Sigmoid.")
        return input_shape


ACTIVATIONS = {"relu": ReLU, "sigmoid": Sigmoid, "softmax": Softmax}
