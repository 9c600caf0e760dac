"""Pooling: one number for each window of each channel, or for each whole channel."""

from __future__ import annotations

import numpy as np

from .. import ops
from ..errors import ArgumentError
from .base import Layer, pair
from .windowed import Windowed, check_images


class Pool2D(Windowed, Layer):
    """What MaxPool2D and AveragePool2D share: the windows.

    Shapes:  x (N, H, Wd, C) -> y (N, OH, OW, C)
    strides: pool_size where None. padding: "valid", "same" as Keras places it, an int or a pair,
             smaller than the window.
    Raises:  ArgumentError for arguments that do not fit, ShapeError for an x that does not.
    """

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

    def config(self) -> dict:
        """The constructor's arguments but the name."""
        return {"pool_size": self.pool_size, "strides": self.strides, "padding": self.padding}


class MaxPool2D(Pool2D):
    """y = the largest of each window; padding counts as −∞, the first of equal maxima wins.

    The cache is (shape of x, switches): a switch is the place of the maximum in its window. A
    window of nothing but −∞ has no maximum; its switch is 0.
    Source: Zhou & Chellappa 1988; switches: Zeiler & Fergus 2014, section 2.1.
    """

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x (N, H, Wd, C) -> y (N, OH, OW, C)."""
        self.check(x)
        x_padded = ops.pad(x, self.pads(x.shape), -np.inf)
        y, switches = ops.max_pool(x_padded, self.pool_size, self.strides, with_switches=keep)
        self.cache = (x.shape, switches) if keep else None
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Derivation: y = x at the switch, so ∂y/∂x is 1 there and 0 elsewhere; dx collects dy at
        the switches, summed where windows overlap."""
        shape, switches = self.kept()
        pads = self.pads(shape)
        dx = np.zeros(ops.padded_shape(shape, pads), dy.dtype)
        return ops.crop(ops.max_pool_backward(dy, switches, dx, self.pool_size, self.strides), pads)


class AveragePool2D(Pool2D):
    """y = the mean of each window; padding does not count, as in TensorFlow and in Keras on it."""

    def _counts(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """How many real pixels each window holds: (OH, OW, 1)."""
        ones = ops.pad(np.ones((1, *shape[1:3], 1), dtype), self.pads(shape))
        return ops.average_pool(ones, np.ones((), dtype), self.pool_size, self.strides)[0]

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x (N, H, Wd, C) -> y (N, OH, OW, C)."""
        self.check(x)
        self.cache = x.shape if keep else None
        x_padded = ops.pad(x, self.pads(x.shape))
        return ops.average_pool(x_padded, self._counts(x.shape, x.dtype), self.pool_size,
                                self.strides)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Derivation: y = Σ_window x / count, so every pixel of the window receives dy / count."""
        shape = self.kept()
        pads = self.pads(shape)
        dx = np.zeros(ops.padded_shape(shape, pads), dy.dtype)
        counts = self._counts(shape, dy.dtype)
        ops.average_pool_backward(dy, counts, dx, self.pool_size, self.strides)
        return ops.crop(dx, pads)


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
        dx = np.empty((N, H, Wd, C), dy.dtype)
        dx[...] = (dy / (H * Wd))[:, None, None, :]  # (N, 1, 1, C)
        return dx
