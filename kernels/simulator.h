// CUDA's built-ins for a processor: what a .cu file of this folder needs to run without a GPU.
//
//     c++ -x c++ -include simulator.h -DREAL=float im2col.cu   (minicnn/ops/cuda/simulator.py does)
//
// Here stands what a kernel sees: the words of CUDA, the number of its thread, and what it calls to
// wait for others. simulator.cpp runs the grid; it is compiled once, and linked to every kernel.
// What the threads of a warp do together: simulator_warp.h. Linux and macOS.
#pragma once
#undef _FORTIFY_SOURCE  // it takes a jump from stack to stack for an attack
#ifdef __APPLE__
#define _XOPEN_SOURCE 700
#define _DARWIN_C_SOURCE
#elif !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#define __global__
#define __device__ static inline
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#ifdef __APPLE__
#define __shared__ static
#else
#define __shared__ static __attribute__((section("shared_memory")))
#endif
#define __syncthreads() simulator::wait_at(__LINE__)

using std::exp;
using std::expm1;
using std::fabs;
using std::log;
using std::log1p;
using std::sqrt;
using std::tanh;
template <typename T>
static inline T min(T a, T b) { return b < a ? b : a; }
template <typename T>
static inline T max(T a, T b) { return a < b ? b : a; }

struct dim3 {
    unsigned x, y, z;
};

namespace simulator {
struct Array {  // an argument of pointer type, as minicnn/ops/cuda/simulator.py passes it
    char* data;
    int64_t bytes;
    int writable;
    char* copy;   // where the kernel finds it
    char *start;  // the pages around the copy
    int64_t length;
};
const unsigned MAX_THREADS = 1024;  // of a block
}  // namespace simulator

#pragma GCC visibility push(hidden)  // each kernel's library has a simulator of its own
extern dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace simulator {
extern unsigned threads;  // of this block
extern Array* arrays;     // of this launch
extern int array_count;
extern char* dynamic_shared;  // what a kernel calls extern __shared__

[[noreturn]] void fail(const char* what);
void wait_at(int line);  // for all threads of the block; a negative line: for the warp
void record(const void* address, unsigned bytes, bool writes, void* instruction);
}  // namespace simulator
#pragma GCC visibility pop

namespace simulator {
static inline unsigned thread_number() {
    return (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
}

// A kernel's arguments from an array of pointers to their values, as cudaLaunchKernel takes them.
template <typename... A, size_t... I>
static void call(void (*f)(A...), void** values, std::index_sequence<I...>) {
    f(*(A*)values[I]...);
}
template <typename... A>
static void call(void (*f)(A...), void** values) {
    call(f, values, std::index_sequence_for<A...>());
}
}  // namespace simulator

#include "simulator_warp.h"

#define SIMULATE(name) \
    extern "C" void simulate_##name(void** values) { simulator::call(name, values); }
