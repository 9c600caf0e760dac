"""Winograd's convolution with the kernels of kernels/winograd.cu, compiled for this processor.

NumPy can transform tiles only as a product with a Kronecker square, 1,296 multiply-adds a tile and
channel; the kernel skips zeros and needs 264, and goes through memory once. Between the transforms
stand the products V[k] @ U[k]. If F is a multiple of 32, U is written in panels of 32 filters,
(36, F / 32, C, 32), in which order kernels/products.cpp multiplies; else NumPy does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..fast.threads import chunk_slices, num_threads, parallel_map, workspace
from ..window import Window
from ..winograd import tile_window
from .library import library

# Tiles of a block, which a thread transforms, multiplies and transforms back while it is in its
# cache. More are better for the products, which read all of U for each block.
BLOCK_TILES = 256
FEW_TILES = 96  # With fewer, U is most of the work: it is made in parts that stay in the cache.
GROUP_ELEMENTS = 5 << 17  # of such a part: 2.6 MB in float32
PANEL = 32  # filters
GAP = 64  # numbers between two matrices of U: docs/speed.md, section 6, says why


def conv2d_winograd(x: np.ndarray, W: np.ndarray, b: np.ndarray | None, window: Window,
                    relu: bool = False, pool: bool = False) -> np.ndarray:
    """x (N, H, Wd, C), W (3, 3, C, F), strides 1 -> y (N, OH, OW, F); with pool the largest of
    each 2×2 of them, (N, OH // 2, OW // 2, F). b None adds nothing."""
    if len(x) * math.prod(tile_window(window).output_size) < FEW_TILES:
        return convolve_few_tiles(x, W, b, window, relu, pool)
    return convolve(x, transform_kernels(W), b, window, relu, pool)


def input_grad_winograd(dz: np.ndarray, W: np.ndarray, gradient_window: Window) -> np.ndarray:
    """dz (N, OH, OW, F), W (3, 3, C, F) -> dx (N, H, Wd, C): the convolution with the kernels
    rotated by 180°, C and F exchanged. To exchange them in U is to transpose its 36 matrices, which
    costs a product nothing."""
    W_rot180 = W[::-1, ::-1]  # (3, 3, C, F): copied below, in runs of C·F numbers
    if len(dz) * math.prod(tile_window(gradient_window).output_size) < FEW_TILES:
        return convolve_few_tiles(dz, W_rot180.swapaxes(2, 3), None, gradient_window)
    return convolve(dz, transform_kernels(W_rot180, panels=False).swapaxes(1, 2), None,
                    gradient_window)


def transform_kernels(W: np.ndarray, panels: bool = True) -> np.ndarray:
    """W (3, 3, C, F) -> U = G g Gᵀ of each kernel g, (36, C, F), or if wanted and F allows it in
    panels, (36, F / 32, C, 32); threads share the filters."""
    C, F = W.shape[2:]
    W, memory, workers = np.ascontiguousarray(W), kernel_memory(C, F, W.dtype), num_threads()
    if panels and F % PANEL == 0:
        def transform(mine: Sequence[int]) -> None:
            for panel in mine:
                transform_panel(W, memory, 0, panel)

        parallel_map(transform, range(F // PANEL), workers)
        return in_panels(memory, C, F)

    def work(parts: Sequence[slice]) -> None:
        for part in parts:  # of the channels
            library(W.dtype.name)("winograd_kernels", W[:, :, part], memory[:, part.start * F:],
                                  C * F, memory.shape[1], part.stop - part.start, F, 0, F)

    parallel_map(work, chunk_slices(C, -(-C // workers), workers), workers)
    return plain(memory, C, F)


def kernel_memory(C: int, F: int, dtype: np.dtype) -> np.ndarray:
    """For U of F filters: (36, C·F + GAP)."""
    return np.empty((36, C * F + GAP), dtype)


def plain(memory: np.ndarray, C: int, F: int) -> np.ndarray:
    """The view (36, C, F) of it."""
    return memory[:, :C * F].reshape(36, C, F)


def in_panels(memory: np.ndarray, C: int, F: int) -> np.ndarray:
    """The view (36, F / 32, C, 32) of it."""
    return memory[:, :C * F].reshape(36, F // PANEL, C, PANEL)


def transform_panel(W: np.ndarray, memory: np.ndarray, first: int, panel: int) -> None:
    """The kernels of a panel of filters, counted from filter `first` of W, to their place in the
    memory for U."""
    C, F = W.shape[2:]
    library(W.dtype.name)("winograd_kernels", W, memory[:, panel * C * PANEL:], C * F,
                          memory.shape[1], C, F, first + panel * PANEL, PANEL)


def multiply(V: np.ndarray, U: np.ndarray, M: np.ndarray) -> None:
    """M[k] (T, F) ← V[k] @ U[k] for each of the 36 positions k; M may be some columns of a larger
    array."""
    if U.ndim == 3:
        np.matmul(V, U, out=M)  # (36, T, C)·(36, C, F)
        return
    (_, T, C), filters, row = V.shape, M.shape[2], M.strides[1] // M.itemsize
    matrices = (a.strides[0] // a.itemsize for a in (V, U, M))  # numbers from one to the next
    library(V.dtype.name)("winograd_products", V, U, M, *matrices, T, C, row, filters, PANEL)


@dataclass
class Tiling:
    """The tiles of images x (N, H, Wd, C), of which the outputs are pooled or not."""

    x: np.ndarray
    window: Window
    pool: bool

    def __post_init__(self) -> None:
        self.kernels, self.tiles = library(self.x.dtype.name), tile_window(self.window)
        self.rows = len(self.x) * self.tiles.output_size[0]  # of tiles, in all images
        self.width = self.tiles.output_size[1]               # tiles in a row
        OH, OW = self.window.output_size
        self.output_size = (OH // 2, OW // 2) if self.pool else (OH, OW)

    def outputs(self, F: int) -> np.ndarray:
        """y (N, OH, OW, F), not yet computed."""
        return np.empty((len(self.x), *self.output_size, F), self.x.dtype)

    def transform(self, V: np.ndarray, rows: slice) -> None:
        """V (36, T, C) ← the tiles of these rows; V may be part of a larger array."""
        (top, _), (left, _) = self.tiles.pads
        self.kernels("winograd_tiles", self.x, V, V.strides[0] // V.itemsize, rows.start,
                     rows.stop - rows.start, *self.x.shape[1:], *self.tiles.output_size, top, left)

    def transform_back(self, M: np.ndarray, b: np.ndarray, y: np.ndarray, rows: slice, relu: bool
                       ) -> None:
        """These rows of the outputs y (N, OH, OW, F) ← M (36, T, F), b (F,)."""
        self.kernels("winograd_outputs", M, M.strides[0] // M.itemsize, b, y, rows.start,
                     rows.stop - rows.start, *self.tiles.output_size, *self.output_size, len(b),
                     relu, self.pool)


def convolve(x: np.ndarray, U: np.ndarray, b: np.ndarray | None, window: Window,
             relu: bool = False, pool: bool = False) -> np.ndarray:
    """conv2d_winograd with U (36, C, F) or in panels; threads share the rows of tiles."""
    tiling, workers = Tiling(np.ascontiguousarray(x), window, pool), num_threads()
    C, F = x.shape[3], math.prod(U.shape) // (36 * x.shape[3])
    y, b = tiling.outputs(F), bias(b, F, x.dtype)
    blocks = chunk_slices(tiling.rows, max(1, BLOCK_TILES // tiling.width), workers)
    max_tiles = tiling.width * max(block.stop - block.start for block in blocks)

    def work(mine: Sequence[slice]) -> None:
        memory = workspace(36 * max_tiles * (C + F), x.dtype)
        for block in mine:
            T = tiling.width * (block.stop - block.start)
            V, M, _ = np.split(memory, np.cumsum([36 * T * C, 36 * T * F]))
            V, M = V.reshape(36, T, C), M.reshape(36, T, F)
            tiling.transform(V, block)
            multiply(V, U, M)
            tiling.transform_back(M, b, y, block, relu)

    parallel_map(work, blocks, workers)
    return y


def convolve_few_tiles(x: np.ndarray, W: np.ndarray, b: np.ndarray | None, window: Window,
                       relu: bool = False, pool: bool = False) -> np.ndarray:
    """conv2d_winograd; threads share the filters. Each transforms the kernels of some filters and
    multiplies all tiles by them while they are in its cache: U is never whole in memory."""
    (C, F), W, workers = W.shape[2:], np.ascontiguousarray(W), num_threads()
    tiling = Tiling(np.ascontiguousarray(x), window, pool)
    y, b, T = tiling.outputs(F), bias(b, F, x.dtype), tiling.rows * tiling.width
    V, M = np.empty((36, T, C), x.dtype), np.empty((36, T, F), x.dtype)
    rows = chunk_slices(tiling.rows, -(-tiling.rows // workers), workers)
    size = max(PANEL, GROUP_ELEMENTS // (36 * C) // PANEL * PANEL)
    groups = [slice(first, min(first + size, F)) for first in range(0, F, size)]  # of filters

    def transform(mine: Sequence[slice]) -> None:
        for part in mine:
            tiling.transform(V[:, part.start * tiling.width:], part)

    def products(mine: Sequence[slice]) -> None:
        for filters in mine:
            K = filters.stop - filters.start
            memory = workspace(36 * (C * K + GAP), x.dtype).reshape(36, C * K + GAP)
            if K % PANEL == 0:
                for panel in range(K // PANEL):
                    transform_panel(W, memory, filters.start, panel)
                U = in_panels(memory, C, K)
            else:
                tiling.kernels("winograd_kernels", W, memory, C * F, memory.shape[1], C, F,
                               filters.start, K)
                U = plain(memory, C, K)
            multiply(V, U, M[..., filters])

    def transform_back(mine: Sequence[slice]) -> None:
        for part in mine:
            tiling.transform_back(M[:, part.start * tiling.width:], b, y, part, relu)

    for work, parts in ((transform, rows), (products, groups), (transform_back, rows)):
        parallel_map(work, parts, workers)
    return y


def bias(b: np.ndarray | None, F: int, dtype: np.dtype) -> np.ndarray:
    """b (F,) as the kernels take it; None is zeros."""
    return np.zeros(F, dtype) if b is None else np.ascontiguousarray(b, dtype)
