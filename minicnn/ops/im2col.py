"""im2col: a convolution becomes one matrix product.

Row (n, i, j) of the column matrix holds the window that output pixel (i, j) of image n looks at:

    x (N, H, Wd, C), already padded        cols (N, OH, OW, KH, KW, C)
    +---------------+
    | a b c d       |   3×3 windows, stride 1:  row 0 = a b c, e f g, i j k
    | e f g h       |                           row 1 = b c d, f g h, j k l
    | i j k l       |
    +---------------+   cols[n, i, j, p, q, c] = x[n, i·SH + p, j·SW + q, c]

Source: Chellapilla, Puri, Simard, "High performance convolutional neural networks", 2006.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .windows import output_size

BLOCK_ELEMENTS = 1 << 19  # of the column matrix at a time: 2 MB in float32, stays in the cache


def im2col(x: np.ndarray, kernel: tuple[int, int], strides: tuple[int, int],
           out: np.ndarray | None = None) -> np.ndarray:
    """x (N, H, Wd, C) -> cols (N, OH, OW, KH, KW, C), contiguous; into `out` where given."""
    view = np.lib.stride_tricks.sliding_window_view(x, kernel, axis=(1, 2))  # copies nothing
    view = view[:, ::strides[0], ::strides[1]].transpose(0, 1, 2, 4, 5, 3)  # (N, OH, OW, KH, KW, C)
    if out is None:
        out = np.empty(view.shape, x.dtype)
    np.copyto(out, view)
    return out


def col2im(cols: np.ndarray, out: np.ndarray, strides: tuple[int, int]) -> np.ndarray:
    """Adds each window of cols (N, OH, OW, KH, KW, C) to its place in out (N, H, Wd, C).

    The adjoint of im2col: <im2col(x), c> = <x, col2im(c)>. A pixel seen by several windows
    receives the sum of their gradients.
    """
    _, OH, OW, KH, KW, _ = cols.shape
    SH, SW = strides
    for p in range(KH):
        for q in range(KW):
            out[:, p:p + SH * (OH - 1) + 1:SH, q:q + SW * (OW - 1) + 1:SW] += cols[:, :, :, p, q]
    return out


def row_blocks(N: int, OH: int, row_elements: int) -> Iterator[tuple[slice, slice]]:
    """Cuts (N, OH) output rows of row_elements columns each into blocks of about BLOCK_ELEMENTS.

    A block is whole images or rows of one image, so y[block] is one piece of memory.
    """
    rows = max(1, BLOCK_ELEMENTS // max(1, row_elements))
    images = max(1, rows // OH)
    for n in range(0, N, images):
        for i in range(0, OH, rows):
            yield slice(n, min(n + images, N)), slice(i, min(i + rows, OH))


def column_blocks(x: np.ndarray, kernel: tuple[int, int], strides: tuple[int, int]
                  ) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
    """im2col of x (N, H, Wd, C), block by block, so the whole column matrix never exists.

    Yields (block, cols): y[block] are the block's outputs, cols (M, KH·KW·C) its piece of the
    column matrix, overwritten by the next block.
    """
    (KH, KW), SH = kernel, strides[0]
    N, C = x.shape[0], x.shape[3]
    OH, OW = output_size(x.shape[1:3], kernel, strides)
    buffer = np.empty(0, x.dtype)
    for images, rows in row_blocks(N, OH, OW * KH * KW * C):
        source = images, slice(rows.start * SH, (rows.stop - 1) * SH + KH)  # rows the block sees
        shape = (images.stop - images.start, rows.stop - rows.start, OW, KH, KW, C)
        if buffer.size < np.prod(shape):
            buffer = np.empty(np.prod(shape), x.dtype)
        cols = im2col(x[source], kernel, strides, buffer[:np.prod(shape)].reshape(shape))
        yield (images, rows), cols.reshape(-1, KH * KW * C)
