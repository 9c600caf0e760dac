"""im2col on a GPU, one block at a time: kernels/im2col.cu."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .. import array_module
from ..window import Window
from .launch import by_rows, launch

BLOCK_ELEMENTS = 1 << 26  # of the column matrix at a time: 256 MB in float32 keep a GPU busy
MAX_BLOCKS = 1 << 12  # of im2col: enough to keep a GPU busy; each then serves several pixels


def geometry(window: Window, C: int) -> tuple[int, ...]:
    """What the kernels take: H, Wd, C, OH, OW, KH, KW, SH, SW, top, left."""
    top, left = window.pads[0][0], window.pads[1][0]
    return (*window.size, C, *window.output_size, *window.kernel, *window.strides, top, left)


def im2col_block(x: np.ndarray, window: Window, first: int, count: int, out: np.ndarray
                 ) -> np.ndarray:
    """The columns (count·OW, KH·KW·C) of the output rows first … first + count − 1 of N·OH, in the
    memory `out`."""
    (KH, KW), OW, C = window.kernel, window.output_size[1], x.shape[3]
    cols = out[:count * OW * KH * KW * C].reshape(count * OW, KH * KW * C)
    launch("im2col", im2col_grid(count, OW, KH * KW * C), x, cols, first, count,
           *geometry(window, C), block=(32, 8, 1))
    return cols


def im2col_grid(rows: int, OW: int, size: int) -> tuple[int, int, int]:
    """The grid for `rows` output rows of OW pixels with `size` columns, eight pixels of a block at
    a time: what a thread computes once per row should serve several pixels, if there are enough
    blocks."""
    _, blocks_of_rows, _ = by_rows(rows, OW * size)
    return min(-(-OW // 8), max(1, MAX_BLOCKS // max(1, rows))), blocks_of_rows, 1


def col2im_block(cols: np.ndarray, dx: np.ndarray, window: Window, first: int, count: int) -> None:
    """Adds the columns of those output rows to their windows in dx (N, H, Wd, C).

    A thread for each element of dx gathers the contributions of its windows: nothing is scattered.
    """
    OH = window.output_size[0]
    images = dx[first // OH:-(-(first + count) // OH)]  # those of these rows
    (N, H, Wd, C) = images.shape
    launch("col2im", by_rows(N * H, Wd * C), cols, images, first % OH, count, N * H,
           *geometry(window, C))


def row_blocks(N: int, window: Window, C: int) -> Iterator[tuple[int, int]]:
    """(first, count) of the N·OH output rows, whose columns have about BLOCK_ELEMENTS elements:
    whole images, or some rows of one."""
    (KH, KW), (OH, OW) = window.kernel, window.output_size
    rows = max(1, BLOCK_ELEMENTS // (OW * KH * KW * C))
    if rows >= OH:
        rows = rows // OH * OH
        for first in range(0, N * OH, rows):
            yield first, min(rows, N * OH - first)
        return
    for first in range(0, N * OH, OH):
        for start in range(0, OH, rows):
            yield first + start, min(rows, OH - start)


def column_blocks(x: np.ndarray, window: Window) -> Iterator[tuple[slice, np.ndarray]]:
    """(rows, cols): which of the N·OH output rows, and their columns (M, KH·KW·C), overwritten by
    the next block."""
    blocks = list(row_blocks(len(x), window, x.shape[3]))
    row_elements = window.output_size[1] * window.kernel[0] * window.kernel[1] * x.shape[3]
    longest = max((count for _, count in blocks), default=0)
    buffer = array_module(x).empty(row_elements * longest, x.dtype)
    for first, count in blocks:
        yield slice(first, first + count), im2col_block(x, window, first, count, buffer)
