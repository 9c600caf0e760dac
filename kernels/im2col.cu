// im2col: a convolution becomes one matrix product. col2im: the way back, for dx.
//
//     x (N, H, Wd, C), zeros around it           cols (rows, OW, KH, KW, C)
//     only in our thoughts, never in memory
//
//     0   0   0   0   0   0                      one output row i -> one row of cols:
//       +---------------+                        j=0: [0 0 0][0 a b][0 e f]
//     0 | a   b   c   d | 0                      j=1: [0 0 0][a b c][e f g]
//     0 | e   f   g   h | 0                      j=2: [0 0 0][b c d][f g h]
//     0 | i   j   k   l | 0                      ...   p=0    p=1    p=2
//       +---------------+
//     0   0   0   0   0   0                      (each letter: C numbers side by side)
//
//     cols[r, j, p, q, c] = x[n, i·SH + p − top, j·SW + q − left, c],   n·OH + i = first + r
//
// The column matrix is KH·KW times as large as x (at stride 1), so the launcher makes it in chunks:
// `rows` output rows at a time, the first of them numbered `first` over the whole batch.
//
// im2col   For output pixel j and row p of its window, the KW·C numbers of cols lie side by side in x
//          as well. Such a run is copied as it is; only its ends may lie outside the image:
//
//              x, row h       | . . [ w·C … (w + KW)·C ) . . . . |     w = j·SW − left
//                                   | | | | | | | | |
//              cols, (j, p)         [  KW·C numbers  ]
//
//          Who:   block (bx, r) of 32 × 8 threads works on output row first + r. Its eight warps take
//                 a pixel j each, and the 32 threads of a warp copy the runs of that pixel, one
//                 after the other, 32 neighbours at a time.
//          Instr: nothing is divided for an element, nor for a run: what depends on the row is found
//                 once a row, what depends on the pixel once a pixel. An element costs a comparison
//                 with both ends of its run, a load and a store (python -m benchmarks.instructions).
//          Bytes: 4 written and 4 read per element (float), no flops. block1_conv2, one photo of
//                 224 pixels: 224·224·3·3·64 elements, 116 MB written; the 12.8 MB of x are read
//                 nine times, mostly from the caches.
// col2im   Who:   one thread per element of dx. It gathers what the windows over its pixel hold,
//                 up to ceil(KH/SH)·ceil(KW/SW) of them. Scattering instead, one thread per
//                 element of cols, would have several threads add to one pixel: atomics, and a
//                 sum that changes with their order.
//          Bytes: 4 read per element of cols, 8 read and written per element of dx: 141 MB for
//                 block1_conv2. Flops: one addition per element of cols, 28.9 million.
// Per warp: im2col: x 4, cols 4 transactions; no shared memory
// Per warp: col2im: cols 4, dx 4 transactions; no shared memory
#include "common.h"

extern "C" __global__ void im2col(const real* x, real* cols, int64 first, int64 rows,
                                  int H, int Wd, int C, int OH, int OW, int KH, int KW,
                                  int SH, int SW, int top, int left) {
    const int run = KW * C;
    EACH_ROW(row, rows) {
        const int64 n = (first + row) / OH;
        const int h0 = (int)(first + row - n * OH) * SH - top;  // the window's first row of x
        for (int j = blockIdx.x * blockDim.y + threadIdx.y; j < OW; j += gridDim.x * blockDim.y) {
            const int w = j * SW - left;              // its first column
            const int begin = max(-w * C, 0);         // the run is inside the image from begin
            const int end = min((Wd - w) * C, run);   // to end − 1
            const real* from = x + ((n * H + h0) * Wd + w) * C;
            real* to = cols + (row * OW + j) * KH * run;
            for (int p = 0; p < KH; ++p) {
                const int last = h0 + p >= 0 && h0 + p < H ? end : 0;  // 0: a row of padding
                for (int k = threadIdx.x; k < run; k += 32)  // coalesced: neighbouring k
                    to[k] = k >= begin && k < last ? from[k] : (real)0;
                from = from + Wd * C;  // the next row of x
                to = to + run;         // and of the window
            }
        }
    }
}

// dx is image_rows = images·H rows of Wd·C; what this chunk of cols brings is ADDED to it.
extern "C" __global__ void col2im(const real* cols, real* dx, int64 first, int64 rows,
                                  int64 image_rows, int H, int Wd, int C, int OH, int OW,
                                  int KH, int KW, int SH, int SW, int top, int left) {
    EACH_ROW(row, image_rows) {
        const int64 n = row / H;
        const int h = (int)(row - n * H) + top;  // counted from the padding's first row
        // Window i covers i·SH … i·SH + KH − 1, so h lies in those with h − KH < i·SH <= h.
        int64 begin = n * OH + (h < KH ? 0 : (h - KH) / SH + 1);
        int64 end = n * OH + (h / SH < OH ? h / SH + 1 : OH);
        if (begin < first) begin = first;  // other chunks bring the other windows
        if (end > first + rows) end = first + rows;
        if (begin >= end) continue;        // a pixel row of another chunk: dx is not even read
        EACH_IN_ROW(k, Wd * C) {           // k counts (w, c), c fastest
            const int c = k % C, w = k / C + left;
            real sum = 0;
            for (int64 r = begin; r < end; ++r) {
                const int p = h - (int)(r - n * OH) * SH;
                for (int j = w < KW ? 0 : (w - KW) / SW + 1; j < OW && j * SW <= w; ++j) {
                    const int q = w - j * SW;
                    sum += cols[((((r - first) * OW + j) * KH + p) * KW + q) * C + c];
                    // coalesced: the line above, which reads cols[…], in runs of C neighbours
                }
            }
            dx[row * (Wd * C) + k] += sum;  // coalesced: neighbouring k
        }
    }
}
