"""Pixels to network input inside the network: Rescaling and Normalization, as Keras has them.

A network that begins with one of them takes pixels, 0…255, as its input: models.load gives it the
preprocessing that changes no number, so that it predicts the same from uint8 images and from the
same pixels as floats.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..ops import array_module
from . import argument_checks, checks
from .base import Layer

MIN_STD = 1e-7  # the smallest number that Keras divides by
NO_AXIS: tuple = (None, (), [])  # as Keras writes None


class Rescaling(Layer):
    """y = scale · x + offset, of any shape; scale and offset are numbers, or one for each channel.

    Raises: ArgumentError for numbers that are not finite.
    """

    arguments = ("scale", "offset")

    def __init__(self, scale: float | Sequence[float], offset: float | Sequence[float] = 0.0,
                 name: str | None = None) -> None:
        super().__init__(name)
        self.scale = argument_checks.as_numbers(self.name, "scale", scale)
        self.offset = argument_checks.as_numbers(self.name, "offset", offset)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """As the input."""
        argument_checks.check_per_channel(self, ("scale", "offset"), input_shape)
        return input_shape

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x -> y of the same shape."""
        checks.check_input(self, x)
        xp = array_module(x)
        scale, offset = xp.array(self.scale, x.dtype), xp.array(self.offset, x.dtype)
        self.cache = scale if keep else None
        return x * scale + offset

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Derivation: y = scale · x + offset, hence dx = scale · dy."""
        scale = self.read_cache()
        return array_module(dy, scale).multiply(dy, scale)


class Normalization(Layer):
    """y = (x − mean) / √variance, of any shape; mean and variance are numbers that do not change,
    one for each channel or one for all.

    axis: -1 or the number of the last axis if there is one for each channel; None if one for all.
    mean, variance: if None, they are to be read from a file (adopt); until then the layer cannot
          compute. variance is 0 or more; Keras divides by at least 1e-7.
    Raises: ArgumentError for numbers that do not fit.
    """

    arguments = ("axis", "mean", "variance")
    non_trainable = ("mean", "variance")

    def __init__(self, axis: int | None = -1, mean: float | Sequence[float] | None = None,
                 variance: float | Sequence[float] | None = None, name: str | None = None) -> None:
        super().__init__(name)
        self.axis = argument_checks.as_axis(self.name, axis) if axis not in NO_AXIS else None
        argument_checks.check_mean_and_variance(self.name, mean, variance)
        self.mean = None if mean is None else argument_checks.as_numbers(self.name, "mean", mean)
        self.variance = None if variance is None else argument_checks.as_numbers(
            self.name, "variance", variance, least=0)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """As the input."""
        if self.axis is not None:
            argument_checks.check_last_axis(self.name, self.axis, input_shape)
        argument_checks.check_per_channel(self, ("mean", "variance"), input_shape)
        return input_shape

    def param_shapes(self, input_shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """None, except mean and variance while they are still to be read from a file."""
        shape = () if self.axis is None else input_shape[-1:]
        return {} if self.mean is not None else {"mean": shape, "variance": shape}

    def adopt(self) -> None:
        """Makes the arrays that were read as parameters the layer's mean and variance."""
        if self.params:
            self.mean, self.variance = (argument_checks.as_numbers(self.name, key, self.params[key])
                                        for key in ("mean", "variance"))
            self.params = {}

    def build(self, input_shape: tuple[int, ...], rng: np.random.Generator | None) -> None:
        """Raises ArgumentError without mean and variance: there is nothing to draw."""
        argument_checks.check_has_mean(self)

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x -> y of the same shape."""
        checks.check_input(self, x)
        xp = array_module(x)
        std = xp.array(np.maximum(np.sqrt(self.variance or 0.0), MIN_STD), x.dtype)
        self.cache = std if keep else None
        return (x - xp.array(self.mean, x.dtype)) / std

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Derivation: mean and variance are constants, hence dx = dy / √variance."""
        std = self.read_cache()
        return array_module(dy, std).divide(dy, std)
