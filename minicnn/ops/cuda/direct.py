"""Direct convolution on a GPU, with the kernels of kernels/direct.cu, for few channels.

conv2d does not select it: how fast it is on a GPU has not been measured yet
(benchmarks/gpu_cases.py does). The native backend computes with the same kernels on a processor.
"""

from __future__ import annotations

import numpy as np

from .. import array_module
from ..window import Window
from .launch import by_rows, launch

PIXELS = 7   # neighbours in a row, which a thread computes together
PARTS = 256  # of a batch, at most, that dW is summed over at the same time
BLOCK_ROWS = 1 << 30  # of dz at a time: all. Blocks are for the cache of a processor


def padded_images(x: np.ndarray, window: Window) -> np.ndarray:
    """x (N, H, Wd, C) with the zeros around it that the windows see."""
    (N, H, Wd, C), ((top, bottom), (left, right)) = x.shape, window.pads
    PH, PW = top + H + bottom, left + Wd + right
    padded = array_module(x).empty((N, PH, PW, C), x.dtype)
    launch("pad", by_rows(N * PH, PW * C), x, padded, N * PH, H, Wd, C, PH, PW, top, left)
    return padded


def conv2d_direct(x: np.ndarray, W: np.ndarray, b: np.ndarray | None, window: Window,
                  relu: bool = False) -> np.ndarray:
    """x (N, H, Wd, C), W (KH, KW, C, F) -> y (N, OH, OW, F). b None adds nothing."""
    xp, N, (OH, OW), F = array_module(x, W), len(x), window.output_size, W.shape[3]
    padded, y = padded_images(x, window), xp.empty((N, OH, OW, F), x.dtype)
    b = xp.zeros(F, x.dtype) if b is None else b
    launch("direct_convolution", by_rows(N * OH, -(-OW // PIXELS) * F), padded, W, b, y, 0, N * OH,
           *padded.shape[1:], OH, OW, F, *window.kernel, *window.strides, int(relu))
    return y


def weight_grad_direct(x: np.ndarray, dz: np.ndarray, window: Window) -> np.ndarray:
    """x (N, H, Wd, C), dz (N, OH, OW, F) -> dW (KH, KW, C, F)."""
    C, (N, OH, OW, F), parts = x.shape[3], dz.shape, max(1, min(len(x), PARTS))
    padded = padded_images(x, window)
    dW = array_module(x, dz).zeros((parts, *window.kernel, C, F), x.dtype)
    numbers = window.kernel[0] * window.kernel[1] * C  # at most a thread for each, and filter
    launch("direct_weight_grads", by_rows(parts, numbers * F), padded, dz, dW, N, parts, BLOCK_ROWS,
           *padded.shape[1:], OH, OW, F, *window.kernel, *window.strides)
    return dW.sum(axis=0)
