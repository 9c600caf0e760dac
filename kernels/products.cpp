// Products of matrices with vectors: what lies between winograd.cu's transforms, on a processor.
//
//     V (36, T, C)          U (36, panels, C, 32)                M (36, T, F)
//
//     +-----------+         +--+ +--+ +--+      panels of 32     +--+--------+
//   12|===========|    ×    |  | |  | |  |      filters, a   =   |##|        | 12 × 32 sums
//     |           |  C      |  | |  | |  |      row after the    |  |        | stay in registers
//     +-----------+         +--+ +--+ +--+      other            +--+--------+
//
// A library's product first copies its matrices into such an order, every time: it does not know that
// V and U have just been made, and are small. Here winograd_kernels has written U so. One step of c
// reads 32 numbers of U and 12 of V and multiplies each with each: 384 multiply-adds for 44 numbers
// read (with AVX-512; registers that are narrower, or fewer, hold fewer sums: WIDTH, ROWS). The panel
// stays in the second-level cache while all tiles pass.
//
// Source: Goto & van de Geijn, "Anatomy of high-performance matrix multiplication", 2008.
#include "common.h"

const int WIDTH = 2 * LANES;  // numbers of a row that are summed at the same time
// Rows that are: as many as 32 registers hold, or 16.
#if defined(__AVX512F__) || defined(__aarch64__)
const int ROWS = 12;
#else
const int ROWS = 6;
#endif

const int CHANNELS = 256;  // of U that are multiplied at a time: with WIDTH = 32, 32 KB, which L1 holds

// z (ROWS, WIDTH) = v (ROWS, C) · u (C, WIDTH), or with `add` z += v · u; rows of v lie v_row numbers apart,
// of u `panel`, of z z_row.
template <int ROWS_NOW>
__device__ void multiply(const real* v, const real* u, real* z, int C, int v_row, int panel, int z_row,
                         int add) {
    Vector sums[ROWS_NOW][2];
    UNROLL for (int r = 0; r < ROWS_NOW; ++r) {
        sums[r][0] = add ? read<Vector>(z + (int64)r * z_row) : Vector{};
        sums[r][1] = add ? read<Vector>(z + (int64)r * z_row + LANES) : Vector{};
    }
    for (int c = 0; c < C; ++c) {
        const Vector left = read<Vector>(u + (int64)c * panel);
        const Vector right = read<Vector>(u + (int64)c * panel + LANES);
        UNROLL for (int r = 0; r < ROWS_NOW; ++r) {
            sums[r][0] += v[(int64)r * v_row + c] * left;
            sums[r][1] += v[(int64)r * v_row + c] * right;
        }
    }
    UNROLL for (int r = 0; r < ROWS_NOW; ++r) {
        write(z + (int64)r * z_row, sums[r][0]);
        write(z + (int64)r * z_row + LANES, sums[r][1]);
    }
}

// M[k] (T, filters) = V[k] (T, C) · U[k] (C, filters) for the 36 positions k of a tile, or with `add`
// M[k] += V[k] · U[k]. Matrices of V, U and M lie V_matrix, U_matrix and M_matrix numbers apart, rows of V
// and M V_row and M_row. panel: a multiple of WIDTH.
extern "C" __global__ void winograd_products(const real* V, const real* U, real* M, int64 V_matrix,
                                             int64 U_matrix, int64 M_matrix, int64 T, int C, int V_row,
                                             int M_row, int filters, int panel, int add) {
    for (int k = 0; k < 36; ++k)
        for (int f = 0; f < filters; f += WIDTH)
            for (int c = 0; c < C; c += CHANNELS) {
                const real* v = V + k * V_matrix + c;
                const real* u = U + k * U_matrix + (int64)(f / panel * panel) * C + c * panel + f % panel;
                real* z = M + k * M_matrix + f;
                const int count = min(CHANNELS, C - c), sum = add || c > 0;
                int64 t = 0;
                for (; t + ROWS <= T; t += ROWS)
                    multiply<ROWS>(v + t * V_row, u, z + t * M_row, count, V_row, panel, M_row, sum);
                for (; t + 4 <= T; t += 4)
                    multiply<4>(v + t * V_row, u, z + t * M_row, count, V_row, panel, M_row, sum);
                for (; t < T; ++t)
                    multiply<1>(v + t * V_row, u, z + t * M_row, count, V_row, panel, M_row, sum);
            }
}

// sums (F,) = the sum of the rows of x (rows, F): the gradient of a bias. Four sums for each column, of
// every fourth row, since an addition takes four cycles and two begin in each.
template <typename Lanes>
__device__ void sum_column(int f, const real* x, real* sums, int64 rows, int F) {
    Lanes sum[4] = {};
    int64 row = 0;
    for (; row + 4 <= rows; row += 4)
        UNROLL for (int k = 0; k < 4; ++k) sum[k] += read<Lanes>(x + (row + k) * F + f);
    for (; row < rows; ++row) sum[0] += read<Lanes>(x + row * F + f);
    write(sums + f, (sum[0] + sum[1]) + (sum[2] + sum[3]));
}
extern "C" __global__ void sum_rows(const real* x, real* sums, int64 rows, int F) {
    EACH_LANE(F, sum_column, x, sums, rows, F);
}
