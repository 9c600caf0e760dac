"""im2col one block at a time: the column matrix of ops/reference/conv.py is never whole in memory.

It is KH·KW times as large as x, so each thread makes a block of it that stays in its cache,
multiplies it, and overwrites it with the next one. A block is some of the N·OH output rows, either
those of whole images or some rows of one image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..window import Pads, Window, crop, offset_view
from .threads import Answer, num_threads, parallel_map, row_blocks, workspace

BLOCK_ELEMENTS = 1 << 20  # of the column matrix, per thread: 4 MB in float32, for its cache


def pad(x: np.ndarray, pads: Pads, value: float = 0.0, memory: np.ndarray | None = None
        ) -> np.ndarray:
    """As window.pad, in fewer steps than np.pad takes; in `memory` (1-D) if given."""
    if pads == ((0, 0), (0, 0)) and memory is None:
        return x
    (top, bottom), (left, right) = pads
    N, H, Wd, C = x.shape
    shape = N, top + H + bottom, left + Wd + right, C
    if memory is None:
        padded = np.empty(shape, x.dtype)
    else:
        padded = memory[:math.prod(shape)].reshape(shape)
    padded[...] = value
    crop(padded, pads)[...] = x
    return padded


def block_window(window: Window, rows: slice) -> tuple[slice, slice, Window]:
    """(images, rows of each, the windows on that part) that these output rows see.

    The part is x[images, rows]; its window has the padding around the part and, as output size,
    (output rows of each image, OW).
    """
    (KH, _), (SH, _), ((top, _), sides), (H, Wd) = window
    OH = window.output_size[0]
    images = slice(rows.start // OH, -(-rows.stop // OH))
    i, count = rows.start % OH, min(rows.stop - rows.start, OH)
    first, last = i * SH - top, (i + count - 1) * SH + KH - top  # in the image, or in its padding
    start, stop = min(max(first, 0), H), min(max(last, 0), H)
    above = min(max(-first, 0), last - first)
    below = last - first - above - (stop - start)
    part = Window(window.kernel, window.strides, ((above, below), sides), (stop - start, Wd))
    return images, slice(start, stop), part


def im2col_block(x: np.ndarray, window: Window, rows: slice, out: np.ndarray) -> np.ndarray:
    """x (N, H, Wd, C) -> the columns of these output rows (R·OW, KH·KW·C), in the memory `out`."""
    images, input_rows, part = block_window(window, rows)
    (KH, KW), (SH, SW), (OH, OW), C = part.kernel, part.strides, part.output_size, x.shape[3]
    padded = pad(x[images, input_rows], part.pads)
    n, h, w, c = padded.strides  # one step down, of a window or of a pixel, is one in memory
    windows = as_strided(padded, (len(padded), OH, OW, KH, KW, C), (n, SH * h, SW * w, h, w, c),
                         writeable=False)
    out.reshape(windows.shape)[...] = windows
    return out.reshape(-1, KH * KW * C)


def col2im_block(dX_col: np.ndarray, dx: np.ndarray, window: Window, rows: slice) -> None:
    """Adds the columns of these output rows (R·OW, KH·KW·C) to their windows in dx (N, H, Wd, C).
    """
    images, input_rows, part = block_window(window, rows)
    (KH, KW), (OH, OW), dx_part = part.kernel, part.output_size, dx[images, input_rows]
    cols = dX_col.reshape(len(dx_part), OH, OW, KH, KW, -1)
    padded = pad(np.zeros(dx_part.shape, dx.dtype), part.pads)
    for p in range(KH):
        for q in range(KW):
            offset_view(padded, p, q, part)[...] += cols[:, :, :, p, q]
    dx_part += crop(padded, part.pads)


def map_column_blocks(work: Callable[[Iterator[tuple[slice, np.ndarray]]], Answer], x: np.ndarray,
                      window: Window) -> list[Answer]:
    """[work(blocks), …], one call per thread: together they get all columns of x (N, H, Wd, C).

    blocks yields (rows, cols): which of the N·OH output rows, and their columns (M, KH·KW·C),
    overwritten by the next block.
    """
    (KH, KW), (OH, OW) = window.kernel, window.output_size
    row_elements = OW * KH * KW * x.shape[3]

    def columns(blocks: Sequence[slice]) -> Iterator[tuple[slice, np.ndarray]]:
        longest = max((rows.stop - rows.start for rows in blocks), default=0)
        buffer = workspace(row_elements * longest, x.dtype)
        for rows in blocks:
            out = buffer[:(rows.stop - rows.start) * row_elements]
            yield rows, im2col_block(x, window, rows, out)

    workers = num_threads()
    blocks = row_blocks(len(x), OH, row_elements, BLOCK_ELEMENTS, workers)
    return parallel_map(lambda mine: work(columns(mine)), blocks, workers)
