"""Direct convolution with the kernels of kernels/direct.cu, compiled for this processor.

With few channels a column matrix costs more than the products that it is made for. Here the padded
image is read as it lies, and nothing is written but the result.
"""

from __future__ import annotations

import numpy as np

from ..fast.threads import shares
from ..window import Window
from .library import library, num_threads, workers_for

MAX_WEIGHTS = 1 << 15  # KH·KW·C·F; all of them are read again for every 7 pixels, from the cache
MULTIPLE = 16          # F must be a multiple: no register of any processor stays half full
BLOCK_ELEMENTS = 1 << 13  # of dz, which are read again for every 12 numbers of a run
MIN_WIDTH = 7          # pixels of a row, which are computed together


def pays_off(C: int, F: int, window: Window) -> bool:
    """Whether it is faster than a column matrix and its product."""
    KH, KW = window.kernel
    return (0 < KH * KW * C * F <= MAX_WEIGHTS and F % MULTIPLE == 0 and KH * KW > 1
            and window.output_size[1] >= MIN_WIDTH)


def weight_grad_pays_off(C: int, window: Window) -> bool:
    """Whether dW is faster, too: if a run is a multiple of 3 numbers. Others would be summed one by
    one."""
    return window.kernel[1] * C % 3 == 0


def padded_images(x: np.ndarray, window: Window) -> np.ndarray:
    """x (N, H, Wd, C) with the zeros around it that the windows see."""
    x = np.ascontiguousarray(x)
    if window.pads == ((0, 0), (0, 0)):
        return x
    (N, H, Wd, C), ((top, bottom), (left, right)) = x.shape, window.pads
    padded = np.empty((N, top + H + bottom, left + Wd + right, C), x.dtype)
    PH, PW = padded.shape[1:3]
    library(x.dtype.name).on_threads([
        [("pad", x[images], padded[images], (images.stop - images.start) * PH, H, Wd, C, PH, PW,
          top, left)] for images in shares(N, workers_for(x.size))])
    return padded


def conv2d_direct(x: np.ndarray, W: np.ndarray, b: np.ndarray | None, window: Window,
                  relu: bool = False) -> np.ndarray:
    """x (N, H, Wd, C), W (KH, KW, C, F) -> y (N, OH, OW, F); threads share its rows. b None adds
    nothing."""
    (OH, OW), F = window.output_size, W.shape[3]
    padded, W = padded_images(x, window), np.ascontiguousarray(W)
    b = np.zeros(F, x.dtype) if b is None else np.ascontiguousarray(b, x.dtype)
    y = np.empty((len(x), OH, OW, F), x.dtype)
    sizes = *padded.shape[1:], OH, OW, F, *window.kernel, *window.strides
    library(x.dtype.name).on_threads([
        [("direct_convolution", padded, W, b, y, rows.start, rows.stop - rows.start, *sizes, relu)]
        for rows in shares(len(x) * OH, num_threads())])
    return y


def weight_grad_direct(x: np.ndarray, dz: np.ndarray, window: Window) -> np.ndarray:
    """x (N, H, Wd, C), dz (N, OH, OW, F) -> dW (KH, KW, C, F); each thread sums some images."""
    N, OH, OW, F = dz.shape
    padded, dz = padded_images(x, window), np.ascontiguousarray(dz)
    parts = shares(N, num_threads())
    dW = np.zeros((len(parts), *window.kernel, x.shape[3], F), x.dtype)
    block = max(1, BLOCK_ELEMENTS // (OW * F))
    sizes = *padded.shape[1:], OH, OW, F, *window.kernel, *window.strides
    library(x.dtype.name).on_threads([
        [("direct_weight_grads", padded[images], dz[images], dW[k], images.stop - images.start, 1,
          block, *sizes)] for k, images in enumerate(parts)])
    return dW.sum(axis=0) if len(dW) != 1 else dW[0]
