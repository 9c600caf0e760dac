"""Convolution on a processor: three algorithms for the same numbers, and which one when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from .. import winograd
from ..algorithms import forced_algorithm, input_gradient_window
from ..tuning import constants
from ..window import Window, offset_view
from . import im2col_blocks
from .im2col_blocks import block_window, col2im_block, map_column_blocks, pad
from .pooling import max_pool2d
from .threads import as_matmul_batch, matmul, num_threads, parallel_map, row_blocks
from .winograd import conv2d_winograd


def select_algorithm(N: int, C: int, F: int, window: Window) -> str:
    """The algorithm for N images, C channels and F filters; dx asks with C and F exchanged.

    1×1 kernels: "implicit_gemm", which is then one product with x as it lies in memory. Otherwise
    "winograd" if it pays off (ops/winograd.py says when, by what ops/tuning.py has measured on this
    machine), and "im2col" if not.
    """
    if forced := forced_algorithm(window):
        return forced
    if window.kernel == (1, 1):
        return "implicit_gemm"
    measured = constants("fast")
    if winograd.pays_off(N, C, F, window, measured.over_im2col, measured.saving):
        return "winograd"
    return "im2col"


def conv2d(x: np.ndarray, W: np.ndarray, b: np.ndarray, window: Window, relu: bool = False
           ) -> np.ndarray:
    """x (N, H, Wd, C), W (KH, KW, C, F), b (F,) -> y (N, OH, OW, F)."""
    return convolve(x, W, b, window, relu)


def convolve(x: np.ndarray, W: np.ndarray, b: np.ndarray | None, window: Window, relu: bool = False
             ) -> np.ndarray:
    """conv2d by the selected algorithm; b None adds nothing."""
    C, F = W.shape[2:]
    algorithm = {"im2col": conv2d_im2col, "implicit_gemm": conv2d_implicit_gemm,
                 "winograd": conv2d_winograd}[select_algorithm(len(x), C, F, window)]
    return algorithm(x, W, b, window, relu)


def conv2d_im2col(x: np.ndarray, W: np.ndarray, b: np.ndarray | None, window: Window,
                  relu: bool = False) -> np.ndarray:
    """Z = X_col @ W2d + b, one block of columns after another."""
    (OH, OW), F = window.output_size, W.shape[3]
    z = np.empty((len(x) * OH, OW * F), x.dtype)
    W2d = W.reshape(-1, F)  # (KH·KW·C, F)

    def work(blocks: Iterator[tuple[slice, np.ndarray]]) -> None:
        for rows, cols in blocks:
            batch, part = as_matmul_batch(cols, F), z[rows].reshape(-1, F)
            np.matmul(batch, W2d, out=part.reshape(*batch.shape[:2], F))
            add_bias_relu(part, b, relu)

    map_column_blocks(work, x, window)
    return z.reshape(len(x), OH, OW, F)


def conv2d_implicit_gemm(x: np.ndarray, W: np.ndarray, b: np.ndarray | None, window: Window,
                         relu: bool = False) -> np.ndarray:
    """z = Σ_{p,q} x[:, p::SH, q::SW] @ W[p, q] + b: the product without its columns.

    (On a GPU the same idea is a kernel that looks up each column when it needs it.)
    Each position (p, q) of the window is a product of its own, of pixels as they lie in x.
    Source: Chetlur et al., "cuDNN: efficient primitives for deep learning", 2014, section 3.
    """
    (KH, KW), (OH, OW), (C, F) = window.kernel, window.output_size, W.shape[2:]
    z = np.empty((len(x) * OH, OW * F), x.dtype)

    def work(blocks: Sequence[slice]) -> None:
        for rows in blocks:
            images, input_rows, part = block_window(window, rows)
            padded = pad(x[images, input_rows], part.pads)
            total = sum(offset_view(padded, p, q, part).reshape(-1, C) @ W[p, q]  # (M, C)·(C, F)
                        for p in range(KH) for q in range(KW))
            add_bias_relu(total, b, relu)
            z[rows] = total.reshape(-1, OW * F)

    workers = num_threads()
    blocks = row_blocks(len(x), OH, OW * max(C, F), im2col_blocks.BLOCK_ELEMENTS, workers)
    parallel_map(work, blocks, workers)
    return z.reshape(len(x), OH, OW, F)


def add_bias_relu(z: np.ndarray, b: np.ndarray | None, relu: bool) -> None:
    """z (…, F) ← z + b, or max(z + b, 0), in place, while z is in the processor's cache."""
    if b is not None:
        z += b
    if relu:
        np.maximum(z, 0, out=z)


def conv2d_max_pool(x: np.ndarray, W: np.ndarray, b: np.ndarray, window: Window,
                    pool_window: Window, relu: bool = False) -> np.ndarray:
    """max_pool2d(conv2d(…)), the same to the last bit.

    Winograd's convolution takes the largest of each 2×2 outputs while a block of them is in the
    cache: the output of the convolution, in VGG16's first block the largest array of all, is never
    written. Rounding and max(·, 0) keep the order of numbers, so b and ReLU come after the maximum,
    on a quarter of the numbers. Source: Alwani et al., "Fused-layer CNN accelerators", 2016.
    """
    C, F = W.shape[2:]
    selected = select_algorithm(len(x), C, F, window)
    if selected == "winograd" and winograd.can_pool(pool_window):
        return conv2d_winograd(x, W, b, window, relu, pool=True)
    y, _ = max_pool2d(conv2d(x, W, b, window, relu), pool_window, with_switches=False)
    return y


def conv2d_weight_grad(x: np.ndarray, dz: np.ndarray, window: Window) -> np.ndarray:
    """dW2d = X_colᵀ @ dZ, one block of columns after another; each thread has its own sum."""
    (KH, KW), C, (N, OH, OW, F) = window.kernel, x.shape[3], dz.shape
    dZ = dz.reshape(N * OH, OW * F)

    def work(blocks: Iterator[tuple[slice, np.ndarray]]) -> np.ndarray:
        dW2d = np.zeros((KH * KW * C, F), x.dtype)
        product = np.empty_like(dW2d)
        for rows, cols in blocks:
            X_parts = as_matmul_batch(cols, F)
            dZ_parts = dZ[rows].reshape(*X_parts.shape[:2], F)
            for X_part, dZ_part in zip(X_parts, dZ_parts, strict=True):
                dW2d += np.matmul(X_part.T, dZ_part, out=product)  # (KH·KW·C, M)·(M, F)
        return dW2d

    dW2d, *others = map_column_blocks(work, x, window)
    return sum(others, dW2d).reshape(KH, KW, C, F)


def conv2d_input_grad(dz: np.ndarray, W: np.ndarray, input_shape: tuple[int, ...], window: Window
                      ) -> np.ndarray:
    """dX_col = dZ @ W2dᵀ and col2im; with strides 1 a convolution, which scatters nothing.

    Written out: dx[n,h,w,c] = Σ_{p,q,f} dz[n, h + P − p, w + P − q, f] · W[p,q,c,f],
    which with p' = K − 1 − p is the convolution of dz, padded by K − 1 − P, with the kernels
    rotated by 180° and C and F exchanged.
    """
    if gradient_window := input_gradient_window(window):
        W_rot180 = W[::-1, ::-1].swapaxes(2, 3)  # (KH, KW, F, C)
        return convolve(dz, W_rot180, None, gradient_window)
    (N, OH, OW, F), (KH, KW) = dz.shape, window.kernel
    K = KH * KW * W.shape[2]
    dx, dZ, W2d = np.zeros(input_shape, dz.dtype), dz.reshape(N * OH, OW * F), W.reshape(K, F)
    for rows in row_blocks(N, OH, OW * K, im2col_blocks.BLOCK_ELEMENTS):
        dX_col = matmul(dZ[rows].reshape(-1, F), W2d.T)  # (M, F)·(F, KH·KW·C)
        col2im_block(dX_col, dx, window, rows)
    return dx
