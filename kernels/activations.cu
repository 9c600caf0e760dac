// Sigmoid, forward and backward.
//
//     x  | x0 | x1 | x2 | ...     thread k of the grid works on element k, and on k + all threads
//     y  | y0 | y1 | y2 | ...     of the grid, and so on: EACH of common.h
//
// Who:   one thread per element.
// Bytes: 4 read, 4 written per element (float); backward 8 and 4. An exponential, a division and a
//        few flops.
// Per warp: sigmoid: x 4, y 4 transactions; no shared memory
// Per warp: sigmoid_backward: dy 4, y 4, dx 4 transactions; no shared memory
#include "common.h"

// Only e^(−|x|) <= 1 is computed, which never overflows: 1 / (1 + e) for x >= 0, e / (1 + e) below.
extern "C" __global__ void sigmoid(const real* x, real* y, int64 size) {
    EACH(k, size) {
        const real e = exp(-fabs(x[k]));           // coalesced: neighbouring k
        y[k] = (x[k] >= 0 ? (real)1 : e) / (1 + e);  // coalesced: neighbouring k
    }
}

// σ' = σ (1 − σ), so y is all that backward needs.
extern "C" __global__ void sigmoid_backward(const real* dy, const real* y, real* dx, int64 size) {
    EACH(k, size) dx[k] = dy[k] * y[k] * (1 - y[k]);  // coalesced: neighbouring k
}
