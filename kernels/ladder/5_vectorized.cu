// Step 5, vectorized: 8 × 8 elements of Z a thread, and four numbers by one instruction (float4).
//
//     8 × 16 threads, a tile of 128 × 64 of Z. Thread (tx, ty) makes rows 4·ty … 4·ty + 3 and those
//     64 further down, columns 4·tx … 4·tx + 3 and those 32 further right:
//
//     tile_x, turned: [column][row]      so that four neighbouring rows are one float4. 4 of them
//                                        are read for 64 multiply-adds.
//
// C and F must be multiples of 4: four neighbours of x have one p and q, and lie at a multiple of
// 16 bytes. Writing the turned tile costs conflicts: a warp writes 8 rows of 4 columns that lie
// 4·132 numbers apart, 16 banks.
// Per warp: vectorized: x 16, W 16, z 16 transactions; 0 read, 0.9 write conflicts
#include "ladder/ladder.h"

static_assert(sizeof(real) == 4, "expected float32: a float4 holds four floats");

extern "C" __global__ void __launch_bounds__(128) vectorized(
    const real* x, const real* W, real* z, int64 M, int F, int H, int Wd, int C, int OH, int OW,
    int KH, int KW, int SH, int SW, int top, int left) {
    const Geometry g = {H, Wd, C, OH, OW, KH, KW, SH, SW, top, left};
    __shared__ __align__(16) real tile_x[16][132], tile_W[16][64];
    const int tx = threadIdx.x, ty = threadIdx.y, t = ty * 8 + tx, D = KH * KW * C;
    const int64 first = (int64)blockIdx.x * 128;
    const int f0 = blockIdx.y * 64, s = t % 4;
    Corner corner[4];  // this thread loads columns 4·s … 4·s + 3 of rows t / 4 + 32·a
    for (int a = 0; a < 4; ++a) corner[a] = corner_of(first + t / 4 + 32 * a, M, g);
    Column d = {0, 0, 0};
    advance(d, 4 * s, g);
    real sum[8][8] = {};
    for (int d0 = 0; d0 < D; d0 += 16, advance(d, 16, g)) {
        for (int a = 0; a < 4; ++a) {
            float4 four = make_float4(0, 0, 0, 0);
            if (is_inside(corner[a], d, g)) four = *(const float4*)&x[place_of(corner[a], d, g)];
            const int row = t / 4 + 32 * a;
            tile_x[4 * s][row] = four.x, tile_x[4 * s + 1][row] = four.y;
            tile_x[4 * s + 2][row] = four.z, tile_x[4 * s + 3][row] = four.w;
        }
        for (int a = 0; a < 2; ++a) {
            const int row = t / 16 + 8 * a, f = f0 + t % 16 * 4;
            float4 four = make_float4(0, 0, 0, 0);
            if (d0 + row < D && f < F) four = *(const float4*)&W[(int64)(d0 + row) * F + f];
            *(float4*)&tile_W[row][t % 16 * 4] = four;
        }
        __syncthreads();  // the tiles are whole
        for (int k = 0; k < 16; ++k) {
            real column[8], row[8];
            for (int h = 0; h < 2; ++h) {
                get4(&column[4 * h], &tile_x[k][64 * h + 4 * ty]);
                get4(&row[4 * h], &tile_W[k][32 * h + 4 * tx]);
            }
            for (int a = 0; a < 8; ++a)
                for (int b = 0; b < 8; ++b) sum[a][b] += column[a] * row[b];
        }
        __syncthreads();  // all have read: the next tiles may come
    }
    for (int a = 0; a < 8; ++a)
        for (int h = 0; h < 2; ++h) {
            const int64 m = first + a / 4 * 64 + 4 * ty + a % 4;
            const int f = f0 + 32 * h + 4 * tx;
            const real* four = &sum[a][4 * h];
            if (m < M && f < F)
                *(float4*)&z[m * F + f] = make_float4(four[0], four[1], four[2], four[3]);
        }
}
