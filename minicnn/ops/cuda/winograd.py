"""Winograd's convolution on a GPU: ops/winograd.py with the kernels of kernels/winograd.cu."""

from __future__ import annotations

import numpy as np

from .. import array_module
from ..window import Window
from ..winograd import tile_window
from .im2col_blocks import row_blocks
from .launch import by_rows, flat, launch


def conv2d_winograd(x: np.ndarray, W: np.ndarray, b: np.ndarray | None, window: Window,
                    relu: bool = False, pool: bool = False) -> np.ndarray:
    """x (N, H, Wd, C), W (3, 3, C, F), strides 1 -> y (N, OH, OW, F); with pool the largest of
    each 2×2 of them, (N, OH // 2, OW // 2, F). b None adds nothing.

    Computed in blocks of tile rows, whose V and M together have about as many elements as a block
    of im2col's columns. Its products are in float32 whatever use_precision says: the inverse
    transform would magnify the rounding of TF32, 3e-4, to more than 5e-3.
    """
    xp, (N, H, Wd, C), F = array_module(x, W), x.shape, W.shape[3]
    tiles = tile_window(window)
    TH, TW = tiles.output_size  # rows of tiles in an image, tiles in a row
    top, left = window.pads[0][0], window.pads[1][0]
    OH, OW = (size // 2 if pool else size for size in window.output_size)
    y = xp.empty((N, OH, OW, F), x.dtype)
    b = xp.zeros(F, x.dtype) if b is None else b

    U = xp.empty((36, C, F), x.dtype)
    launch("winograd_kernels", by_rows(C, F), W, U, C * F, C * F, C, F, 0, F)

    blocks = list(row_blocks(N, tiles, C + F))
    max_tiles = TW * max((count for _, count in blocks), default=0)
    V_memory, M_memory = (xp.empty(36 * max_tiles * channels, x.dtype) for channels in (C, F))
    for first, count in blocks:
        T = count * TW
        V = V_memory[:36 * T * C].reshape(36, T, C)
        M = M_memory[:36 * T * F].reshape(36, T, F)
        launch("winograd_tiles", by_rows(count, TW * C), x, V, T * C, first, count, H, Wd, C, TH,
               TW, top, left)
        xp.matmul(V, U, out=M)  # (36, T, C)·(36, C, F)
        launch("winograd_outputs", by_rows(count, TW * F), M, T * F, b, y, first, count, TH, TW,
               OH, OW, F, int(relu), int(pool))
    return y


def weight_grad_winograd(x: np.ndarray, dz: np.ndarray, window: Window) -> np.ndarray:
    """x (N, H, Wd, C), dz (N, OH, OW, F), kernels 3×3, strides 1 -> dW (3, 3, C, F), by the adjoint
    of conv2d_winograd (kernels/winograd_backward.cu). conv2d_weight_grad does not select it: how
    fast it is on a GPU has not been measured yet (benchmarks/gpu_cases.py does)."""
    xp, (N, H, Wd, C), (OH, OW, F) = array_module(x, dz), x.shape, dz.shape[1:]
    tiles = tile_window(window)
    TH, TW = tiles.output_size
    top, left = window.pads[0][0], window.pads[1][0]
    dU, dW = xp.zeros((36, C, F), x.dtype), xp.empty((3, 3, C, F), x.dtype)
    for first, count in row_blocks(N, tiles, C + F):
        V, dM = (xp.empty((36, count * TW, channels), x.dtype) for channels in (C, F))
        launch("winograd_tiles", by_rows(count, TW * C), x, V, count * TW * C, first, count, H, Wd,
               C, TH, TW, top, left)
        launch("winograd_gradient_tiles", by_rows(count, TW * F), dz, dM, count * TW * F, first,
               count, OH, OW, F, TH, TW)
        dU += xp.matmul(V.swapaxes(1, 2), dM)  # (36, C, T)·(36, T, F)
    launch("winograd_weight_grads", flat(C * F), dU, C * F, dW, 0, C * F, C * F)
    return dW
