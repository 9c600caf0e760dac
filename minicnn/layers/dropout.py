"""Dropout: training with a random part of the inputs missing."""

from __future__ import annotations

from zlib import crc32

import numpy as np

from ..ops import array_module, device_of, to_device
from ..utils.errors import check_int
from . import checks, more_checks
from .base import Layer


class Dropout(Layer):
    """In training each entry is 0 with probability `rate`, else divided by 1 − rate, so that the
    expected value stays; otherwise, and when frozen, y = x.

    Each layer has its own generator, seeded by seed and name; masks are always drawn with NumPy, so
    runs repeat on every device.
    Source: Srivastava et al. 2014 ("inverted", as everybody computes it).
    """

    arguments = ("rate", "seed")
    random = True

    def __init__(self, rate: float, seed: int = 0, name: str | None = None) -> None:
        super().__init__(name)
        self.rate = more_checks.as_rate(self.name, rate)
        self.seed = check_int(seed, f"{self.name}, seed", least=0)
        self.generator: np.random.Generator | None = None  # made when the name is final

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x -> y of the same shape."""
        checks.check_input(self, x)
        if not (training and self.trainable):
            self.cache = array_module(x).ones((), x.dtype) if keep else None
            return x
        if self.generator is None:
            self.generator = np.random.default_rng([self.seed, crc32(self.name.encode())])
        mask = self.generator.random(x.shape, np.float32) >= self.rate
        factor = mask.astype(x.dtype) / x.dtype.type(1 - self.rate)
        factor = to_device(factor, device_of(x))
        self.cache = factor if keep else None
        return x * factor

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Derivation: y = factor · x entry by entry, hence dx = factor · dy."""
        factor = self.read_cache()
        return array_module(dy, factor).multiply(dy, factor)
