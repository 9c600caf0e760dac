// What the kernels of winograd.cu and winograd_backward.cu share: the matrices of
// minicnn/ops/winograd.py, and the product with one of them on both sides.
#pragma once
#include "common.h"

// Declared inside the kernels, so that the compiler knows their numbers. A and G_T_24 are the
// transposes of A_T and G_24, for the way back. G_24 is 24 times G, to be whole numbers; as it stands
// on both sides, its results are divided by 24².
#define DECLARE_B_T                                                                        \
    const int B_T[6][6] = {{4, 0, -5, 0, 1, 0}, {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0}, \
                           {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}}
#define DECLARE_G_24                                                                       \
    const int G_24[6][3] = {{6, 0, 0}, {-4, -4, -4}, {-4, 4, -4}, {1, 2, 4}, {1, -2, 4},   \
                            {0, 0, 24}}
#define DECLARE_A_T                                                                        \
    const int A_T[4][6] = {{1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0},   \
                           {0, 1, -1, 8, -8, 1}}
#define DECLARE_A                                                                          \
    const int A[6][4] = {{1, 0, 0, 0}, {1, 1, 1, 1}, {1, -1, 1, -1}, {1, 2, 4, 8},         \
                         {1, -2, 4, -8}, {0, 0, 0, 1}}
#define DECLARE_G_T_24                                                                     \
    const int G_T_24[3][6] = {{6, -4, -4, 1, 1, 0}, {0, -4, 4, 2, -2, 0},                  \
                              {0, -4, -4, 4, 4, 24}}
template <typename Lanes>
using Kernel = Lanes[3][3];
template <typename Lanes>
using Tile = Lanes[6][6];
template <typename Lanes>
using Outputs = Lanes[4][4];

// result = matrix · d · matrixᵀ
template <typename Lanes, int M, int K>
__device__ void on_both_sides(const int (&matrix)[M][K], const Lanes (&d)[K][K],
                              Lanes (&result)[M][M]) {
    Lanes half[M][K];  // matrix · d
    UNROLL for (int i = 0; i < M; ++i)
        UNROLL for (int j = 0; j < K; ++j) {
            half[i][j] = Lanes{};  // zero
            UNROLL for (int k = 0; k < K; ++k)
                if (matrix[i][k] != 0) half[i][j] += (real)matrix[i][k] * d[k][j];
        }
    UNROLL for (int i = 0; i < M; ++i)
        UNROLL for (int j = 0; j < M; ++j) {
            result[i][j] = Lanes{};
            UNROLL for (int k = 0; k < K; ++k)
                if (matrix[j][k] != 0) result[i][j] += half[i][k] * (real)matrix[j][k];
        }
}
