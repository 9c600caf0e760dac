// Max pooling, and unpooling by its switches.
//
//     x (N, H, Wd, C)                 y (N, OH, OW, C)      switches, of y's shape: p·KW + q,
//     +-------+-------+                                     the place of the maximum in its window
//     | 1   5 | 2   0 |               +---+---+             +---+---+
//     | 3   4 | 7   7 |   max_pool    | 5 | 7 |             | 1 | 2 |     0 | 1
//     +-------+-------+   ------->    +---+---+             +---+---+     --+--
//     | 0  -1 | 6   6 |               | 0 | 6 |             | 0 | 0 |     2 | 3
//     |-2  -3 | 6   6 |               +---+---+             +---+---+
//     +-------+-------+
//     | .   5 | .   . |   unpool      The first of equal maxima wins. unpool puts each y where its
//     | .   . | 7   . |   <-------    switch points and 0 elsewhere. Of dy it makes dx: that is the
//     +-------+-------+               backward pass. Of a feature map it makes Zeiler & Fergus'
//     | 0   . | 6   . |               unpooling, the step that lets a deconvnet draw sharp edges.
//     | .   . | .   . |
//     +-------+-------+
//
// max_pool  Who:   one thread per element of y; block (·, r) works on output row i of image n,
//                  r = n·OH + i.
//           Bytes: 4·KH·KW read, 4 + 1 written per element (float, windows of up to 256 places);
//                  KH·KW comparisons. block1_pool (2×2, stride 2), one photo of 224 pixels:
//                  12.8 MB read, 3.2 + 0.8 MB written, 3.2 million comparisons.
// unpool    Who:   one thread per element of x. It asks the windows over its pixel, up to
//                  ceil(KH/SH)·ceil(KW/SW), which of their switches name it, and adds those: a
//                  gather, so overlapping windows need no atomics.
//           Bytes: 4 + 1 read per window over the pixel, 4 written. block1_pool: the same 16.9 MB,
//                  in the other direction (each y and switch is read by 4 threads, once from
//                  memory, then from the cache).
// Per warp: max_pool: x 4, y 4, switches 1 transactions; no shared memory
// Per warp: unpool: y 4, switches 1, x 4 transactions; no shared memory
#include "common.h"

extern "C" __global__ void max_pool(const real* x, real* y, switch_t* switches, int64 rows,
                                    int H, int Wd, int C, int OH, int OW, int KH, int KW,
                                    int SH, int SW, int top, int left) {
    EACH_ROW(row, rows) {
        const int64 n = row / OH;
        const int i = (int)(row - n * OH);
        EACH_IN_ROW(k, OW * C) {  // k counts (j, c), c fastest
            const int c = k % C, j = k / C;
            real best = log((real)0);  // −∞: whatever is there is larger
            int at = 0;
            for (int p = 0; p < KH; ++p)
                for (int q = 0; q < KW; ++q) {
                    const int h = i * SH + p - top, w = j * SW + q - left;
                    if (h < 0 || h >= H || w < 0 || w >= Wd) continue;  // padding never wins
                    const real value = x[((n * H + h) * Wd + w) * C + c];  // coalesced: runs of C
                    if (value > best) {  // strictly: the first of equal maxima stays
                        best = value;
                        at = p * KW + q;
                    } else if (value != value) {
                        best = value;  // NaN, which nothing after it exceeds, comes out as NaN
                    }
                }
            y[row * (OW * C) + k] = best;              // coalesced: neighbouring k
            switches[row * (OW * C) + k] = (switch_t)at;  // coalesced: neighbouring k
        }
    }
}

extern "C" __global__ void unpool(const real* y, const switch_t* switches, real* x, int64 rows,
                                  int H, int Wd, int C, int OH, int OW, int KH, int KW,
                                  int SH, int SW, int top, int left) {
    EACH_ROW(row, rows) {
        const int64 n = row / H;
        const int h = (int)(row - n * H) + top;  // counted from the padding's first row
        // Window i covers i·SH … i·SH + KH − 1, so h lies in those with h − KH < i·SH <= h.
        const int first = h < KH ? 0 : (h - KH) / SH + 1;
        EACH_IN_ROW(k, Wd * C) {  // k counts (w, c), c fastest
            const int c = k % C, w = k / C + left;
            real sum = 0;
            for (int i = first; i < OH && i * SH <= h; ++i)
                for (int j = w < KW ? 0 : (w - KW) / SW + 1; j < OW && j * SW <= w; ++j) {
                    const int64 from = ((n * OH + i) * OW + j) * C + c;
                    const int here = (h - i * SH) * KW + (w - j * SW);  // our place in (i, j)
                    if (switches[from] == here)  // coalesced: runs of C
                        sum += y[from];          // coalesced: runs of C, less the lanes left out
                }
            x[row * (Wd * C) + k] = sum;  // coalesced: neighbouring k
        }
    }
}
