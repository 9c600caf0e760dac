"""im2col: a convolution becomes one matrix product.

Row (n, i, j) of the column matrix holds the window that output pixel (i, j) of image n looks at:

    x (N, H, Wd, C)                        cols (N, OH, OW, KH, KW, C)
    +---------------+
    | a b c d       |   3×3 windows, stride 1:  row 0 = a b c, e f g, i j k
    | e f g h       |                           row 1 = b c d, f g h, j k l
    | i j k l       |
    +---------------+   cols[n, i, j, p, q, c] = x[n, i·SH + p − top, j·SW + q − left, c]

The whole matrix is KH·KW times as big as x, so it is made a block of output rows at a time.
Source: Chellapilla, Puri, Simard, "High performance convolutional neural networks", 2006.
On a GPU: kernels/im2col.cu.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .cuda.launch import by_rows, launch
from .devices import device_of, xp_of
from .fast import threads
from .pooling import taps
from .window import Pads, Window, crop, pad

# Elements of the column matrix at a time: on a processor 4 MB in float32 a thread, for its cache;
# on a GPU 256 MB, enough to keep it busy.
BLOCK_ELEMENTS = {"cpu": 1 << 20, "cuda": 1 << 26, "cuda-sim": 1 << 26}
TILE = 64  # pixels, and filters, of a block's tile of y


def im2col(x: np.ndarray, window: Window, rows: slice | None = None,
           out: np.ndarray | None = None) -> np.ndarray:
    """x (N, H, Wd, C) -> cols (R, OW, KH, KW, C), contiguous; into `out` where given.

    rows: which of the N·OH output rows, whole images or rows of one image (row_blocks); all R.
    """
    OH, OW = window.output_size(x.shape[1:3])
    rows = slice(0, len(x) * OH) if rows is None else rows
    shape = rows.stop - rows.start, OW, *window.kernel, x.shape[3]
    cols = xp_of(x).empty(shape, x.dtype) if out is None else out.reshape(shape)
    if device_of(x) != "cpu":
        launch("im2col", by_rows(shape[0], int(np.prod(shape[1:]))), x, cols, rows.start, shape[0],
               *window.geometry(x.shape))
        return cols
    (images, source), pads = sources(x.shape, window, rows)
    part, (SH, SW) = pad(x[images, source], pads), window.strides
    n, h, w, c = part.strides  # a step down or right, of window or pixel, is one in memory, too
    cols_of = cols.reshape(len(part), -1, *shape[1:])  # (n, rows of each, OW, KH, KW, C)
    cols_of[...] = as_strided(part, cols_of.shape, (n, SH * h, SW * w, h, w, c), writeable=False)
    return cols


def col2im(cols: np.ndarray, dx: np.ndarray, window: Window, rows: slice | None = None
           ) -> np.ndarray:
    """Adds each window of cols (R, OW, KH, KW, C) to its place in dx (N, H, Wd, C); returns dx.

    The adjoint of im2col: <im2col(x), c> = <x, col2im(c)>. A pixel seen by several windows
    receives the sum of their gradients, padding none. rows: as in im2col.
    """
    _, OW, KH, KW, C = cols.shape
    OH = window.output_size(dx.shape[1:3])[0]
    rows = slice(0, len(dx) * OH) if rows is None else rows
    if device_of(cols) != "cpu":
        some = dx[rows.start // OH:-(-rows.stop // OH)]  # the images of these rows
        launch("col2im", by_rows(len(some) * dx.shape[1], dx.shape[2] * C), cols, some,
               rows.start % OH, len(cols), len(some) * dx.shape[1], *window.geometry(dx.shape))
        return dx
    (images, source), pads = sources(dx.shape, window, rows)
    part = dx[images, source]
    padded = pad(np.zeros(part.shape, dx.dtype), pads)
    cols = cols.reshape(len(part), -1, OW, KH, KW, C)
    SH, SW = window.strides
    for p in range(KH):
        for q in range(KW):
            padded[:, p:p + SH * (cols.shape[1] - 1) + 1:SH,
                   q:q + SW * (OW - 1) + 1:SW] += cols[:, :, :, p, q]
    part += crop(padded, pads)
    return dx


def sources(shape: tuple[int, ...], window: Window, rows: slice
             ) -> tuple[tuple[slice, slice], Pads]:
    """((images, image rows) that these output rows see, the padding around that part)."""
    H, OH = shape[1], window.output_size(shape[1:3])[0]
    (KH, _), (SH, _), ((top, _), sides) = window
    images = slice(rows.start // OH, -(-rows.stop // OH)) if OH else slice(0, 0)
    i = rows.start % OH if OH else 0
    count = min(rows.stop - rows.start, OH)
    first, last = i * SH - top, (i + count - 1) * SH + KH - top  # in an image, or in its padding
    start, stop = min(max(first, 0), H), min(max(last, 0), H)
    above = min(max(-first, 0), last - first)
    return (images, slice(start, stop)), ((above, last - first - above - (stop - start)), sides)


def share_columns(work: Callable[[Iterator[tuple[slice, np.ndarray]]], Any], x: np.ndarray,
                  window: Window) -> list:
    """[work(blocks), …], a call a thread: together they get im2col of x (N, H, Wd, C), which never
    exists as a whole. blocks yields (rows, cols): which of the N·OH output rows, and their piece
    (M, KH·KW·C), overwritten by the next one."""
    OH, OW = window.output_size(x.shape[1:3])
    row_elements = OW * window.kernel[0] * window.kernel[1] * x.shape[3]

    def columns(some: Sequence[slice]) -> Iterator[tuple[slice, np.ndarray]]:
        empty = threads.workspace if device_of(x) == "cpu" else xp_of(x).empty
        buffer = empty(row_elements * max((s.stop - s.start for s in some), default=0), x.dtype)
        for rows in some:
            out = buffer[:(rows.stop - rows.start) * row_elements]
            yield rows, im2col(x, window, rows, out).reshape(-1, row_elements // OW)

    workers = threads.count(device_of(x))
    blocks = threads.row_blocks(len(x), OH, row_elements, BLOCK_ELEMENTS[device_of(x)], workers)
    return threads.share(lambda some: work(columns(some)), blocks, workers)


def im2col_gemm(x: np.ndarray, W: np.ndarray, window: Window,
                finish: Callable[[np.ndarray, slice], None]) -> np.ndarray:
    """x (N, H, Wd, C), W (KH, KW, C, F) -> z (N, OH, OW, F): Z = X_col @ W2d, a block at a time.

    finish(part, filters) changes each part (…, filters) of z in place, while it is in the cache.
    """
    (OH, OW), F = window.output_size(x.shape[1:3]), W.shape[3]
    z, W2d = xp_of(x).empty((len(x) * OH, OW * F), x.dtype), W.reshape(-1, F)  # (KH·KW·C, F)

    def work(blocks: Iterator[tuple[slice, np.ndarray]]) -> None:
        for rows, cols in blocks:
            part, cols = z[rows].reshape(-1, F), threads.stacked(cols, F)
            xp_of(x).matmul(cols, W2d, out=part.reshape(*cols.shape[:2], F))  # (…, KH·KW·C)·(…, F)
            finish(part, slice(None))

    share_columns(work, x, window)
    return z.reshape(len(x), OH, OW, F)


def implicit_gemm(x: np.ndarray, W: np.ndarray, window: Window) -> np.ndarray:
    """x (N, H, Wd, C), W (KH, KW, C, F) -> z (N, OH, OW, F), the product without its columns.

    z = Σ_{p,q} x[:, p::SH, q::SW] @ W[p, q]: each place of the window is a product of its own, of
    pixels as they lie in x. On a GPU kernels/implicit_gemm.cu finds each element of the column
    matrix when it needs it and keeps tiles of it in shared memory.
    Source: Chetlur et al., "cuDNN: efficient primitives for deep learning", 2014, section 3.
    """
    N, (OH, OW), F = len(x), window.output_size(x.shape[1:3]), W.shape[3]
    if device_of(x) != "cpu":
        M, z = N * OH * OW, xp_of(x, W).empty((N, OH, OW, F), x.dtype)
        launch("implicit_gemm", (-(-M // TILE), -(-F // TILE), 1), x, W, z, M, F,
               *window.geometry(x.shape), block=(16, 16, 1))
        return z
    z, most, workers = np.empty((N * OH, OW * F), x.dtype), BLOCK_ELEMENTS["cpu"], threads.count()

    def work(some: Sequence[slice]) -> None:
        for rows in some:
            (images, source), pads = sources(x.shape, window, rows)
            z[rows] = sum(tap.reshape(-1, len(W[0, 0])) @ W[divmod(k, window.kernel[1])] for k, tap
                          in taps(pad(x[images, source], pads), window)).reshape(-1, OW * F)

    threads.share(work, threads.row_blocks(N, OH, OW * max(W.shape[2:]), most, workers), workers)
    return z.reshape(N, OH, OW, F)
