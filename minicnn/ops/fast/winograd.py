"""Winograd's convolution on a processor: ops/winograd.py in blocks that stay in the cache."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..window import Window, offset_view
from ..winograd import A_T, B_T, G, tile_window
from .im2col_blocks import block_window, pad
from .threads import (
    MAX_UNPACKED_GEMM,
    chunk_slices,
    num_threads,
    parallel_map,
    row_blocks,
    workspace,
)

KERNEL_ELEMENTS = 5 << 19  # of U, if it is computed once, for all threads
BLOCK_ELEMENTS = 1 << 14   # of a block's V at each of the 36 positions: it stays in the cache


def conv2d_winograd(x: np.ndarray, W: np.ndarray, b: np.ndarray | None, window: Window,
                    relu: bool = False, pool: bool = False) -> np.ndarray:
    """x (N, H, Wd, C), W (3, 3, C, F), strides 1 -> y (N, OH, OW, F); with pool the largest of
    each 2×2 of them, (N, OH // 2, OW // 2, F). b None adds nothing.

    Computed in blocks, some rows of tiles by some filters, which stay in the cache and whose
    products are small (threads.MAX_UNPACKED_GEMM). Threads share the rows of tiles; if the
    transform of the kernels is much work, they share the filters.
    """
    (N, _, _, C), F, workers = x.shape, W.shape[3], num_threads()
    OH, OW = window.output_size
    tiles = tile_window(window)
    tile_rows, tile_columns = tiles.output_size  # of tiles in an image
    BT2, AT2, G2 = (np.kron(M, M).astype(x.dtype) for M in (B_T, A_T, G))  # Kronecker squares
    W9 = W.reshape(9, C, F)

    precompute_U = 36 * C * F <= KERNEL_ELEMENTS
    if precompute_U:
        blocks = row_blocks(N, tile_rows, tile_columns * C, BLOCK_ELEMENTS, workers)
    else:
        blocks = row_blocks(N, tile_rows, tile_columns * C, 2 * BLOCK_ELEMENTS)
    max_tiles = tile_columns * max((rows.stop - rows.start for rows in blocks), default=0)
    max_filters = max(16, MAX_UNPACKED_GEMM // max(1, max_tiles * C) // 16 * 16)
    groups = chunk_slices(F, max_filters, workers)  # of filters
    group_size = max(filters.stop - filters.start for filters in groups)
    tile_out = 2 if pool else 4  # outputs along the side of a tile
    y = np.empty((N, OH * tile_out // 4, OW * tile_out // 4, F), x.dtype)
    all_U = np.empty(36 * C * F if precompute_U else 0, x.dtype)  # one group after the other

    def transform_kernels(filters: slice, memory: np.ndarray) -> np.ndarray:
        """U (36, C, K) of K filters."""
        U = memory[:36 * C * (filters.stop - filters.start)].reshape(36, C, -1)
        np.matmul(G2, W9[..., filters].swapaxes(0, 1), out=U.swapaxes(0, 1))  # (36, 9)·(C, 9, K)
        return U

    def work(items: Sequence[slice]) -> None:
        ends = np.cumsum([36 * max_tiles * C, max_tiles * max(36 * C, 52 * group_size),
                          0 if precompute_U else 36 * C * group_size])
        v, scratch, u, _ = np.split(workspace(ends[-1], x.dtype), ends)
        for rows in items if precompute_U else blocks:
            images, input_rows, part = block_window(tiles, rows)
            V = transform_tiles(x[images, input_rows], part, BT2, v, scratch)  # (36, T, C)
            T = V.shape[1]
            y_rows = y[images, tile_out * (rows.start % tile_rows):]
            for filters in groups if precompute_U else items:
                K = filters.stop - filters.start
                if precompute_U:
                    U = all_U[36 * C * filters.start:36 * C * filters.stop].reshape(36, C, K)
                else:
                    U = transform_kernels(filters, u)
                M = np.matmul(V, U, out=scratch[:36 * T * K].reshape(36, T, K))
                z = scratch[36 * T * K:52 * T * K].reshape(16, T, K)
                np.matmul(AT2, M.swapaxes(0, 1), out=z.swapaxes(0, 1))  # (16, 36)·(T, 36, K)
                z = z.reshape(4, 4, images.stop - images.start, -1, tile_columns, K)
                if pool:
                    np.maximum(z[::2], z[1::2], out=z[::2])
                    z = np.maximum(z[::2, ::2], z[::2, 1::2], out=z[::2, ::2])
                if b is not None:
                    z += b[filters]
                if relu:
                    np.maximum(z, 0, out=z)
                place_tiles(z, y_rows[..., filters])

    if precompute_U:
        parallel_map(lambda mine: [transform_kernels(filters, all_U[36 * C * filters.start:])
                                   for filters in mine], groups, workers)
    parallel_map(work, blocks if precompute_U else groups, workers)
    return y


def transform_tiles(x: np.ndarray, tiles: Window, BT2: np.ndarray, v: np.ndarray,
                    scratch: np.ndarray) -> np.ndarray:
    """x (n, H, Wd, C) -> V = Bᵀ⊗Bᵀ tiles (36, T, C), in the memory v; scratch is overwritten."""
    (n, _, _, C), (OH, OW) = x.shape, tiles.output_size
    padded = pad(x, tiles.pads, memory=v)  # V takes its place below
    gathered = scratch[:36 * n * OH * OW * C].reshape(36, n, OH, OW, C)
    for k in range(36):
        gathered[k] = offset_view(padded, *divmod(k, 6), tiles)
    T = n * OH * OW
    V = v[:36 * T * C].reshape(36, T, C)
    np.matmul(BT2, gathered.reshape(36, T, C).swapaxes(0, 1), out=V.swapaxes(0, 1))
    return V


def place_tiles(z: np.ndarray, y: np.ndarray) -> None:
    """z (s, s, n, tile rows, tile columns, K) -> y (n, OH, OW, K), s outputs of a tile side by
    side; what lies beyond the edge of y is left out."""
    side = len(z)
    for i in range(side):
        for j in range(side):
            outputs = y[:, i:side * z.shape[3]:side, j::side]
            outputs[...] = z[i, j, :, :outputs.shape[1], :outputs.shape[2]]
