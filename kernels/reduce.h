// A block's 256 numbers become one, through shared memory.
//
//     256 threads fold their numbers into one, half of the threads at each step:
//
//     part  | 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 |       step 4: 0 += 4, 1 += 5, 2 += 6, 3 += 7
//           |   |   |   |   |  <- ^                 step 2: 0 += 2, 1 += 3
//           | Σ |                                   step 1: 0 += 1
//
//     Between two steps all threads wait for each other: a thread reads what others have written.
#pragma once
#include "common.h"

// The maximum or the sum of one number per thread, the same for every thread of the block. NaN in
// any of them gives NaN. Ends with a barrier, so the shared memory may be used again at once.
__device__ real fold(real value, bool maximum) {
    __shared__ real part[256];
    const int t = threadIdx.x;
    part[t] = value;
    __syncthreads();
    for (int step = 128; step > 0; step /= 2) {
        if (t < step) {
            const real a = part[t], b = part[t + step];
            part[t] = !maximum ? a + b : a > b || a != a ? a : b;
        }
        __syncthreads();
    }
    const real all = part[0];
    __syncthreads();
    return all;
}
