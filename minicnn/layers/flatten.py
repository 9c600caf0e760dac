"""From images to rows."""

from __future__ import annotations

import numpy as np

from . import checks
from .base import Layer


class Flatten(Layer):
    """x (N, H, Wd, C) -> y (N, H·Wd·C); entry (h·Wd + w)·C + c, so it is a plain reshape."""

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """(H, Wd, C) -> (H·Wd·C,)."""
        return (int(np.prod(input_shape)),)

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x (N, …) -> y (N, D)."""
        checks.check_input(self, x)
        self.cache = x.shape if keep else None
        return x.reshape(len(x), *self.output_shape(x.shape[1:]))  # (N, D)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Derivation: y has the same numbers in another shape; dy is reshaped back."""
        return dy.reshape(self.read_cache())  # (N, H, Wd, C)
