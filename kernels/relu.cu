// ReLU, forward and backward.
//
//     x  | -1 |  2 | -3 |  4 |     y = max(x, 0)
//     y  |  0 |  2 |  0 |  4 |     y > 0 where x > 0, so y is all that backward needs:
//     dx |  0 | dy |  0 | dy |     dx = dy where y > 0, otherwise 0
//
// Who:   one thread per element k.
// Bytes: 4 read, 4 written (relu_backward: 8 and 4) per element; one comparison.
// Per warp: relu: x 4, y 4 transactions; no shared memory
// Per warp: relu_backward: dy 4, y 4, dx 4 transactions; no shared memory
#include "common.h"

extern "C" __global__ void relu(const real* x, real* y, int64 size) {
    EACH(k, size) y[k] = x[k] < 0 ? 0 : x[k];  // coalesced: neighbouring k. NaN stays
}

extern "C" __global__ void relu_backward(const real* dy, const real* y, real* dx, int64 size) {
    EACH(k, size) dx[k] = y[k] > 0 ? dy[k] : 0;  // coalesced: neighbouring k
}
