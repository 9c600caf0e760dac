// The tensor cores, and copies to shared memory that run beside the threads: five functions in PTX,
// which need no header of CUDA's. For compute capability 8.0 and newer.
//
//     copy_async(to, from, there)   16 bytes, or zeros if they are not there, are on their way
//     commit_copies()               those begun since the last commit are a group
//     wait_copies<n>()              all have arrived but those of this thread's n youngest groups;
//                                   what other threads have copied is there after a barrier
//     tf32(x)                       x rounded to the 11 binary digits that the tensor cores keep
//     mma(d, a, b)                  a warp's d (16 x 8) += a (16 x 8) @ b (8 x 8)
//
// Every lane of the warp holds a part of the three matrices. Lane 4·g + s, g = 0 … 7, s = 0 … 3:
//
//     a   column s      s + 4        b   column g        d   column 2·s   2·s + 1
//     row g      a[0]   a[2]         row s      b[0]     row g      d[0]   d[1]
//     row g + 8  a[1]   a[3]         row s + 4  b[1]     row g + 8  d[2]   d[3]
//
// Source: NVIDIA, PTX ISA, mma.m16n8k8 (.tf32) and cp.async. simulator_warp.h has the same for a
// processor.
#pragma once
#ifdef __CUDACC__
#if __CUDA_ARCH__ < 800
#error "expected a GPU of compute capability 8.0 or newer for tensor cores in TF32 and cp.async. \
Use a kernel without them, such as implicit_gemm"
#else

__device__ inline void copy_async(void* to, const void* from, bool there) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(
                     (unsigned)__cvta_generic_to_shared(to)),
                 "l"(from), "r"(there ? 16 : 0)
                 : "memory");
}

__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

template <int youngest>
__device__ inline void wait_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(youngest) : "memory");
}

__device__ inline unsigned tf32(float x) {
    unsigned bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return bits;
}

__device__ inline void mma(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, "
                 "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif
#else
using simulator::commit_copies;
using simulator::copy_async;
using simulator::mma;
using simulator::tf32;
using simulator::wait_copies;
#endif
