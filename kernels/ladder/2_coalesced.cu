// Step 2, coalesced: as step 1, but neighbouring threads take neighbouring filters.
//
//     thread    0      1      2     …     all 32 of a warp read the same number of x and 32
//     pixel     m      m      m     …     neighbours of W, and write 32 neighbours of z: as few
//     filter    f     f + 1  f + 2  …     transactions as there can be.
//
// Still two numbers are read for one multiply-add. Blocks of 8 pixels × 32 filters.
// Per warp: coalesced: x 1, W 4, z 4 transactions; no shared memory
#include "ladder/ladder.h"

extern "C" __global__ void coalesced(
    const real* x, const real* W, real* z, int64 M, int F, int H, int Wd, int C, int OH, int OW,
    int KH, int KW, int SH, int SW, int top, int left) {
    const Geometry g = {H, Wd, C, OH, OW, KH, KW, SH, SW, top, left};
    const int64 m = (int64)blockIdx.x * 8 + threadIdx.y;
    const int f = blockIdx.y * 32 + threadIdx.x;
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
