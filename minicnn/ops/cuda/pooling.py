"""Pooling on a GPU: kernels/max_pool.cu and average_pool.cu, a thread for each output element."""

from __future__ import annotations

import numpy as np

from .. import array_module
from ..window import Window
from .launch import by_rows, launch


def _launch_windows(kernel: str, window: Window, *arrays: np.ndarray) -> None:
    """A thread for each element of the last array, (N, H, Wd, C) or (N, OH, OW, C)."""
    N, rows, columns, C = arrays[-1].shape
    top, left = window.pads[0][0], window.pads[1][0]
    launch(kernel, by_rows(N * rows, columns * C), *arrays, N * rows, *window.size, C,
           *window.output_size, *window.kernel, *window.strides, top, left)


def max_pool2d(x: np.ndarray, window: Window, with_switches: bool = True
               ) -> tuple[np.ndarray, np.ndarray | None]:
    """x (N, H, Wd, C) -> y, switches, both (N, OH, OW, C); switches None if not asked for."""
    xp, shape = array_module(x), (len(x), *window.output_size, x.shape[3])
    y, switches = xp.empty(shape, x.dtype), xp.empty(shape, window.switch_dtype)
    _launch_windows("max_pool", window, x, y, switches)
    return y, switches if with_switches else None


def max_unpool2d(y: np.ndarray, switches: np.ndarray, input_shape: tuple[int, ...], window: Window
                 ) -> np.ndarray:
    """y, switches (N, OH, OW, C) -> x of input_shape: each y at its switch, zeros elsewhere."""
    x = array_module(y, switches).empty(input_shape, y.dtype)
    _launch_windows("unpool", window, y, switches, x)
    return x


def average_pool2d(x: np.ndarray, window: Window) -> np.ndarray:
    """x (N, H, Wd, C) -> y (N, OH, OW, C): the mean of each window; padding does not count."""
    y = array_module(x).empty((len(x), *window.output_size, x.shape[3]), x.dtype)
    _launch_windows("average_pool", window, x, y)
    return y


def average_pool2d_grad(dy: np.ndarray, input_shape: tuple[int, ...], window: Window) -> np.ndarray:
    """dy (N, OH, OW, C) -> dx of input_shape: every pixel gets dy / count of its windows."""
    dx = array_module(dy).empty(input_shape, dy.dtype)
    _launch_windows("average_pool_backward", window, dy, dx)
    return dx
