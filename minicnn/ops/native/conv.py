"""Convolution: Winograd's, and with few channels the direct one, by the compiled kernels; the rest
as fast computes it."""

from __future__ import annotations

import numpy as np

from ..algorithms import forced_algorithm, input_gradient_window
from ..fast import conv as fast
from ..tuning import constants, use_constants
from ..window import Window
from ..winograd import can_pool
from . import direct, winograd
from .library import has_kernels, rows_fit
from .pooling import max_pool2d
from .winograd import conv2d_winograd, input_grad_winograd, rotate_kernels
from .winograd_backward import weight_grad_winograd


def conv2d(x: np.ndarray, W: np.ndarray, b: np.ndarray, window: Window, relu: bool = False
           ) -> np.ndarray:
    """x (N, H, Wd, C), W (KH, KW, C, F), b (F,) -> y (N, OH, OW, F)."""
    algorithm = by_kernels(x, W.shape, W, window) if b.shape == W.shape[3:] else None
    if algorithm == "winograd":
        return conv2d_winograd(x, W, b, window, relu)
    if algorithm == "direct":
        return direct.conv2d_direct(x, W, b, window, relu)
    with use_constants(constants("native")):  # with fast's own its Winograd might overrule im2col
        return fast.conv2d(x, W, b, window, relu)


def conv2d_max_pool(x: np.ndarray, W: np.ndarray, b: np.ndarray, window: Window,
                    pool_window: Window, relu: bool = False) -> np.ndarray:
    """max_pool2d(conv2d(…)), the same to the last bit."""
    algorithm = by_kernels(x, W.shape, W, window) if b.shape == W.shape[3:] else None
    if algorithm == "winograd" and can_pool(pool_window):
        return conv2d_winograd(x, W, b, window, relu, pool=True)
    y, _ = max_pool2d(conv2d(x, W, b, window, relu), pool_window, with_switches=False)
    return y


def conv2d_weight_grad(x: np.ndarray, dz: np.ndarray, window: Window) -> np.ndarray:
    """x (N, H, Wd, C), dz (N, OH, OW, F) -> dW (KH, KW, C, F), by the adjoint of the algorithm that
    computes the convolution."""
    W_shape = *window.kernel, x.shape[3], dz.shape[3]
    if dz.shape[:3] == (len(x), *window.output_size):
        algorithm = by_kernels(x, W_shape, dz, window)
        if algorithm == "winograd":
            return weight_grad_winograd(x, dz, window)
        if algorithm == "direct" and direct.weight_grad_pays_off(x.shape[3], window):
            return direct.weight_grad_direct(x, dz, window)
    return fast.conv2d_weight_grad(x, dz, window)


def conv2d_input_grad(dz: np.ndarray, W: np.ndarray, input_shape: tuple[int, ...], window: Window
                      ) -> np.ndarray:
    """dz (N, OH, OW, F), W (KH, KW, C, F) -> dx (N, H, Wd, C): dX_col = dZ @ W2dᵀ and col2im; with
    strides 1 a convolution of dz, as in fast/conv.py."""
    gradient_window, (C, F) = input_gradient_window(window), W.shape[2:]
    if gradient_window is not None:
        algorithm = by_kernels(dz, (*W.shape[:2], F, C), W, gradient_window)
        if algorithm == "winograd":
            return input_grad_winograd(dz, W, gradient_window)
        if algorithm == "direct":
            return direct.conv2d_direct(dz, rotate_kernels(W), None, gradient_window)
    with use_constants(constants("native")):
        return fast.conv2d_input_grad(dz, W, input_shape, window)


def by_kernels(x: np.ndarray, W_shape: tuple[int, ...], other: np.ndarray, window: Window
               ) -> str | None:
    """"winograd", "direct" or None: the algorithm for x (N, H, Wd, C) and W of this shape, if the
    kernels, which check nothing, can compute with x and the other array: both of one dtype that
    there are kernels for, x of the window's size. What is wrong, fast refuses."""
    C, F = W_shape[2:]
    if not (has_kernels(x.dtype) and other.dtype == x.dtype
            and x.shape[1:] == (*window.size, C) and W_shape[:2] == window.kernel
            and rows_fit(window, C, F)):
        return None
    if forced := forced_algorithm(window):
        return "winograd" if forced == "winograd" else None
    if winograd.pays_off(C, F, window, over_direct=direct.pays_off(C, F, window)):
        return "winograd"
    return "direct" if direct.pays_off(C, F, window) else None
