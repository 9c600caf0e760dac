"""Winograd's convolution with the kernels of kernels/winograd.cu, compiled for this processor.

NumPy can transform tiles only as a product with a Kronecker square, 1,296 multiply-adds a tile and
channel; the kernel skips zeros and needs 264, and goes through memory once. Between the transforms
stand NumPy's products.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..fast import winograd as fast
from ..fast.threads import chunk_slices, num_threads, parallel_map, workspace
from ..window import Window
from ..winograd import tile_window
from .library import library

# Tiles of a block, which a thread transforms, multiplies and transforms back while it is in its
# cache. More are better for the products, which read all of U for each block.
BLOCK_TILES = 256
FEW_TILES = 96  # With fewer, U is most of the work: fast makes it in parts that stay in the cache.


def conv2d_winograd(x: np.ndarray, W: np.ndarray, b: np.ndarray | None, window: Window,
                    relu: bool = False, pool: bool = False) -> np.ndarray:
    """x (N, H, Wd, C), W (3, 3, C, F), strides 1 -> y (N, OH, OW, F); with pool the largest of
    each 2×2 of them, (N, OH // 2, OW // 2, F). b None adds nothing."""
    if len(x) * math.prod(tile_window(window).output_size) < FEW_TILES:
        return fast.conv2d_winograd(x, W, b, window, relu, pool)
    return convolve(x, transform_kernels(W), b, window, relu, pool)


def input_grad_winograd(dz: np.ndarray, W: np.ndarray, gradient_window: Window) -> np.ndarray:
    """dz (N, OH, OW, F), W (3, 3, C, F) -> dx (N, H, Wd, C): the convolution with the kernels
    rotated by 180°, C and F exchanged. To exchange them in U is to transpose its 36 matrices, which
    costs a product nothing."""
    W_rot180 = W[::-1, ::-1]  # (3, 3, C, F): copied below, in runs of C·F numbers
    if len(dz) * math.prod(tile_window(gradient_window).output_size) < FEW_TILES:
        return fast.conv2d_winograd(dz, W_rot180.swapaxes(2, 3), None, gradient_window)
    return convolve(dz, transform_kernels(W_rot180).swapaxes(1, 2), None, gradient_window)


def transform_kernels(W: np.ndarray) -> np.ndarray:
    """W (3, 3, C, F) -> U = G g Gᵀ of each kernel g, (36, C, F); threads share the kernels."""
    C, F = W.shape[2:]
    W, U = np.ascontiguousarray(W), np.empty((36, C, F), W.dtype)
    kernels, workers = library(W.dtype.name), num_threads()

    def work(parts: Sequence[slice]) -> None:
        for part in parts:
            kernels("winograd_kernels", W, U, part.start, part.stop - part.start, C * F)

    parallel_map(work, chunk_slices(C * F, -(-C * F // workers), workers), workers)
    return U


def convolve(x: np.ndarray, U: np.ndarray, b: np.ndarray | None, window: Window,
             relu: bool = False, pool: bool = False) -> np.ndarray:
    """conv2d_winograd with U (36, C, F); threads share the rows of tiles."""
    (N, H, Wd, C), F, workers = x.shape, U.shape[2], num_threads()
    tiles = tile_window(window)
    TH, TW = tiles.output_size  # rows of tiles in an image, tiles in a row
    (top, _), (left, _) = tiles.pads
    OH, OW = (size // 2 if pool else size for size in window.output_size)
    kernels, x = library(x.dtype.name), np.ascontiguousarray(x)
    b = np.zeros(F, x.dtype) if b is None else np.ascontiguousarray(b, x.dtype)
    y = np.empty((N, OH, OW, F), x.dtype)
    blocks = chunk_slices(N * TH, max(1, BLOCK_TILES // TW), workers)  # of rows of tiles
    max_tiles = TW * max(block.stop - block.start for block in blocks)

    def work(mine: Sequence[slice]) -> None:
        memory = workspace(36 * max_tiles * (C + F), x.dtype)
        for block in mine:
            first, rows = block.start, block.stop - block.start
            V, M, _ = np.split(memory, np.cumsum([36 * rows * TW * C, 36 * rows * TW * F]))
            kernels("winograd_tiles", x, V, first, rows, H, Wd, C, TH, TW, top, left)
            np.matmul(V.reshape(36, -1, C), U, out=M.reshape(36, -1, F))  # (36, T, C)·(36, C, F)
            kernels("winograd_outputs", M, b, y, first, rows, TH, TW, OH, OW, F, relu, pool)

    parallel_map(work, blocks, workers)
    return y
