// Batch normalization, forward and backward, on x seen as a matrix (M, F): a channel is a column.
//
//              f = 0    1   ... F-1
//              +----+----+----+----+
//     mean     | m0 | m1 |    |    |     one number a column: read once by a thread, which keeps to
//     scale    | s0 | s1 |    |    |     its column f and goes down the rows, as in bias_relu.cu
//              +====+====+====+====+
//     row 0    |  0    1    2    3 |     y = (x − mean) · scale + beta
//     row 1    |  4    5    6    7 |
//              +----+----+----+----+
//
// column_covariance, blocks of 32 × 8 threads
//     Who:   thread (tx, ty) of block (bx, by) adds (a − its mean)(x − its mean) of column
//            32·bx + tx over the rows 8·by + ty, 8·gridDim.y further, and so on; the block adds its
//            eight sums through shared memory, as column_sums in bias_relu.cu does, which then adds
//            the gridDim.y rows of sums. Of a = x it is the variance; of a = dy, whose mean is given
//            as 0, the gradient of gamma. First the mean, then the squares around it: Σ x² − M·mean²
//            would lose all digits where the mean is large.
//     Bytes: 8 read per element (float), 4 if a is x and the cache holds it; 4 flops.
//
// batch_norm, batch_norm_backward, blocks of 32 × 8 threads
//     Who:   thread (tx, ty) of block (bx, by): column 32·bx + tx, rows 8·by + ty and so on.
//     Bytes: 4 read, 4 written per element; backward 8 and 4. 3 and 5 flops.
// Per warp: column_covariance: a 4, a_mean 4, x 4, mean 4, sums 4 transactions; 0 read, 0 write conflicts
// Per warp: batch_norm: x 4, mean 4, scale 4, beta 4, y 4 transactions; no shared memory
// Per warp: batch_norm_backward: dy 4, x 4, mean 4, scale 4, dy_mean 4, slope 4, dx 4 transactions; no shared memory
#include "common.h"

extern "C" __global__ void column_covariance(const real* a, const real* a_mean, const real* x,
                                             const real* mean, real* sums, int64 rows, int F) {
    __shared__ real part[8][32];
    // Counted by the block's first column: all its threads make the same turns, also those whose
    // own column f does not exist, and meet at the same barriers.
    for (int f0 = blockIdx.x * 32; f0 < F; f0 += gridDim.x * 32) {
        const int f = f0 + threadIdx.x;
        real sum = 0;
        if (f < F) {
            const real a0 = a_mean[f], x0 = mean[f];
            for (int64 row = blockIdx.y * 8 + threadIdx.y; row < rows; row += gridDim.y * 8)
                sum += (a[row * F + f] - a0) * (x[row * F + f] - x0);  // coalesced: 32 f
        }
        part[threadIdx.y][threadIdx.x] = sum;
        __syncthreads();  // all eight have written
        if (threadIdx.y == 0 && f < F) {
            for (int t = 1; t < 8; ++t)
                sum += part[t][threadIdx.x];  // 32 threads, 32 banks of shared memory: no conflict
            sums[blockIdx.y * (int64)F + f] = sum;  // coalesced: neighbouring f
        }
        __syncthreads();  // all are read: part may be written again
    }
}

extern "C" __global__ void batch_norm(const real* x, const real* mean, const real* scale,
                                      const real* beta, real* y, int64 rows, int F) {
    ROLLED for (int f = blockIdx.x * 32 + threadIdx.x; f < F; f += gridDim.x * 32) {
        const real x0 = mean[f], factor = scale[f], shift = beta[f];
        ROLLED for (int64 row = blockIdx.y * 8 + threadIdx.y; row < rows; row += gridDim.y * 8)
            y[row * F + f] = (x[row * F + f] - x0) * factor + shift;  // coalesced: a warp is 32 f
    }
}

// dx = scale · (dy − dy_mean − (x − mean) · slope), slope = dγ / (M σ)
extern "C" __global__ void batch_norm_backward(const real* dy, const real* x, const real* mean,
                                               const real* scale, const real* dy_mean,
                                               const real* slope, real* dx, int64 rows, int F) {
    ROLLED for (int f = blockIdx.x * 32 + threadIdx.x; f < F; f += gridDim.x * 32) {
        const real x0 = mean[f], factor = scale[f], dy0 = dy_mean[f], tilt = slope[f];
        ROLLED for (int64 row = blockIdx.y * 8 + threadIdx.y; row < rows; row += gridDim.y * 8) {
            const int64 k = row * F + f;
            dx[k] = factor * (dy[k] - dy0 - (x[k] - x0) * tilt);  // coalesced: a warp is 32 f
        }
    }
}
