"""ReLU, Sigmoid, Softmax: functions without parameters, each kept by its output y."""

from __future__ import annotations

import numpy as np

from .. import ops
from ..errors import ArgumentError
from .base import Layer


class ReLU(Layer):
    """y = max(x, 0), of any shape. At x = 0 the derivative is taken as 0.

    Source: Nair & Hinton 2010.
    """

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x -> y of the same shape."""
        self.check(x)
        y = ops.relu(x)
        self.cache = y if keep else None
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Derivation: dy/dx is 1 where x > 0, and that is where y > 0; hence dx = dy · [y > 0]."""
        return ops.relu_backward(dy, self.kept())


class Sigmoid(Layer):
    """y = σ(x) = 1 / (1 + e⁻ˣ), of any shape."""

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x -> y of the same shape, in 0…1."""
        self.check(x)
        y = ops.sigmoid(x)
        self.cache = y if keep else None
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Derivation: σ' = e⁻ˣ / (1 + e⁻ˣ)² = σ (1 − σ); hence dx = dy · y · (1 − y)."""
        return ops.sigmoid_backward(dy, self.kept())


class Softmax(Layer):
    """y_k = e^{x_k} / Σ_j e^{x_j} over the last axis, which needs two entries at least.

    With a single one y would be 1 whatever x is, and nothing could be learnt: use Sigmoid.
    """

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """As the input."""
        if not input_shape or input_shape[-1] < 2:
            raise ArgumentError(
                f"{self.name}: expected at least 2 units, received {('N', *input_shape)}. The "
                f"softmax of one unit is always 1, so it cannot learn; use Dense(1) with Sigmoid.")
        return input_shape

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x (N, …, K) -> y of the same shape, its last axis summing to 1."""
        self.check(x)
        y = ops.softmax(x)
        self.cache = y if keep else None
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Derivation: ∂y_j/∂x_k = y_j (δ_jk − y_k); hence dx_k = Σ_j dy_j ∂y_j/∂x_k
        = y_k (dy_k − Σ_j dy_j y_j)."""
        return ops.softmax_backward(dy, self.kept())


ACTIVATIONS = {"relu": ReLU, "sigmoid": Sigmoid, "softmax": Softmax}
