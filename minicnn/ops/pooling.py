"""Pooling over windows of x (N, H, Wd, C), already padded; each window gives one y[n, i, j, c]."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .windows import output_size


def _taps(x: np.ndarray, kernel: tuple[int, int], strides: tuple[int, int]
          ) -> Iterator[tuple[int, np.ndarray]]:
    """For each place (p, q) of the window: k = p·KW + q, and the view x[:, p::SH, q::SW] of what
    stands there in all windows."""
    OH, OW = output_size(x.shape[1:3], kernel, strides)
    SH, SW = strides
    for k in range(kernel[0] * kernel[1]):
        p, q = divmod(k, kernel[1])
        yield k, x[:, p:p + SH * (OH - 1) + 1:SH, q:q + SW * (OW - 1) + 1:SW]


def max_pool(x: np.ndarray, kernel: tuple[int, int], strides: tuple[int, int],
             with_switches: bool = True) -> tuple[np.ndarray, np.ndarray | None]:
    """x -> y, switches, both (N, OH, OW, C). A switch is the place p·KW + q of the maximum in its
    window, the first one where several are equal; None without with_switches."""
    y = switches = None
    for k, tap in _taps(x, kernel, strides):
        if y is None:
            y = tap.copy()
            if with_switches:
                switches = np.zeros(y.shape, np.min_scalar_type(kernel[0] * kernel[1] - 1))
            continue
        if with_switches:
            switches[tap > y] = k  # strictly greater: the first maximum stays
        np.maximum(y, tap, out=y)
    return y, switches


def max_pool_backward(dy: np.ndarray, switches: np.ndarray, out: np.ndarray,
                      kernel: tuple[int, int], strides: tuple[int, int]) -> np.ndarray:
    """Adds each dy[n, i, j, c] to the place in out (N, H, Wd, C) that its switch names."""
    for k, tap in _taps(out, kernel, strides):
        tap += np.where(switches == k, dy, dy.dtype.type(0))
    return out


def average_pool(x: np.ndarray, counts: np.ndarray, kernel: tuple[int, int],
                 strides: tuple[int, int]) -> np.ndarray:
    """x (zero-padded) -> y (N, OH, OW, C): sums of windows over counts (OH, OW, 1)."""
    y = None
    for _, tap in _taps(x, kernel, strides):
        y = tap.copy() if y is None else np.add(y, tap, out=y)
    return np.divide(y, counts, out=y)


def average_pool_backward(dy: np.ndarray, counts: np.ndarray, out: np.ndarray,
                          kernel: tuple[int, int], strides: tuple[int, int]) -> np.ndarray:
    """Adds dy / counts to every place of its window in out (N, H, Wd, C); returns out."""
    share = dy / counts
    for _, tap in _taps(out, kernel, strides):
        tap += share
    return out
