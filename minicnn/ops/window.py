"""Geometry of sliding windows: how much to pad, and how many windows fit.

Along one axis of size H with kernel K and stride s, window i covers the positions
i·s − before … i·s − before + K − 1 of the image; outside there is padding. Hence
OH = (H + before + after − K) // s + 1.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

Pads = tuple[tuple[int, int], tuple[int, int]]  # ((top, bottom), (left, right))


class Window(NamedTuple):
    """Where the windows lie: kernel (KH, KW), strides (SH, SW), padding on each side."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: Pads = ((0, 0), (0, 0))

    def output_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(OH, OW) for images of `size`; not positive where no window fits."""
        OH, OW = ((H + before + after - K) // s + 1 for H, K, s, (before, after)
                  in zip(size, self.kernel, self.strides, self.pads, strict=True))
        return OH, OW

    def geometry(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """What the kernels take: H, Wd, C, OH, OW, KH, KW, SH, SW, top, left."""
        top_left = self.pads[0][0], self.pads[1][0]
        return (*shape[1:], *self.output_size(shape[1:3]), *self.kernel, *self.strides, *top_left)


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


def pad(x: np.ndarray, pads: Pads, value: float = 0.0, out: np.ndarray | None = None) -> np.ndarray:
    """x (N, H, Wd, C) with `value` around it, in the memory of `out` (1-D) where given; x itself
    where nothing is to be added."""
    if pads == ((0, 0), (0, 0)):
        return x
    (top, bottom), (left, right) = pads
    N, H, Wd, C = x.shape
    shape = N, H + top + bottom, Wd + left + right, C
    out = np.empty(shape, x.dtype) if out is None else out[:math.prod(shape)].reshape(shape)
    out[...] = value
    crop(out, pads)[...] = x
    return out


def crop(x: np.ndarray, pads: Pads) -> np.ndarray:
    """A view of x without its padding: the adjoint of zero padding."""
    (top, bottom), (left, right) = pads
    return x[:, top:x.shape[1] - bottom, left:x.shape[2] - right]
