"""ReLU, Sigmoid, Softmax: parameter-free layers; each caches its output y. And what Conv2D and
Dense share, an activation of their own."""

from __future__ import annotations

import numpy as np

from ..ops import ops_for
from . import checks
from .base import Layer


class ReLU(Layer):
    """y = max(x, 0), of any shape. At x = 0 the derivative is taken as 0.

    Derivation: dy/dx is 1 where x > 0, and that is where y > 0; hence dx = dy · [y > 0].
    Source: Nair & Hinton 2010.
    """

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x -> y of the same shape."""
        self.check_input(x)
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
        self.check_input(x)
        y = ops_for(x).sigmoid(x)
        self.cache = y if keep else None
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dx = dy · y · (1 − y)."""
        y = self.read_cache()
        return ops_for(dy, y).sigmoid_grad(dy, y)


class Softmax(Layer):
    """y_k = e^{x_k} / Σ_j e^{x_j} over the last axis, which needs two entries at least.

    With a single one y would be 1 whatever x is, and nothing could be trained: use Sigmoid.
    Derivation: ∂y_j/∂x_k = y_j (δ_jk − y_k); hence dx_k = Σ_j dy_j ∂y_j/∂x_k
                = y_k (dy_k − Σ_j dy_j y_j).
    """

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """As the input."""
        checks.check_softmax_units(self.name, input_shape)
        return input_shape

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x -> y of the same shape."""
        self.check_input(x)
        y = ops_for(x).softmax(x)
        self.cache = y if keep else None
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dx = y · (dy − Σ_j dy_j y_j)."""
        y = self.read_cache()
        return ops_for(dy, y).softmax_grad(dy, y)


ACTIVATIONS: dict[str, type[Layer]] = {"relu": ReLU, "sigmoid": Sigmoid, "softmax": Softmax}


class ActivatedLayer(Layer):
    """y = activation(z): what Conv2D and Dense share.

    activation: None, "relu", "sigmoid" or "softmax", as in Keras; kept as a layer of its own.
    A ReLU is computed together with z (fused_relu), any other activation after it.
    """

    def __init__(self, activation: str | None, kernel_initializer: str, name: str | None) -> None:
        super().__init__(name)
        checks.check_activation(self.name, activation, ACTIVATIONS)
        checks.check_initializer(self.name, kernel_initializer)
        self.activation_name = activation
        self.activation = None if activation is None else ACTIVATIONS[activation](self.name)
        self.kernel_initializer = kernel_initializer

    @property
    def fused_relu(self) -> bool:
        """Whether the operation that computes z takes max(z, 0), too."""
        return isinstance(self.activation, ReLU)

    def activation_forward(self, z: np.ndarray, training: bool, keep: bool) -> np.ndarray:
        """z -> y; with a fused ReLU z is y already."""
        if self.fused_relu:
            self.activation.cache = z if keep else None
            return z
        return z if self.activation is None else self.activation.forward(z, training, keep)

    def activation_backward(self, dy: np.ndarray) -> np.ndarray:
        """dy -> dz."""
        return dy if self.activation is None else self.activation.backward(dy)

    def activated_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of z, which the activation keeps (and a softmax of one unit refuses)."""
        return shape if self.activation is None else self.activation.output_shape(shape)

    def to(self, device: str) -> Layer:
        """As Layer.to; the activation forgets its cache, too."""
        if self.activation is not None:
            self.activation.cache = None
        return super().to(device)

    def config(self) -> dict:
        """As Layer.config, the activation by its name."""
        return {**super().config(), "activation": self.activation_name}
