"""Geometry of sliding windows: how much to pad, and how many windows fit.

Along one axis of size H with kernel K and stride s, window i covers the padded positions
i·s … i·s + K − 1, so OH = (H + before + after − K) // s + 1.
"""

from __future__ import annotations

import numpy as np

Pads = tuple[tuple[int, int], tuple[int, int]]  # ((top, bottom), (left, right))


def padding_amounts(padding: str | tuple[int, int], size: tuple[int, int],
                    kernel: tuple[int, int], strides: tuple[int, int]) -> Pads:
    """Zeros to add on each side of an image of `size`.

    "valid": none. (a, b): a above and below, b left and right. "same", as Keras computes it:
    enough for OH = ceil(H / s), the odd one going below and to the right.
    """
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding != "same":
        return (padding[0],) * 2, (padding[1],) * 2
    amounts = []
    for H, K, s in zip(size, kernel, strides, strict=True):
        total = max((-(-H // s) - 1) * s + K - H, 0)  # −(−H // s) is ceil(H / s)
        amounts.append((total // 2, total - total // 2))
    return amounts[0], amounts[1]


def output_size(size: tuple[int, int], kernel: tuple[int, int], strides: tuple[int, int],
                pads: Pads = ((0, 0), (0, 0))) -> tuple[int, int]:
    """(OH, OW); not positive where the window is larger than the padded image."""
    OH, OW = ((H + before + after - K) // s + 1
              for H, K, s, (before, after) in zip(size, kernel, strides, pads, strict=True))
    return OH, OW


def padded_shape(shape: tuple[int, ...], pads: Pads) -> tuple[int, ...]:
    """Shape (N, H, Wd, C) after padding."""
    (top, bottom), (left, right) = pads
    return (shape[0], shape[1] + top + bottom, shape[2] + left + right, shape[3])


def pad(x: np.ndarray, pads: Pads, value: float = 0.0) -> np.ndarray:
    """x (N, H, Wd, C) with `value` around it; x itself where nothing is to be added."""
    if pads == ((0, 0), (0, 0)):
        return x
    out = np.full(padded_shape(x.shape, pads), value, x.dtype)
    crop(out, pads)[...] = x
    return out


def crop(x: np.ndarray, pads: Pads) -> np.ndarray:
    """A view of x without its padding: the adjoint of zero padding."""
    (top, bottom), (left, right) = pads
    return x[:, top:x.shape[1] - bottom, left:x.shape[2] - right]
