"""Tanh, ELU, SELU, SiLU, Softplus: parameter-free layers built from eˣ, added to ACTIVATIONS."""

from __future__ import annotations

from functools import partial

import numpy as np

from ..ops import ops_for
from . import argument_checks, checks
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
        self.alpha = argument_checks.as_number(alpha, f"{self.name}, alpha", 0)

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


class SELU(Layer):
    """y = λ x for x > 0, else λ α (eˣ − 1), of any shape: λ times an ELU. Its α and λ keep the mean
    at 0 and the variance at 1 from layer to layer.

    Derivation: with u = ELU(x), y = λ u; hence dx is that of the ELU for λ dy: λ dy for u > 0, else
                λ dy · (u + α).
    Source: Klambauer et al. 2017.
    """

    alpha, scale = 1.6732632423543772, 1.0507009873554805

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x -> y of the same shape."""
        checks.check_input(self, x)
        u = ops_for(x).elu(x, self.alpha)
        self.cache = u if keep else None
        return self.scale * u

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dx = λ dy where u > 0, else λ dy · (u + α)."""
        u = self.read_cache()
        return ops_for(dy, u).elu_grad(self.scale * dy, u, self.alpha)


class SiLU(Layer):
    """y = x σ(x), of any shape, also called swish; σ is the sigmoid.

    Derivation: dy/dx = σ + x σ' = σ + x σ (1 − σ).
    Source: Elfwing et al. 2018; Ramachandran et al. 2017 (swish).
    """

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x -> y of the same shape."""
        checks.check_input(self, x)
        self.cache = x if keep else None
        return ops_for(x).silu(x)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dx = dy · (σ + x σ (1 − σ))."""
        x = self.read_cache()
        return ops_for(dy, x).silu_grad(dy, x)


class Softplus(Layer):
    """y = log(1 + eˣ), of any shape: a smooth ReLU, as max(x, 0) + log(1 + e^(−|x|)), whose
    exponential never overflows.

    Derivation: dy/dx = eˣ / (1 + eˣ) = σ(x), the sigmoid.
    Source: Dugas et al. 2001.
    """

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x -> y of the same shape."""
        checks.check_input(self, x)
        self.cache = x if keep else None
        return ops_for(x).softplus(x)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dx = dy · σ(x)."""
        x = self.read_cache()
        return ops_for(dy, x).softplus_grad(dy, x)


ACTIVATIONS.update({"tanh": Tanh, "elu": partial(ELU, 1.0), "selu": SELU, "silu": SiLU,
                    "softplus": Softplus})
