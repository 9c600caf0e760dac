// What the 32 threads of a warp do together, and what is wider than a number: shuffles, the tensor
// cores, copies that run beside the threads, float4.
//
//     a shuffle:   lane 0  leaves its value ──┐ waits   ├── takes the value of the lane it names
//                  lane 1  leaves its value ──┤ for all ├──
//                  …                          │         │
//
// Stricter than a GPU: all 32 threads have to come (a GPU does not wait for those that have ended
// or are not in the mask), and nothing is assumed of the order in which they go on.
#pragma once
#include "simulator.h"

#if defined(__SANITIZE_THREAD__)  // every access is recorded, one of 16 bytes as such
#define RECORDED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RECORDED 1
#endif
#endif
#ifdef RECORDED
#define UNRECORDED __attribute__((unused, noinline, no_sanitize("thread")))
#define RECORD_16(address, writes) record(address, 16, writes, __builtin_return_address(0))
#else
#define UNRECORDED __attribute__((unused))
#define RECORD_16(address, writes) (void)0
#endif

#pragma GCC visibility push(hidden)
namespace simulator {

struct Slot {
    unsigned char bytes[2][32];  // of two exchanges by turns: a lane may be one ahead of another
    int turn;
};
extern Slot slots[MAX_THREADS];

// Leaves this lane's value, waits for the warp, and returns where the others' values lie.
template <typename T>
struct Exchange {
    unsigned first, lane;
    int turn;
    Exchange(const T& value, unsigned mask, int line) {
        static_assert(sizeof(T) <= 32, "a value of 32 bytes at most");
        if (mask != 0xffffffffu)
            fail("exchanges with a part of its warp: expected 0xffffffff as the mask");
        lane = thread_number() % 32, first = thread_number() - lane;
        Slot& mine = slots[thread_number()];
        turn = mine.turn ^= 1;
        memcpy(mine.bytes[turn], &value, sizeof value);
        wait_at(-line);
    }
    T of(unsigned other) const {  // NaN of a lane that the block does not have
        T value;
        memset((void*)&value, 0xff, sizeof value);
        if (first + other < threads) memcpy(&value, slots[first + other].bytes[turn], sizeof value);
        return value;
    }
};

// Copies that nobody has waited for: where they go to holds NaN until wait_copies sees them come.
struct Copy {
    char* to;
    char bytes[16];
    int group;
};
const int MAX_COPIES = 256;
extern Copy under_way[MAX_THREADS][MAX_COPIES];  // of each thread
extern int copies[MAX_THREADS], groups[MAX_THREADS];

// Addresses of 16 bytes have to be multiples of 16: counted from the beginning of an argument,
// which on a GPU lies at a multiple of 256, or in shared memory.
static inline void check_16_bytes(const void* address) {
    int64_t offset = (int64_t)(uintptr_t)address;
    for (int k = 0; k < array_count; k++)
        if ((const char*)address >= arrays[k].copy &&
            (const char*)address < arrays[k].copy + arrays[k].bytes)
            offset = (const char*)address - arrays[k].copy;
    if (offset % 16)
        fail("reads or writes 16 bytes at once at an address that is no multiple of 16");
}

typedef float Quad __attribute__((vector_size(16), aligned(4), may_alias));

UNRECORDED static Quad read_16_bytes(const void* from) {
    check_16_bytes(from);
    RECORD_16(from, false);
    return *(const Quad*)from;
}

UNRECORDED static void write_16_bytes(void* to, Quad value) {
    check_16_bytes(to);
    RECORD_16(to, true);
    *(Quad*)to = value;
}

// The source is read at once, so that a wrong one is reported here; the target waits.
UNRECORDED static void copy_async(void* to, const void* from, bool there) {
    const unsigned me = thread_number();
    Copy copy = {(char*)to, {}, groups[me]};
    check_16_bytes(to), check_16_bytes(from);
    if (there) {
        RECORD_16(from, false);
        memcpy(copy.bytes, from, 16);
        __asm__ volatile("" ::"m"(copy));  // it is read even if nobody waits for it
    }
    RECORD_16(to, true);
    memset(to, 0xff, 16);
    if (copies[me] == MAX_COPIES) fail("has more than 256 copies under way");
    under_way[me][copies[me]++] = copy;
}

// The copies of this thread arrive, but for those of its `youngest` newest groups.
UNRECORDED static void wait_until_left(int youngest) {
    const unsigned me = thread_number();
    int left = 0;
    for (int k = 0; k < copies[me]; k++) {
        const Copy copy = under_way[me][k];
        if (copy.group >= groups[me] - youngest)
            under_way[me][left++] = copy;
        else
            memcpy(copy.to, copy.bytes, 16);
    }
    copies[me] = left;
}

static inline float as_tf32(unsigned bits) {  // what a tensor core sees of a number: 13 bits less
    float value;
    bits &= ~0x1fffu;
    memcpy(&value, &bits, 4);
    return value;
}

}  // namespace simulator
#pragma GCC visibility pop

struct __attribute__((aligned(16))) float4 {
    float x, y, z, w;
    float4() = default;
    float4(float x, float y, float z, float w) : x(x), y(y), z(z), w(w) {}
    __attribute__((always_inline)) float4(const float4& from) { *this = from; }
    __attribute__((always_inline)) float4& operator=(const float4& from) {
        simulator::write_16_bytes(this, simulator::read_16_bytes(&from));
        return *this;
    }
};
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

// line: of the call, which tells two places apart

static inline void __syncwarp(unsigned mask = 0xffffffffu, int line = __builtin_LINE()) {
    simulator::Exchange<char>(0, mask, line);
}

// width: 32, 16, … lanes that exchange among themselves
template <typename T>
static T __shfl_sync(unsigned mask, T value, int from, int width = 32,
                     int line = __builtin_LINE()) {
    const simulator::Exchange<T> all(value, mask, line);
    return all.of((all.lane & ~(width - 1u)) | (from & (width - 1u)));
}
template <typename T>
static T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32,
                         int line = __builtin_LINE()) {
    const simulator::Exchange<T> all(value, mask, line);
    const unsigned from = all.lane ^ bits;
    return from < (all.lane | (width - 1u)) + 1 ? all.of(from) : value;
}
template <typename T>
static T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32,
                          int line = __builtin_LINE()) {
    const simulator::Exchange<T> all(value, mask, line);
    return all.lane % width + by < (unsigned)width ? all.of(all.lane + by) : value;
}
template <typename T>
static T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32,
                        int line = __builtin_LINE()) {
    const simulator::Exchange<T> all(value, mask, line);
    return all.lane % width >= by ? all.of(all.lane - by) : value;
}

// tensor_core.h for a processor

namespace simulator {

// 8 bits of exponent, 10 of mantissa, to nearest, ties away from 0.
static inline unsigned tf32(float x) {
    unsigned bits;
    memcpy(&bits, &x, 4);
    return (bits & 0x7f800000u) == 0x7f800000u ? bits : (bits + 0x1000u) & ~0x1fffu;
}

static inline void mma(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2],
                       int line = __builtin_LINE()) {
    struct Fragments {
        unsigned a[4], b[2];
    } mine;
    memcpy(mine.a, a, sizeof a), memcpy(mine.b, b, sizeof b);
    const Exchange<Fragments> all(mine, 0xffffffffu, line);
    const unsigned g = all.lane / 4, s = all.lane % 4;
    float rows[2][8], columns[2][8];  // a[g], a[g + 8]; b[·][2·s], b[·][2·s + 1]
    for (unsigned k = 0; k < 4; k++) {
        const Fragments row = all.of(4 * g + k);
        for (unsigned e = 0; e < 4; e++) rows[e % 2][k + e / 2 * 4] = as_tf32(row.a[e]);
        for (unsigned j = 0; j < 2; j++) {
            const Fragments column = all.of(4 * (2 * s + j) + k);
            for (unsigned e = 0; e < 2; e++)
                columns[j][k + 4 * e] = as_tf32(column.b[e]);
        }
    }
    for (unsigned e = 0; e < 4; e++)
        for (unsigned k = 0; k < 8; k++) d[e] += rows[e / 2][k] * columns[e % 2][k];
}

static inline void commit_copies() { groups[thread_number()]++; }
template <int youngest>
static inline void wait_copies() {
    wait_until_left(youngest);
}
}  // namespace simulator
