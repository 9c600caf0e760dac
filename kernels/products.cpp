// Products of matrices with vectors: what lies between winograd.cu's transforms, on a processor.
//
//     V (36, T, C)          U (36, panels, C, ≤ 32)              M (36, T, F)
//
//     +-----------+         +--+ +--+ +--+      panels of 32     +--+--------+
//   12|===========|    ×    |  | |  | |  |      filters, a   =   |##|        | 12 × 32 sums
//     |           |  C      |  | |  | |  |      row after the    |  |        | stay in registers
//     +-----------+         +--+ +--+ +--+      other            +--+--------+
//
// A library's product first copies its matrices into such an order, every time: it does not know that
// V and U have just been made, and are small. Here winograd_kernels has written U so. One step of c
// reads 32 numbers of U and 12 of V and multiplies each with each: 384 multiply-adds for 44 numbers
// read (float with AVX-512; registers that are narrower, or fewer, hold fewer sums: 2·LANES, ROWS). 256
// rows of a panel stay in the first-level cache while all tiles pass, the whole panel in the second.
//
// No GPU runs this file. __global__ marks the functions that Python calls, as in a .cu file.
//
// Source: Goto & van de Geijn, "Anatomy of high-performance matrix multiplication", 2008.
#include "common.h"

const int PANEL = 32;  // filters; those that are left over make a last, narrower panel
// Rows that are multiplied at the same time, by two registers: as many as 32 registers hold, or 16.
#if defined(__AVX512F__) || defined(__aarch64__)
const int ROWS = 12;
#else
const int ROWS = 6;
#endif
// Numbers of a row that are: of a panel 32 KB then, which the first-level cache holds.
const int DEPTH = 256;

// z = v · u, or with `add` z += v · u: v (ROWS_NOW, depth), u (depth, COLUMNS · Lanes). Rows of v lie v_row
// numbers apart, of u u_row, of z z_row. TRANSPOSED: it is the columns of v that lie v_row apart.
template <typename Lanes, int ROWS_NOW, int COLUMNS, bool TRANSPOSED>
__device__ void multiply(const real* v, const real* u, real* z, int depth, int v_row, int u_row, int z_row,
                         int add) {
    const int width = sizeof(Lanes) / sizeof(real);
    Lanes sums[ROWS_NOW][COLUMNS];
    UNROLL for (int r = 0; r < ROWS_NOW; ++r)
        UNROLL for (int j = 0; j < COLUMNS; ++j)
            sums[r][j] = add ? read<Lanes>(z + (int64)r * z_row + j * width) : Lanes{};
    for (int k = 0; k < depth; ++k) {
        Lanes right[COLUMNS];
        UNROLL for (int j = 0; j < COLUMNS; ++j) right[j] = read<Lanes>(u + (int64)k * u_row + j * width);
        UNROLL for (int r = 0; r < ROWS_NOW; ++r) {
            const real left = TRANSPOSED ? v[(int64)k * v_row + r] : v[(int64)r * v_row + k];
            UNROLL for (int j = 0; j < COLUMNS; ++j) sums[r][j] += left * right[j];
        }
    }
    UNROLL for (int r = 0; r < ROWS_NOW; ++r)
        UNROLL for (int j = 0; j < COLUMNS; ++j) write(z + (int64)r * z_row + j * width, sums[r][j]);
}

// The same for any number of rows.
template <typename Lanes, int COLUMNS, bool TRANSPOSED>
__device__ void multiply_rows(const real* v, const real* u, real* z, int64 rows, int depth, int v_row,
                              int u_row, int z_row, int add) {
    const int64 next = TRANSPOSED ? 1 : v_row;  // from a row of v to the next
    int64 r = 0;
    for (; r + ROWS <= rows; r += ROWS)
        multiply<Lanes, ROWS, COLUMNS, TRANSPOSED>(v + r * next, u, z + r * z_row, depth, v_row, u_row,
                                                   z_row, add);
    for (; r + 4 <= rows; r += 4)
        multiply<Lanes, 4, COLUMNS, TRANSPOSED>(v + r * next, u, z + r * z_row, depth, v_row, u_row, z_row,
                                                add);
    for (; r < rows; ++r)
        multiply<Lanes, 1, COLUMNS, TRANSPOSED>(v + r * next, u, z + r * z_row, depth, v_row, u_row, z_row,
                                                add);
}

// The same for any number of columns, at most a panel.
template <bool TRANSPOSED>
__device__ void multiply_panel(const real* v, const real* u, real* z, int64 rows, int depth, int columns,
                               int v_row, int u_row, int z_row, int add) {
    int f = 0;
    for (; f + 2 * LANES <= columns; f += 2 * LANES)
        multiply_rows<Vector, 2, TRANSPOSED>(v, u + f, z + f, rows, depth, v_row, u_row, z_row, add);
    for (; f + LANES <= columns; f += LANES)
        multiply_rows<Vector, 1, TRANSPOSED>(v, u + f, z + f, rows, depth, v_row, u_row, z_row, add);
    for (; f < columns; ++f)
        multiply_rows<real, 1, TRANSPOSED>(v, u + f, z + f, rows, depth, v_row, u_row, z_row, add);
}

// M[k] (T, F) = V[k] (T, C) · U[k] (C, F) for the 36 positions k of a tile, or with `add` M[k] += V[k] · U[k].
// Matrices of V, U and M lie V_matrix, U_matrix and M_matrix numbers apart, rows of V and M V_row and
// M_row.
extern "C" __global__ void winograd_products(const real* V, const real* U, real* M, int64 V_matrix,
                                             int64 U_matrix, int64 M_matrix, int64 T, int C, int F,
                                             int V_row, int M_row, int add) {
    for (int k = 0; k < 36; ++k)
        for (int f = 0; f < F; f += PANEL)
            for (int c = 0; c < C; c += DEPTH) {
                const int columns = min(PANEL, F - f);
                multiply_panel<false>(V + k * V_matrix + c, U + k * U_matrix + (int64)f * C + c * columns,
                                      M + k * M_matrix + f, T, min(DEPTH, C - c), columns, V_row, columns,
                                      M_row, add || c > 0);
            }
}

// dU[k] (channels, F) = V[k] (T, channels)ᵀ · dM[k] (T, F), or with `add` dU[k] += …: of the C channels
// of V and dU the `channels` from the pointers on. Matrices of V, dM and dU lie V_matrix, M_matrix and
// U_matrix numbers apart.
extern "C" __global__ void winograd_gradient_products(const real* V, const real* dM, real* dU,
                                                      int64 V_matrix, int64 M_matrix, int64 U_matrix, int64 T,
                                                      int channels, int C, int F, int add) {
    // Some rows of dM, which lie F numbers apart, are copied into a panel: each of its numbers is then read
    // once for every 12 channels.
    real panel[DEPTH * PANEL];
    for (int k = 0; k < 36; ++k)
        for (int f = 0; f < F; f += PANEL)
            for (int64 t = 0; t < T; t += DEPTH) {
                const int depth = (int)(T - t < DEPTH ? T - t : DEPTH), columns = min(PANEL, F - f);
                const real* rows = dM + k * M_matrix + t * F + f;
                for (int row = 0; row < depth; ++row)
                    memcpy(panel + row * columns, rows + (int64)row * F, columns * sizeof(real));
                multiply_panel<true>(V + k * V_matrix + t * C, panel, dU + k * U_matrix + f, channels, depth,
                                     columns, C, columns, F, add || t > 0);
            }
}

// rotated (positions, F, C) = W (positions, C, F), the last position first: the kernels rotated by 180°,
// with which a convolution of dz gives dx. Channels begin … end − 1, in squares that stay in the cache.
extern "C" __global__ void rotate_kernels(const real* W, real* rotated, int begin, int end, int positions,
                                          int C, int F) {
    const int SIDE = 16;
    for (int k = 0; k < positions; ++k)
        for (int c0 = begin; c0 < end; c0 += SIDE)
            for (int f0 = 0; f0 < F; f0 += SIDE)
                for (int f = f0; f < min(f0 + SIDE, F); ++f)
                    for (int c = c0; c < min(c0 + SIDE, end); ++c)
                        rotated[((int64)(positions - 1 - k) * F + f) * C + c] =
                            W[((int64)k * C + c) * F + f];
}

// sums (F,) = the sum of the rows of x (rows, F): the gradient of a bias. Row by row, as they lie in memory,
// for 8 registers of columns at a time: an addition takes four cycles, and two begin in each.
template <typename Lanes, int COLUMNS>
__device__ void sum_columns(const real* x, real* sums, int64 rows, int F) {
    const int width = sizeof(Lanes) / sizeof(real);
    Lanes sum[COLUMNS];
    UNROLL for (int j = 0; j < COLUMNS; ++j) sum[j] = Lanes{};
    for (int64 row = 0; row < rows; ++row)
        UNROLL for (int j = 0; j < COLUMNS; ++j) sum[j] += read<Lanes>(x + row * F + j * width);
    UNROLL for (int j = 0; j < COLUMNS; ++j) write(sums + j * width, sum[j]);
}
extern "C" __global__ void sum_rows(const real* x, real* sums, int64 rows, int F) {
    int f = 0;
    for (; f + 8 * LANES <= F; f += 8 * LANES) sum_columns<Vector, 8>(x + f, sums + f, rows, F);
    for (; f + 4 * LANES <= F; f += 4 * LANES) sum_columns<Vector, 4>(x + f, sums + f, rows, F);
    for (; f + LANES <= F; f += LANES) sum_columns<Vector, 1>(x + f, sums + f, rows, F);
    for (; f < F; ++f) sum_columns<real, 1>(x + f, sums + f, rows, F);
}
