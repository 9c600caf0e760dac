"""A large image through several convolutions in bands of rows: what lies between them, often the
largest arrays of a network, is never whole in memory.

An output sees only the rows under its kernel. So a band of the last convolution's rows needs a band
of its input's rows and a few more above and below, the halo; for those the convolution before it
needs a few more again, up to the image. Two neighbours compute the rows of their halos both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..layers import Layer
from ..layers.checks import check_input
from ..ops import array_module
from .fused_conv import FusedConv, can_be_fused

# The largest array of a chain of convolutions / this: the number of bands. Smaller bands take less
# memory, but more rows are computed twice.
BAND_ELEMENTS = {"cpu": 1 << 21, "cuda": 1 << 30, "cuda-sim": 1 << 30}
BAND_ROWS = 4  # of the last output: a band has a multiple of it, whole tiles of Winograd's
MAX_ROWS_TWICE = 0.25  # the share of x's rows that bands may see twice; with more there are none


def number_of_bands(largest: int, device: str) -> int:
    """For a chain of convolutions whose largest array has so many elements."""
    return -(-largest // BAND_ELEMENTS[device])


def up_to_pooling(layers: Sequence[Layer | FusedConv]) -> list[FusedConv]:
    """The convolutions with which the layers begin, up to the first one with a pooling. One whose
    outermost rows see nothing but padding ends them: window_on_rows has no rows for those."""
    convs: list[FusedConv] = []
    for layer in layers:
        if can_be_fused(layer):  # fuse() has left those bare that nothing joined
            layer = FusedConv(layer)
        if not isinstance(layer, FusedConv) or layer.sees_padding_alone():
            break
        convs.append(layer)
        if layer.pool is not None:
            break
    return convs


def output_shapes(convs: Sequence[FusedConv], shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """[shape of x, of the first convolution's y, …, of the last one's y], without N."""
    shapes = [shape]
    for conv in convs:
        shapes.append(conv.output_shape(shapes[-1]))
    return shapes


def bands_of_rows(convs: Sequence[FusedConv], shape: tuple[int, ...], count: int) -> list[slice]:
    """Rows of the last convolution's y, in at most so many bands, for an x of `shape` (H, Wd, C);
    none if the bands together would see many rows of x twice: their halos, one row above and below
    for each 3×3 convolution, grow with the number of convolutions."""
    shapes = output_shapes(convs, shape)
    OH = shapes[-1][0]
    groups = -(-OH // BAND_ROWS)
    count = min(count, groups)
    starts = [groups * k // count * BAND_ROWS for k in range(count)]
    bands = [slice(start, stop) for start, stop in zip(starts, [*starts[1:], OH], strict=True)]
    rows_seen = 0
    for band in bands:
        rows = band
        for conv, input_shape in zip(reversed(convs), reversed(shapes[:-1]), strict=True):
            rows, _ = conv.on_rows(input_shape, rows)
        rows_seen += rows.stop - rows.start
    return bands if rows_seen <= (1 + MAX_ROWS_TWICE) * shape[0] else []


def infer_in_bands(convs: Sequence[FusedConv], x: np.ndarray, bands: Sequence[slice]) -> np.ndarray:
    """x (1, H, Wd, C) -> y of the last convolution, band by band: of what the others give, there is
    never more in memory than a band and its halo."""
    shapes = output_shapes(convs, x.shape[1:])
    y = array_module(x).empty((len(x), *shapes[-1]), x.dtype)
    for band in bands:
        y[:, band] = compute_rows(convs, shapes, x, band)
    return y


def compute_rows(convs: Sequence[FusedConv], shapes: Sequence[tuple[int, ...]], x: np.ndarray,
                 rows: slice) -> np.ndarray:
    """These rows of the last convolution's y, whose shape is shapes[-1], from the rows of its
    input, of shapes[-2], that they see; those are computed in the same way.

    Rows 4…7 after a 2×2 pooling see rows 8…15 of the convolution before it, those (3×3, "same")
    rows 7…16 of its input, which is the y of another such convolution: of x, rows 6…17.
    """
    if not convs:
        return x[:, rows]
    input_rows, windows = convs[-1].on_rows(shapes[-2], rows)
    part = compute_rows(convs[:-1], shapes[:-1], x, input_rows)
    check_input(convs[-1].conv, part)
    return convs[-1].compute(part, *windows)
