// Is there a NaN or an infinity in an array?
//
//     x  | 1.5 | -2 | NaN | 0 | … |     any | 0 |  ->  | 1 |
//
// A training step asks this of all its gradients. One launch per array, all with the same `any`,
// and the processor looks at it once: it waits for the GPU once, and not once for each array.
//
// Who:   one thread per element k. x − x is 0 for finite numbers, NaN for all others. Several threads
//        may write the same 1 to the same place; whoever is last, it is 1, so no atomic is needed.
// Bytes: 4 read per element (float); 1 flop and 1 comparison.
// Per warp: not_finite: x 4 transactions; no shared memory
#include "common.h"

extern "C" __global__ void not_finite(const real* x, switch_t* any, int64 size) {
    EACH(k, size)
        if (x[k] - x[k] != 0) any[0] = 1;  // coalesced: neighbouring k
}
