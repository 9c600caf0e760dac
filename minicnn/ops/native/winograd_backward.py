"""dW by the adjoint of Winograd's convolution, with the kernels of kernels/winograd_backward.cu.

    dM = A dz Aᵀ of each tile,   dU[k] = V[k]ᵀ @ dM[k] for each of the 36 positions,   dW = Gᵀ dU G

The products multiply 36 numbers a tile, channel and filter, X_colᵀ @ dZ multiplies 144. The error
is that of Winograd's convolution, about 1e-5 of the largest gradient in float32.
"""

from __future__ import annotations

import numpy as np

from ..fast.threads import chunk_slices, shares
from ..window import Window
from ..winograd import tile_window
from .library import Call, library, num_threads
from .winograd import split_workspace

BLOCK_TILES = 256  # which a thread transforms, and which products.cpp sums in registers (DEPTH)
GROUP_ELEMENTS = 1 << 23  # of V and dM together, so that they do not grow with the batch: 32 MB


def weight_grad_winograd(x: np.ndarray, dz: np.ndarray, window: Window) -> np.ndarray:
    """x (N, H, Wd, C), dz (N, OH, OW, F), kernels 3×3, strides 1 -> dW (3, 3, C, F).

    Computed in groups of rows of tiles: threads share the blocks of a group, then the channels.
    The order of the sums does not depend on the number of threads.
    """
    (N, H, Wd, C), (_, OH, OW, F), tiles = x.shape, dz.shape, tile_window(window)
    (TH, TW), ((top, _), (left, _)) = tiles.output_size, tiles.pads  # rows of tiles, tiles in a row
    x, dz, kernels = np.ascontiguousarray(x), np.ascontiguousarray(dz), library(x.dtype.name)
    groups = chunk_slices(N * TH, max(1, GROUP_ELEMENTS // (36 * TW * (C + F))))
    block = max(1, BLOCK_TILES // TW)  # rows of tiles
    height = max((group.stop - group.start for group in groups), default=0)  # of a group
    blocks, channels = -(-height // block), shares(C, num_threads())
    dU, *memories = split_workspace(x.dtype, C * F, *[block * TW * C, block * TW * F] * blocks)
    dW = np.zeros((3, 3, C, F), x.dtype)
    for group in groups:
        transforms: list[list[Call]] = [[] for _ in range(num_threads())]
        products: list[list[Call]] = [[] for _ in channels]
        for k, first in enumerate(range(group.start, group.stop, block)):
            rows = min(block, group.stop - first)
            (V, dM), T = memories[2 * k:2 * k + 2], TW * rows
            apart = [a.strides[0] // a.itemsize for a in (V, dM, dU)]
            transforms[k % len(transforms)] += [
                ("winograd_tiles", x, V, apart[0], first, rows, H, Wd, C, TH, TW, top, left),
                ("winograd_gradient_tiles", dz, dM, apart[1], first, rows, OH, OW, F, TH, TW)]
            for calls, part in zip(products, channels, strict=True):
                calls.append(("winograd_gradient_products", V[:, part.start:], dM,
                              dU[:, part.start * F:], *apart, T, part.stop - part.start, C, F,
                              first > 0))
        if group is groups[-1]:  # each thread transforms back the channels that it has summed
            for calls, part in zip(products, channels, strict=True):
                calls.append(("winograd_weight_grads", dU, apart[2], dW, part.start * F,
                              (part.stop - part.start) * F, C * F))
        kernels.on_threads(transforms)
        kernels.on_threads(products)
    return dW
