"""Pooling: one number per window and channel, or one per channel."""

from __future__ import annotations

import numpy as np

from ..ops import Window, array_module, ops_for
from ..utils.errors import as_pair
from . import argument_checks, checks
from .base import Layer


class Pool2D(Layer):
    """What MaxPool2D and AveragePool2D share: the windows.

    Shapes:  x (N, H, Wd, C) -> y (N, OH, OW, C)
    strides: pool_size if None. padding: "valid", "same" as Keras places it, an int or a pair,
             smaller than the window.
    Raises:  ArgumentError for arguments that do not fit, ShapeError for an x that does not.
    """

    arguments = ("pool_size", "strides", "padding")

    def __init__(self, pool_size: int | tuple[int, int] = 2,
                 strides: int | tuple[int, int] | None = None,
                 padding: str | int | tuple[int, int] = "valid", name: str | None = None) -> None:
        super().__init__(name)
        self.pool_size = as_pair(pool_size, f"{self.name}, pool_size")
        strides = self.pool_size if strides is None else strides
        self.strides = as_pair(strides, f"{self.name}, strides")
        self.padding = checks.as_padding(self.name, padding)
        argument_checks.check_pool_padding(self.name, self.padding, self.pool_size)

    def window(self, shape: tuple[int, ...]) -> Window:
        """Where the windows lie on an x of `shape` ((N,) H, Wd, C)."""
        return Window.on_image((shape[-3], shape[-2]), self.pool_size, self.strides, self.padding)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """(H, Wd, C) -> (OH, OW, C)."""
        checks.check_images(self.name, input_shape)
        window = self.window(input_shape)
        checks.check_windows(self, input_shape, window)
        return *window.output_size, input_shape[2]


class MaxPool2D(Pool2D):
    """y = the largest of each window; padding counts as −∞, the first of equal maxima wins.

    The cache is (shape of x, switches): a switch is the position of the maximum in its window. A
    window of nothing but −∞ has no maximum; its switch is 0.
    Source: Zhou & Chellappa 1988; switches: Zeiler & Fergus 2014, section 2.1.
    """

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x (N, H, Wd, C) -> y (N, OH, OW, C)."""
        checks.check_input(self, x)
        y, switches = ops_for(x).max_pool2d(x, self.window(x.shape), with_switches=keep)
        self.cache = (x.shape, switches) if keep else None
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Derivation: y = x at the switch, so ∂y/∂x is 1 there and 0 elsewhere; dx collects dy at
        the switches, summed where windows overlap."""
        input_shape, switches = self.read_cache()
        ops = ops_for(dy, switches)
        return ops.max_unpool2d(dy, switches, input_shape, self.window(input_shape))


class AveragePool2D(Pool2D):
    """y = the mean of each window; padding does not count.

    So it is in Keras on TensorFlow and on JAX. On PyTorch Keras does the same where padding "same"
    is as wide on both sides; where it is not, it repeats the pixels of the border (Keras 3.15), and
    the means of these windows differ.
    """

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x (N, H, Wd, C) -> y (N, OH, OW, C)."""
        checks.check_input(self, x)
        self.cache = x.shape if keep else None
        return ops_for(x).average_pool2d(x, self.window(x.shape))

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Derivation: y = Σ_window x / count, so every pixel of the window receives dy / count."""
        input_shape = self.read_cache()
        return ops_for(dy).average_pool2d_grad(dy, input_shape, self.window(input_shape))


class GlobalMaxPool2D(Layer):
    """y = the largest of each channel: x (N, H, Wd, C) -> y (N, C); the first of equal maxima
    wins."""

    def window(self, shape: tuple[int, ...]) -> None:
        """None: every output looks at all of x."""

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """(H, Wd, C) -> (C,)."""
        checks.check_images(self.name, input_shape)
        return (input_shape[2],)

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x (N, H, Wd, C) -> y (N, C)."""
        checks.check_input(self, x)
        if not keep:
            self.cache = None
            return x.max(axis=(1, 2))
        window = Window.on_image(x.shape[1:3], x.shape[1:3], (1, 1))  # one, over the whole image
        y, switches = ops_for(x).max_pool2d(x, window)  # (N, 1, 1, C)
        self.cache = (x.shape, window, switches)
        return y.reshape(len(x), x.shape[3])  # (N, C)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Derivation: as for MaxPool2D, with one window: dx is dy at the switch, 0 elsewhere."""
        input_shape, window, switches = self.read_cache()
        ops = ops_for(dy, switches)
        return ops.max_unpool2d(dy[:, None, None], switches, input_shape, window)  # (N, 1, 1, C)


class GlobalAveragePool2D(Layer):
    """y = the mean of each channel: x (N, H, Wd, C) -> y (N, C). Source: Lin et al. 2014."""

    def window(self, shape: tuple[int, ...]) -> None:
        """None: every output looks at all of x."""

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """(H, Wd, C) -> (C,)."""
        checks.check_images(self.name, input_shape)
        return (input_shape[2],)

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x (N, H, Wd, C) -> y (N, C)."""
        checks.check_input(self, x)
        self.cache = x.shape if keep else None
        return x.mean(axis=(1, 2))

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Derivation: y = Σ_{i,j} x / (H·Wd), so every pixel receives dy / (H·Wd)."""
        N, H, Wd, C = self.read_cache()
        dx = array_module(dy).empty((N, H, Wd, C), dy.dtype)
        dx[...] = (dy / (H * Wd))[:, None, None, :]  # (N, 1, 1, C)
        return dx
