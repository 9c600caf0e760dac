"""dW by the adjoint of Winograd's convolution, with the kernels of kernels/winograd_backward.cu.

    dM = A dz Aᵀ of each tile,   dU[k] = V[k]ᵀ @ dM[k] for each of the 36 positions,   dW = Gᵀ dU G

The products multiply 36 numbers a tile, channel and filter, X_colᵀ @ dZ multiplies 144. The error
is that of Winograd's convolution, about 1e-5 of the largest gradient in float32.
"""

from __future__ import annotations

import numpy as np

from ..fast.threads import chunk_slices, num_threads, shares
from ..window import Window
from ..winograd import tile_window
from .library import Call, library
from .winograd import split_workspace

BLOCK_TILES = 256  # which a thread transforms, and which are multiplied at a time
GROUP_ELEMENTS = 1 << 23  # of V and dM together: 32 MB in float32


def weight_grad_winograd(x: np.ndarray, dz: np.ndarray, window: Window) -> np.ndarray:
    """x (N, H, Wd, C), dz (N, OH, OW, F), kernels 3×3, strides 1 -> dW (3, 3, C, F).

    Computed in groups of some rows of tiles: threads share the tiles of a group, then the channels.
    The order of the sums does not depend on the number of threads.
    """
    (N, H, Wd, C), (_, OH, OW, F), tiles = x.shape, dz.shape, tile_window(window)
    (TH, TW), ((top, _), (left, _)) = tiles.output_size, tiles.pads  # rows of tiles, tiles in a row
    x, dz, kernels = np.ascontiguousarray(x), np.ascontiguousarray(dz), library(x.dtype.name)
    groups = chunk_slices(N * TH, max(1, GROUP_ELEMENTS // (36 * TW * (C + F))))
    most = TW * max((group.stop - group.start for group in groups), default=0)  # tiles of a group
    dU, Vs, dMs = split_workspace(x.dtype, 36 * C * F, 36 * most * C, 36 * most * F)
    dW = np.zeros((3, 3, C, F), x.dtype)
    channels = shares(C, num_threads())
    products: list[list[Call]] = [[] for _ in channels]
    for group in groups:
        transforms: list[list[Call]] = [[] for _ in range(num_threads())]
        for k, first in enumerate(range(group.start, group.stop, max(1, BLOCK_TILES // TW))):
            rows = min(max(1, BLOCK_TILES // TW), group.stop - first)
            begin, end = 36 * TW * (first - group.start), 36 * TW * (first - group.start + rows)
            V, dM, T = Vs[begin * C:end * C], dMs[begin * F:end * F], TW * rows
            transforms[k % len(transforms)] += [
                ("winograd_tiles", x, V, T * C, first, rows, H, Wd, C, TH, TW, top, left),
                ("winograd_gradient_tiles", dz, dM, first, rows, OH, OW, F, TH, TW)]
            for calls, part in zip(products, channels, strict=True):
                calls.append(("winograd_gradient_products", V[part.start:], dM,
                              dU[part.start * F:], T, part.stop - part.start, C, F, first > 0))
        if group is groups[-1]:
            for calls, part in zip(products, channels, strict=True):
                calls.append(("winograd_weight_grads", dU, dW, part.start * F,
                              (part.stop - part.start) * F, C * F))
        kernels.on_threads(transforms)
        kernels.on_threads(products)
        products = [[] for _ in channels]
    return dW
