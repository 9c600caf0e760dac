"""Winograd's convolution with the kernels of kernels/winograd.cu, compiled for this processor.

NumPy can transform tiles only as a product with a Kronecker square, 1,296 multiply-adds a tile and
channel; the kernel skips zeros and needs 264, and goes through memory once. Between the transforms
stand the products V[k] @ U[k]. If F is a multiple of 32, U is written in panels of 32 filters,
(36, F / 32, C, 32), in which order kernels/products.cpp multiplies; else NumPy does.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..fast.threads import chunk_slices, num_threads, parallel_map, shares, workspace
from ..window import Window
from ..winograd import tile_window
from .library import Call, library

# Tiles of a block, which a thread transforms, multiplies and transforms back while it is in its
# cache. More are better for the products, which read all of U for each block.
BLOCK_TILES = 112
FEW_TILES = 96  # With fewer, U is most of the work: it is made in parts that stay in the cache.
FEW_CHANNELS = 256  # of such a part, which has 32 filters: 1.2 MB in float32
PANEL = 32  # filters
GAP = 64  # numbers between two matrices of U: docs/speed.md, section 6, says why


def conv2d_winograd(x: np.ndarray, W: np.ndarray, b: np.ndarray | None, window: Window,
                    relu: bool = False, pool: bool = False) -> np.ndarray:
    """x (N, H, Wd, C), W (3, 3, C, F), strides 1 -> y (N, OH, OW, F); with pool the largest of
    each 2×2 of them, (N, OH // 2, OW // 2, F). b None adds nothing."""
    if has_few_tiles(x, window, W.shape[3]):
        return convolve_few_tiles(x, W, b, window, relu, pool)
    return convolve(x, transform_kernels(W), b, window, relu, pool)


def input_grad_winograd(dz: np.ndarray, W: np.ndarray, gradient_window: Window) -> np.ndarray:
    """dz (N, OH, OW, F), W (3, 3, C, F) -> dx (N, H, Wd, C): the convolution with the kernels
    rotated by 180°, C and F exchanged. To exchange them in U is to transpose its 36 matrices, which
    costs a product of NumPy's nothing."""
    W_rot180 = W[::-1, ::-1]  # (3, 3, C, F): copied below, in runs of C·F numbers
    if has_few_tiles(dz, gradient_window, W.shape[2]):
        return convolve_few_tiles(dz, W_rot180.swapaxes(2, 3), None, gradient_window)
    return convolve(dz, transform_kernels(W_rot180, panels=False).swapaxes(1, 2), None,
                    gradient_window)


def has_few_tiles(x: np.ndarray, window: Window, F: int) -> bool:
    """Whether U, of F filters in panels, would be more to compute than the tiles of x."""
    return F % PANEL == 0 and len(x) * math.prod(tile_window(window).output_size) < FEW_TILES


def few_tiles_pay_off(C: int, F: int, window: Window) -> bool:
    """Whether convolve_few_tiles is faster than a column matrix, however few tiles there are: U
    costs it no more than reading W costs the product. The tiles must save half of the
    multiplications, as in ops/winograd.py."""
    if window.kernel != (3, 3) or window.strides != (1, 1) or min(C, F) < 32 or F % PANEL:
        return False
    tiles, outputs = tile_window(window).output_size, window.output_size
    return 36 * math.prod(tiles) <= 9 * math.prod(outputs) / 2


def transform_kernels(W: np.ndarray, panels: bool = True) -> np.ndarray:
    """W (3, 3, C, F) -> U = G g Gᵀ of each kernel g, (36, C, F), or if wanted and F allows it in
    panels, (36, F / 32, C, 32); threads share the filters, or the channels."""
    C, F = W.shape[2:]
    W, memory, workers = np.ascontiguousarray(W), kernel_memory(C, F, W.dtype), num_threads()
    if panels and F % PANEL == 0:
        library(W.dtype.name).on_threads([
            [transform_panel(W, memory, 0, panel) for panel in range(part.start, part.stop)]
            for part in shares(F // PANEL, workers)])
        return in_panels(memory, C, F)
    library(W.dtype.name).on_threads([
        [("winograd_kernels", W[:, :, part], memory[:, part.start * F:], C * F, memory.shape[1],
          part.stop - part.start, F, 0, F)] for part in shares(C, workers)])
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


def transform_panel(W: np.ndarray, memory: np.ndarray, first: int, panel: int) -> Call:
    """The kernels of a panel of filters, counted from filter `first` of W (3, 3, C, F), to their
    place in the memory for U; W may be some channels of a larger array."""
    C, F = W.shape[2:]
    return ("winograd_kernels", W, memory[:, panel * C * PANEL:], W.strides[1] // W.itemsize,
            memory.shape[1], C, F, first + panel * PANEL, PANEL)


def multiply(V: np.ndarray, U: np.ndarray, M: np.ndarray, add: bool = False) -> Call:
    """M[k] (T, F) ← V[k] @ U[k], or with `add` M[k] += V[k] @ U[k], for each of the 36 positions k,
    U in panels; V and M may be some columns of larger arrays."""
    (_, T, C), filters = V.shape, M.shape[2]
    matrices = (a.strides[0] // a.itemsize for a in (V, U, M))  # numbers from one to the next
    rows = (a.strides[1] // a.itemsize for a in (V, M))
    return ("winograd_products", V, U, M, *matrices, T, C, *rows, filters, PANEL, add)


@dataclass
class Tiling:
    """The tiles of images x (N, H, Wd, C), of which the outputs are pooled or not."""

    x: np.ndarray
    window: Window
    pool: bool

    def __post_init__(self) -> None:
        self.tiles = tile_window(self.window)
        self.rows = len(self.x) * self.tiles.output_size[0]  # of tiles, in all images
        self.width = self.tiles.output_size[1]               # tiles in a row
        OH, OW = self.window.output_size
        self.output_size = (OH // 2, OW // 2) if self.pool else (OH, OW)

    def outputs(self, F: int) -> np.ndarray:
        """y (N, OH, OW, F), not yet computed."""
        return np.empty((len(self.x), *self.output_size, F), self.x.dtype)

    def transform(self, V: np.ndarray, rows: slice) -> Call:
        """V (36, T, C) ← the tiles of these rows; V may be part of a larger array."""
        (top, _), (left, _) = self.tiles.pads
        return ("winograd_tiles", self.x, V, V.strides[0] // V.itemsize, rows.start,
                rows.stop - rows.start, *self.x.shape[1:], *self.tiles.output_size, top, left)

    def transform_back(self, M: np.ndarray, b: np.ndarray, y: np.ndarray, rows: slice, relu: bool
                       ) -> Call:
        """These rows of the outputs y (N, OH, OW, F) ← M (36, T, F), b (F,)."""
        return ("winograd_outputs", M, M.strides[0] // M.itemsize, b, y, rows.start,
                rows.stop - rows.start, *self.tiles.output_size, *self.output_size, len(b),
                relu, self.pool)


def convolve(x: np.ndarray, U: np.ndarray, b: np.ndarray | None, window: Window,
             relu: bool = False, pool: bool = False) -> np.ndarray:
    """conv2d_winograd with U (36, C, F) or in panels; threads share the rows of tiles."""
    tiling, kernels = Tiling(np.ascontiguousarray(x), window, pool), library(x.dtype.name)
    C, F = x.shape[3], math.prod(U.shape) // (36 * x.shape[3])
    y, b = tiling.outputs(F), bias(b, F, x.dtype)
    workers = max(1, min(num_threads(), tiling.rows))
    blocks = chunk_slices(tiling.rows, max(1, BLOCK_TILES // tiling.width), workers)
    max_tiles = tiling.width * max((block.stop - block.start for block in blocks), default=0)

    def steps(block: slice, memory: np.ndarray
              ) -> tuple[Call, tuple[np.ndarray, np.ndarray, np.ndarray], Call]:
        T = tiling.width * (block.stop - block.start)
        V, M, _ = np.split(memory, np.cumsum([36 * T * C, 36 * T * F]))
        V, M = V.reshape(36, T, C), M.reshape(36, T, F)
        return (tiling.transform(V, block), (V, U, M), tiling.transform_back(M, b, y, block, relu))

    def work(mine: Sequence[slice]) -> None:
        memory = workspace(36 * max_tiles * (C + F), x.dtype)
        for block in mine:
            transform, (V, _, M), transform_back = steps(block, memory)
            kernels(*transform)
            np.matmul(V, U, out=M)  # (36, T, C)·(36, C, F)
            kernels(*transform_back)

    if U.ndim == 3:
        parallel_map(work, blocks, workers)
    else:
        memory = workspace(workers * 36 * max_tiles * (C + F), x.dtype).reshape(workers, -1)
        parts: list[list[Call]] = [[] for _ in range(workers)]
        for k, block in enumerate(blocks):
            transform, matrices, transform_back = steps(block, memory[k % workers])
            parts[k % workers] += [transform, multiply(*matrices), transform_back]
        kernels.on_threads(parts)
    return y


def convolve_few_tiles(x: np.ndarray, W: np.ndarray, b: np.ndarray | None, window: Window,
                       relu: bool = False, pool: bool = False) -> np.ndarray:
    """conv2d_winograd, F a multiple of 32; threads share the filters. Each transforms the kernels
    of 32 filters and some channels and multiplies all tiles by them while they are in its cache: U
    is never whole in memory."""
    (C, F), W, kernels = W.shape[2:], np.ascontiguousarray(W), library(x.dtype.name)
    tiling = Tiling(np.ascontiguousarray(x), window, pool)
    y, b, T = tiling.outputs(F), bias(b, F, x.dtype), tiling.rows * tiling.width
    rows, threads = shares(tiling.rows, num_threads()), shares(F // PANEL, num_threads())
    some = min(C, FEW_CHANNELS)
    sizes = 36 * T * C, 36 * T * F, len(threads) * 36 * (some * PANEL + GAP)
    V, M, Us = np.split(workspace(sum(sizes), x.dtype), np.cumsum(sizes)[:2])
    V, M, Us = V.reshape(36, T, C), M.reshape(36, T, F), Us.reshape(len(threads), 36, -1)
    products: list[list[Call]] = [[] for _ in threads]
    for calls, panels, U in zip(products, threads, Us, strict=True):
        for panel, channels in itertools.product(range(panels.start, panels.stop),
                                                 chunk_slices(C, some)):
            K = channels.stop - channels.start
            filters = slice(panel * PANEL, (panel + 1) * PANEL)
            calls.append(transform_panel(W[:, :, channels], U, filters.start, 0))
            calls.append(multiply(V[..., channels], in_panels(U, K, PANEL), M[..., filters],
                                  add=channels.start > 0))
    kernels.on_threads([[tiling.transform(V[:, part.start * tiling.width:], part)]
                        for part in rows])
    kernels.on_threads(products)
    kernels.on_threads([[tiling.transform_back(M[:, part.start * tiling.width:], b, y, part, relu)]
                        for part in rows])
    return y


def bias(b: np.ndarray | None, F: int, dtype: np.dtype) -> np.ndarray:
    """b (F,) as the kernels take it; None is zeros."""
    return np.zeros(F, dtype) if b is None else np.ascontiguousarray(b, dtype)
