"""Direct convolution with the kernels of kernels/direct.cu, compiled for this processor.

With few channels a column matrix costs more than the products that it is made for. Here the padded
image is read as it lies, and nothing is written but the result.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..fast.threads import chunk_slices, num_threads, parallel_map
from ..window import Window
from .library import library

MAX_WEIGHTS = 1 << 15  # KH·KW·C·F; all of them are read again for every 7 pixels, from the cache
MULTIPLE = 16          # F must be a multiple: no register of any processor stays half full
BLOCK_ELEMENTS = 1 << 13  # of dz, which are read again for every number of a run
MIN_WIDTH = 7          # pixels of a row, which are computed together


def pays_off(C: int, F: int, window: Window) -> bool:
    """Whether it is faster than a column matrix and its product."""
    KH, KW = window.kernel
    return (0 < KH * KW * C * F <= MAX_WEIGHTS and F % MULTIPLE == 0 and KH * KW > 1
            and window.output_size[1] >= MIN_WIDTH)


def weight_grad_pays_off(C: int, window: Window) -> bool:
    """Whether dW is, too: the numbers of a run that are summed at the same time have to divide it.
    """
    return window.kernel[1] * C % 3 == 0


def padded_images(x: np.ndarray, window: Window) -> np.ndarray:
    """x (N, H, Wd, C) with the zeros around it that the windows see."""
    x = np.ascontiguousarray(x)
    if window.pads == ((0, 0), (0, 0)):
        return x
    (N, H, Wd, C), ((top, bottom), (left, right)) = x.shape, window.pads
    padded = np.empty((N, top + H + bottom, left + Wd + right, C), x.dtype)
    PH, PW = padded.shape[1:3]
    library(x.dtype.name)("pad", x, padded, N * PH, H, Wd, C, PH, PW, top, left)
    return padded


def conv2d_direct(x: np.ndarray, W: np.ndarray, b: np.ndarray | None, window: Window,
                  relu: bool = False) -> np.ndarray:
    """x (N, H, Wd, C), W (KH, KW, C, F) -> y (N, OH, OW, F); threads share its rows. b None adds
    nothing."""
    (OH, OW), F, workers = window.output_size, W.shape[3], num_threads()
    padded, W = padded_images(x, window), np.ascontiguousarray(W)
    b = np.zeros(F, x.dtype) if b is None else np.ascontiguousarray(b, x.dtype)
    y = np.empty((len(x), OH, OW, F), x.dtype)
    kernels = library(x.dtype.name)

    def work(parts: Sequence[slice]) -> None:
        for rows in parts:
            kernels("direct_convolution", padded, W, b, y, rows.start, rows.stop - rows.start,
                    *padded.shape[1:], OH, OW, F, *window.kernel, *window.strides, relu)

    rows = len(x) * OH
    parallel_map(work, chunk_slices(rows, -(-rows // workers), workers), workers)
    return y


def weight_grad_direct(x: np.ndarray, dz: np.ndarray, window: Window) -> np.ndarray:
    """x (N, H, Wd, C), dz (N, OH, OW, F) -> dW (KH, KW, C, F); each thread sums some images."""
    (N, OH, OW, F), workers = dz.shape, num_threads()
    padded, dz = padded_images(x, window), np.ascontiguousarray(dz)
    images = chunk_slices(N, -(-N // workers), workers)
    dW = np.zeros((len(images), *window.kernel, x.shape[3], F), x.dtype)
    kernels, block = library(x.dtype.name), max(1, BLOCK_ELEMENTS // (OW * F))

    def work(parts: Sequence[int]) -> None:
        for k in parts:
            part = images[k]
            kernels("direct_weight_grads", padded[part], dz[part], dW[k], part.stop - part.start, 1,
                    block, *padded.shape[1:], OH, OW, F, *window.kernel, *window.strides)

    parallel_map(work, range(len(images)), workers)
    return dW.sum(axis=0) if len(dW) != 1 else dW[0]
