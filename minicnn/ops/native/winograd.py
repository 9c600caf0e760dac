"""Winograd's convolution with the kernels of kernels/winograd.cu, compiled for this processor.

NumPy can transform tiles only as a product with a Kronecker square, 1,296 multiply-adds a tile and
channel; the kernel multiplies from both sides and skips zeros: 264, and once through memory.
Between the transforms stand the products V[k] @ U[k]: U is written in panels of 32 filters,
(36, F / 32, C, 32), the order in which kernels/products.cpp reads it.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from ..fast.threads import chunk_slices, shares, workspace
from ..tuning import constants
from ..window import Window
from ..winograd import tile_window
from .library import Call, library, num_threads, workers_for

FEW_CHANNELS = 256  # of a part, which has 32 filters: 1.2 MB
PANEL = 32  # filters
GAP = 64  # numbers between two of the 36 matrices: docs/speed.md, section 6, says why


def conv2d_winograd(x: np.ndarray, W: np.ndarray, b: np.ndarray | None, window: Window,
                    relu: bool = False, pool: bool = False) -> np.ndarray:
    """x (N, H, Wd, C), W (3, 3, C, F), strides 1 -> y (N, OH, OW, F); with pool the largest of
    each 2×2 of them, (N, OH // 2, OW // 2, F). b None adds nothing.

    With few tiles, writing U, 36 · C · F numbers, and reading it again takes as long as the
    products: so it is made in parts that stay in the cache.
    """
    tiles = len(x) * math.prod(tile_window(window).output_size)
    by_tiles = convolve if tiles >= constants("native").few_tiles else convolve_few_tiles
    return by_tiles(x, np.ascontiguousarray(W), b, window, relu, pool)


def input_grad_winograd(dz: np.ndarray, W: np.ndarray, gradient_window: Window) -> np.ndarray:
    """dz (N, OH, OW, F), W (3, 3, C, F) -> dx (N, H, Wd, C): the convolution with the kernels
    rotated by 180°, C and F exchanged."""
    return conv2d_winograd(dz, rotate_kernels(W), None, gradient_window)


def rotate_kernels(W: np.ndarray) -> np.ndarray:
    """W (KH, KW, C, F) -> W[::-1, ::-1].swapaxes(2, 3), (KH, KW, F, C), contiguous; threads share
    the channels."""
    KH, KW, C, F = W.shape
    W, rotated = np.ascontiguousarray(W), np.empty((KH, KW, F, C), W.dtype)
    library(W.dtype.name).on_threads([
        [("rotate_kernels", W, rotated, part.start, part.stop, KH * KW, C, F)]
        for part in shares(C, workers_for(W.size))])
    return rotated


def pays_off(C: int, F: int, window: Window, over_direct: bool = False) -> bool:
    """Whether it is faster than a column matrix and its product, or, over_direct, than direct.py:
    with enough channels and filters, if the tiles save enough of the multiplications; ops/tuning.py
    has measured how many that is on this machine, 32 and half of them as a rule. Unlike in
    ops/winograd.py, the number of tiles does not matter: to make U costs convolve_few_tiles hardly
    more than reading W costs the product."""
    measured = constants("native")
    min_channels = measured.over_direct if over_direct else measured.over_im2col
    if window.kernel != (3, 3) or window.strides != (1, 1) or min(C, F) < min_channels:
        return False
    tiles, outputs = math.prod(tile_window(window).output_size), math.prod(window.output_size)
    return 0 < 36 * tiles * measured.saving <= 9 * outputs


def transform_kernels(W: np.ndarray, U: np.ndarray, filters: slice) -> list[Call]:
    """U (36, ≥ C·F) ← G g Gᵀ of each kernel g of these filters of W (3, 3, C, F), which may be some
    channels of a larger array: in panels of 32 filters, (C, 32) each, the last one narrower."""
    (C, F), kernels, matrix = W.shape[2:], W.strides[1] // W.itemsize, U.strides[0] // U.itemsize
    return [("winograd_kernels", W, U[:, (first - filters.start) * C:], kernels, matrix, C, F,
             first, min(PANEL, filters.stop - first))
            for first in range(filters.start, filters.stop, PANEL)]


def multiply(V: np.ndarray, U: np.ndarray, M: np.ndarray, add: bool = False) -> Call:
    """M[k] (T, F) ← V[k] (T, C) @ U[k] (C, F), or with `add` M[k] += V[k] @ U[k], for each of the
    36 positions k, U as transform_kernels makes it; V and M may be some columns of larger arrays.
    """
    (_, T, C), F = V.shape, M.shape[2]
    matrices = (a.strides[0] // a.itemsize for a in (V, U, M))  # numbers from one to the next
    rows = (a.strides[1] // a.itemsize for a in (V, M))
    return ("winograd_products", V, U, M, *matrices, T, C, F, *rows, add)


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


def convolve(x: np.ndarray, W: np.ndarray, b: np.ndarray | None, window: Window, relu: bool,
             pool: bool) -> np.ndarray:
    """conv2d_winograd; threads share the rows of tiles, in blocks. U is made once.

    A thread transforms the tiles of a block, multiplies them and transforms them back before the
    next one: of 112 tiles (a multiple of 56, 28 and 14, VGG16's rows of tiles) V and M with 64
    channels and filters are 2 MB. More tiles are better for the products, which read all of U for
    each block, and take more memory.
    """
    tiling, kernels = Tiling(np.ascontiguousarray(x), window, pool), library(x.dtype.name)
    C, F = W.shape[2:]
    y, b = tiling.outputs(F), bias(b, F, x.dtype)
    workers = max(1, min(num_threads(), tiling.rows))
    block_rows = max(1, constants("native").block_tiles // tiling.width)
    blocks = chunk_slices(tiling.rows, block_rows, workers)
    tiles = tiling.width * max((block.stop - block.start for block in blocks), default=0)
    U, *memories = split_workspace(x.dtype, C * F, *[tiles * C, tiles * F] * workers)
    kernels.on_threads([  # each the panels `part`; those before it are full and hold C · 32 numbers
        transform_kernels(W, U[:, C * part.start * PANEL:], slice(part.start * PANEL,
                                                                  min(part.stop * PANEL, F)))
        for part in shares(-(-F // PANEL), workers)])
    parts: list[list[Call]] = [[] for _ in range(workers)]
    for k, block in enumerate(blocks):
        T = tiling.width * (block.stop - block.start)
        V, M = memories[2 * (k % workers):][:2]  # of this thread
        V, M = V[:, :T * C].reshape(36, T, C), M[:, :T * F].reshape(36, T, F)
        parts[k % workers] += [tiling.transform(V, block), multiply(V, U, M),
                               tiling.transform_back(M, b, y, block, relu)]
    kernels.on_threads(parts)
    return y


def convolve_few_tiles(x: np.ndarray, W: np.ndarray, b: np.ndarray | None, window: Window,
                       relu: bool, pool: bool) -> np.ndarray:
    """conv2d_winograd; threads share the filters. Each transforms the kernels of 32 filters and
    some channels and multiplies all tiles by them while they are in its cache: U is never whole in
    memory."""
    tiling, kernels = Tiling(np.ascontiguousarray(x), window, pool), library(x.dtype.name)
    C, F = W.shape[2:]
    y, b = tiling.outputs(F), bias(b, F, x.dtype)
    T, channels = tiling.rows * tiling.width, min(C, FEW_CHANNELS)
    shares_of_panels = shares(-(-F // PANEL), num_threads())
    V, M, *Us = split_workspace(x.dtype, T * C, T * F, *[channels * PANEL] * len(shares_of_panels))
    V, M = V.reshape(36, T, C), M.reshape(36, T, F)
    products: list[list[Call]] = [[] for _ in shares_of_panels]
    for calls, panels, U in zip(products, shares_of_panels, Us, strict=True):
        for panel, part in itertools.product(range(panels.start, panels.stop),
                                             chunk_slices(C, channels)):
            filters = slice(panel * PANEL, min((panel + 1) * PANEL, F))
            calls += transform_kernels(W[:, :, part], U, filters)
            calls.append(multiply(V[..., part], U, M[..., filters], add=part.start > 0))
    rows = shares(tiling.rows, num_threads())
    kernels.on_threads([[tiling.transform(V[:, part.start * tiling.width:], part)]
                        for part in rows])
    kernels.on_threads(products)
    kernels.on_threads([[tiling.transform_back(M[:, part.start * tiling.width:], b, y, part, relu)]
                        for part in rows])
    return y


def split_workspace(dtype: np.dtype, *sizes: int) -> list[np.ndarray]:
    """Arrays (36, size) in this thread's workspace, with a gap after each of the 36 rows."""
    ends = list(itertools.accumulate(36 * (size + GAP) for size in sizes))
    memory = workspace(ends[-1], dtype)
    return [memory[end - 36 * (size + GAP):end].reshape(36, size + GAP)[:, :size]
            for end, size in zip(ends, sizes, strict=True)]


def bias(b: np.ndarray | None, F: int, dtype: np.dtype) -> np.ndarray:
    """b (F,) as the kernels take it; None is zeros."""
    return np.zeros(F, dtype) if b is None else np.ascontiguousarray(b, dtype)
