"""Pooling: one number for each window of each channel, or for each whole channel."""

from __future__ import annotations

import numpy as np

from .. import ops
from ..errors import ArgumentError, pair
from ..ops import xp_of
from .base import Layer
from .windowed import Windowed, check_images


class Pool2D(Windowed, Layer):
    """What MaxPool2D and AveragePool2D share: the windows.

    Shapes:  x (N, H, Wd, C) -> y (N, OH, OW, C)
    strides: pool_size where None. padding: "valid", "same" as Keras places it, an int or a pair,
             smaller than the window.
    Raises:  ArgumentError for arguments that do not fit, ShapeError for an x that does not.
    """
    arguments = ("pool_size", "strides", "padding")

    def __init__(self, pool_size: int | tuple[int, int] = 2,
                 strides: int | tuple[int, int] | None = None,
                 padding: str | int | tuple[int, int] = "valid", name: str | None = None) -> None:
        super().__init__(name)
        self.pool_size = pair(pool_size, f"{self.name}, pool_size")
        self.strides = self.pool_size if strides is None else pair(strides, f"{self.name}, strides")
        self.set_windows(self.pool_size, self.strides, padding)
        if not isinstance(self.padding, str) and not (
                self.padding[0] < self.pool_size[0] and self.padding[1] < self.pool_size[1]):
            raise ArgumentError(f"{self.name}: expected padding smaller than the window "
                                f"{self.pool_size}, received {padding}: a window of padding only "
                                f"has nothing to pool.")

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """(H, Wd, C) -> (OH, OW, C)."""
        return (*self.windows_shape(input_shape), input_shape[2])


class MaxPool2D(Pool2D):
    """y = the largest of each window; padding counts as −∞, the first of equal maxima wins.

    The cache is (shape of x, switches): a switch is the place of the maximum in its window. A
    window of nothing but −∞ has no maximum; its switch is 0.
    Source: Zhou & Chellappa 1988; switches: Zeiler & Fergus 2014, section 2.1.
    """

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x (N, H, Wd, C) -> y (N, OH, OW, C)."""
        self.check(x)
        y, switches = ops.max_pool(x, self.windows(x.shape), with_switches=keep)
        self.cache = (x.shape, switches) if keep else None
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Derivation: y = x at the switch, so ∂y/∂x is 1 there and 0 elsewhere; dx collects dy at
        the switches, summed where windows overlap."""
        shape, switches = self.kept()
        return ops.unpool(dy, switches, shape, self.windows(shape))


class AveragePool2D(Pool2D):
    """y = the mean of each window; padding does not count, as in TensorFlow and in Keras on it."""

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x (N, H, Wd, C) -> y (N, OH, OW, C)."""
        self.check(x)
        self.cache = x.shape if keep else None
        return ops.average_pool(x, self.windows(x.shape))

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Derivation: y = Σ_window x / count, so every pixel of the window receives dy / count."""
        shape = self.kept()
        return ops.average_pool_backward(dy, shape, self.windows(shape))


class GlobalAveragePool2D(Layer):
    """y = the mean of each channel: x (N, H, Wd, C) -> y (N, C). Source: Lin et al. 2014."""

    window = None  # sees all of x

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """(H, Wd, C) -> (C,)."""
        check_images(self.name, input_shape)
        return (input_shape[2],)

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x (N, H, Wd, C) -> y (N, C)."""
        self.check(x)
        self.cache = x.shape if keep else None
        return x.mean(axis=(1, 2))

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Derivation: y = Σ_{i,j} x / (H·Wd), so every pixel receives dy / (H·Wd)."""
        N, H, Wd, C = self.kept()
        dx = xp_of(dy).empty((N, H, Wd, C), dy.dtype)
        dx[...] = (dy / (H * Wd))[:, None, None, :]  # (N, 1, 1, C)
        return dx
