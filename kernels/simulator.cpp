// How the device "cuda-sim" runs a grid. simulator.h is what the kernels see of it.
//
// A grid runs block after block, a block thread after thread. A thread that reaches __syncthreads()
// is put aside on its own stack and the next one runs; when all wait there, each goes on in turn:
//
//     thread 0  ──────┐         ├──────┐         ├──── end
//     thread 1        └─────┐   │      └─────┐   │
//     thread 2              └───┤ barrier    └───┤ barrier
//
// Threads that wait for their warp only (__syncwarp(), shuffles, the tensor cores) go on when its
// 32 are there: simulator_warp.h. What is recorded of each access, where somebody asks for it:
// simulator_record.h.
//
// Every array is copied between two fences, pages that nobody may touch, and a const one lies on
// pages that nobody may write: the processor itself stops a wrong access, and the report names
// block, thread, array and element. printf and debuggers work as in any C program. Linux and macOS.
#include "simulator.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__  // it knows the bounds of every allocation, and reports by itself
#include <sanitizer/common_interface_defs.h>
const bool SANITIZED = true;
#else
const bool SANITIZED = false;
inline void __sanitizer_start_switch_fiber(void**, const void*, size_t) {}
inline void __sanitizer_finish_switch_fiber(void*, const void**, size_t*) {}
#endif

dim3 threadIdx, blockIdx, blockDim, gridDim;

#ifndef __APPLE__  // the linker marks where the shared memory of all kernels of the file lies
extern char __start_shared_memory[] __attribute__((weak, visibility("hidden")));
extern char __stop_shared_memory[] __attribute__((weak, visibility("hidden")));
#endif

namespace simulator {

struct Report {  // of what went wrong
    char text[400];
    int array;       // which argument was missed, −1: none
    int64_t offset;  // where, in bytes from its beginning; INT64_MIN: somewhere
};

struct Fiber {  // a stack, and the CUDA thread that stands on it
    ucontext_t entry;
    jmp_buf place;
    unsigned thread;
    int line;  // of the __syncthreads() where it waits; negative: for its warp; 0: it does not
    bool entered;
    void* frames;  // AddressSanitizer's own, which has to know of every change of stack
};

static bool recording;  // simulator_record.h

const int64_t FENCE = 1LL << 32, PAGE = sysconf(_SC_PAGESIZE), IN_PLACE = 1 << 30;
const unsigned STACK = 1 << 20;  // twice what CUDA gives a thread

static Fiber fibers[MAX_THREADS], *running;
static char* stacks;
static struct {
    void* frames;
    const void* stack;
    size_t size;
} home;  // where the scheduler stands
static jmp_buf scheduler;
static sigjmp_buf failed;
Array* arrays;
int array_count;
static Report* report;
static void (*kernel)(void**);
static void** arguments;
unsigned threads;
static unsigned order[32], starting, started;  // lanes: which begin, how many, how many have begun
static Fiber* waiting[MAX_THREADS];  // the stack on which a thread waits; nullptr: it has ended
static unsigned waiting_count, stacks_used;
static uint64_t order_seed;  // 0: everything in order; 1: backwards; else: shuffled

// What a kernel calls extern __shared__: of the size that the launch names, between two fences.
char* dynamic_shared;
static char* dynamic_start;
static int64_t dynamic_bytes, dynamic_length;
const int64_t DYNAMIC_FENCE = 1 << 20;

template <typename T>
static void shuffle(T* items, uint64_t count) {  // Fisher & Yates with splitmix64
    for (uint64_t k = count; order_seed > 1 && k > 1; k--) {
        uint64_t z = order_seed += 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        std::swap(items[k - 1], items[(z ^ (z >> 31)) % k]);
    }
}

static void set_thread(unsigned t) {
    threadIdx = {t % blockDim.x, t / blockDim.x % blockDim.y, t / blockDim.x / blockDim.y};
}

static void set_order(unsigned* items, unsigned count) {  // in order, backwards, or drawn
    for (unsigned k = 0; k < count; k++) items[k] = order_seed == 1 ? count - 1 - k : k;
    shuffle(items, count);
}

[[noreturn]] void fail(const char* what) {
    snprintf(report->text, sizeof report->text, "block (%u, %u, %u), thread (%u, %u, %u) %s",
             blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z, what);
    siglongjmp(failed, 1);
}

static void on_signal(int signal, siginfo_t* info, void* context) {
    if (signal != SIGSEGV && signal != SIGBUS)
        fail("leaves a __shared__ or local array, overflows an integer or divides one by 0");
    const char *address = (char*)info->si_addr, *act = "touches";
    if (address >= stacks - STACK && address < stacks + MAX_THREADS * STACK)
        fail("has more local variables than its stack of 1 MB holds");
#if defined(__x86_64__) && defined(__linux__)
    act = ((ucontext_t*)context)->uc_mcontext.gregs[REG_ERR] & 2 ? "writes" : "reads";
#endif
    (void)context;
    if (dynamic_start && address >= dynamic_start - DYNAMIC_FENCE &&
        address < dynamic_start + dynamic_length + DYNAMIC_FENCE) {
        static char text[100];
        snprintf(text, sizeof text, "%s byte %lld of its %lld bytes of dynamic shared memory", act,
                 (long long)(address - dynamic_shared), (long long)dynamic_bytes);
        fail(text);
    }
    if (!dynamic_bytes && (uintptr_t)address < 1 << 20)
        fail("follows a null pointer, or an extern __shared__ array to which the launch has given "
             "no shared_memory");
    for (int k = 0; k < array_count; k++) {
        const Array& a = arrays[k];
        if (a.start && address >= a.start - FENCE && address < a.start + a.length + FENCE)
            report->array = k, report->offset = address - a.copy;
    }
    if (report->array >= 0) fail(act);
    char text[60];
    snprintf(text, sizeof text, "%s an address outside all of its arrays", act);
    fail(text);
}

// Threads of a block

static void run_threads() {  // one after another on this stack, until one has to wait
    __sanitizer_finish_switch_fiber(nullptr, &home.stack, &home.size);
    for (;;) {
        while (started < starting) {
            set_thread(running->thread = order[started++]);
            kernel(arguments);
            running->line = 0;
        }
        __sanitizer_start_switch_fiber(nullptr, home.stack, home.size);
        _longjmp(scheduler, 1);
    }
}

static void resume(Fiber* fiber) {  // returns when it waits or has no thread left to run
    if (_setjmp(scheduler))
        return __sanitizer_finish_switch_fiber(home.frames, nullptr, nullptr);
    running = fiber;
    __sanitizer_start_switch_fiber(&home.frames, stacks + (fiber - fibers) * STACK, STACK);
    if (fiber->entered) _longjmp(fiber->place, 1);
    getcontext(&fiber->entry);
    fiber->entry.uc_stack.ss_sp = stacks + (fiber - fibers) * STACK;
    fiber->entry.uc_stack.ss_size = STACK - (fiber - fibers) * 4352 % (1 << 16);
    // … and so the stacks begin at different lines of the cache
    fiber->entered = true;
    makecontext(&fiber->entry, run_threads, 0);
    setcontext(&fiber->entry);
}

void wait_at(int line) {
    running->line = line;
    __sanitizer_start_switch_fiber(&running->frames, home.stack, home.size);
    if (!_setjmp(running->place)) _longjmp(scheduler, 1);
    __sanitizer_finish_switch_fiber(running->frames, &home.stack, &home.size);
    set_thread(running->thread);
}

static void go_on(unsigned t) {
    resume(waiting[t]);
    if (!waiting[t]->line) waiting[t] = nullptr, waiting_count--;
}

static bool warp_is_complete(unsigned first, unsigned lanes) {  // all at one place for their warp
    for (unsigned t = first; t < first + lanes; t++)
        if (!waiting[t] || waiting[t]->line >= 0 || waiting[t]->line != waiting[first]->line)
            return false;
    return true;
}

static void run_lanes(unsigned first, unsigned lanes) {
    unsigned lane[32];
    set_order(lane, lanes);
    for (unsigned j = 0; j < lanes; j++) go_on(first + lane[j]);
}

static void begin_lanes(unsigned first, unsigned lanes) {
    set_order(order, lanes);
    for (unsigned j = 0; j < lanes; j++) order[j] += first;
    for (started = 0, starting = lanes; started < starting;) {
        Fiber* fiber = &fibers[stacks_used];
        fiber->line = 0, fiber->entered = false;
        resume(fiber);
        if (fiber->line) waiting[fiber->thread] = fiber, waiting_count++, stacks_used++;
    }
}

// All threads go on from a barrier, or begin, and reach the next one (or the end). In order all
// warps run side by side; in another order one runs ahead of the others as far as it can.
static void run_warps(bool begin) {
    const unsigned warps = (threads + 31) / 32;
    unsigned turn[MAX_THREADS / 32];
    set_order(turn, warps);
    const auto lanes = [](unsigned w) { return threads - w * 32 < 32 ? threads - w * 32 : 32; };
    for (unsigned k = 0; k < warps; k++) {
        const unsigned w = turn[k];
        (begin ? begin_lanes : run_lanes)(w * 32, lanes(w));
        while (order_seed && warp_is_complete(w * 32, lanes(w))) run_lanes(w * 32, lanes(w));
    }
    for (bool moved = !order_seed; moved;) {
        moved = false;
        for (unsigned w = 0; w < warps; w++)
            if (warp_is_complete(w * 32, lanes(w))) run_lanes(w * 32, lanes(w)), moved = true;
    }
}

static void check_barrier() {  // do all threads of the block stand at one __syncthreads()?
    unsigned first = 0;
    while (!waiting[first]) first++;
    for (unsigned t = first; t < threads; t++)
        if (waiting[t] && waiting[t]->line < 0) {
            set_thread(t);
            fail("waits for its warp, of which not every thread comes to this place");
        }
    for (unsigned t = 0; t < threads; t++)
        if (!waiting[t] || waiting[t]->line != waiting[first]->line) {
            set_thread(first);
            fail("is at a __syncthreads() that not every thread of its block reaches");
        }
}

Slot slots[MAX_THREADS];
Copy under_way[MAX_THREADS][MAX_COPIES];
int copies[MAX_THREADS], groups[MAX_THREADS];

static void run_block() {
#ifndef __APPLE__
    if (__start_shared_memory)  // every block finds NaN there
        memset(__start_shared_memory, 0xff, __stop_shared_memory - __start_shared_memory);
#endif
    if (dynamic_bytes) memset(dynamic_shared, 0xff, dynamic_bytes);
    for (unsigned t = 0; t < threads; t++) {
        waiting[t] = nullptr;
        copies[t] = groups[t] = slots[t].turn = 0;
    }
    waiting_count = stacks_used = 0;
    run_warps(true);
    while (waiting_count) {
        check_barrier();
        run_warps(false);
    }
}

static void run_grid(int64_t only) {
    const uint64_t blocks = (uint64_t)gridDim.x * gridDim.y * gridDim.z;
    static uint64_t* turn;  // of the last launch; fail() jumps away from here
    free(turn);
    turn = order_seed ? (uint64_t*)malloc(blocks * sizeof *turn) : nullptr;
    for (uint64_t k = 0; turn && k < blocks; k++) turn[k] = order_seed == 1 ? blocks - 1 - k : k;
    if (turn) shuffle(turn, blocks);
    for (uint64_t k = 0; k < blocks; k++) {
        const uint64_t b = only >= 0 ? (uint64_t)only : turn ? turn[k] : k;
        blockIdx = {unsigned(b % gridDim.x), unsigned(b / gridDim.x % gridDim.y),
                    unsigned(b / gridDim.x / gridDim.y)};
        run_block();
        if (only >= 0) break;
    }
}

// Arrays

// A copy of a between two fences, its end at the second one (or its beginning at the first). What
// is left of its pages holds 0xff, NaN for whoever reads it. Arrays of 1 GiB and more stay where
// they are, unfenced; a kernel that writes one runs only once.
static void place(Array& a, bool left) {
    a.start = nullptr;
    for (Array* b = arrays; b < &a; b++)
        if (b->data == a.data && b->bytes == a.bytes) {
            a.copy = b->copy;
            return;
        }
    a.copy = a.data;
    if (a.bytes >= IN_PLACE) return;
    if (SANITIZED) {
        a.length = a.bytes;
        a.start = a.copy = (char*)memcpy(malloc(a.bytes), a.data, a.bytes);
        return;
    }
    a.length = (a.bytes + PAGE - 1) / PAGE * PAGE;
    char* all = (char*)mmap(nullptr, a.length + 2 * FENCE, PROT_NONE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED) fail("finds no memory");
    a.start = all + FENCE;
    mprotect(a.start, a.length, PROT_READ | PROT_WRITE);
    a.copy = left ? a.start : a.start + a.length - a.bytes;
    memset(left ? a.copy + a.bytes : a.start, 0xff, a.length - a.bytes);
    memcpy(a.copy, a.data, a.bytes);
    bool writable = a.writable;
    for (Array* b = arrays; b < arrays + array_count; b++)
        writable |= b->writable && b->data == a.data;
    if (!writable) mprotect(a.start, a.length, PROT_READ);
}

static bool overrun(const Array& a) {
    for (char* c = a.start; a.start && c < a.start + a.length; c++) {
        if (c == a.copy) c += a.bytes;
        if (c < a.start + a.length && *c != (char)0xff) return true;
    }
    return false;
}

static void release(Array& a) {
    if (SANITIZED)
        free(a.start);
    else if (a.start)
        munmap(a.start - FENCE, a.length + 2 * FENCE);
    a.start = nullptr;
}

static void place_dynamic(bool left) {  // at the second of two fences, or at the first
    dynamic_start = dynamic_shared = nullptr;
    if (!dynamic_bytes) return;
    if (SANITIZED) {
        dynamic_shared = (char*)malloc(dynamic_bytes);
        return;
    }
    dynamic_length = (dynamic_bytes + PAGE - 1) / PAGE * PAGE;
    char* all = (char*)mmap(nullptr, dynamic_length + 2 * DYNAMIC_FENCE, PROT_NONE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED) fail("finds no memory");
    dynamic_start = all + DYNAMIC_FENCE;
    mprotect(dynamic_start, dynamic_length, PROT_READ | PROT_WRITE);
    memset(dynamic_start, 0xff, dynamic_length);
    dynamic_shared = dynamic_start + (left ? 0 : dynamic_length - (dynamic_bytes + 15) / 16 * 16);
}

static void release_dynamic() {
    if (SANITIZED)
        free(dynamic_shared);
    else if (dynamic_start)
        munmap(dynamic_start - DYNAMIC_FENCE, dynamic_length + 2 * DYNAMIC_FENCE);
    dynamic_start = dynamic_shared = nullptr;
}

static void launch(uint64_t seed, bool left, int64_t only) {
    for (int k = 0; k < array_count; k++) place(arrays[k], left);
    release_dynamic();
    place_dynamic(left);
    order_seed = seed;
    recording = true;
    run_grid(only);
    recording = false;
}

// Runs a kernel over a grid of `size` (grid, block, bytes of dynamic shared memory), `runs` times:
// in order, then with blocks, and threads between barriers, backwards (whichever of two came first
// comes second), then in orders drawn from a seed; none may change a bit. only: a block's number,
// to run that one alone; −1: all. shared: the threads' stacks, made by the first call, for the
// kernels of all files.
// 0, or 1 with what went wrong in `result`; then no array is changed, but those in place.
extern "C" int simulate(void (*function)(void**), void** values, Array* pointers, int count,
                        const unsigned* size, int runs, int64_t only, char** shared,
                        Report* result) {
    static char* results[16];
    static struct sigaction before[5];
    const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE};
    kernel = function, arguments = values, arrays = pointers, array_count = count, report = result;
    gridDim = {size[0], size[1], size[2]}, blockDim = {size[3], size[4], size[5]};
    threads = blockDim.x * blockDim.y * blockDim.z;
    dynamic_bytes = size[6];
    if (!*shared) {
        char* all = (char*)mmap(nullptr, (MAX_THREADS + 1) * STACK, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        mprotect(all, STACK, PROT_NONE);  // what grows out of the first stack is stopped
        *shared = all + STACK;
        for (unsigned t = 0; t < MAX_THREADS; t++)  // each ends at a page that stops it
            mprotect(*shared + t * STACK, PAGE, PROT_NONE);
    }
    stacks = *shared;
    static char handlers_stack[1 << 16];
    static stack_t apart, usual;
    apart.ss_sp = handlers_stack, apart.ss_size = sizeof handlers_stack;
    if (!SANITIZED) sigaltstack(&apart, &usual);
    static bool in_place;  // such an array cannot be restored for a second run
    in_place = false;
    for (int k = 0; k < count; k++) in_place |= arrays[k].writable && arrays[k].bytes >= IN_PLACE;
    struct sigaction action = {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    for (int k = 0; k < 5 && !SANITIZED; k++) sigaction(signals[k], &action, &before[k]);
    memset(results, 0, sizeof results);
    report->array = -1, report->offset = INT64_MIN;
    const int wrong = sigsetjmp(failed, 1);
    if (!wrong) {
        for (int run = 0; run < (in_place ? 1 : runs); run++) {
            launch(run, run % 2, only);
            int beside = -1;
            for (int k = 0; k < count; k++)
                if (overrun(arrays[k])) beside = k;
            if (beside >= 0) {  // again, with the fence on that side: it stops who does it
                for (int k = 0; k < count; k++) release(arrays[k]);
                launch(run, run % 2 == 0, only);
                report->array = beside;
                fail("or another one writes beside");
            }
            for (int k = 0; k < count; k++) {
                Array& a = arrays[k];
                if (!a.writable || a.bytes >= IN_PLACE) continue;
                if (run && memcmp(results[k], a.copy, a.bytes)) {
                    report->array = k, report->offset = 0;
                    while (a.copy[report->offset] == results[k][report->offset]) report->offset++;
                    fail("was the last to run; in another order of blocks and threads another "
                         "result is found in");
                }
                if (!run) memcpy(results[k] = (char*)malloc(a.bytes), a.copy, a.bytes);
            }
            for (int k = 0; k < count; k++) release(arrays[k]);
        }
        for (int k = 0; k < count; k++)
            if (results[k]) memcpy(arrays[k].data, results[k], arrays[k].bytes);
    }
    recording = false;
    release_dynamic();
    for (int k = 0; k < count; k++) release(arrays[k]), free(results[k]);
    for (int k = 0; k < 5 && !SANITIZED; k++) sigaction(signals[k], &before[k], nullptr);
    if (!SANITIZED) sigaltstack(&usual, nullptr);
    fflush(stdout);  // what kernels have printed
    return wrong;
}

}  // namespace simulator

#include "simulator_record.h"
