"""Sliding windows over images: how much to pad, how many fit, and what each of them sees.

Along one axis of size H with kernel K and stride s, window i covers the positions
i·s − before … i·s − before + K − 1 of the image; outside there is padding. Hence
OH = (H + before + after − K) // s + 1, with before and after = top and bottom, or left and right.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

Pads = tuple[tuple[int, int], tuple[int, int]]  # ((top, bottom), (left, right))


class Window(NamedTuple):
    """Where the windows of a convolution or pooling lie on images of one size."""

    kernel: tuple[int, int]   # KH, KW
    strides: tuple[int, int]  # SH, SW
    pads: Pads                # pixels added on each side
    size: tuple[int, int]     # H, Wd of the image without padding

    @classmethod
    def on_image(cls, size: tuple[int, int], kernel: tuple[int, int], strides: tuple[int, int],
                 padding: str | tuple[int, int] = "valid") -> Window:
        """The windows of a layer with these arguments on an image of `size` (H, Wd)."""
        return cls(kernel, strides, padding_amounts(padding, size, kernel, strides), size)

    @property
    def output_size(self) -> tuple[int, int]:
        """(OH, OW), how many windows fit along each axis; less than 1 if none does."""
        (KH, KW), (SH, SW), ((top, bottom), (left, right)), (H, Wd) = self
        return (H + top + bottom - KH) // SH + 1, (Wd + left + right - KW) // SW + 1

    @property
    def switch_dtype(self) -> type[np.integer]:
        """The integers that number the positions in a window: p·KW + q."""
        return np.uint8 if self.kernel[0] * self.kernel[1] <= 256 else np.int32


def padding_amounts(padding: str | tuple[int, int], size: tuple[int, int],
                    kernel: tuple[int, int], strides: tuple[int, int]) -> Pads:
    """Pixels to add on each side of an image of `size`.

    "valid": none. (a, b): a above and below, b left and right. "same", as Keras computes it:
    enough for OH = ceil(H / s), the odd one going below and to the right.
    """
    if padding == "valid":
        return (0, 0), (0, 0)
    if not isinstance(padding, str):
        a, b = padding
        return (a, a), (b, b)
    amounts = []
    for H, K, s in zip(size, kernel, strides, strict=True):
        OH = -(-H // s)  # ceil(H / s)
        total = max((OH - 1) * s + K - H, 0)
        amounts.append((total // 2, total - total // 2))
    return amounts[0], amounts[1]


def pad(x: np.ndarray, pads: Pads, value: float = 0.0) -> np.ndarray:
    """x (N, H, Wd, C) with `value` around it; x itself if nothing is to be added."""
    if pads == ((0, 0), (0, 0)):
        return x
    rows, columns = pads
    return np.pad(x, ((0, 0), rows, columns, (0, 0)), constant_values=value)


def crop(x: np.ndarray, pads: Pads) -> np.ndarray:
    """A view of x without its padding: the adjoint of zero padding."""
    (top, bottom), (left, right) = pads
    return x[:, top:x.shape[1] - bottom, left:x.shape[2] - right]


def offset_view(x: np.ndarray, p: int, q: int, window: Window) -> np.ndarray:
    """The values at position (p, q) of every window: x[:, i·SH + p, j·SW + q], (N, OH, OW, C).

    x is padded already. A view: writing to it writes to x.
    """
    (OH, OW), (SH, SW) = window.output_size, window.strides
    return x[:, p:p + SH * OH:SH, q:q + SW * OW:SW]
