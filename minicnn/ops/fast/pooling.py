"""Pooling on a processor, as in ops/reference/pooling.py with fewer passes over memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..window import Window, crop, offset_view
from .elementwise import where_mask
from .im2col_blocks import pad

__all__ = ["average_pool2d", "average_pool2d_grad", "max_pool2d", "max_unpool2d"]


def offset_views(x: np.ndarray, window: Window) -> Iterator[tuple[int, np.ndarray]]:
    """(k, the values at position k = p·KW + q of every window) for all positions; x is padded."""
    KH, KW = window.kernel
    for k in range(KH * KW):
        yield k, offset_view(x, *divmod(k, KW), window)


def max_pool2d(x: np.ndarray, window: Window, with_switches: bool = True
               ) -> tuple[np.ndarray, np.ndarray | None]:
    """x (N, H, Wd, C) -> y, switches, both (N, OH, OW, C); switches None if not asked for."""
    padded, dtype = pad(x, window.pads, -np.inf), window.switch_dtype
    y = offset_view(padded, 0, 0, window).copy()
    switches = np.zeros(y.shape, dtype) if with_switches else None
    for k, candidate in offset_views(padded, window):
        if k == 0:
            continue  # y began with it
        if switches is not None:
            # candidate > y is 0 or 1, and k grows: the maximum is k where a larger value was found.
            np.maximum(switches, (candidate > y) * dtype(k), out=switches)
        np.maximum(y, candidate, out=y)
    return y, switches


def max_unpool2d(y: np.ndarray, switches: np.ndarray, input_shape: tuple[int, ...], window: Window
                 ) -> np.ndarray:
    """y, switches (N, OH, OW, C) -> x of input_shape: each y at its switch, zeros elsewhere."""
    padded = pad(np.zeros(input_shape, y.dtype), window.pads)
    (KH, KW), (SH, SW) = window.kernel, window.strides
    disjoint = KH <= SH and KW <= SW  # no pixel is in two windows: copying is enough
    for k, pixels in offset_views(padded, window):
        chosen = where_mask(switches == k, y)
        if disjoint:
            np.copyto(pixels, chosen)
        else:
            pixels += chosen
    return crop(padded, window.pads)


def pixel_counts(window: Window, dtype: np.dtype) -> np.ndarray:
    """How many pixels of the image, without padding, each window holds: (1, OH, OW, 1)."""
    ones = pad(np.ones((1, *window.size, 1), dtype), window.pads)
    counts = np.zeros((1, *window.output_size, 1), dtype)
    for _, pixels in offset_views(ones, window):
        counts += pixels
    return counts


def average_pool2d(x: np.ndarray, window: Window) -> np.ndarray:
    """x (N, H, Wd, C) -> y (N, OH, OW, C): the mean of each window; padding does not count."""
    padded = pad(x, window.pads)
    y = offset_view(padded, 0, 0, window).copy()
    for k, pixels in offset_views(padded, window):
        if k > 0:
            y += pixels
    y /= pixel_counts(window, x.dtype)
    return y


def average_pool2d_grad(dy: np.ndarray, input_shape: tuple[int, ...], window: Window) -> np.ndarray:
    """dy (N, OH, OW, C) -> dx of input_shape: every pixel gets dy / count of its windows."""
    padded = pad(np.zeros(input_shape, dy.dtype), window.pads)
    share = dy / pixel_counts(window, dy.dtype)
    for _, pixels in offset_views(padded, window):
        pixels += share
    return crop(padded, window.pads)
