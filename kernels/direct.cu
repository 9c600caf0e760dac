// Direct convolution: z[n,i,j,f] = b[f] + Σ_{p,q,c} x[n, i·SH + p, j·SW + q, c] · W[p,q,c,f] as it is
// written, without a column matrix and without the matrix product of a library. For few channels.
//
//     x (N, H, Wd, C), already padded:                   y (N, OH, OW, F)
//     H and Wd include the zeros
//
//     row i·SH + p   | . [ run of pixel j ] . . . |      row i   | . . j j+1 … j+6 . . |
//                    | . . . [ run of j + 1 ] . . |                   7 pixels of a thread,
//                            SW·C numbers further                     filter f
//
// In row p of a window the KW·C numbers of x are contiguous: its run. The weights of one filter that
// belong to them lie F numbers apart. A thread has 7 neighbouring pixels of filter f in registers:
// whatever it reads of W it multiplies 7 times, and what it reads of x serves its neighbours, the other
// filters, at the same time. Each x is read up to KH·KW times, from the cache; im2col writes it as often
// into memory, and the product reads all of that again.
//
//     direct_weight_grads: the same with the roles changed. A thread has up to 12 numbers of the run
//     of dW for filter f in registers; whatever it reads of dz it multiplies 12 times. It sums an image
//     after the other, those of its part of the batch; the parts are added by the caller.
//
// direct_convolution   Who:   one thread per 7 pixels of a row and filter.
//                      Bytes: each x is read KH·KW times for each 32 filters (a warp has a thread for
//                             each), W once per 7 pixels. 2·KH·KW·C flops per element of y.
// direct_weight_grads  Who:   one thread per part of the batch, up to 12 numbers of a run, and filter.
//                      Bytes: dz is read KH·KW·C/12 times, x F/32 times. As many flops.
// Per warp: pad: x 4, padded 4 transactions; no shared memory
// Per warp: direct_convolution: x 1, W 4, b 4, y 4 transactions; no shared memory
// Per warp: direct_weight_grads: x 1, dz 4, dW 4 transactions; no shared memory
//
// Source: LeCun et al. 1998. Registers as here: Zhang, Franchetti & Low, "High performance zero-memory
// overhead direct convolutions", 2018.
#include "common.h"

// x (images, H, Wd, C) with zeros around it: rows of PH per image, PW pixels each.
extern "C" __global__ void pad(const real* x, real* padded, int64 rows, int H, int Wd, int C, int PH,
                               int PW, int top, int left) {
    EACH_ROW(row, rows) {
        const int64 n = row / PH;
        const int h = (int)(row - n * PH) - top;
        const int begin = left * C, end = h >= 0 && h < H ? begin + Wd * C : 0;  // 0: only padding
        const real* from = x + ((n * H + h) * Wd - left) * C;
        real* to = padded + row * PW * C;
        EACH_IN_ROW(k, PW * C)
            to[k] = k >= begin && k < end ? from[k] : (real)0;  // coalesced: neighbouring k
    }
}

const int PIXELS = 7;  // divides 224, 112, 56, 28, 14 and 7, the widths of VGG16's maps

// Output pixels 7·place … 7·place + 6 of a row, filter f (and its neighbours, as many as Lanes holds).
//   x  the first row of their windows;  y  the row of the output
template <typename Lanes>
__device__ void convolve_pixels(int place, int f, const real* x, const real* W, const real* b, real* y,
                                int Wd, int C, int OW, int F, int KH, int KW, int SW, int relu) {
    const int j0 = place * PIXELS, run = KW * C;
    Lanes z[PIXELS];
    int at[PIXELS];  // where the runs begin; beyond the row the last pixel's, which is not written
    UNROLL for (int t = 0; t < PIXELS; ++t) {
        z[t] = read<Lanes>(b + f);
        at[t] = (j0 + t < OW ? j0 + t : OW - 1) * SW * C;
    }
    for (int p = 0; p < KH; ++p) {
        for (int k = 0; k < run; ++k) {
            const Lanes weight = read<Lanes>(W + (int64)k * F + f);  // coalesced: neighbouring f
            UNROLL for (int t = 0; t < PIXELS; ++t)
                z[t] += x[at[t] + k] * weight;  // one number of x for all filters of the warp
        }
        x = x + Wd * C;  // the next row of x
        W = W + run * F;
    }
    UNROLL for (int t = 0; t < PIXELS; ++t) {
        const Lanes zero = {};
        if (j0 + t < OW)
            write(y + (j0 + t) * F + f, relu ? (z[t] < zero ? zero : z[t]) : z[t]);  // NaN stays
        // coalesced: the line above, which writes y[…], for neighbouring f
    }
}

// Rows first … first + rows − 1 of the N·OH rows of y.
extern "C" __global__ void direct_convolution(const real* x, const real* W, const real* b, real* y,
                                              int64 first, int64 rows, int H, int Wd, int C, int OH,
                                              int OW, int F, int KH, int KW, int SH, int SW,
                                              int relu) {
    EACH_ROW(row, rows) {
        const int64 n = (first + row) / OH;
        const int i = (int)(first + row - n * OH);
        EACH_CHANNEL((OW + PIXELS - 1) / PIXELS, F, convolve_pixels, x + (n * H + i * SH) * Wd * C, W,
                     b, y + (first + row) * OW * F, Wd, C, OW, F, KH, KW, SW, relu);
    }
}

// EACH_CHANNEL calls body<Lanes>(…), so SIZE cannot be a second template argument there: an empty
// Numbers<SIZE> among the arguments carries it.
template <int SIZE>
struct Numbers {};

// Numbers SIZE·g … SIZE·g + SIZE − 1 of the run of row p of the windows, where place counts (p, g), for
// filter f (and its neighbours): what `rows` rows of dz add to dW.
//   x, dz  the first of their rows
template <typename Lanes, int SIZE>
__device__ void add_rows(int place, int f, Numbers<SIZE>, const real* x, const real* dz, real* dW,
                         int rows, int Wd, int C, int OW, int F, int KW, int SH, int SW) {
    const int groups = KW * C / SIZE, p = place / groups, k = place % groups * SIZE;
    Lanes sums[SIZE];
    UNROLL for (int t = 0; t < SIZE; ++t) sums[t] = Lanes{};
    for (int i = 0; i < rows; ++i)
        for (int j = 0; j < OW; ++j) {
            const Lanes gradient = read<Lanes>(dz + ((int64)i * OW + j) * F + f);
            // coalesced: the line above, which reads dz[…], for neighbouring f
            const real* run = x + ((int64)(i * SH + p) * Wd + j * SW) * C + k;
            UNROLL for (int t = 0; t < SIZE; ++t)
                sums[t] += run[t] * gradient;  // one number of x for all filters of the warp
        }
    real* to = dW + (int64)place * SIZE * F + f;
    UNROLL for (int t = 0; t < SIZE; ++t)
        write(to + t * F, read<Lanes>(to + t * F) + sums[t]);  // coalesced: neighbouring f
}

// dW (parts, KH, KW, C, F): to each part is ADDED what its share of the images brings, `block` rows of
// dz at a time, which stay in the cache.
extern "C" __global__ void direct_weight_grads(const real* x, const real* dz, real* dW, int64 images,
                                               int64 parts, int block, int H, int Wd, int C, int OH,
                                               int OW, int F, int KH, int KW, int SH, int SW) {
    const int numbers = KH * KW * C, run = KW * C;
    EACH_ROW(part, parts)
        for (int64 row = images * part / parts * OH; row < images * (part + 1) / parts * OH;) {
            const int64 n = row / OH;
            const int i = (int)(row - n * OH), rows = min(block, OH - i);
            const real* first = x + (n * H + i * SH) * Wd * C;
            const real* gradients = dz + row * OW * F;
            real* sums = dW + part * numbers * F;
            // As many as divide the run (9: a run of three RGB pixels, 3: of three grey ones), since loops
            // over registers need constant bounds.
            if (run % 12 == 0) {
                EACH_CHANNEL(numbers / 12, F, add_rows, Numbers<12>(), first, gradients, sums, rows, Wd,
                             C, OW, F, KW, SH, SW);
            } else if (run % 9 == 0) {
                EACH_CHANNEL(numbers / 9, F, add_rows, Numbers<9>(), first, gradients, sums, rows, Wd,
                             C, OW, F, KW, SH, SW);
            } else if (run % 3 == 0) {
                EACH_CHANNEL(numbers / 3, F, add_rows, Numbers<3>(), first, gradients, sums, rows, Wd,
                             C, OW, F, KW, SH, SW);
            } else {
                EACH_CHANNEL(numbers, F, add_rows, Numbers<1>(), first, gradients, sums, rows, Wd,
                             C, OW, F, KW, SH, SW);
            }
            row += rows;
        }
}
