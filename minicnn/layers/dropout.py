"""Dropout and its relatives: training with a random part of the inputs missing, or with noise."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import numpy as np

from ..ops import array_module, device_of, to_device
from ..utils.errors import check_int
from . import argument_checks, checks
from .base import Layer


class Dropout(Layer):
    """In training each entry is 0 with probability `rate`, else divided by 1 − rate, so that the
    expected value stays the same; otherwise, and when frozen, y = x.

    Each layer has its own generator, seeded by seed and name; masks are always drawn with NumPy, so
    runs repeat on every device.
    Source: Srivastava et al. 2014 (in its "inverted" form, which every library uses).
    """

    arguments = ("rate", "seed")
    random = True

    def __init__(self, rate: float, seed: int = 0, name: str | None = None) -> None:
        super().__init__(name)
        self.rate = argument_checks.as_rate(self.name, rate)
        self.seed = check_int(seed, f"{self.name}, seed", least=0)
        self.generator: np.random.Generator | None = None  # made when the name is final

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x -> y of the same shape."""
        checks.check_input(self, x)
        if not (training and self.trainable):
            self.cache = array_module(x).ones((), x.dtype) if keep else None
            return x
        factor = to_device(self.draw(x.shape).astype(x.dtype), device_of(x))
        self.cache = factor if keep else None
        return x * factor

    def draw(self, shape: tuple[int, ...]) -> np.ndarray:
        """Factors for an x of this shape: 0 with probability rate, else 1 / (1 − rate)."""
        mask = seeded_generator(self).random(shape, np.float32) >= self.rate
        return mask / (1 - self.rate)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Derivation: y = factor · x entry by entry, hence dx = factor · dy."""
        factor = self.read_cache()
        return array_module(dy, factor).multiply(dy, factor)


class SpatialDropout2D(Dropout):
    """Dropout of whole channels: in training each channel of each image is 0 with probability
    `rate`, else divided by 1 − rate, since neighbouring pixels of a map carry nearly the same
    information.

    Source: Tompson et al. 2015.
    """

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """As the input, (H, Wd, C)."""
        checks.check_images(self.name, input_shape)
        return input_shape

    def draw(self, shape: tuple[int, ...]) -> np.ndarray:
        """Factors (N, 1, 1, C) for an x of this shape."""
        return super().draw((shape[0], 1, 1, shape[3]))


class GaussianDropout(Dropout):
    """In training each entry is multiplied by a normal random number of mean 1 and variance
    rate / (1 − rate), which is that of Dropout's factors; otherwise, and when frozen, y = x.

    Source: Srivastava et al. 2014, section 10.
    """

    def draw(self, shape: tuple[int, ...]) -> np.ndarray:
        """Factors for an x of this shape."""
        std = (self.rate / (1 - self.rate)) ** 0.5
        return 1 + std * seeded_generator(self).standard_normal(shape)


class GaussianNoise(Layer):
    """In training y = x + a normal random number of mean 0 and standard deviation `stddev`, drawn
    for each entry; otherwise, and when frozen, y = x."""

    arguments = ("stddev", "seed")
    random = True

    def __init__(self, stddev: float, seed: int = 0, name: str | None = None) -> None:
        super().__init__(name)
        self.stddev = argument_checks.as_number(stddev, f"{self.name}, stddev", 0)
        self.seed = check_int(seed, f"{self.name}, seed", least=0)

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x -> y of the same shape."""
        checks.check_input(self, x)
        self.cache = x.shape if keep else None
        if not (training and self.trainable):
            return x
        noise = self.stddev * seeded_generator(self).standard_normal(x.shape)
        return x + to_device(noise.astype(x.dtype), device_of(x))

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Derivation: the noise does not depend on x, hence dx = dy."""
        self.read_cache()
        return dy


def seeded_generator(layer: Any) -> np.random.Generator:
    """The layer's own generator, seeded by its seed and its name."""
    if layer.generator is None:
        layer.generator = np.random.default_rng([layer.seed, crc32(layer.name.encode())])
    return layer.generator
