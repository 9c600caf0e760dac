// CUDA's words for a processor, for speed: a .cu file compiled into functions that compute with
// vectors. (simulator.h has them for checking.)
//
//     c++ -O3 -march=native -shared -fPIC -DNATIVE -DREAL=float -DSWITCH="unsigned char"
//         -x c++ winograd.cu -o winograd.so
//
// minicnn/ops/native/library.py does, with a line CALLABLE(kernel), below, for each kernel.
//
// A launch is one call: there is one block of one thread, which takes every row of its call and, in a
// row, as many channels at once as a vector register holds. Whoever calls shares the rows among the
// threads of the processor. Kernels whose threads wait for each other are not compiled so.
//
// There are two ways to the vector instructions. EACH_CHANNEL, EACH_LANE and products.cpp compute with
// Vector. The loops of EACH are written number by number, and the compiler makes vectors of them: ivdep
// promises that no turn depends on another, so it need not check whether arrays overlap. A product and
// the sum that takes it become one instruction, a fused multiply-add, where the processor has one.
#pragma once
#include <math.h>
#include <string.h>

#include <utility>

#define __global__
#define __device__ static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")  // no such loop has more than 12 turns

// What the widest register of this processor holds.
#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16  // SSE, NEON
#endif
const int LANES = VECTOR_BYTES / sizeof(real);
// GCC's and Clang's vectors: +, *, <, | and ?: act on all LANES numbers, one instruction each (|| and if
// would ask for one truth value); a number beside a vector is repeated.
typedef real Vector __attribute__((vector_size(VECTOR_BYTES)));
typedef int Integers __attribute__((vector_size(LANES * sizeof(int))));
typedef short Shorts __attribute__((vector_size(LANES * sizeof(short))));
typedef switch_t Switches __attribute__((vector_size(LANES * sizeof(switch_t))));

// One number or as many as a Vector holds, wherever they lie; memcpy becomes one instruction.
template <typename Lanes, typename Number>
__device__ Lanes read(const Number* from) {
    Lanes numbers;
    memcpy(&numbers, from, sizeof(numbers));
    return numbers;
}
template <typename Lanes>
__device__ void write(real* to, Lanes numbers) { memcpy(to, &numbers, sizeof(numbers)); }

// Switches of max_pool.cu, which are computed with as reals.
__device__ void read_switches(const switch_t* from, real& number) { number = *from; }
__device__ void read_switches(const switch_t* from, Vector& numbers) {
    const Shorts shorts = __builtin_convertvector(read<Switches>(from), Shorts);
    // In steps of twice the size, which are one instruction each; at once GCC goes number by number.
    numbers = __builtin_convertvector(__builtin_convertvector(shorts, Integers), Vector);
}
__device__ void write(switch_t* to, real number) { *to = (switch_t)number; }
__device__ void write(switch_t* to, Vector numbers) {
    const Switches switches =
        __builtin_convertvector(__builtin_convertvector(numbers, Integers), Switches);
    memcpy(to, &switches, sizeof(switches));
}

__device__ int min(int a, int b) { return a < b ? a : b; }
#define EACH(k, size) _Pragma("GCC ivdep") for (int64 k = 0; k < (size); ++k)
#define EACH_ROW(row, rows) for (int64 row = 0; row < (rows); ++row)
#define EACH_IN_ROW(k, size) _Pragma("GCC ivdep") for (int k = 0; k < (size); ++k)
// `place` and `c` are names of the two loops: what is passed on must not use them.
#define EACH_CHANNEL(places, channels, body, ...)                                   \
    for (int place = 0; place < (places); ++place) {                                \
        int c = 0;                                                                  \
        for (; c + LANES <= (channels); c += LANES) body<Vector>(place, c, __VA_ARGS__); \
        for (; c < (channels); ++c) body<real>(place, c, __VA_ARGS__);              \
    }
#define EACH_LANE(channels, body, ...)                                              \
    {                                                                               \
        int c = 0;                                                                  \
        for (; c + LANES <= (channels); c += LANES) body<Vector>(c, __VA_ARGS__);   \
        for (; c < (channels); ++c) body<real>(c, __VA_ARGS__);                     \
    }

// A kernel as a function of words of 8 bytes, one for each argument: what threads.cpp calls.
union Argument {
    const void* array;
    int64 integer;
    double number;  // holds a float exactly
};
typedef void (*Callable)(const Argument*);
template <typename Number>
__device__ void read_argument(const Argument& from, Number*& array) { array = (Number*)from.array; }
__device__ void read_argument(const Argument& from, int& number) { number = (int)from.integer; }
__device__ void read_argument(const Argument& from, int64& number) { number = from.integer; }
__device__ void read_argument(const Argument& from, real& number) { number = (real)from.number; }
template <typename Parameter>
__device__ Parameter argument(const Argument& from) {
    Parameter value;
    read_argument(from, value);
    return value;
}
template <typename... Parameters, size_t... K>
__device__ void call(void (*kernel)(Parameters...), const Argument* values, std::index_sequence<K...>) {
    kernel(argument<Parameters>(values[K])...);
}
template <typename... Parameters>
__device__ void call(void (*kernel)(Parameters...), const Argument* values) {
    call(kernel, values, std::index_sequence_for<Parameters...>());
}
#define CALLABLE(kernel) \
    extern "C" void kernel##_of(const Argument* values) { call(kernel, values); }
