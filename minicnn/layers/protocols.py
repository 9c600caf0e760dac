"""What the rooms below a layer or a network need to know about it: its members, as types.

A class fits a Protocol if it has these members; nothing is inherited. So checks.py, which base.py
imports, can name a layer, and optimizers, weights and inference, which model.py imports, a network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np


class CheckedLayer(Protocol):
    """A layer as its checks see it: Layer of base.py, and any of its kinds."""

    name: str
    params: dict[str, np.ndarray]

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of y without N; ShapeError if x does not fit."""

    def param_shapes(self, input_shape: tuple[int, ...]) -> Mapping[str, tuple[int, ...]]:
        """Shapes of the parameters."""


class WindowedLayer(CheckedLayer, Protocol):
    """One whose windows move over an image: Conv2D, the pooling layers."""

    padding: str | tuple[int, int]


class Convolution(WindowedLayer, Protocol):
    """Conv2D."""

    filters: int
    activation_name: str | None


class FullyConnected(CheckedLayer, Protocol):
    """Dense."""

    units: int
    activation_name: str | None


class SlopedLayer(CheckedLayer, Protocol):
    """PReLU, whose slopes alpha some axes share."""

    shared_axes: tuple[int, ...] | None


class SizedLayer(CheckedLayer, Protocol):
    """CenterCrop and Resizing, whose y has one size."""

    height: int
    width: int


class StandardizingLayer(CheckedLayer, Protocol):
    """Normalization, whose mean and variance may be missing."""

    mean: float | tuple[float, ...] | None
