// Bias and ReLU, and the sums of columns that are the bias's gradient: what follows the matrix product
// of a convolution. (relu.cu has ReLU alone.)
//
//     z, seen as a matrix (N·OH·OW, F): one pixel a row, one filter a column
//
//             f = 0    1   ... F-1
//             +----+----+----+----+
//     b       | b0 | b1 |    |    |     added to every row          (bias_relu)
//             +====+====+====+====+
//     pixel 0 |  0    1    2    3 |     the places in memory: a thread keeps
//     pixel 1 |  4    5    6    7 |     to its column f and goes down the rows,
//     ...     |  8    9   10   11 |     so b[f] is read once, and nothing divided
//             +----+----+----+----+
//     db      |  +    +    +    + |     the sums of dz's columns    (column_sums)
//             +----+----+----+----+
//
// bias_relu, blocks of 32 × 8 threads
//     Who:   thread (tx, ty) of block (bx, by): column 32·bx + tx, rows 8·by + ty, 8·gridDim.y
//            further, and so on.
//     Bytes: 4 read, 4 written per element (float); 2 flops (add and max). block1_conv2, one photo of
//            224 pixels: 3.2 million elements, 25.7 MB. Adding b and taking the maximum in one pass
//            instead of two halves these bytes.
//
// column_sums, blocks of 32 × 8 threads
//     Who:   thread (tx, ty) of block (bx, by) sums column 32·bx + tx over the rows 8·by + ty,
//            8·gridDim.y further, and so on. The block then adds its eight sums of each column
//            through shared memory:
//
//            row 8·by + 0   ty 0  | s  s  s ... s |  part[0]  -+
//            row 8·by + 1   ty 1  | s  s  s ... s |  part[1]  -+--> sums[by, 32·bx + tx]
//            ...                                              |
//            row 8·by + 7   ty 7  | s  s  s ... s |  part[7]  -+
//
//            A second launch with gridDim.y = 1 adds the gridDim.y rows of sums and gives db. The
//            order of all additions is fixed: two runs agree to the last bit.
//     Bytes: 4 read per element; 1 flop. block1_conv2: 12.8 MB.
// Per warp: bias_relu: z 4, b 4 transactions; no shared memory
// Per warp: column_sums: x 4, sums 4 transactions; 0 read, 0 write conflicts
#include "common.h"

extern "C" __global__ void bias_relu(real* z, const real* b, int64 rows, int F) {
    ROLLED for (int f = blockIdx.x * 32 + threadIdx.x; f < F; f += gridDim.x * 32) {
        const real bias = b[f];
        ROLLED for (int64 row = blockIdx.y * 8 + threadIdx.y; row < rows; row += gridDim.y * 8) {
            const real value = z[row * F + f] + bias;  // coalesced: a warp is one ty, 32 f
            z[row * F + f] = value < 0 ? 0 : value;    // NaN stays: no NaN < 0
        }
    }
}

extern "C" __global__ void column_sums(const real* x, real* sums, int64 rows, int F) {
    __shared__ real part[8][32];
    // Counted by the block's first column: all its threads make the same turns, also those whose
    // own column f does not exist, and meet at the same barriers.
    for (int f0 = blockIdx.x * 32; f0 < F; f0 += gridDim.x * 32) {
        const int f = f0 + threadIdx.x;
        real sum = 0;
        if (f < F)
            for (int64 row = blockIdx.y * 8 + threadIdx.y; row < rows; row += gridDim.y * 8)
                sum += x[row * F + f];  // coalesced: a warp is one ty, 32 neighbouring f
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
