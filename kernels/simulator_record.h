// Every access of every thread to global and shared memory, for minicnn/ops/cuda/accesses.py.
//
//     c++ -fsanitize=thread -c …        the compiler calls __tsan_read4(address) before each access
//                                       of 4 bytes, and so on; here these functions are ours
//
// Part of simulator.cpp, which is compiled without that option and so does not record itself.
// Nothing of ThreadSanitizer is linked. Without that option of a kernel's compiler nothing is
// recorded; on macOS static shared memory is not.
#pragma once
#include <vector>

namespace simulator {

struct Access {
    uint64_t instruction;  // the place in the program
    int64_t offset;        // in bytes from the beginning of the array, or of shared memory
    uint32_t block;
    uint16_t thread;
    int16_t array;  // which argument; −1: shared memory, −2: dynamic shared memory
    uint16_t bytes;
    uint16_t writes;
};

static std::vector<Access> accesses;

void record(const void* address, unsigned bytes, bool writes, void* instruction) {
    if (!recording) return;
    const char* a = (const char*)address;
    const uint32_t block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    Access access = {(uint64_t)instruction, 0, block, (uint16_t)running->thread, 0,
                     (uint16_t)bytes, writes};
    for (int k = 0; k < array_count; k++)
        if (a >= arrays[k].copy && a < arrays[k].copy + arrays[k].bytes) {
            access.array = (int16_t)k, access.offset = a - arrays[k].copy;
            return accesses.push_back(access);
        }
    access.array = -1;
#ifndef __APPLE__
    access.offset = a - __start_shared_memory;
    if (a >= __start_shared_memory && a < __stop_shared_memory) return accesses.push_back(access);
#endif
    access.array = -2, access.offset = a - dynamic_shared;
    if (a >= dynamic_shared && a < dynamic_shared + dynamic_bytes) accesses.push_back(access);
}

// What has been recorded since `forget`: where it lies, and how many accesses.
extern "C" int64_t simulator_accesses(const Access** first) {
    *first = accesses.data();
    return (int64_t)accesses.size();
}
extern "C" void simulator_forget() { accesses.clear(); }

}  // namespace simulator

#define HOOK(name, bytes, writes)                                               \
    extern "C" void __tsan_##name(void* address) {                              \
        simulator::record(address, bytes, writes, __builtin_return_address(0)); \
    }
#define HOOKS(bytes)                          \
    HOOK(read##bytes, bytes, false)           \
    HOOK(write##bytes, bytes, true)           \
    HOOK(unaligned_read##bytes, bytes, false) \
    HOOK(unaligned_write##bytes, bytes, true)
HOOKS(1) HOOKS(2) HOOKS(4) HOOKS(8) HOOKS(16)
extern "C" void __tsan_read_range(void* address, size_t bytes) {
    simulator::record(address, (unsigned)bytes, false, __builtin_return_address(0));
}
extern "C" void __tsan_write_range(void* address, size_t bytes) {
    simulator::record(address, (unsigned)bytes, true, __builtin_return_address(0));
}
#ifdef __clang__  // which also asks for these
extern "C" void* __tsan_memcpy(void* to, const void* from, size_t bytes) {
    return memcpy(to, from, bytes);
}
extern "C" void* __tsan_memmove(void* to, const void* from, size_t bytes) {
    return memmove(to, from, bytes);
}
extern "C" void* __tsan_memset(void* to, int value, size_t bytes) {
    return memset(to, value, bytes);
}
#endif
extern "C" void __tsan_init() {}
extern "C" void __tsan_func_entry(void*) {}
extern "C" void __tsan_func_exit() {}
extern "C" void __tsan_vptr_update(void*, void*) {}
extern "C" void __tsan_vptr_read(void*) {}
