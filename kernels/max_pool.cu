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

// Output pixel j of row i, channel c (and its neighbours, as many as Lanes holds).
//   image        &x[n, 0, 0, 0];  y, switches  their row
template <typename Lanes>
__device__ void pool_pixel(int j, int c, const real* image, real* y, switch_t* switches, int i, int H,
                           int Wd, int C, int KH, int KW, int SH, int SW, int top, int left) {
    Lanes best = Lanes{} + log((real)0);  // −∞: whatever is there is larger
    Lanes at = {};                        // a whole number, exact up to 2^24
    for (int p = 0; p < KH; ++p)
        for (int q = 0; q < KW; ++q) {
            const int h = i * SH + p - top, w = j * SW + q - left;
            if (h < 0 || h >= H || w < 0 || w >= Wd) continue;  // padding never wins
            const Lanes value = read<Lanes>(image + ((int64)h * Wd + w) * C + c);
            // coalesced: the line above, which reads x[…], in runs of C neighbours
            const Lanes place = Lanes{} + (real)(p * KW + q);
            at = value > best ? place : at;  // strictly: the first of equal maxima stays
            best = (value > best) | (value != value) ? value : best;  // NaN, which nothing exceeds
        }
    write(y + j * C + c, best);      // coalesced: neighbouring (j, c)
    write(switches + j * C + c, at);  // coalesced: neighbouring (j, c)
}

extern "C" __global__ void max_pool(const real* x, real* y, switch_t* switches, int64 rows,
                                    int H, int Wd, int C, int OH, int OW, int KH, int KW,
                                    int SH, int SW, int top, int left) {
    EACH_ROW(row, rows) {
        const int64 n = row / OH;
        const int i = (int)(row - n * OH);
        const real* image = x + n * H * Wd * C;
        real* to = y + row * OW * C;
        switch_t* places = switches + row * OW * C;
        if (KH == 2 && KW == 2 && SH == 2 && SW == 2) {  // the usual one: constants make it faster
            EACH_CHANNEL(OW, C, pool_pixel, image, to, places, i, H, Wd, C, 2, 2, 2, 2, top, left);
        } else {
            EACH_CHANNEL(OW, C, pool_pixel, image, to, places, i, H, Wd, C, KH, KW, SH, SW, top, left);
        }
    }
}

// The windows over the pixel at h, counted from the padding's first, along an axis of OH windows. Window
// i covers i·SH … i·SH + KH − 1, so they are those with h − KH < i·SH <= h.
__device__ int first_window(int h, int KH, int SH) { return h < KH ? 0 : (h - KH) / SH + 1; }
__device__ int end_of_windows(int h, int OH, int SH) { return h / SH < OH ? h / SH + 1 : OH; }

// A pixel of row h, channel c (and its neighbours). Windows begin … end − 1 lie over the row.
//   y, switches  the image's;  x  its row; w = pixel + left counts from the padding's first column
template <typename Lanes>
__device__ void unpool_pixel(int pixel, int c, const real* y, const switch_t* switches, real* x, int h,
                             int begin, int end, int C, int OW, int KW, int SH, int SW, int left) {
    const int w = pixel + left;
    Lanes sum = {};
    for (int i = begin; i < end; ++i)
        for (int j = first_window(w, KW, SW); j < end_of_windows(w, OW, SW); ++j) {
            const int64 from = ((int64)i * OW + j) * C + c;
            const Lanes here = Lanes{} + (real)((h - i * SH) * KW + (w - j * SW));  // our place in it
            const Lanes value = read<Lanes>(y + from);  // coalesced: runs of C
            Lanes chosen;
            read_switches(switches + from, chosen);     // coalesced: runs of C
            sum = chosen == here ? sum + value : sum;
        }
    write(x + pixel * C + c, sum);  // coalesced: neighbouring (pixel, c)
}

extern "C" __global__ void unpool(const real* y, const switch_t* switches, real* x, int64 rows,
                                  int H, int Wd, int C, int OH, int OW, int KH, int KW,
                                  int SH, int SW, int top, int left) {
    EACH_ROW(row, rows) {
        const int64 n = row / H;
        const int h = (int)(row - n * H) + top;
        const int begin = first_window(h, KH, SH), end = end_of_windows(h, OH, SH);
        const real* image = y + n * OH * OW * C;
        const switch_t* places = switches + n * OH * OW * C;
        real* to = x + row * Wd * C;
        if (KW == 2 && SH == 2 && SW == 2) {
            EACH_CHANNEL(Wd, C, unpool_pixel, image, places, to, h, begin, end, C, OW, 2, 2, 2,
                         left);
        } else {
            EACH_CHANNEL(Wd, C, unpool_pixel, image, places, to, h, begin, end, C, OW, KW, SH, SW,
                         left);
        }
    }
}
