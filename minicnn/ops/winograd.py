"""Winograd's convolution F(4×4, 3×3): 36 multiplications per tile instead of the 144 of the
definition.

The product of polynomials a(t)·g(t) of 4 and 3 coefficients has degree 5, so its values at six
points determine it: evaluate both at 0, 1, −1, 2, −2, ∞ (the leading coefficient), multiply,
interpolate: s = E₆⁻¹ ((E₄ a) ∘ (E₃ g)), Eₙ evaluating n coefficients. For fixed g its adjoint takes
six numbers d to the four Σ_j d_{i+j} g_j, a correlation: y = Aᵀ ((Bᵀ d) ∘ (G g)), with Aᵀ = E₄ᵀ and
Bᵀ = E₆⁻ᵀ, whose rows are scaled to integers and those of G = E₃ by the inverse. In two
dimensions each matrix acts on rows and on columns, on a 6×6 tile as 36 numbers by its Kronecker
square; over channels the ∘ becomes a product of matrices for each of 36 positions k:

    U = G⊗G W (36, C, F),  V = Bᵀ⊗Bᵀ tiles (36, T, C),  y = Aᵀ⊗Aᵀ (V[k] @ U[k])_k (16, T, F)

Error: about 1e-5 of the largest output in float32 (im2col: 5e-7), as terms cancel.
Source: Winograd 1980; Lavin & Gray, "Fast algorithms for convolutional neural networks", 2016.

This file has what the backends share: the matrices, the tiles, and when the algorithm pays off.
"""

from __future__ import annotations

import numpy as np

from .window import Window

B_T = np.array([[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
                [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]])
G = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
A_T = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])


def pays_off(N: int, C: int, F: int, window: Window, min_channels: int = 32,
             min_saving: float = 2.0) -> bool:
    """Whether it is faster for N images, C channels and F filters, of 3×3 kernels with strides 1.

    It is if there are at least min_channels channels and filters (fewer make slow products), and if
    the definition takes at least min_saving times as many multiplications (the defaults are a
    GPU's; a processor's are measured, ops/tuning.py). Per channel and filter the definition takes 9
    for each output; Winograd takes 36 for each tile of 4×4 outputs, and transforming the kernels
    costs about as much as 32 more tiles.
    """
    if window.kernel != (3, 3) or window.strides != (1, 1) or min(C, F) < min_channels:
        return False
    OH, OW = window.output_size
    tiles = N * -(-OH // 4) * -(-OW // 4)
    return 36 * (tiles + 32) * min_saving <= 9 * N * OH * OW


def tile_window(window: Window) -> Window:
    """The 6×6 tiles, four pixels apart, padded to whole tiles below and to the right."""
    (OH, OW), ((top, _), (left, _)), (H, Wd) = window.output_size, window.pads, window.size
    tile_rows, tile_columns = -(-OH // 4), -(-OW // 4)
    bottom, right = 4 * tile_rows + 2 - top - H, 4 * tile_columns + 2 - left - Wd
    return Window((6, 6), (4, 4), ((top, bottom), (left, right)), (H, Wd))


def can_pool(pool_window: Window) -> bool:
    """Whether a tile's 4×4 outputs hold whole pooling windows: 2×2, with strides 2, unpadded."""
    return pool_window[:3] == ((2, 2), (2, 2), ((0, 0), (0, 0)))
