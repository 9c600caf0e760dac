// Softmax over rows, forward and backward: a block works on a row.
//
//     row    | x0 | x1 | ... | x255 | x256 | x257 | ... | x(K-1) |
//     thread   0    1          255    0      1
//
//     Each thread folds its own elements (k = t, t + 256, …) into one number, then the block folds
//     those 256 into one: reduce.h.
//
// Who:   block r works on rows r, r + gridDim.x, …
// Bytes: a row is read three times (maximum, sum, result), from memory once if the cache holds it,
//        and written once: 8 per element (float). Flops: an exponential twice, and about 4.
// Per warp: softmax: x 4, y 4 transactions; 0 read, 0 write conflicts
// Per warp: softmax_backward: dy 4, y 4, dx 4 transactions; 0 read, 0 write conflicts
#include "common.h"
#include "reduce.h"

// Subtracting the maximum changes nothing (e^m cancels) and never overflows.
extern "C" __global__ void softmax(const real* x, real* y, int64 rows, int K) {
    for (int64 row = blockIdx.x; row < rows; row += gridDim.x) {
        const real* from = x + row * K;
        const int t = threadIdx.x, own = t < K ? t : 0;
        real most = from[own];
        for (int k = t; k < K; k += blockDim.x)  // coalesced: neighbouring threads, neighbouring k
            most = from[k] > most || from[k] != from[k] ? from[k] : most;
        most = fold(most, true);
        real sum = 0;
        for (int k = t; k < K; k += blockDim.x) sum += exp(from[k] - most);  // coalesced: as above
        sum = fold(sum, false);
        for (int k = t; k < K; k += blockDim.x)
            y[row * K + k] = exp(from[k] - most) / sum;  // coalesced: as above
    }
}

// dx_k = y_k (dy_k − Σ_j dy_j y_j)
extern "C" __global__ void softmax_backward(const real* dy, const real* y, real* dx, int64 rows,
                                            int K) {
    for (int64 row = blockIdx.x; row < rows; row += gridDim.x) {
        const real *d = dy + row * K, *p = y + row * K;
        real sum = 0;
        for (int k = threadIdx.x; k < K; k += blockDim.x) sum += d[k] * p[k];  // coalesced
        sum = fold(sum, false);
        for (int k = threadIdx.x; k < K; k += blockDim.x)
            dx[row * K + k] = p[k] * (d[k] - sum);  // coalesced: neighbouring k
    }
}
