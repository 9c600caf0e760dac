"""Tanh, ELU, LeakyReLU: parameter-free layers, added to ACTIVATIONS; each caches its output y."""

from __future__ import annotations

from functools import partial

import numpy as np

from ..ops import ops_for
from . import checks, more_checks
from .activations import ACTIVATIONS
from .base import Layer


class Tanh(Layer):
    """y = tanh x = (eˣ − e⁻ˣ) / (eˣ + e⁻ˣ), of any shape, in −1…1.

    Derivation: tanh' = 1 − tanh²; hence dx = dy · (1 − y²).
    """

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x -> y of the same shape."""
        checks.check_input(self, x)
        y = ops_for(x).tanh(x)
        self.cache = y if keep else None
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dx = dy · (1 − y²)."""
        y = self.read_cache()
        return ops_for(dy, y).tanh_grad(dy, y)


class ELU(Layer):
    """y = x for x > 0, else α (eˣ − 1), of any shape; α is 0 or more.

    Derivation: dy/dx is 1 for x > 0, that is y > 0, else α eˣ = y + α.
    Source: Clevert et al. 2016.
    """

    arguments = ("alpha",)

    def __init__(self, alpha: float = 1.0, name: str | None = None) -> None:
        super().__init__(name)
        self.alpha = more_checks.as_number(alpha, f"{self.name}, alpha", 0)

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x -> y of the same shape."""
        checks.check_input(self, x)
        y = ops_for(x).elu(x, self.alpha)
        self.cache = y if keep else None
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dx = dy where y > 0, else dy · (y + α)."""
        y = self.read_cache()
        return ops_for(dy, y).elu_grad(dy, y, self.alpha)


class LeakyReLU(Layer):
    """y = x for x > 0, else negative_slope · x, of any shape; negative_slope is 0 or more.

    Derivation: dy/dx is 1 for x > 0, that is y > 0, else negative_slope.
    Source: Maas et al. 2013. Keras 2 calls the slope alpha; Dense(…, activation="leaky_relu") takes
    0.2, as Keras does.
    """

    arguments = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.3, name: str | None = None) -> None:
        super().__init__(name)
        self.negative_slope = more_checks.as_number(negative_slope,
                                                    f"{self.name}, negative_slope", 0)

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x -> y of the same shape."""
        checks.check_input(self, x)
        y = ops_for(x).leaky_relu(x, self.negative_slope)
        self.cache = y if keep else None
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dx = dy where y > 0, else negative_slope · dy."""
        y = self.read_cache()
        return ops_for(dy, y).leaky_relu_grad(dy, y, self.negative_slope)


ACTIVATIONS.update({"tanh": Tanh, "elu": partial(ELU, 1.0), "leaky_relu": partial(LeakyReLU, 0.2)})
