"""Convolution on a GPU: three algorithms around the GPU's matrix product, and which one when."""

from __future__ import annotations

import numpy as np

from .. import array_module, winograd
from ..algorithms import forced_algorithm, input_gradient_window
from ..window import Window
from .elementwise import add_bias_relu
from .im2col_blocks import col2im_block, column_blocks, geometry, row_blocks
from .launch import launch
from .pooling import max_pool2d
from .products import matmul
from .winograd import conv2d_winograd

TILE = 64  # pixels, and filters, of a block's tile in implicit_gemm.cu


def select_algorithm(N: int, C: int, F: int, window: Window) -> str:
    """"winograd" if it pays off for N images, C channels, F filters, otherwise "im2col"."""
    if forced := forced_algorithm(window):
        return forced
    return "winograd" if winograd.pays_off(N, C, F, window) else "im2col"


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
    z = array_module(x, W).empty((len(x) * OH, OW * F), x.dtype)
    W2d = W.reshape(-1, F)  # (KH·KW·C, F)
    for rows, cols in column_blocks(x, window):
        part = z[rows].reshape(-1, F)
        matmul(cols, W2d, out=part)  # two dimensions: CuPy sends three to another product
        add_bias_relu(part, b, relu)
    return z.reshape(len(x), OH, OW, F)


def conv2d_implicit_gemm(x: np.ndarray, W: np.ndarray, b: np.ndarray | None, window: Window,
                         relu: bool = False) -> np.ndarray:
    """conv2d without the column matrix: kernels/implicit_gemm.cu finds each of its elements when
    it needs it and keeps tiles of it in shared memory.

    Source: Chetlur et al., "cuDNN: efficient primitives for deep learning", 2014, section 3.
    """
    (N, _, _, C), (OH, OW), F = x.shape, window.output_size, W.shape[3]
    M, z = N * OH * OW, array_module(x, W).empty((N, OH, OW, F), x.dtype)
    launch("implicit_gemm", (-(-M // TILE), -(-F // TILE), 1), x, W, z, M, F,
           *geometry(window, C), block=(16, 16, 1))
    add_bias_relu(z, b, relu)
    return z


def conv2d_max_pool(x: np.ndarray, W: np.ndarray, b: np.ndarray, window: Window,
                    pool_window: Window, relu: bool = False) -> np.ndarray:
    """max_pool2d(conv2d(…)), the same to the last bit, if nothing is kept for backward.

    winograd_outputs takes the largest of each 2×2 outputs before it writes them: the output of the
    convolution, in VGG16's first block the largest array of all, is never in memory.
    """
    C, F = W.shape[2:]
    selected = select_algorithm(len(x), C, F, window)
    if selected == "winograd" and winograd.can_pool(pool_window):
        return conv2d_winograd(x, W, b, window, relu, pool=True)
    y, _ = max_pool2d(conv2d(x, W, b, window, relu), pool_window, with_switches=False)
    return y


def conv2d_weight_grad(x: np.ndarray, dz: np.ndarray, window: Window) -> np.ndarray:
    """dW2d = X_colᵀ @ dZ, one block of columns after another."""
    xp, (KH, KW), C, (N, OH, OW, F) = array_module(x, dz), window.kernel, x.shape[3], dz.shape
    dZ = dz.reshape(N * OH, OW * F)
    dW2d = xp.zeros((KH * KW * C, F), x.dtype)
    product = xp.empty((KH * KW * C, F), x.dtype)
    for rows, cols in column_blocks(x, window):
        dW2d += matmul(cols.T, dZ[rows].reshape(-1, F), out=product)  # (KH·KW·C, M)·(M, F)
    return dW2d.reshape(KH, KW, C, F)


def conv2d_input_grad(dz: np.ndarray, W: np.ndarray, input_shape: tuple[int, ...], window: Window
                      ) -> np.ndarray:
    """dX_col = dZ @ W2dᵀ and col2im; with strides 1 a convolution, as in ops/fast/conv.py."""
    if gradient_window := input_gradient_window(window):
        W_rot180 = W[::-1, ::-1].swapaxes(2, 3)  # (KH, KW, F, C)
        return convolve(dz, W_rot180, None, gradient_window)
    xp, (N, OH, OW, F) = array_module(dz, W), dz.shape
    dx, dZ, W2d = xp.zeros(input_shape, dz.dtype), dz.reshape(N * OH, OW * F), W.reshape(-1, F)
    for first, count in row_blocks(N, window, W.shape[2]):
        dX_col = matmul(dZ[first:first + count].reshape(-1, F), W2d.T)  # (M, F)·(F, KH·KW·C)
        col2im_block(dX_col, dx, window, first, count)
    return dx
