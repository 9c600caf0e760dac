"""Pooling: each window of x (N, H, Wd, C) gives one y[n, i, j, c]. On a GPU: kernels/max_pool.cu
and average_pool.cu."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .activations import masked
from .cuda.launch import by_rows, launch
from .devices import device_of, xp_of
from .window import Window, crop, pad


def taps(x: np.ndarray, window: Window) -> Iterator[tuple[int, np.ndarray]]:
    """For each place (p, q) of the window: k = p·KW + q, and the view x[:, p::SH, q::SW] of what
    stands there in all windows; x is padded."""
    OH, OW = Window(*window[:2]).output_size(x.shape[1:3])
    (KH, KW), (SH, SW) = window[:2]
    for k in range(KH * KW):
        p, q = divmod(k, KW)
        yield k, x[:, p:p + SH * (OH - 1) + 1:SH, q:q + SW * (OW - 1) + 1:SW]


def _launch(name: str, shape: tuple[int, ...], window: Window, *arrays: np.ndarray) -> None:
    """A kernel with a thread for each element of the last array; shape is that of x."""
    N, H, Wd, C = arrays[-1].shape
    launch(name, by_rows(N * H, Wd * C), *arrays, N * H, *window.geometry(shape))


def max_pool(x: np.ndarray, window: Window, with_switches: bool = True
             ) -> tuple[np.ndarray, np.ndarray | None]:
    """x -> y, switches, both (N, OH, OW, C). A switch is the place p·KW + q of the maximum in its
    window, the first one where several are equal; None without with_switches. Padding is −∞."""
    kind = np.uint8 if window.kernel[0] * window.kernel[1] <= 256 else np.int32
    if device_of(x) != "cpu":
        xp, shape = xp_of(x), (len(x), *window.output_size(x.shape[1:3]), x.shape[3])
        y, switches = xp.empty(shape, x.dtype), xp.empty(shape, kind)
        _launch("max_pool", x.shape, window, x, y, switches)
        return y, switches if with_switches else None
    y = switches = None
    for k, tap in taps(pad(x, window.pads, -np.inf), window):
        if y is None:
            y, switches = tap.copy(), np.zeros(tap.shape, kind) if with_switches else None
            continue
        if with_switches:  # strictly larger: the first maximum stays
            np.maximum(switches, (tap > y) * kind(k), out=switches)
        np.maximum(y, tap, out=y)
    return y, switches


def unpool(y: np.ndarray, switches: np.ndarray, shape: tuple[int, ...], window: Window
           ) -> np.ndarray:
    """Puts each y[n, i, j, c] where its switch names, zeros elsewhere: x of `shape`.

    The backward of max pooling (y being dy), and the unpooling of Zeiler & Fergus 2014, section
    2.1. Where windows overlap and share a maximum, their values add up.
    """
    if device_of(y) != "cpu":
        x = xp_of(y, switches).empty(shape, y.dtype)
        _launch("unpool", shape, window, y, switches, x)
        return x
    padded = pad(np.zeros(shape, y.dtype), window.pads)
    apart = window.kernel[0] <= window.strides[0] and window.kernel[1] <= window.strides[1]
    for k, tap in taps(padded, window):
        (np.copyto if apart else np.ndarray.__iadd__)(tap, masked(y, switches == k))
    return crop(padded, window.pads)


def _counts(shape: tuple[int, ...], window: Window, dtype: np.dtype) -> np.ndarray:
    """How many real pixels each window holds: (OH, OW, 1)."""
    ones = pad(np.ones((1, *shape[1:3], 1), dtype), window.pads)
    return sum(tap for _, tap in taps(ones, window))[0]


def average_pool(x: np.ndarray, window: Window) -> np.ndarray:
    """x -> y (N, OH, OW, C): the mean of each window, in which padding does not count."""
    if device_of(x) != "cpu":
        shape = len(x), *window.output_size(x.shape[1:3]), x.shape[3]
        y = xp_of(x).empty(shape, x.dtype)
        _launch("average_pool", x.shape, window, x, y)
        return y
    y = None
    for _, tap in taps(pad(x, window.pads), window):
        y = tap.copy() if y is None else np.add(y, tap, out=y)
    return np.divide(y, _counts(x.shape, window, x.dtype), out=y)


def average_pool_backward(dy: np.ndarray, shape: tuple[int, ...], window: Window) -> np.ndarray:
    """dx of `shape`: every pixel receives the sum of dy / count over the windows that hold it."""
    if device_of(dy) != "cpu":
        dx = xp_of(dy).empty(shape, dy.dtype)
        _launch("average_pool_backward", shape, window, dy, dx)
        return dx
    padded = pad(np.zeros(shape, dy.dtype), window.pads)
    share = dy / _counts(shape, window, dy.dtype)
    for _, tap in taps(padded, window):
        tap += share
    return crop(padded, window.pads)
