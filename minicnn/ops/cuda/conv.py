"""Convolution on a GPU: kernels/im2col.cu and implicit_gemm.cu around the GPU's matrix product."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .. import array_module
from ..algorithms import forced_algorithm
from ..window import Window
from .elementwise import add_bias_relu
from .launch import by_rows, launch
from .pooling import max_pool2d

BLOCK_ELEMENTS = 1 << 26  # of the column matrix at a time: 256 MB in float32 keep a GPU busy
TILE = 64  # pixels, and filters, of a block's tile in implicit_gemm.cu


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
    launch("im2col", by_rows(count, OW * KH * KW * C), x, cols, first, count, *geometry(window, C))
    return cols


def col2im_block(cols: np.ndarray, dx: np.ndarray, window: Window, first: int, count: int) -> None:
    """Adds the columns of those output rows to their windows in dx (N, H, Wd, C).

    A thread for each element of dx gathers what its windows bring: nothing is scattered.
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


def conv2d(x: np.ndarray, W: np.ndarray, b: np.ndarray, window: Window, relu: bool = False
           ) -> np.ndarray:
    """x (N, H, Wd, C), W (KH, KW, C, F), b (F,) -> y (N, OH, OW, F)."""
    if forced_algorithm(window, available=("im2col", "implicit_gemm")) == "implicit_gemm":
        return conv2d_implicit_gemm(x, W, b, window, relu)
    return conv2d_im2col(x, W, b, window, relu)


def conv2d_im2col(x: np.ndarray, W: np.ndarray, b: np.ndarray, window: Window, relu: bool = False
                  ) -> np.ndarray:
    """Z = X_col @ W2d + b, a block of columns after the other."""
    xp, (OH, OW), F = array_module(x, W, b), window.output_size, W.shape[3]
    z = xp.empty((len(x) * OH, OW * F), x.dtype)
    W2d = W.reshape(-1, F)  # (KH·KW·C, F)
    for rows, cols in column_blocks(x, window):
        part = z[rows].reshape(-1, F)
        xp.matmul(cols, W2d, out=part)  # two dimensions: CuPy sends three to another product
        add_bias_relu(part, b, relu)
    return z.reshape(len(x), OH, OW, F)


def conv2d_implicit_gemm(x: np.ndarray, W: np.ndarray, b: np.ndarray, window: Window,
                         relu: bool = False) -> np.ndarray:
    """conv2d without the column matrix: kernels/implicit_gemm.cu finds each of its elements when
    it needs it and keeps tiles of it in shared memory.

    Source: Chetlur et al., "cuDNN: efficient primitives for deep learning", 2014, section 3.
    """
    (N, _, _, C), (OH, OW), F = x.shape, window.output_size, W.shape[3]
    M, z = N * OH * OW, array_module(x, W, b).empty((N, OH, OW, F), x.dtype)
    launch("implicit_gemm", (-(-M // TILE), -(-F // TILE), 1), x, W, z, M, F,
           *geometry(window, C), block=(16, 16, 1))
    add_bias_relu(z, b, relu)
    return z


def conv2d_max_pool(x: np.ndarray, W: np.ndarray, b: np.ndarray, window: Window,
                    pool_window: Window, relu: bool = False) -> np.ndarray:
    """max_pool2d(conv2d(…)), if nothing is kept for backward."""
    y, _ = max_pool2d(conv2d(x, W, b, window, relu), pool_window, with_switches=False)
    return y


def conv2d_weight_grad(x: np.ndarray, dz: np.ndarray, window: Window) -> np.ndarray:
    """dW2d = X_colᵀ @ dZ, a block of columns after the other."""
    xp, (KH, KW), C, (N, OH, OW, F) = array_module(x, dz), window.kernel, x.shape[3], dz.shape
    dZ = dz.reshape(N * OH, OW * F)
    dW2d = xp.zeros((KH * KW * C, F), x.dtype)
    product = xp.empty((KH * KW * C, F), x.dtype)
    for rows, cols in column_blocks(x, window):
        dW2d += xp.matmul(cols.T, dZ[rows].reshape(-1, F), out=product)  # (KH·KW·C, M)·(M, F)
    return dW2d.reshape(KH, KW, C, F)


def conv2d_input_grad(dz: np.ndarray, W: np.ndarray, input_shape: tuple[int, ...], window: Window
                      ) -> np.ndarray:
    """dX_col = dZ @ W2dᵀ, a block after the other, and col2im."""
    xp, (N, OH, OW, F) = array_module(dz, W), dz.shape
    dx, dZ, W2d = xp.zeros(input_shape, dz.dtype), dz.reshape(N * OH, OW * F), W.reshape(-1, F)
    for first, count in row_blocks(N, window, W.shape[2]):
        dX_col = dZ[first:first + count].reshape(-1, F) @ W2d.T  # (M, F)·(F, KH·KW·C)
        col2im_block(dX_col, dx, window, first, count)
    return dx
