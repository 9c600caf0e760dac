// Step 3, tiles in shared memory: a block reads each number once for all of its threads.
//
//                <- 16 filters ->      A block makes a tile of 16 × 16 of Z, a thread for each
//               +----------------+     element. It walks along D, 16 columns a step: 16 × 16 of
//            16 |    tile of W   |     X_col and 16 × 16 of W go to shared memory, then each thread
//               +----------------+     multiplies a row of the one by a column of the other.
//       16
//     +------+  +----------------+     A number that comes from memory is used 16 times. But from
//  16 | tile |  |    tile of Z   |     shared memory still two are read for one multiply-add.
//     | of X |  |                |
//     +------+  +----------------+
// Per warp: tiles: x 4, W 4, z 4 transactions; 0 read, 0 write conflicts
#include "ladder/ladder.h"

extern "C" __global__ void tiles(
    const real* x, const real* W, real* z, int64 M, int F, int H, int Wd, int C, int OH, int OW,
    int KH, int KW, int SH, int SW, int top, int left) {
    const Geometry g = {H, Wd, C, OH, OW, KH, KW, SH, SW, top, left};
    __shared__ real tile_x[16][16], tile_W[16][16];
    const int tx = threadIdx.x, ty = threadIdx.y, D = KH * KW * C;
    const int64 m = (int64)blockIdx.x * 16 + ty;
    const int f = blockIdx.y * 16 + tx;
    const Corner corner = corner_of(m, M, g);
    Column d = {0, 0, 0};
    advance(d, tx, g);  // this thread loads column tx of every step
    real sum = 0;
    for (int d0 = 0; d0 < D; d0 += 16, advance(d, 16, g)) {
        tile_x[ty][tx] = is_inside(corner, d, g) ? x[place_of(corner, d, g)] : (real)0;
        tile_W[ty][tx] = d0 + ty < D && f < F ? W[(int64)(d0 + ty) * F + f] : (real)0;
        __syncthreads();  // the tiles are whole
        for (int k = 0; k < 16; ++k) sum += tile_x[ty][k] * tile_W[k][tx];
        __syncthreads();  // all have read: the next tiles may come
    }
    if (m < M && f < F) z[m * F + f] = sum;
}
