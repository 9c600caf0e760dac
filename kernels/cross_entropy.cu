// Cross-entropies from logits z: each term l and its derivative dz, in one pass.
//
//     sigmoid_cross_entropy    z, t, l, dz all of one shape; every element is a question of its own
//     softmax_cross_entropy    z (rows, K), t (rows, K) -> l (rows,), dz (rows, K); a row is one
//
// The derivative of the loss and that of the activation cancel to p − t: exact where exp would
// overflow or log(0) appear.
//
// sigmoid_cross_entropy   Who:   one thread per element.
//                         Bytes: 8 read, 8 written per element (float); one exponential, one log1p.
// softmax_cross_entropy   Who:   block r works on rows r, r + gridDim.x, …, as in softmax.cu.
//                         Bytes: 8 read, 4 written per element; two exponentials per element.
// Per warp: sigmoid_cross_entropy: z 4, t 4, l 4, dz 4 transactions; no shared memory
// Per warp: softmax_cross_entropy: z 4, t 4, l 1, dz 4 transactions; 0 read, 0 write conflicts
#include "common.h"
#include "reduce.h"

extern "C" __global__ void sigmoid_cross_entropy(const real* z, const real* t, real* l, real* dz,
                                                 int64 size) {
    EACH(k, size) {  // coalesced: all four arrays, neighbouring k
        const real e = exp(-fabs(z[k]));  // never overflows
        l[k] = (z[k] > 0 ? z[k] : 0) - z[k] * t[k] + log1p(e);
        dz[k] = (z[k] >= 0 ? (real)1 : e) / (1 + e) - t[k];
    }
}

// l = log Σ e^(z_k − m) − Σ t_k (z_k − m), m = max z; dz = softmax(z) − t.
extern "C" __global__ void softmax_cross_entropy(const real* z, const real* t, real* l, real* dz,
                                                 int64 rows, int K) {
    for (int64 row = blockIdx.x; row < rows; row += gridDim.x) {
        const real *from = z + row * K, *target = t + row * K;
        real most = from[(int)threadIdx.x < K ? threadIdx.x : 0];
        for (int k = threadIdx.x; k < K; k += blockDim.x)  // coalesced: neighbouring k
            if (from[k] > most || from[k] != from[k]) most = from[k];
        most = fold(most, true);
        real sum = 0, right = 0;
        for (int k = threadIdx.x; k < K; k += blockDim.x) {  // coalesced: neighbouring k
            sum += exp(from[k] - most);
            right += target[k] * (from[k] - most);
        }
        sum = fold(sum, false);
        right = fold(right, false);
        for (int k = threadIdx.x; k < K; k += blockDim.x)
            dz[row * K + k] = exp(from[k] - most) / sum - target[k];  // coalesced: neighbouring k
        if (threadIdx.x == 0) l[row] = log(sum) - right;
    }
}
