"""dW by the adjoint of Winograd's convolution, with the kernels of kernels/winograd_backward.cu.

    dM = A dz Aᵀ of each tile,   dU[k] = V[k]ᵀ @ dM[k] for each of the 36 positions,   dW = Gᵀ dU G

The products multiply 36 numbers a tile, channel and filter, X_colᵀ @ dZ multiplies 144. The error
is that of Winograd's convolution, about 1e-5 of the largest gradient in float32.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..fast.threads import chunk_slices, num_threads, parallel_map
from ..window import Window
from ..winograd import tile_window
from .library import library

BLOCK_TILES = 256  # which a thread transforms, and which are multiplied at a time
GROUP_ELEMENTS = 1 << 23  # of V and dM together: 32 MB in float32

Transformed = tuple[np.ndarray, np.ndarray]  # V (36, T, C) and dM (36, T, F) of T tiles


def weight_grad_winograd(x: np.ndarray, dz: np.ndarray, window: Window) -> np.ndarray:
    """x (N, H, Wd, C), dz (N, OH, OW, F), kernels 3×3, strides 1 -> dW (3, 3, C, F).

    Computed in groups of some rows of tiles. The order of the sums does not depend on the number of
    threads.
    """
    (N, C), F, tiles = (len(x), x.shape[3]), dz.shape[3], tile_window(window)
    TH, TW = tiles.output_size  # rows of tiles in an image, tiles in a row
    x, dz = np.ascontiguousarray(x), np.ascontiguousarray(dz)
    dU = np.zeros((36, C, F), x.dtype)
    for group in chunk_slices(N * TH, max(1, GROUP_ELEMENTS // (36 * TW * (C + F)))):
        add_products(transform(x, dz, tiles, group), dU)
    return transform_back(dU)


def transform(x: np.ndarray, dz: np.ndarray, tiles: Window, group: slice) -> list[Transformed]:
    """The tiles of a group of rows, in blocks; threads share the blocks."""
    (_, H, Wd, C), (_, OH, OW, F), (TH, TW) = x.shape, dz.shape, tiles.output_size
    (top, _), (left, _) = tiles.pads
    kernels = library(x.dtype.name)
    starts = range(group.start, group.stop, max(1, BLOCK_TILES // TW))
    blocks = []  # (first row, V, dM)
    for first in starts:
        T = TW * (min(first + starts.step, group.stop) - first)
        blocks.append((first, np.empty((36, T, C), x.dtype), np.empty((36, T, F), x.dtype)))

    def work(mine: Sequence[tuple[int, np.ndarray, np.ndarray]]) -> None:
        for first, V, dM in mine:
            rows = V.shape[1] // TW
            kernels("winograd_tiles", x, V, V[0].size, first, rows, H, Wd, C, TH, TW, top, left)
            kernels("winograd_gradient_tiles", dz, dM, first, rows, OH, OW, F, TH, TW)

    parallel_map(work, blocks, num_threads())
    return [(V, dM) for _, V, dM in blocks]


def add_products(blocks: Sequence[Transformed], dU: np.ndarray) -> None:
    """dU[k] += V[k]ᵀ @ dM[k]; threads share the 36 positions k."""
    def work(positions: Sequence[int]) -> None:
        product = np.empty_like(dU[0])
        for k in positions:
            for V, dM in blocks:
                dU[k] += np.matmul(V[k].T, dM[k], out=product)  # (C, T)·(T, F)

    parallel_map(work, range(36), num_threads())


def transform_back(dU: np.ndarray) -> np.ndarray:
    """dU (36, C, F) -> dW (3, 3, C, F); threads share the kernels."""
    C, F = dU.shape[1:]
    dW, kernels, workers = np.empty((3, 3, C, F), dU.dtype), library(dU.dtype.name), num_threads()

    def work(parts: Sequence[slice]) -> None:
        for part in parts:
            kernels("winograd_weight_grads", dU, dW, part.start, part.stop - part.start, C * F)

    parallel_map(work, chunk_slices(C * F, -(-C * F // workers), workers), workers)
    return dW
