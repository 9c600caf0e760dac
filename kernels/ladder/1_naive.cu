// Step 1, naive: a thread for each element of Z; neighbouring threads take neighbouring pixels.
//
//     thread    0      1      2     …     all 32 of a warp read the same number of W, but each its
//     pixel     m     m + 1  m + 2  …     own of x, C numbers from the next: 32 transactions for 32
//     filter    f      f      f     …     numbers. They write z as far apart, F numbers.
//
// Two numbers are read for one multiply-add. Blocks of 32 pixels × 8 filters.
// Per warp: naive: x 32, W 1, z 32 transactions; no shared memory
#include "ladder/ladder.h"

extern "C" __global__ void naive(
    const real* x, const real* W, real* z, int64 M, int F, int H, int Wd, int C, int OH, int OW,
    int KH, int KW, int SH, int SW, int top, int left) {
    const Geometry g = {H, Wd, C, OH, OW, KH, KW, SH, SW, top, left};
    const int64 m = (int64)blockIdx.x * 32 + threadIdx.x;
    const int f = blockIdx.y * 8 + threadIdx.y;
    if (m >= M || f >= F) return;
    const Corner corner = corner_of(m, M, g);
    real sum = 0;
    for (int p = 0, d = 0; p < KH; ++p)
        for (int q = 0; q < KW; ++q, d += C) {
            if (!is_inside(corner, {p, q, 0}, g)) continue;
            const real* from = x + place_of(corner, {p, q, 0}, g);
            for (int c = 0; c < C; ++c) sum += from[c] * W[(int64)(d + c) * F + f];
        }
    z[m * F + f] = sum;
}
