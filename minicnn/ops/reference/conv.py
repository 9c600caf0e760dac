"""Convolution as a matrix product (im2col), one formula per line.

Row (n, i, j) of the column matrix holds the window that output pixel (i, j) of image n looks at:

    x (N, H, Wd, C)                        X_col (N·OH·OW, KH·KW·C)
    +---------------+
    | a b c d       |   3×3 windows, stride 1:  row 0 = a b c, e f g, i j k
    | e f g h       |                           row 1 = b c d, f g h, j k l
    | i j k l       |
    +---------------+   X_col[(n, i, j), (p, q, c)] = x[n, i·SH + p − top, j·SW + q − left, c]

so that every output is the product of a row of X_col with a column of W, and the whole convolution
is one matrix product. The price: X_col is KH·KW times as large as x.

Source: Chellapilla, Puri, Simard, "High performance convolutional neural networks", 2006.
"""

from __future__ import annotations

import numpy as np

from ..window import Window, crop, offset_view, pad


def im2col(x: np.ndarray, window: Window) -> np.ndarray:
    """x (N, H, Wd, C) -> X_col (N·OH·OW, KH·KW·C)."""
    (N, _, _, C), (KH, KW), (OH, OW) = x.shape, window.kernel, window.output_size
    padded = pad(x, window.pads)
    cols = np.empty((N, OH, OW, KH, KW, C), x.dtype)
    for p in range(KH):
        for q in range(KW):
            cols[:, :, :, p, q] = offset_view(padded, p, q, window)
    return cols.reshape(N * OH * OW, KH * KW * C)


def col2im(dX_col: np.ndarray, input_shape: tuple[int, ...], window: Window) -> np.ndarray:
    """dX_col (N·OH·OW, KH·KW·C) -> dx (N, H, Wd, C): each row is added to its window's pixels.

    The adjoint of im2col: <im2col(x), c> = <x, col2im(c)>. A pixel that several windows see
    receives the sum of their gradients; what falls on the padding is dropped.
    """
    (N, _, _, C), (KH, KW), (OH, OW) = input_shape, window.kernel, window.output_size
    cols = dX_col.reshape(N, OH, OW, KH, KW, C)
    padded = pad(np.zeros(input_shape, dX_col.dtype), window.pads)
    for p in range(KH):
        for q in range(KW):
            offset_view(padded, p, q, window)[...] += cols[:, :, :, p, q]
    return crop(padded, window.pads)


def conv2d(x: np.ndarray, W: np.ndarray, b: np.ndarray, window: Window, relu: bool = False
           ) -> np.ndarray:
    """x (N, H, Wd, C), W (KH, KW, C, F), b (F,) -> y (N, OH, OW, F).

    As matrices: Z = X_col @ W2d + b;  with relu, y = max(z, 0)
    """
    F = W.shape[3]
    W2d = W.reshape(-1, F)  # (KH·KW·C, F)
    Z = im2col(x, window) @ W2d + b  # (N·OH·OW, KH·KW·C) @ (KH·KW·C, F) + (F,)
    y = Z.reshape(len(x), *window.output_size, F)  # (N, OH, OW, F)
    return np.maximum(y, 0) if relu else y


def conv2d_weight_grad(x: np.ndarray, dz: np.ndarray, window: Window) -> np.ndarray:
    """x (N, H, Wd, C), dz (N, OH, OW, F) -> dW (KH, KW, C, F).

    Derivation: Z = X_col @ W2d + b, so dL = <dZ, X_col @ dW2d> and therefore dW2d = X_colᵀ @ dZ;
                the columns are rebuilt from x, which is KH·KW times smaller to keep.
    """
    C, F = x.shape[3], dz.shape[3]
    dW2d = im2col(x, window).T @ dz.reshape(-1, F)  # (KH·KW·C, N·OH·OW) @ (N·OH·OW, F)
    return dW2d.reshape(*window.kernel, C, F)


def conv2d_input_grad(dz: np.ndarray, W: np.ndarray, input_shape: tuple[int, ...], window: Window
                      ) -> np.ndarray:
    """dz (N, OH, OW, F), W (KH, KW, C, F) -> dx (N, H, Wd, C) = input_shape.

    Derivation: dL = <dZ, dX_col @ W2d>, hence dX_col = dZ @ W2dᵀ; im2col is linear, and its
                adjoint col2im turns dX_col into dx.
    """
    F = W.shape[3]
    dX_col = dz.reshape(-1, F) @ W.reshape(-1, F).T  # (N·OH·OW, F) @ (F, KH·KW·C)
    return col2im(dX_col, input_shape, window)
