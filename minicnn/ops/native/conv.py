"""Convolution: Winograd's by the compiled kernels, all others as fast computes them."""

from __future__ import annotations

import numpy as np

from ..algorithms import input_gradient_window
from ..fast import conv as fast
from ..fast.conv import select_algorithm
from ..window import Window
from ..winograd import can_pool
from .library import REALS
from .winograd import conv2d_winograd


def conv2d(x: np.ndarray, W: np.ndarray, b: np.ndarray, window: Window, relu: bool = False
           ) -> np.ndarray:
    """x (N, H, Wd, C), W (KH, KW, C, F), b (F,) -> y (N, OH, OW, F)."""
    if by_kernels(x, W, window):
        return conv2d_winograd(x, W, b, window, relu)
    return fast.conv2d(x, W, b, window, relu)


def conv2d_max_pool(x: np.ndarray, W: np.ndarray, b: np.ndarray, window: Window,
                    pool_window: Window, relu: bool = False) -> np.ndarray:
    """max_pool2d(conv2d(…)), the same to the last bit."""
    if by_kernels(x, W, window) and can_pool(pool_window):
        return conv2d_winograd(x, W, b, window, relu, pool=True)
    if by_kernels(x, W, window):
        y, _ = fast.max_pool2d(conv2d(x, W, b, window, relu), pool_window, with_switches=False)
        return y
    return fast.conv2d_max_pool(x, W, b, window, pool_window, relu)


def conv2d_input_grad(dz: np.ndarray, W: np.ndarray, input_shape: tuple[int, ...], window: Window
                      ) -> np.ndarray:
    """dX_col = dZ @ W2dᵀ and col2im; with strides 1 a convolution of dz, as in fast/conv.py."""
    gradient_window = input_gradient_window(window)
    if gradient_window is not None:
        W_rot180 = W[::-1, ::-1].swapaxes(2, 3)  # (KH, KW, F, C)
        if by_kernels(dz, W_rot180, gradient_window):
            return conv2d_winograd(dz, W_rot180, None, gradient_window)
    return fast.conv2d_input_grad(dz, W, input_shape, window)


def by_kernels(x: np.ndarray, W: np.ndarray, window: Window) -> bool:
    """Whether Winograd's algorithm is selected, for a dtype that the kernels are compiled for."""
    C, F = W.shape[2:]
    return (x.dtype == W.dtype and x.dtype.name in REALS
            and select_algorithm(len(x), C, F, window) == "winograd")
