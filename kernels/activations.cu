// Sigmoid, tanh, ELU, leaky ReLU, clipped lines (ReLU6, hard sigmoid), SiLU and softplus, forward
// and backward; PReLU, whose slopes are an array.
//
//     x  | x0 | x1 | x2 | ...     thread k of the grid works on element k, and on k + all threads
//     y  | y0 | y1 | y2 | ...     of the grid, and so on: EACH of common.h
//
// Who:   one thread per element.
// Bytes: 4 read, 4 written per element (float); backward 8 and 4. At most an exponential, a division
//        and a few flops.
//
// prelu, prelu_backward, blocks of 32 × 8 threads, on x seen as a matrix (rows, F)
//     Who:   thread (tx, ty) of block (bx, by): column 32·bx + tx, whose alpha it reads once, rows
//            8·by + ty, 8·gridDim.y further, and so on. products holds what column_sums (bias_relu.cu)
//            then adds to the gradient of alpha.
//     Bytes: 4 read, 4 written per element; backward 8 and 8.
// Per warp: sigmoid: x 4, y 4 transactions; no shared memory
// Per warp: sigmoid_backward: dy 4, y 4, dx 4 transactions; no shared memory
// Per warp: tanh_forward: x 4, y 4 transactions; no shared memory
// Per warp: tanh_backward: dy 4, y 4, dx 4 transactions; no shared memory
// Per warp: elu: x 4, y 4 transactions; no shared memory
// Per warp: elu_backward: dy 4, y 4, dx 4 transactions; no shared memory
// Per warp: leaky_relu: x 4, y 4 transactions; no shared memory
// Per warp: leaky_relu_backward: dy 4, y 4, dx 4 transactions; no shared memory
// Per warp: clipped_line: x 4, y 4 transactions; no shared memory
// Per warp: clipped_line_backward: dy 4, y 4, dx 4 transactions; no shared memory
// Per warp: silu: x 4, y 4 transactions; no shared memory
// Per warp: silu_backward: dy 4, x 4, dx 4 transactions; no shared memory
// Per warp: softplus: x 4, y 4 transactions; no shared memory
// Per warp: softplus_backward: dy 4, x 4, dx 4 transactions; no shared memory
// Per warp: prelu: x 4, alpha 4, y 4 transactions; no shared memory
// Per warp: prelu_backward: dy 4, x 4, alpha 4, dx 4, products 4 transactions; no shared memory
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

extern "C" __global__ void tanh_forward(const real* x, real* y, int64 size) {
    EACH(k, size) y[k] = tanh(x[k]);  // coalesced: neighbouring k
}

// tanh' = 1 − tanh²
extern "C" __global__ void tanh_backward(const real* dy, const real* y, real* dx, int64 size) {
    EACH(k, size) dx[k] = dy[k] * (1 - y[k] * y[k]);  // coalesced: neighbouring k
}

extern "C" __global__ void elu(const real* x, real* y, int64 size, real alpha) {
    EACH(k, size) y[k] = x[k] > 0 ? x[k] : alpha * expm1(x[k]);  // coalesced: neighbouring k
}

// Below 0 the derivative is α eˣ = y + α.
extern "C" __global__ void elu_backward(const real* dy, const real* y, real* dx, int64 size,
                                        real alpha) {
    EACH(k, size) dx[k] = y[k] > 0 ? dy[k] : dy[k] * (y[k] + alpha);  // coalesced
}

extern "C" __global__ void leaky_relu(const real* x, real* y, int64 size, real slope) {
    EACH(k, size) y[k] = x[k] > 0 ? x[k] : slope * x[k];  // coalesced: neighbouring k
}

// y > 0 where x > 0, since the slope is not negative.
extern "C" __global__ void leaky_relu_backward(const real* dy, const real* y, real* dx, int64 size,
                                               real slope) {
    EACH(k, size) dx[k] = y[k] > 0 ? dy[k] : slope * dy[k];  // coalesced: neighbouring k
}

// A NaN is neither below nor above, and stays.
extern "C" __global__ void clipped_line(const real* x, real* y, int64 size, real slope, real shift,
                                        real limit) {
    EACH(k, size) {
        const real line = slope * x[k] + shift;                    // coalesced: neighbouring k
        y[k] = line < 0 ? (real)0 : line > limit ? limit : line;  // coalesced: neighbouring k
    }
}

extern "C" __global__ void clipped_line_backward(const real* dy, const real* y, real* dx, int64 size,
                                                 real slope, real limit) {
    EACH(k, size) dx[k] = y[k] > 0 && y[k] < limit ? slope * dy[k] : (real)0;  // coalesced
}

extern "C" __global__ void silu(const real* x, real* y, int64 size) {
    EACH(k, size) {
        const real e = exp(-fabs(x[k]));                      // coalesced: neighbouring k
        y[k] = x[k] * (x[k] >= 0 ? (real)1 : e) / (1 + e);  // coalesced: neighbouring k
    }
}

// σ + x σ', with σ' = σ (1 − σ)
extern "C" __global__ void silu_backward(const real* dy, const real* x, real* dx, int64 size) {
    EACH(k, size) {
        const real e = exp(-fabs(x[k]));                      // coalesced: neighbouring k
        const real s = (x[k] >= 0 ? (real)1 : e) / (1 + e);
        dx[k] = dy[k] * (s + x[k] * s * (1 - s));             // coalesced: neighbouring k
    }
}

// log(1 + eˣ); again e^(−|x|) alone is computed. A NaN is not below 0, and stays.
extern "C" __global__ void softplus(const real* x, real* y, int64 size) {
    EACH(k, size) y[k] = (x[k] < 0 ? (real)0 : x[k]) + log1p(exp(-fabs(x[k])));  // coalesced
}

extern "C" __global__ void softplus_backward(const real* dy, const real* x, real* dx, int64 size) {
    EACH(k, size) {
        const real e = exp(-fabs(x[k]));                       // coalesced: neighbouring k
        dx[k] = dy[k] * (x[k] >= 0 ? (real)1 : e) / (1 + e);  // coalesced: neighbouring k
    }
}

extern "C" __global__ void prelu(const real* x, const real* alpha, real* y, int64 rows, int F) {
    ROLLED for (int f = blockIdx.x * 32 + threadIdx.x; f < F; f += gridDim.x * 32) {
        const real slope = alpha[f];
        ROLLED for (int64 row = blockIdx.y * 8 + threadIdx.y; row < rows; row += gridDim.y * 8) {
            const real value = x[row * F + f];
            y[row * F + f] = value > 0 ? value : slope * value;  // coalesced: a warp is 32 f
        }
    }
}

extern "C" __global__ void prelu_backward(const real* dy, const real* x, const real* alpha,
                                          real* dx, real* products, int64 rows, int F) {
    ROLLED for (int f = blockIdx.x * 32 + threadIdx.x; f < F; f += gridDim.x * 32) {
        const real slope = alpha[f];
        ROLLED for (int64 row = blockIdx.y * 8 + threadIdx.y; row < rows; row += gridDim.y * 8) {
            const int64 k = row * F + f;
            const bool positive = x[k] > 0;
            dx[k] = positive ? dy[k] : slope * dy[k];        // coalesced: a warp is 32 f
            products[k] = positive ? (real)0 : dy[k] * x[k];  // coalesced: a warp is 32 f
        }
    }
}
