// The optimizers' updates, in place.
//
//     p | p0 | p1 | p2 | ...     parameter
//     g | g0 | g1 | g2 | ...     its gradient            thread k reads and writes column k
//     v | v0 | v1 | v2 | ...     state: v, s, or m and s
//
// Who:   one thread per parameter.
// Bytes: (float) sgd 8 read, 4 written per parameter; momentum 12 and 8; rmsprop 8 and 8; adam 16
//        and 12. In one pass: NumPy's way, an array for every operator, moves several times that.
// Every access is coalesced: neighbouring threads, neighbouring k.
//
// 1 − α and 1 − β come from the launcher, which computes them in double: in float, 1 − 0.999f is
// off by 1.3e-5, a thousand times the rounding of 0.999f.
// Per warp: sgd: p 4, g 4 transactions; no shared memory
// Per warp: momentum: p 4, g 4, v 4 transactions; no shared memory
// Per warp: rmsprop: g 4, s 4, step 4 transactions; no shared memory
// Per warp: adam: p 4, g 4, m 4, s 4 transactions; no shared memory
#include "common.h"

extern "C" __global__ void sgd(real* p, const real* g, int64 size, real lr) {
    EACH(k, size) p[k] -= lr * g[k];
}

extern "C" __global__ void momentum(real* p, const real* g, real* v, int64 size, real lr, real mu,
                                    int nesterov) {
    EACH(k, size) {
        const real velocity = mu * v[k] + g[k];
        v[k] = velocity;
        p[k] -= lr * (nesterov ? g[k] + mu * velocity : velocity);
    }
}

extern "C" __global__ void rmsprop(const real* g, real* s, real* step, int64 size, real alpha,
                                   real one_minus_alpha, real eps) {
    EACH(k, size) {
        const real square = alpha * s[k] + one_minus_alpha * g[k] * g[k];
        s[k] = square;
        step[k] = g[k] / (sqrt(square) + eps);
    }
}

// lr comes divided by 1 − β₁ᵗ, root is √(1 − β₂ᵗ): what makes good that m and s start at 0.
extern "C" __global__ void adam(real* p, const real* g, real* m, real* s, int64 size, real lr,
                                real beta1, real one_minus_beta1, real beta2, real one_minus_beta2,
                                real eps, real root) {
    EACH(k, size) {
        const real mean = beta1 * m[k] + one_minus_beta1 * g[k];
        const real square = beta2 * s[k] + one_minus_beta2 * g[k] * g[k];
        m[k] = mean;
        s[k] = square;
        p[k] -= lr * mean / (sqrt(square) / root + eps);
    }
}
