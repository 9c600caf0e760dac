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

GROUP_ELEMENTS = 1 << 23  # of V and dM together, so that they do not grow with the batch: 32 MB


def weight_grad_winograd(x: np.ndarray, dz: np.ndarray, window: Window) -> np.ndarray:
    """x (N, H, Wd, C), dz (N, OH, OW, F), kernels 3×3, strides 1 -> dW (3, 3, C, F).

    Computed in groups of rows of tiles: threads share the rows of a group, then the channels. The
    order of the sums does not depend on the number of threads.
    """
    (N, H, Wd, C), (_, OH, OW, F), tiles = x.shape, dz.shape, tile_window(window)
    (TH, TW), ((top, _), (left, _)) = tiles.output_size, tiles.pads  # rows of tiles, tiles in a row
    x, dz, kernels = np.ascontiguousarray(x), np.ascontiguousarray(dz), library(x.dtype.name)
    groups = chunk_slices(N * TH, max(1, GROUP_ELEMENTS // (36 * TW * (C + F))))
    height = max((group.stop - group.start for group in groups), default=0)  # in rows
    V, dM, dU = split_workspace(x.dtype, height * TW * C, height * TW * F, C * F)
    apart = [a.strides[0] // a.itemsize for a in (V, dM, dU)]
    dW = np.zeros((3, 3, C, F), x.dtype)
    for group in groups:
        transforms: list[list[Call]] = []
        for part in shares(group.stop - group.start, num_threads()):
            first, rows = group.start + part.start, part.stop - part.start
            before = part.start * TW  # tiles
            transforms.append([
                ("winograd_tiles", x, V[:, before * C:], apart[0], first, rows, H, Wd, C, TH, TW,
                 top, left),
                ("winograd_gradient_tiles", dz, dM[:, before * F:], apart[1], first, rows, OH, OW,
                 F, TH, TW)])
        kernels.on_threads(transforms)
        products: list[list[Call]] = []
        for part in shares(C, num_threads()):
            channels, T = part.stop - part.start, (group.stop - group.start) * TW
            calls: list[Call] = [
                ("winograd_gradient_products", V[:, part.start:], dM, dU[:, part.start * F:],
                 *apart, T, channels, C, F, group.start > 0)]
            if group is groups[-1]:  # each thread transforms back the channels that it has summed
                calls.append(("winograd_weight_grads", dU, apart[2], dW, part.start * F,
                              channels * F, C * F))
            products.append(calls)
        kernels.on_threads(products)
    return dW
