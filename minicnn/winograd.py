"""Winograd's convolution F(4×4, 3×3): 36 multiplications a tile where the definition takes 144.

The product of polynomials a(t)·g(t) of 4 and 3 coefficients has degree 5, so its values at six
points fix it: evaluate both at 0, 1, −1, 2, −2, ∞ (the leading coefficient), multiply six values,
interpolate: s = E₆⁻¹ ((E₄ a) ∘ (E₃ g)), Eₙ evaluating n coefficients. For fixed g its adjoint takes
six numbers d to the four Σ_j d_{i+j} g_j, a correlation: y = Aᵀ ((Bᵀ d) ∘ (G g)), with Aᵀ = E₄ᵀ and
Bᵀ = E₆⁻ᵀ, whose rows are scaled to whole numbers and those of G = E₃ by the inverse. In two
dimensions each matrix acts on rows and on columns, on a 6×6 tile as 36 numbers by its Kronecker
square; over channels the ∘ becomes a product of matrices for each of 36 places k:

    U = G⊗G W (36, C, F),  V = Bᵀ⊗Bᵀ tiles (36, T, C),  y = Aᵀ⊗Aᵀ (V[k] @ U[k])_k (16, T, F)

Error: about 1e-5 of the largest output in float32 (im2col: 5e-7), as terms cancel.
Source: Winograd 1980; Lavin & Gray, "Fast algorithms for convolutional neural networks", 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from . import ops, threads

KERNEL_ELEMENTS = 5 << 19  # of U at a time
BLOCK_ELEMENTS = 1 << 21  # of a block's tiles and products together: they stay in the cache
B_T = np.array([[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
                [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]])
G = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
A_T = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])


def winograd(x: np.ndarray, W: np.ndarray, window: ops.Window,
             finish: Callable[[np.ndarray, slice], None]) -> np.ndarray:
    """x (N, H, Wd, C), W (3, 3, C, F), strides 1 -> z (N, OH, OW, F).

    Worked in blocks: some rows of tiles, some filters. finish(block, filters) changes each block
    of z in place while it is in the cache.
    """
    (N, H, Wd, C), F, workers = x.shape, W.shape[3], threads.count()
    OH, OW = window.output_size((H, Wd))
    th, tw = -(-OH // 4), -(-OW // 4)  # tiles below and beside each other
    (top, _), (left, _) = window.pads
    below, beside = 4 * th + 2 - top - H, 4 * tw + 2 - left - Wd  # padding, to whole tiles
    tiles = ops.Window((6, 6), (4, 4), ((top, below), (left, beside)))
    into, back, kernel = (np.kron(m, m).astype(x.dtype) for m in (B_T, A_T, G))
    several = 36 * C * F > KERNEL_ELEMENTS  # then each worker has filters of its own
    groups = threads.cuts(F, KERNEL_ELEMENTS // (36 * C), workers if several else 1)
    Fc = max((filters.stop - filters.start for filters in groups), default=0)  # of a group
    most = max(C, Fc)
    blocks = threads.row_blocks(N, th, 72 * tw * most, BLOCK_ELEMENTS, 1 if several else workers)
    z = np.empty((N, OH, OW, F), x.dtype)

    def work(pairs: Sequence[tuple[slice, slice]]) -> None:
        made = None
        size = 36 * tw * most * max((rows.stop - rows.start for _, rows in pairs), default=0)
        a, b, u = np.split(threads.workspace(2 * size + 36 * C * Fc, x.dtype), [size, 2 * size])
        for filters, rows in pairs:
            if made != filters:
                made, part = filters, W[..., filters].reshape(9, -1)  # (9, C·Fc)
                U = np.matmul(kernel, part, out=u[:4 * part.size].reshape(36, -1))
                U = U.reshape(36, C, -1)
            (images, source), pads = ops.sources(x.shape, tiles, rows)
            part = z[images, 4 * (rows.start % th):, :, filters][:, :4 * (rows.stop - rows.start)]
            n, T, K = len(part), (rows.stop - rows.start) * tw, U.shape[2]
            tile = a[:36 * T * C].reshape(36, n, -1, tw, C)
            for k, tap in ops.taps(ops.pad(x[images, source], pads, out=b), tiles):
                tile[k] = tap
            V = np.matmul(into, tile.reshape(36, -1), out=b[:36 * T * C].reshape(36, -1))
            M = np.matmul(V.reshape(36, T, C), U, out=a[:36 * T * K].reshape(36, T, K))
            y = np.matmul(back, M.reshape(36, -1), out=b[:16 * T * K].reshape(16, -1))
            y = y.reshape(16, n, -1, tw, K)
            finish(y, filters)
            for k in range(16):
                to = part[:, k // 4::4, k % 4::4]  # shorter where tiles stand over the edge
                to[...] = y[k, :, :to.shape[1], :to.shape[2]]

    threads.share(work, [(filters, rows) for k in range(0, len(groups), workers)
                         for rows in blocks for filters in groups[k:k + workers]], workers)
    return z
