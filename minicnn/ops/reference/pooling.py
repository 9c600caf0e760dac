"""Pooling: each window of x (N, H, Wd, C) gives one y[n, i, j, c]."""

from __future__ import annotations

import numpy as np

from ..window import Window, crop, offset_view, pad
from .conv import conv2d


def max_pool2d(x: np.ndarray, window: Window, with_switches: bool = True
               ) -> tuple[np.ndarray, np.ndarray | None]:
    """x (N, H, Wd, C) -> y, switches, both (N, OH, OW, C); switches None if not asked for.

    A switch is the position k = p·KW + q of the maximum in its window, the first one if several are
    equal. Padding counts as −∞.
    """
    (KH, KW), padded = window.kernel, pad(x, window.pads, -np.inf)
    y = offset_view(padded, 0, 0, window).copy()
    switches = np.zeros(y.shape, window.switch_dtype)
    for k in range(1, KH * KW):
        p, q = divmod(k, KW)
        candidate = offset_view(padded, p, q, window)
        switches[candidate > y] = k  # strictly larger: the first maximum stays
        y = np.maximum(y, candidate)
    return y, switches if with_switches else None


def conv2d_max_pool(x: np.ndarray, W: np.ndarray, b: np.ndarray, window: Window,
                    pool_window: Window, relu: bool = False) -> np.ndarray:
    """The convolution and the max pooling after it, if nothing is kept for backward.

    pool_window lies on images of window.output_size.
    """
    y, _ = max_pool2d(conv2d(x, W, b, window, relu), pool_window, with_switches=False)
    return y


def max_unpool2d(y: np.ndarray, switches: np.ndarray, input_shape: tuple[int, ...], window: Window
                 ) -> np.ndarray:
    """y, switches (N, OH, OW, C) -> x of input_shape: each y at its switch, zeros elsewhere.

    The gradient of max pooling (y being dy), and the unpooling of Zeiler & Fergus 2014, section
    2.1. If windows overlap and share a maximum, their values add up.
    """
    KH, KW = window.kernel
    padded = pad(np.zeros(input_shape, y.dtype), window.pads)
    for k in range(KH * KW):
        p, q = divmod(k, KW)
        offset_view(padded, p, q, window)[...] += np.where(switches == k, y, 0)
    return crop(padded, window.pads)


def pixel_counts(window: Window, dtype: np.dtype) -> np.ndarray:
    """How many pixels of the image, without padding, each window holds: (1, OH, OW, 1)."""
    (KH, KW), (OH, OW) = window.kernel, window.output_size
    ones = pad(np.ones((1, *window.size, 1), dtype), window.pads)
    counts = np.zeros((1, OH, OW, 1), dtype)
    for p in range(KH):
        for q in range(KW):
            counts += offset_view(ones, p, q, window)
    return counts


def average_pool2d(x: np.ndarray, window: Window) -> np.ndarray:
    """x (N, H, Wd, C) -> y (N, OH, OW, C): the mean of each window; padding does not count."""
    (KH, KW), padded = window.kernel, pad(x, window.pads)
    total = np.zeros((len(x), *window.output_size, x.shape[3]), x.dtype)
    for p in range(KH):
        for q in range(KW):
            total += offset_view(padded, p, q, window)
    return total / pixel_counts(window, x.dtype)


def average_pool2d_grad(dy: np.ndarray, input_shape: tuple[int, ...], window: Window) -> np.ndarray:
    """dy (N, OH, OW, C) -> dx of input_shape.

    Derivation: y = Σ_window x / count, so every pixel receives the sum of dy / count over the
                windows that hold it.
    """
    KH, KW = window.kernel
    padded = pad(np.zeros(input_shape, dy.dtype), window.pads)
    share = dy / pixel_counts(window, dy.dtype)
    for p in range(KH):
        for q in range(KW):
            offset_view(padded, p, q, window)[...] += share
    return crop(padded, window.pads)
