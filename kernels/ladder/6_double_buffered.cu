// Step 6, double-buffered with cp.async: the next tiles come while the block multiplies.
//
//     tiles 0   | copy 0 | multiply 0      | copy 2 …        | multiply 2
//     tiles 1            | copy 1 …        | multiply 1      | copy 3 …
//                         ---------------> time
//
//     A copy goes from memory to shared memory past the registers: nobody waits for it before the
//     tiles are needed. So X's tile is not turned; four neighbouring columns are one float4, and
//     four steps of k are done with what is read at once.
//
// Rows of tile_x are 20 numbers long: 16-byte pieces at multiples of 16, and 8 rows in 8 different
// groups of 4 banks. For compute capability 8.0 and newer.
// Per warp: double_buffered: x 16, W 16, z 16 transactions; 0 read, 0 write conflicts
#include "ladder/ladder.h"
#include "tensor_core.h"

static_assert(sizeof(real) == 4, "expected float32: a float4 holds four floats");

extern "C" __global__ void __launch_bounds__(128) double_buffered(
    const real* x, const real* W, real* z, int64 M, int F, int H, int Wd, int C, int OH, int OW,
    int KH, int KW, int SH, int SW, int top, int left) {
    const Geometry g = {H, Wd, C, OH, OW, KH, KW, SH, SW, top, left};
    __shared__ __align__(16) real tile_x[2][128][20], tile_W[2][16][64];
    const int tx = threadIdx.x, ty = threadIdx.y, t = ty * 8 + tx, D = KH * KW * C;
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

    real sum[8][8] = {};
    copy_next(0);
    for (int d0 = 0, now = 0; d0 < D; d0 += 16, now ^= 1) {
        copy_next(now ^ 1);
        wait_copies<1>();  // this step's have arrived, the next ones may be on their way
        __syncthreads();   // … and those of all threads
        for (int k0 = 0; k0 < 16; k0 += 4) {
            real columns[8][4];  // four columns of this thread's rows ty + 16·a
            for (int a = 0; a < 8; ++a) get4(columns[a], &tile_x[now][ty + 16 * a][k0]);
            for (int k = 0; k < 4; ++k) {
                real row[8];
                for (int h = 0; h < 2; ++h)
                    get4(&row[4 * h], &tile_W[now][k0 + k][32 * h + 4 * tx]);
                for (int a = 0; a < 8; ++a)
                    for (int b = 0; b < 8; ++b) sum[a][b] += columns[a][k] * row[b];
            }
        }
        __syncthreads();  // all have read: these tiles may be overwritten
    }
    for (int a = 0; a < 8; ++a)
        for (int h = 0; h < 2; ++h) {
            const int64 m = first + ty + 16 * a;
            const int f = f0 + 32 * h + 4 * tx;
            const real* four = &sum[a][4 * h];
            if (m < M && f < F)
                *(float4*)&z[m * F + f] = make_float4(four[0], four[1], four[2], four[3]);
        }
}
