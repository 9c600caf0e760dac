// Step 7, tensor cores in TF32: a warp multiplies 16 × 8 by 8 × 8 numbers with one instruction.
//
//                    <- 64 filters ->      4 warps, 2 × 2 of them; each makes 64 × 32 of Z by
//                  +--------+-------+      4 × 4 products of the tensor cores for every 8 columns.
//               16 |   tile of W    |      Which lane holds what of them: tensor_core.h.
//                  +--------+-------+
//       16                                 Rounding: x and W keep 11 of their 24 binary digits, the
//     +------+     +--------+-------+      sums all. Off by about 3e-4 of the largest output.
//     |      |     | warp 0 |   2   |
// 128 | tile |     |        |       |      Copies and buffers are those of step 6. A row of tile_W
//     | of X |     +--------+-------+      is 72 numbers: the 32 lanes of a warp, which read 4 rows
//     |      |     |      1 |   3   |      × 8 columns of it, find them in 32 banks; and so in
//     +------+     +--------+-------+      tile_x, of which they read 8 rows × 4 columns.
// Per warp: tensor_cores: x 16, W 16, z 8 transactions; 0 read, 0 write conflicts
#include "ladder/ladder.h"
#include "tensor_core.h"

static_assert(sizeof(real) == 4, "expected float32: the tensor cores take TF32");

extern "C" __global__ void __launch_bounds__(128) tensor_cores(
    const real* x, const real* W, real* z, int64 M, int F, int H, int Wd, int C, int OH, int OW,
    int KH, int KW, int SH, int SW, int top, int left) {
    const Geometry g = {H, Wd, C, OH, OW, KH, KW, SH, SW, top, left};
    __shared__ __align__(16) real tile_x[2][128][20], tile_W[2][16][72];
    const int t = threadIdx.x, D = KH * KW * C;
    const int group = t % 32 / 4, s = t % 4;             // the lane is 4·group + s
    const int m0 = t / 32 % 2 * 64, n0 = t / 64 * 32;    // where this warp's part of Z begins
    const int64 first = (int64)blockIdx.x * 128;
    const int f0 = blockIdx.y * 64, mine = copied_row(t);
    Corner corner[4];  // this thread copies columns 4·(t % 4) … of rows mine + 32·a of X's tile
    for (int a = 0; a < 4; ++a) corner[a] = corner_of(first + mine + 32 * a, M, g);
    Column d = {0, 0, 0};
    advance(d, t % 4 * 4, g);
    int next = 0;  // the columns that the next copy begins with
    auto copy_next = [&](int to) {
        for (int a = 0; a < 4; ++a) {
            const bool there = is_inside(corner[a], d, g);
            copy_async(&tile_x[to][mine + 32 * a][t % 4 * 4],
                       there ? &x[place_of(corner[a], d, g)] : x, there);
        }
        for (int a = 0; a < 2; ++a) {
            const int row = t / 16 + 8 * a, f = f0 + t % 16 * 4;
            const bool there = next + row < D && f < F;
            copy_async(&tile_W[to][row][t % 16 * 4],
                       there ? &W[(int64)(next + row) * F + f] : W, there);
        }
        commit_copies();
        next += 16, advance(d, 16, g);
    };

    float sum[4][4][4] = {};
    copy_next(0);
    for (int d0 = 0, now = 0; d0 < D; d0 += 16, now ^= 1) {
        copy_next(now ^ 1);
        wait_copies<1>();  // this step's have arrived, the next ones may be on their way
        __syncthreads();   // … and those of all threads
        for (int k = 0; k < 16; k += 8) {
            unsigned a[4][4], b[4][2];
            for (int i = 0; i < 4; ++i)
                for (int e = 0; e < 4; ++e)
                    a[i][e] = tf32(tile_x[now][m0 + 16 * i + group + e % 2 * 8][k + s + e / 2 * 4]);
            for (int j = 0; j < 4; ++j)
                for (int e = 0; e < 2; ++e)
                    b[j][e] = tf32(tile_W[now][k + s + 4 * e][n0 + 8 * j + group]);
            for (int i = 0; i < 4; ++i)
                for (int j = 0; j < 4; ++j) mma(sum[i][j], a[i], b[j]);
        }
        __syncthreads();  // all have read: these tiles may be overwritten
    }
    for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j)
            for (int e = 0; e < 4; ++e) {
                const int64 m = first + m0 + 16 * i + group + e / 2 * 8;
                const int f = f0 + n0 + 8 * j + 2 * s + e % 2;
                if (m < M && f < F) z[m * F + f] = sum[i][j][e];
            }
}
