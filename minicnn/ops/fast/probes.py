"""What ops/tuning.py measures for this backend: Winograd's algorithm against im2col."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ..tuning import USUAL, Constants, break_even, speedup
from ..window import Window
from .conv import conv2d_im2col
from .winograd import conv2d_winograd

CHANNELS = (16, 24, 32, 48, 64, 96)
# The side of an image of which the definition takes so many times as many multiplications; 5 × 5
# outputs take four tiles of 4 × 4, for instance, as 8 × 8 would.
SIDES = {1.4: 5, 2.0: 6, 2.5: 10, 3.0: 11}
TILES = 512  # of all images
Convolution = Callable[..., np.ndarray]


def measured_constants() -> Constants:
    """Those of fast."""
    over_im2col = break_even(CHANNELS, partial(channels_speedup, conv2d_winograd, conv2d_im2col),
                             USUAL.over_im2col)
    saving = break_even(tuple(SIDES), partial(saving_speedup, conv2d_winograd, conv2d_im2col,
                                              max(64, over_im2col)), USUAL.saving)
    return Constants(over_im2col=over_im2col, saving=saving)


def channels_speedup(algorithm: Convolution, other: Convolution, C: int) -> float:
    """Of the algorithm over the other one with C channels and C filters, for images of whole tiles,
    16 × 16 pixels, where Winograd's saves most."""
    return convolution_speedup(algorithm, other, TILES // 16, 16, C)


def saving_speedup(algorithm: Convolution, other: Convolution, C: int, saving: float) -> float:
    """The same for images of that side in SIDES."""
    side = SIDES[saving]
    return convolution_speedup(algorithm, other, TILES // (-(-side // 4))**2, side, C)


def convolution_speedup(algorithm: Convolution, other: Convolution, N: int, side: int, C: int
                        ) -> float:
    """Time of the other algorithm / time of the algorithm, for N square images with C channels, C
    filters of 3 × 3 and padding "same"."""
    window = Window.on_image((side, side), (3, 3), (1, 1), "same")
    x = np.linspace(-1, 1, N * side * side * C, dtype=np.float32).reshape(N, side, side, C)
    W = np.linspace(-1, 1, 9 * C * C, dtype=np.float32).reshape(3, 3, C, C)
    b = np.zeros(C, np.float32)
    return speedup(lambda: algorithm(x, W, b, window), lambda: other(x, W, b, window))
