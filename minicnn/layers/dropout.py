"""Dropout: learning with a random part of the inputs missing."""

from __future__ import annotations

from zlib import crc32

import numpy as np

from ..errors import ArgumentError, whole
from ..ops import device_of, to_device, xp_of
from .base import Layer


class Dropout(Layer):
    """In training each entry is 0 with probability `rate`, else divided by 1 − rate, so that the
    expected value stays; otherwise, and when frozen, y = x.

    The layer draws from a generator of its own, started by seed and name: two of them in a network
    never throw the same dice, and a run can be repeated, on any device: NumPy draws for all.
    Source: Srivastava et al. 2014 ("inverted", as everybody computes it).
    """

    arguments = ("rate", "seed")
    random = True

    def __init__(self, rate: float, seed: int = 0, name: str | None = None) -> None:
        super().__init__(name)
        if not 0 <= rate < 1:
            raise ArgumentError(f"{self.name}: expected a rate from 0 to below 1, "
                                f"received {rate!r}.")
        self.rate, self.seed = float(rate), whole(seed, f"{self.name}, seed", least=0)
        self.generator: np.random.Generator | None = None  # made when the name is final

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x -> y of the same shape."""
        self.check(x)
        if not (training and self.trainable):
            self.cache = xp_of(x).ones((), x.dtype) if keep else None
            return x
        if self.generator is None:
            self.generator = np.random.default_rng([self.seed, crc32(self.name.encode())])
        kept = self.generator.random(x.shape, np.float32) >= self.rate
        factor = kept.astype(x.dtype) / x.dtype.type(1 - self.rate)
        factor = to_device(factor, device_of(x))
        self.cache = factor if keep else None
        return x * factor

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Derivation: y = factor · x entry by entry, hence dx = factor · dy."""
        return dy * self.kept()
