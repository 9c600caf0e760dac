// Average pooling: the mean over the real pixels of a window; padding does not count.
//
//     x (N, H, Wd, C), windows 2×2, stride 2, one row and one column of padding above and left:
//
//     .   .   .   .                                  y (N, OH, OW, C)
//       +---+-------+
//     . | 1 | 5   2 |       count = 1 | 2            +-----+-----+
//       +---+-------+               --+--            |  1  | 3.5 |     5 + 2, over 2
//     . | 3 | 4   7 |               2 | 4            +-----+-----+
//     . | 0 | 8   1 |                                | 1.5 |  5  |     4 + 7 + 8 + 1, over 4
//       +---+-------+                                +-----+-----+
//
// A window over the whole image is global average pooling.
//
// average_pool           Who:   one thread per element of y; block (·, r) works on output row i of
//                               image n, r = n·OH + i.
//                        Bytes: 4·KH·KW read, 4 written per element (float). Flops: KH·KW
//                               additions and one division. 2×2 at stride 2 on block1_conv2's
//                               output, one photo of 224 pixels: 12.8 MB read, 3.2 MB written,
//                               4 million flops.
// average_pool_backward  Who:   one thread per element of dx. It gathers dy / count from each
//                               window over its pixel, up to ceil(KH/SH)·ceil(KW/SW) of them: no
//                               atomics.
//                        Bytes: 4 read per window over the pixel, 4 written; one addition and one
//                               division per window. As above: 3.2 MB read, 12.8 MB written.
// Per warp: average_pool: x 4, y 4 transactions; no shared memory
// Per warp: average_pool_backward: dy 4, dx 4 transactions; no shared memory
#include "common.h"

extern "C" __global__ void average_pool(const real* x, real* y, int64 rows,
                                        int H, int Wd, int C, int OH, int OW, int KH, int KW,
                                        int SH, int SW, int top, int left) {
    EACH_ROW(row, rows) {
        const int64 n = row / OH;
        int h0 = (int)(row - n * OH) * SH - top, h1 = h0 + KH;
        if (h0 < 0) h0 = 0;  // what is left between h0 and h1 is real
        if (h1 > H) h1 = H;
        EACH_IN_ROW(k, OW * C) {  // k counts (j, c), c fastest
            const int c = k % C;
            int w0 = k / C * SW - left, w1 = w0 + KW;
            if (w0 < 0) w0 = 0;
            if (w1 > Wd) w1 = Wd;
            real sum = 0;
            for (int h = h0; h < h1; ++h) {
                real line = 0;  // line by line: rounding grows with KH + KW, not with KH·KW
                for (int w = w0; w < w1; ++w)
                    line += x[((n * H + h) * Wd + w) * C + c];  // coalesced: runs of C neighbours
                sum += line;
            }
            y[row * (OW * C) + k] = sum / ((h1 - h0) * (w1 - w0));  // coalesced: neighbouring k
        }
    }
}

extern "C" __global__ void average_pool_backward(const real* dy, real* dx, int64 rows,
                                                 int H, int Wd, int C, int OH, int OW,
                                                 int KH, int KW, int SH, int SW,
                                                 int top, int left) {
    EACH_ROW(row, rows) {
        const int64 n = row / H;
        const int h = (int)(row - n * H) + top;  // counted from the padding's first row
        // Window i covers i·SH … i·SH + KH − 1, so h lies in those with h − KH < i·SH <= h.
        const int first = h < KH ? 0 : (h - KH) / SH + 1;
        EACH_IN_ROW(k, Wd * C) {  // k counts (w, c), c fastest
            const int c = k % C, w = k / C + left;
            real sum = 0;
            for (int i = first; i < OH && i * SH <= h; ++i) {
                const int h0 = i * SH < top ? top : i * SH;
                const int h1 = i * SH + KH > top + H ? top + H : i * SH + KH;
                for (int j = w < KW ? 0 : (w - KW) / SW + 1; j < OW && j * SW <= w; ++j) {
                    const int w0 = j * SW < left ? left : j * SW;
                    const int w1 = j * SW + KW > left + Wd ? left + Wd : j * SW + KW;
                    const int count = (h1 - h0) * (w1 - w0);
                    sum += dy[((n * OH + i) * OW + j) * C + c] / count;  // coalesced: runs of C
                }
            }
            dx[row * (Wd * C) + k] = sum;  // coalesced: neighbouring k
        }
    }
}
