"""Max pooling by kernels/max_pool.cu: once through memory instead of once for each position."""

from __future__ import annotations

import numpy as np

from ..fast import pooling as fast
from ..fast.threads import shares
from ..window import Window
from .library import has_kernels, library, rows_fit, workers_for

MIN_CHANNELS = 8  # the numbers of a register of AVX: with fewer, fast is as fast


def has_kernel(x: np.ndarray, window: Window) -> bool:
    """Whether the kernels, which check nothing, can compute with x or its gradient: a dtype that
    they know, enough channels, switches that fit into a byte."""
    return (has_kernels(x.dtype) and x.ndim == 4 and x.shape[3] >= MIN_CHANNELS
            and window.switch_dtype is np.uint8 and rows_fit(window, x.shape[3]))


def max_pool2d(x: np.ndarray, window: Window, with_switches: bool = True
               ) -> tuple[np.ndarray, np.ndarray | None]:
    """x (N, H, Wd, C) -> y, switches, both (N, OH, OW, C); switches None if not asked for."""
    if not has_kernel(x, window) or x.shape[1:3] != window.size:
        return fast.max_pool2d(x, window, with_switches)
    shape = len(x), *window.output_size, x.shape[3]
    y, switches = np.empty(shape, x.dtype), np.empty(shape, np.uint8)
    by_images("max_pool", window, np.ascontiguousarray(x), y, switches)
    return y, switches if with_switches else None


def max_unpool2d(y: np.ndarray, switches: np.ndarray, input_shape: tuple[int, ...], window: Window
                 ) -> np.ndarray:
    """y, switches (N, OH, OW, C) -> x of input_shape: each y at its switch, zeros elsewhere."""
    shape = input_shape[0], *window.output_size, input_shape[3]
    if (not has_kernel(y, window) or switches.dtype != np.uint8
            or not y.shape == switches.shape == shape or input_shape[1:3] != window.size):
        return fast.max_unpool2d(y, switches, input_shape, window)
    x = np.empty(input_shape, y.dtype)
    by_images("unpool", window, np.ascontiguousarray(y), np.ascontiguousarray(switches), x)
    return x


def by_images(kernel: str, window: Window, *arrays: np.ndarray) -> None:
    """Runs a kernel whose rows are those of the images of arrays[2], (N, H or OH, …, C); threads
    share the images."""
    N, rows = arrays[2].shape[:2]
    C, dtype = arrays[0].shape[3], arrays[0].dtype
    (top, _), (left, _) = window.pads
    sizes = *window.size, C, *window.output_size, *window.kernel, *window.strides, top, left
    library(dtype.name).on_threads([
        [(kernel, *(a[images] for a in arrays), (images.stop - images.start) * rows, *sizes)]
        for images in shares(N, workers_for(N * window.size[0] * window.size[1] * C))])
