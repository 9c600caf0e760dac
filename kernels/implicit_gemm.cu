// Implicit GEMM: a convolution as a matrix product whose column matrix is never written.
//
//     Z (M, F) = X_col (M, D) @ W2d (D, F),   M = N·OH·OW pixels, D = KH·KW·C, F filters
//
//                     <- 64 filters ->            A block makes a tile of 64 × 64 of Z. It walks
//                   +----------------+            along D, 16 columns a step: 64 × 16 of X_col
//                16 |    tile of W   |            and 16 × 64 of W go to shared memory, then all
//                   +----------------+            threads multiply what lies there.
//        16
//     +------+      +----------------+            Each of the 16 × 16 threads keeps 4 × 4 sums
//  64 | tile |      |    tile of Z   |            in registers: 16 products for 8 numbers read
//     | of X |      |                |            from shared memory, not 1 for 2.
//     +------+      +----------------+
//       ----> D
//
// Element (m, d) of X_col is found when it is needed: m is (n, i, j), d is (p, q, c), and there
// stands x[n, i·SH + p − top, j·SW + q − left, c], or 0 outside the image.
//
// Who:   thread (tx, ty) computes rows ty + 16·a and columns tx + 16·b of the tile, a, b = 0 … 3.
// Bytes: a step of a block reads 2 · 64 · 16 numbers, 8 kB in float, and does 2 · 64 · 64 · 16 =
//        131,072 flops: 16 flops a byte, against 1/4 if every product read its two numbers. cols of
//        block1_conv2, 116 MB written and read again for one photo, are never in memory.
// Banks: a warp (32 threads) is two ty and sixteen tx. Columns tx + 16·b of W's tile are 16
//        neighbouring banks; of X's tile it reads two numbers, each given to 16 threads at once,
//        and writes two rows of 16, side by side. So no two threads want different words of one
//        bank.
// Source: Chetlur et al., "cuDNN: efficient primitives for deep learning", 2014; Volkov & Demmel
//        2008 for the 4 × 4 in registers.
// Per warp: implicit_gemm: x 4, W 4, z 4 transactions; 0 read, 0 write conflicts
#include "common.h"

extern "C" __global__ void implicit_gemm(const real* x, const real* W, real* z, int64 M, int F,
                                         int H, int Wd, int C, int OH, int OW, int KH, int KW,
                                         int SH, int SW, int top, int left) {
    __shared__ real tile_x[64][16], tile_W[16][64];
    const int tx = threadIdx.x, ty = threadIdx.y, t = ty * 16 + tx, D = KH * KW * C;
    const int64 first = (int64)blockIdx.x * 64;
    const int f0 = blockIdx.y * 64;

    // This thread loads column t % 16 of X's tile, rows t / 16 + 16·a. Where their windows begin:
    int64 corner[4];         // as a place in x
    int above[4], before[4];  // as a row and a column of the image
    for (int a = 0; a < 4; ++a) {
        const int64 m = first + t / 16 + 16 * a, line = m / OW;  // line: n·OH + i
        above[a] = m < M ? (int)(line % OH) * SH - top : H;      // no such pixel: below the image
        before[a] = (int)(m % OW) * SW - left;
        corner[a] = ((line / OH * H + above[a]) * Wd + before[a]) * C;
    }

    real sum[4][4] = {};
    for (int d0 = 0; d0 < D; d0 += 16) {
        const int d = d0 + t % 16, c = d % C, q = d / C % KW, p = d / C / KW;
        for (int a = 0; a < 4; ++a) {
            const int h = above[a] + p, w = before[a] + q;
            real value = 0;
            if (d < D && h >= 0 && h < H && w >= 0 && w < Wd)
                value = x[corner[a] + (int64)(p * Wd + q) * C + c];  // coalesced: runs of 16 c
            tile_x[t / 16 + 16 * a][t % 16] = value;
        }
        for (int a = 0; a < 4; ++a) {
            const int row = t / 64 + 4 * a, f = f0 + t % 64;
            tile_W[row][t % 64] = d0 + row < D && f < F
                ? W[(int64)(d0 + row) * F + f] : (real)0;  // coalesced: neighbouring f
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
            if (m < M && f < F) z[m * F + f] = sum[a][b];  // coalesced: runs of 16 f
        }
}
