// Winograd's convolution F(4×4, 3×3), strides 1: 36 multiplications for 16 outputs instead of 144.
// The derivation is in minicnn/ops/winograd.py. Here is what lies around the 36 matrix products.
//
//     x                 winograd_tiles                V (36, T, C)
//     +-----------+     each 6 × 6 tile d,            36 matrices, one for each place of a tile:
//     | +-----+---|--+  four pixels apart,            T tiles by C channels
//     | | d   |   |  |  becomes  Bᵀ d B       ---->        |
//     | |   +-|---|--|                                     |  V[k] @ U[k]: 36 products (on a GPU cuBLAS)
//     +-|---|-+---+  |  outside of x: zeros                |
//       +---|--------+                                M (36, T, F)
//                       winograd_kernels                   |
//     W (3, 3, C, F)    each 3 × 3 kernel g                v
//                       becomes  G g Gᵀ: U (36, C, F)   winograd_outputs: 36 numbers m of a tile
//                                                       become its 4 × 4 outputs  Aᵀ m A + b
//
// On a processor kernels/products.cpp multiplies, and U is written panel by panel of 32 filters, one call
// each: (36, F / 32, C, 32).
//
// T tiles are `rows` rows of TW tiles, the first of them numbered `first` over the whole batch: the
// launcher makes V and M in chunks, as they are 36/16 times as large as x and y. It also says how many
// numbers lie from one matrix to the next: at least T·C, C·F or T·F. On a processor a few more keep the
// 36 matrices from beginning at the same position of the cache, where they would evict each other.
//
// Who:   one thread per tile and channel (winograd_tiles), per kernel (winograd_kernels), per tile and
//        filter (winograd_outputs). It holds the 36 numbers in registers: all loops have constant
//        bounds and are unrolled, and the zeros of the matrices cost nothing.
// Bytes: winograd_tiles reads 36 and writes 36 numbers per thread; neighbouring tiles share two rows
//        and columns, so of those it reads, 20 come from the caches. winograd_outputs reads 36 and
//        writes 16, or 4 with pooling. block1_conv2, one photo of 224 pixels: V and M have 7.2
//        million elements each, 29 MB; im2col's cols 116 MB.
// Flops: 264 multiply-adds per tile and channel, 180 per tile and filter, 126 per kernel: 3.7, 3.5 and
//        2.8 per number read or written.
// Per warp: winograd_kernels: W 4, U 4 transactions; no shared memory
// Per warp: winograd_tiles: x 4, V 4 transactions; no shared memory
// Per warp: winograd_outputs: M 4, b 4, y 4 transactions; no shared memory
#include "winograd.h"

// Channel row's kernel of filter first + f (and its neighbours).
//   W      &W[0, 0, row, first]; W[p, q] lies C·F numbers behind the one before
//   U      &U[0, row, 0]; U[k + 1] lies `matrix` numbers behind U[k]
template <typename Lanes>
__device__ void transform_kernel(int f, const real* W, int64 kernels, real* U, int64 matrix) {
    DECLARE_G_24;
    Kernel<Lanes> g;
    Tile<Lanes> u;
    UNROLL for (int p = 0; p < 3; ++p)
        UNROLL for (int q = 0; q < 3; ++q)
            g[p][q] = read<Lanes>(W + (p * 3 + q) * kernels + f);  // coalesced: neighbouring f
    on_both_sides(G_24, g, u);
    UNROLL for (int p = 0; p < 6; ++p)
        UNROLL for (int q = 0; q < 6; ++q)
            write(U + (p * 6 + q) * matrix + f, u[p][q] * ((real)1 / (24 * 24)));
    // coalesced: the line above, which writes U[…], for neighbouring f
}

// The kernels of `count` filters from number `first` on, in `rows` channels. `kernels` is C·F; W (9, C·F),
// U (36, rows, count).
extern "C" __global__ void winograd_kernels(const real* W, real* U, int64 kernels, int64 matrix,
                                            int64 rows, int F, int first, int count) {
    EACH_ROW(row, rows) {
        EACH_LANE(count, transform_kernel, W + row * F + first, kernels, U + row * count, matrix);
    }
}

// One tile, channel c (and its neighbours, as many as Lanes holds).
//   image  &x[n, 0, 0, 0]
//   V      &V[0, first tile of this row, 0]; V[k + 1] lies `matrix` numbers behind V[k]
//   h0     the tile's upper row in the image; negative in the padding
template <typename Lanes>
__device__ void transform_tile(int tile, int c, const real* image, real* V, int64 matrix, int h0,
                               int left, int H, int Wd, int C) {
    DECLARE_B_T;
    const int w0 = tile * 4 - left;
    const real* corner = image + ((int64)h0 * Wd + w0) * C + c;
    Tile<Lanes> d, v;
    UNROLL for (int p = 0; p < 6; ++p)
        UNROLL for (int q = 0; q < 6; ++q) {
            const int h = h0 + p, w = w0 + q;
            if (h >= 0 && h < H && w >= 0 && w < Wd)
                d[p][q] = read<Lanes>(corner + ((int64)p * Wd + q) * C);  // coalesced: runs of C
            else
                d[p][q] = Lanes{};
        }
    on_both_sides(B_T, d, v);
    UNROLL for (int p = 0; p < 6; ++p)
        UNROLL for (int q = 0; q < 6; ++q)
            write(V + (p * 6 + q) * matrix + tile * C + c, v[p][q]);
    // coalesced: the line above, which writes V[…], for neighbouring (tile, c)
}

extern "C" __global__ void winograd_tiles(const real* x, real* V, int64 matrix, int64 first,
                                          int64 rows, int H, int Wd, int C, int TH, int TW, int top,
                                          int left) {
    EACH_ROW(row, rows) {
        const int64 n = (first + row) / TH;
        const int h0 = (int)(first + row - n * TH) * 4 - top;
        EACH_CHANNEL(TW, C, transform_tile, x + n * H * Wd * C, V + row * TW * C, matrix, h0, left,
                     H, Wd, C);
    }
}

// The larger one; NaN is larger than all.
template <typename Lanes>
__device__ Lanes larger(Lanes a, Lanes b) { return (b > a) | (b != b) ? b : a; }

// One tile's outputs of filter f (and its neighbours).
//   M      &M[0, first tile of this row, 0]; M[k + 1] lies `matrix` numbers behind M[k]
//   y      &y[n, 0, 0, 0]; the tile's upper row in it is i0
template <typename Lanes>
__device__ void transform_outputs(int tile, int f, const real* M, int64 matrix, const real* b,
                                  real* y, int i0, int OH, int OW, int F, int relu, int pool) {
    DECLARE_A_T;
    const int side = pool ? 2 : 4, j0 = tile * side;
    Tile<Lanes> m;
    Outputs<Lanes> z;
    UNROLL for (int p = 0; p < 6; ++p)
        UNROLL for (int q = 0; q < 6; ++q)
            m[p][q] = read<Lanes>(M + (p * 6 + q) * matrix + tile * F + f);
    // coalesced: the line above, which reads M[…], for neighbouring (tile, f)
    on_both_sides(A_T, m, z);
    if (pool)
        UNROLL for (int i = 0; i < 2; ++i)
            UNROLL for (int j = 0; j < 2; ++j)
                z[i][j] = larger(larger(z[2 * i][2 * j], z[2 * i][2 * j + 1]),
                                 larger(z[2 * i + 1][2 * j], z[2 * i + 1][2 * j + 1]));
    const Lanes bias = read<Lanes>(b + f), zero = {};
    UNROLL for (int i = 0; i < 4; ++i)
        UNROLL for (int j = 0; j < 4; ++j) {
            if (i >= side || j >= side || i0 + i >= OH || j0 + j >= OW) continue;
            Lanes value = z[i][j] + bias;
            if (relu) value = value < zero ? zero : value;  // NaN stays: no NaN < 0
            write(y + ((int64)(i0 + i) * OW + j0 + j) * F + f, value);
            // coalesced: the line above, which writes y[…], in runs of F neighbours
        }
}

// y (N, OH, OW, F), of which each tile makes 4 × 4; with pool the largest of each 2 × 2, OH and OW
// then being half as many, of which each tile makes 2 × 2. Rounding and max(·, 0) keep the order of
// numbers, so b and ReLU may follow the maximum.
extern "C" __global__ void winograd_outputs(const real* M, int64 matrix, const real* b, real* y,
                                            int64 first, int64 rows, int TH, int TW, int OH,
                                            int OW, int F, int relu, int pool) {
    EACH_ROW(row, rows) {
        const int64 n = (first + row) / TH;
        const int i0 = (int)(first + row - n * TH) * (pool ? 2 : 4);
        EACH_CHANNEL(TW, F, transform_outputs, M + row * TW * F, matrix, b,
                     y + n * OH * OW * F, i0, OH, OW, F, relu, pool);
    }
}
