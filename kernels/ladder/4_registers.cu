// Step 4, 4 × 4 in registers: each thread makes 16 elements of Z, as in ../implicit_gemm.cu.
//
//     thread (tx, ty) of 16 × 16: rows ty + 16·a and columns tx + 16·b of a tile of 64 × 64
//
//                 row[0] row[1] row[2] row[3]      8 numbers read from shared memory, 16
//     column[0]  |  +      +      +      +         multiply-adds. A number that comes from memory
//     column[1]  |  +      +      +      +         is used 64 times.
//     column[2]  |  +      +      +      +
//     column[3]  |  +      +      +      +
// Per warp: registers: x 4, W 4, z 4 transactions; 0 read, 0 write conflicts
#include "ladder/ladder.h"

extern "C" __global__ void registers(
    const real* x, const real* W, real* z, int64 M, int F, int H, int Wd, int C, int OH, int OW,
    int KH, int KW, int SH, int SW, int top, int left) {
    const Geometry g = {H, Wd, C, OH, OW, KH, KW, SH, SW, top, left};
    __shared__ real tile_x[64][16], tile_W[16][64];
    const int tx = threadIdx.x, ty = threadIdx.y, t = ty * 16 + tx, D = KH * KW * C;
    const int64 first = (int64)blockIdx.x * 64;
    const int f0 = blockIdx.y * 64;
    Corner corner[4];  // this thread loads column tx of rows ty + 16·a of X's tile
    for (int a = 0; a < 4; ++a) corner[a] = corner_of(first + ty + 16 * a, M, g);
    Column d = {0, 0, 0};
    advance(d, tx, g);
    real sum[4][4] = {};
    for (int d0 = 0; d0 < D; d0 += 16, advance(d, 16, g)) {
        for (int a = 0; a < 4; ++a)
            tile_x[ty + 16 * a][tx] =
                is_inside(corner[a], d, g) ? x[place_of(corner[a], d, g)] : (real)0;
        for (int a = 0; a < 4; ++a) {
            const int row = t / 64 + 4 * a, f = f0 + t % 64;
            tile_W[row][t % 64] = d0 + row < D && f < F ? W[(int64)(d0 + row) * F + f] : (real)0;
        }
        __syncthreads();  // the tiles are whole
        for (int k = 0; k < 16; ++k) {
            real column[4], row[4];
            for (int a = 0; a < 4; ++a) column[a] = tile_x[ty + 16 * a][k];
            for (int b = 0; b < 4; ++b) row[b] = tile_W[k][tx + 16 * b];
            for (int a = 0; a < 4; ++a)
                for (int b = 0; b < 4; ++b) sum[a][b] += column[a] * row[b];
        }
        __syncthreads();  // all have read: the next tiles may come
    }
    for (int a = 0; a < 4; ++a)
        for (int b = 0; b < 4; ++b) {
            const int64 m = first + ty + 16 * a;
            const int f = f0 + tx + 16 * b;
            if (m < M && f < F) z[m * F + f] = sum[a][b];
        }
}
