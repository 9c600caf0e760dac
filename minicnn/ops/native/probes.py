"""What ops/tuning.py measures for this backend."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from ..fast.conv import conv2d_im2col
from ..fast.probes import SIDES, channels_speedup, convolution_speedup, saving_speedup
from ..tuning import MARGIN, USUAL, Constants, break_even, use_constants
from ..window import Window
from .direct import conv2d_direct
from .winograd import conv2d_winograd

CHANNELS = (8, 16, 24, 32, 48, 64)
CHANNELS_OF_DIRECT = (16, 32, 48)  # multiples of 16; with 64 there are too many weights for it
BLOCKS = (56, 224)           # tiles, instead of the usual 112
FEW_TILES = (48, 96, 192)    # multiples of 16: the tiles of an image of 14 × 14 pixels


def measured_constants() -> Constants:
    """Those of native."""
    return Constants(
        over_im2col=break_even(CHANNELS, partial(channels_speedup, conv2d_winograd, conv2d_im2col),
                               USUAL.over_im2col),
        over_direct=break_even(CHANNELS_OF_DIRECT,
                               partial(channels_speedup, conv2d_winograd, conv2d_direct),
                               USUAL.over_direct),
        saving=break_even(tuple(SIDES), partial(saving_speedup, conv2d_winograd, conv2d_im2col, 64),
                          USUAL.saving),
        block_tiles=fastest_block(),
        few_tiles=break_even(FEW_TILES, few_tiles_speedup, USUAL.few_tiles))


def fastest_block() -> int:
    """The number of tiles, the usual one unless another is faster by MARGIN."""
    speedups = {tiles: block_speedup(tiles) for tiles in BLOCKS}
    best = max(speedups, key=lambda tiles: speedups[tiles])
    return best if speedups[best] > MARGIN else USUAL.block_tiles


def block_speedup(tiles: int) -> float:
    """Of blocks of so many tiles over the usual ones: 2 images of 56 × 56 pixels, 128 channels."""
    return convolution_speedup(partial(by_constants, replace(USUAL, block_tiles=tiles)),
                               partial(by_constants, USUAL), 2, 56, 128)


def few_tiles_speedup(tiles: int) -> float:
    """Of sharing the rows of so many tiles over sharing 256 filters."""
    rows, filters = replace(USUAL, few_tiles=1), replace(USUAL, few_tiles=tiles + 1)
    return convolution_speedup(partial(by_constants, rows), partial(by_constants, filters),
                               tiles // 16, 14, 256)


def by_constants(given: Constants, x: np.ndarray, W: np.ndarray, b: np.ndarray, window: Window
                 ) -> np.ndarray:
    """conv2d_winograd as it computes by these constants."""
    with use_constants(given):
        return conv2d_winograd(x, W, b, window)
