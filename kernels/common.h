// What every kernel file includes. One source serves float and double: the launcher defines
//   REAL    float or double                        (-DREAL=float)
//   SWITCH  holds a place in a pooling window     (-DSWITCH="unsigned char", or int: wide windows)
#pragma once

typedef REAL real;
typedef SWITCH switch_t;
typedef long long int64;  // block1_conv2's column matrix passes 2^31 elements at batch 75

#ifdef NATIVE
#include "native.h"  // the same words for a processor
#else

// Grid-stride loops: whatever the size of the grid, each k (row) is met by exactly one thread
// (block row), so no two threads ever write the same element and none needs an atomic.
//
// EACH: flat arrays. Neighbouring threads take neighbouring k, so a warp of 32 threads touches one
// piece of 32 · sizeof(real) bytes: the access is coalesced. Nearly always a thread makes one turn.
// Were the loop unrolled, it would first count its turns, by a 64-bit division of about 70
// instructions; hence ROLLED.
#define ROLLED _Pragma("unroll 1")
#define EACH(k, size)                                                                       \
    ROLLED for (int64 k = blockIdx.x * (int64)blockDim.x + threadIdx.x; k < (size);         \
         k += (int64)gridDim.x * blockDim.x)

// All turns written out, so that indices are constants and small arrays registers.
#define UNROLL _Pragma("unroll")

// EACH_ROW, and EACH_IN_ROW inside it: arrays seen as `rows` rows of `size` elements. The row is
// counted in 64 bits; inside a row (of fewer than 2^30 elements: the launcher sees to it) 32 bits
// do, whose divisions are several times faster.
#define EACH_ROW(row, rows) ROLLED for (int64 row = blockIdx.y; row < (rows); row += gridDim.y)
#define EACH_IN_ROW(k, size)                                                                \
    ROLLED for (int k = blockIdx.x * blockDim.x + threadIdx.x; k < (size);                  \
                k += gridDim.x * blockDim.x)

// EACH_CHANNEL, inside EACH_ROW: the row seen as `places` of `channels` numbers side by side.
// Calls body<real>(place, channel, …) for each of them.
//
// Compiled for a processor a call takes many neighbouring channels at once, as a vector of numbers,
// and is body<Vector>(…). So body is a template <typename Lanes>, whose variables are Lanes, and
// which says read<Lanes>(from) for *from, and write(to, numbers) for *to = number.
#define EACH_CHANNEL(places, channels, body, ...)       \
    EACH_IN_ROW(k, (places) * (channels))               \
        body<real>(k / (channels), k % (channels), __VA_ARGS__)
// The same for rows of one place: body<real>(channel, …).
#define EACH_LANE(channels, body, ...) EACH_IN_ROW(k, channels) body<real>(k, __VA_ARGS__)
template <typename Lanes>
__device__ Lanes read(const Lanes* from) { return *from; }
__device__ void write(real* to, real number) { *to = number; }
// For the switches of max_pool.cu, which are computed with as reals.
__device__ void read_switches(const switch_t* from, real& number) { number = *from; }
__device__ void write(switch_t* to, real number) { *to = (switch_t)number; }
#endif
