// Which thread takes which element? A grid-stride loop that tells.
//
//     2 blocks of 4 threads, 11 elements:
//
//     k          0   1   2   3   4   5   6   7   8   9  10
//              +---+---+---+---+---+---+---+---+---+---+---+
//     block    | 0   0   0   0 | 1   1   1   1 | 0   0   0 |
//     thread   | 0   1   2   3 | 0   1   2   3 | 0   1   2 |
//              +---+---+---+---+---+---+---+---+---+---+---+
//                first stride: 2 · 4 = 8 elements, second stride
#include "common.h"

extern "C" __global__ void who(real* x, int64 size) {
    // Written out, EACH(k, size) of common.h:
    const int64 first = blockIdx.x * (int64)blockDim.x + threadIdx.x;
    const int64 stride = (int64)gridDim.x * blockDim.x;  // all threads of the grid
    for (int64 k = first; k < size; k += stride) {
        printf("  block %u, thread %u takes x[%2lld]\n", blockIdx.x, threadIdx.x, k);
        x[k] = 10 * blockIdx.x + threadIdx.x;
    }
}
