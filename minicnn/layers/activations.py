"""ReLU, Sigmoid, Softmax: parameter-free layers; each caches its output y."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..ops import ops_for
from . import checks
from .base import Layer


class ReLU(Layer):
    """y = max(x, 0), of any shape. At x = 0 the derivative is taken as 0.

    Derivation: dy/dx is 1 where x > 0, and that is where y > 0; hence dx = dy · [y > 0].
    Source: Nair & Hinton 2010.
    """

    fusable = True

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x -> y of the same shape."""
        checks.check_input(self, x)
        y = ops_for(x).relu(x)
        self.cache = y if keep else None
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dx = dy · [y > 0]."""
        y = self.read_cache()
        return ops_for(dy, y).relu_grad(dy, y)


class Sigmoid(Layer):
    """y = σ(x) = 1 / (1 + e⁻ˣ), of any shape, in 0…1.

    Derivation: σ' = e⁻ˣ / (1 + e⁻ˣ)² = σ (1 − σ); hence dx = dy · y · (1 − y).
    """

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x -> y of the same shape."""
        checks.check_input(self, x)
        y = ops_for(x).sigmoid(x)
        self.cache = y if keep else None
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dx = dy · y · (1 − y)."""
        y = self.read_cache()
        return ops_for(dy, y).sigmoid_grad(dy, y)


class Softmax(Layer):
    """y_k = e^{x_k} / Σ_j e^{x_j} over the last axis, which needs at least two entries.

    With a single entry y would be 1 whatever x is, and nothing could be trained: use Sigmoid.
    Derivation: ∂y_j/∂x_k = y_j (δ_jk − y_k); hence dx_k = Σ_j dy_j ∂y_j/∂x_k
                = y_k (dy_k − Σ_j dy_j y_j).
    """

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """As the input."""
        checks.check_softmax_units(self.name, input_shape)
        return input_shape

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x -> y of the same shape."""
        checks.check_input(self, x)
        y = ops_for(x).softmax(x)
        self.cache = y if keep else None
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dx = y · (dy − Σ_j dy_j y_j)."""
        y = self.read_cache()
        return ops_for(dy, y).softmax_grad(dy, y)


ACTIVATIONS: dict[str, Callable[[str], Layer]] = {
    "relu": ReLU, "sigmoid": Sigmoid, "softmax": Softmax}


def make_activation(name: str | None, layer_name: str) -> Layer | None:
    """The activation layer of that name, for a layer that has one of its own."""
    checks.check_activation(layer_name, name, ACTIVATIONS)
    return None if name is None else ACTIVATIONS[name](layer_name)
