// The gradient of Winograd's convolution for its weights, dW: winograd.cu backwards.
//
// Forward:  y = Aᵀ m A of each tile,  m = Σ_c u ∘ v at each of 36 places,  u = G g Gᵀ,  v = Bᵀ d B.
// Backward: <dz, Aᵀ m A> = <A dz Aᵀ, m>, so dm = A dz Aᵀ; a sum of products gives du = Σ_tiles v ∘ dm;
//           <du, G g Gᵀ> = <Gᵀ du G, g>, so dg = Gᵀ du G. Nothing but the transposes of three matrices:
//
//     dz (N, OH, OW, F)    winograd_gradient_tiles   dM (36, T, F)
//     +-----+-----+--+     each 4 × 4 tile becomes        |   V (36, T, C): winograd_tiles
//     |     |     |  |     A dz Aᵀ           ---->        |   V[k]ᵀ @ dM[k]: 36 products
//     +-----+-----+--+                                    v
//     |     |     |  |     winograd_weight_grads     dU (36, C, F)
//     +-----+-----+--+     Gᵀ du G of each kernel: dW (3, 3, C, F)
//
//     beyond the edges of dz: zeros
//
// Who:   one thread per tile and filter (winograd_gradient_tiles), per kernel (winograd_weight_grads).
// Bytes: 16 read and 36 written per tile and filter; 36 read and 9 written per kernel. The products
//        multiply 36 numbers a tile, channel and filter; X_colᵀ @ dZ, the definition, 144.
// Flops: 180 multiply-adds per tile and filter, 126 per kernel.
// Per warp: winograd_gradient_tiles: dz 4, dM 4 transactions; no shared memory
// Per warp: winograd_weight_grads: dU 4, dW 4 transactions; no shared memory
#include "winograd.h"

// One tile of dz, filter f (and its neighbours, as many as Lanes holds).
//   dz     &dz[n, 0, 0, 0]; the tile's upper row in it is i0
//   dM     &dM[0, first tile of this row, 0]; dM[k + 1] lies `matrix` numbers behind dM[k]
template <typename Lanes>
__device__ void transform_gradients(int tile, int f, const real* dz, real* dM, int64 matrix, int i0,
                                    int OH, int OW, int F) {
    DECLARE_A;
    const int j0 = tile * 4;
    Outputs<Lanes> d;
    Tile<Lanes> m;
    UNROLL for (int i = 0; i < 4; ++i)
        UNROLL for (int j = 0; j < 4; ++j)
            if (i0 + i < OH && j0 + j < OW)
                d[i][j] = read<Lanes>(dz + ((int64)(i0 + i) * OW + j0 + j) * F + f);
                // coalesced: the line above, which reads dz[…], in runs of F neighbours
            else
                d[i][j] = Lanes{};
    on_both_sides(A, d, m);
    UNROLL for (int p = 0; p < 6; ++p)
        UNROLL for (int q = 0; q < 6; ++q)
            write(dM + (p * 6 + q) * matrix + tile * F + f, m[p][q]);
    // coalesced: the line above, which writes dM[…], for neighbouring (tile, f)
}

extern "C" __global__ void winograd_gradient_tiles(const real* dz, real* dM, int64 matrix,
                                                   int64 first, int64 rows, int OH, int OW, int F,
                                                   int TH, int TW) {
    EACH_ROW(row, rows) {
        const int64 n = (first + row) / TH;
        const int i0 = (int)(first + row - n * TH) * 4;
        EACH_CHANNEL(TW, F, transform_gradients, dz + n * OH * OW * F, dM + row * TW * F, matrix, i0,
                     OH, OW, F);
    }
}

// `count` kernels from number `first` on, of C·F; dU (36, ≥ C·F), dW (9, C·F)
extern "C" __global__ void winograd_weight_grads(const real* dU, int64 matrix, real* dW, int64 first,
                                                 int64 count, int64 kernels) {
    DECLARE_G_T_24;
    EACH(i, count) {
        const int64 k = first + i;
        Tile<real> u;
        Kernel<real> g;
        UNROLL for (int p = 0; p < 6; ++p)
            UNROLL for (int q = 0; q < 6; ++q)
                u[p][q] = dU[(p * 6 + q) * matrix + k];  // coalesced: neighbouring k
        on_both_sides(G_T_24, u, g);
        UNROLL for (int p = 0; p < 3; ++p)
            UNROLL for (int q = 0; q < 3; ++q)
                dW[(p * 3 + q) * kernels + k] = g[p][q] * ((real)1 / (24 * 24));
            // coalesced: the line above, which writes dW[…], for neighbouring k
    }
}
