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

from ... import ops
from ...errors import ArgumentError
from ..devices import device_of
from . import threads

KERNEL_ELEMENTS = 5 << 19  # of U, where it is made at once, for all threads
BLOCK_ELEMENTS = 1 << 14  # of a block's V at each of the 36 places: it stays in the cache
B_T = np.array([[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
                [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]])
G = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
A_T = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])


def winograd(x: np.ndarray, W: np.ndarray, window: ops.Window,
             finish: Callable[[np.ndarray, slice], None], pool: bool = False) -> np.ndarray:
    """x (N, H, Wd, C), W (3, 3, C, F), strides 1 -> z (N, OH, OW, F); with pool the largest of
    each 2×2 of them, (N, OH // 2, OW // 2, F).

    Worked in blocks, some rows of tiles by some filters, which stay in the cache and whose products
    are small enough (threads.UNPACKED). finish(block, filters) changes each block of z in place.
    Threads share the rows; where the kernels' transform is much work, the filters.
    Raises: ArgumentError for an x on a GPU.
    """
    if device_of(x) != "cpu":
        raise ArgumentError(f'Conv2D: expected x on cpu for algorithm "winograd", received it on '
                            f'{device_of(x)}. Use algorithm="auto".')
    (N, H, Wd, C), F, workers = x.shape, W.shape[3], threads.count()
    OH, OW = window.output_size((H, Wd))
    th, tw = -(-OH // 4), -(-OW // 4)  # tiles below and beside each other
    (top, _), (left, _) = window.pads
    below, beside = 4 * th + 2 - top - H, 4 * tw + 2 - left - Wd  # padding, to whole tiles
    tiles = ops.Window((6, 6), (4, 4), ((top, below), (left, beside)))
    into, back, kernel = (np.kron(m, m).astype(x.dtype) for m in (B_T, A_T, G))
    W, few = W.reshape(9, C, F), 36 * C * F <= KERNEL_ELEMENTS
    blocks = (threads.row_blocks(N, th, tw * C, BLOCK_ELEMENTS, workers) if few
              else threads.row_blocks(N, th, tw * C, 2 * BLOCK_ELEMENTS))
    T = tw * max((rows.stop - rows.start for rows in blocks), default=0)  # tiles of a block
    most = max(16, threads.UNPACKED // max(1, T * C) // 16 * 16)
    groups = threads.cuts(F, most, workers)
    Fc = max(filters.stop - filters.start for filters in groups)  # filters of a group
    side = 2 if pool else 4  # of what a tile gives
    z = np.empty((N, OH * side // 4, OW * side // 4, F), x.dtype)

    def transform(filters: slice, u: np.ndarray) -> np.ndarray:
        U = u[:36 * C * (filters.stop - filters.start)].reshape(36, C, -1)
        np.matmul(kernel, W[..., filters].swapaxes(0, 1), out=U.swapaxes(0, 1))  # (C, 36, K)
        return U

    def work(some: Sequence[slice]) -> None:
        ends = np.cumsum([36 * T * C, T * max(36 * C, 52 * Fc), 0 if few else 36 * C * Fc])
        v, a, u, _ = np.split(threads.workspace(ends[-1], x.dtype), ends)
        for rows in some if few else blocks:
            (images, source), pads = ops.sources(x.shape, tiles, rows)
            n, t = images.stop - images.start, (rows.stop - rows.start) * tw
            tile = a[:36 * t * C].reshape(36, n, -1, tw, C)
            for k, tap in ops.taps(ops.pad(x[images, source], pads, out=v), tiles):
                tile[k] = tap
            tile, V = tile.reshape(36, t, C), v[:36 * t * C].reshape(36, t, C)
            np.matmul(into, tile.swapaxes(0, 1), out=V.swapaxes(0, 1))  # (t, 36, C)
            for filters in groups if few else some:
                K = filters.stop - filters.start
                U = (kernels[36 * C * filters.start:36 * C * filters.stop].reshape(36, C, K) if few
                     else transform(filters, u))
                M = np.matmul(V, U, out=a[:36 * t * K].reshape(36, t, K))
                y = a[36 * t * K:52 * t * K].reshape(16, t, K)
                np.matmul(back, M.swapaxes(0, 1), out=y.swapaxes(0, 1))  # (t, 16, K)
                y = y.reshape(4, 4, n, -1, tw, K)
                if pool:
                    np.maximum(y[::2], y[1::2], out=y[::2])
                    y = np.maximum(y[::2, ::2], y[::2, 1::2], out=y[::2, ::2])
                finish(y, filters)
                to = z[images, side * (rows.start % th):, :, filters]
                for i, j in np.ndindex(side, side):  # shorter where tiles stand over the edge
                    place = to[:, i:side * y.shape[3]:side, j::side]
                    place[...] = y[i, j, :, :place.shape[1], :place.shape[2]]

    if few:
        kernels = np.empty(36 * C * F, x.dtype)
        threads.share(lambda some: [transform(s, kernels[36 * C * s.start:]) for s in some],
                      groups, workers)
    threads.share(work, blocks if few else groups, workers)
    return z
