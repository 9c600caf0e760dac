// The threads of the native backend: who runs the kernels of a step, and how they wait.
//
//     calling thread   | part 0 | waits for 1, 2 |           | part 0 | …
//     thread 1         | part 1 | looks for work . . . . . . | part 1 | …
//     thread 2         | part 2   | looks for work . . . . . | part 2 | …
//
// Python's threads would do, but two of them hand its lock to each other after every call, and to be
// woken takes a thread about 50 µs: as long as a small network's pooling. These never see Python. One
// that has nothing to do looks for work a while before it sleeps: what comes within that time, it
// begins at once.
//
// A part is a list of calls, one after the other in memory, in words of 8 bytes:
//
//     | kernel | n | argument 0 | … | argument n − 1 | kernel | n | …
//
// Who runs which part is fixed, and no part writes what another one reads: results do not depend on
// when a thread begins.
#include "common.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

const std::chrono::microseconds LOOKING(200);  // for work, before a thread sleeps

struct Part {
    const Argument *begin, *end;
};

static void run_calls(Part part) {
    for (const Argument* at = part.begin; at < part.end; at += 2 + at[1].integer)
        ((Callable)at[0].array)(at + 2);
}

// A word to the processor that this thread only waits: its twin on the same core gets the units.
static inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Waits until ready() without sleeping, for LOOKING at most unless `forever`. Other threads that want
// this core get it.
template <typename Ready>
static bool look(Ready ready, bool forever) {
    const auto end = std::chrono::steady_clock::now() + LOOKING;
    do {
        for (int k = 0; k < 100; ++k) {
            if (ready()) return true;
            relax();
        }
        sched_yield();
    } while (forever || std::chrono::steady_clock::now() < end);
    return ready();
}

class Worker {
public:
    Worker() { std::thread([this] { work(); }).detach(); }

    void give(Part next) {
        part = next;
        given.store(given.load() + 1);  // whoever sees this sees `part`, too
        if (sleeping.load()) {
            std::lock_guard<std::mutex> lock(mutex);
            awake.notify_one();
        }
    }

    // Without sleeping: the parts are equal, so the others end when the caller does.
    void wait() {
        look([this] { return done.load() == given.load(); }, true);
    }

private:
    void work() {
        for (;;) {
            const auto has_work = [this] { return done.load() != given.load(); };
            if (!look(has_work, false)) {
                std::unique_lock<std::mutex> lock(mutex);
                sleeping.store(true);  // before the last look: who gives work after it sees us asleep
                awake.wait(lock, has_work);
                sleeping.store(false);
            }
            run_calls(part);
            done.store(given.load());
        }
    }

    Part part;
    std::atomic<int64> given{0}, done{0};  // parts
    std::atomic<bool> sleeping{false};
    std::mutex mutex;
    std::condition_variable awake;
};

static std::vector<Worker*>* workers = new std::vector<Worker*>;  // they live as long as the process
static std::atomic_flag busy = ATOMIC_FLAG_INIT;                  // one caller at a time has them

// A forked process has none of its parent's threads, and whoever held the flag is not there.
static void after_fork() {
    workers = new std::vector<Worker*>;
    busy.clear();
}
static const int registered = pthread_atfork(nullptr, nullptr, after_fork);

// Starts workers until there are `count`; fewer if the system grants no more. They get no signals from
// outside, which are for Python's main thread; a crash of their own is reported.
static void start(size_t count) {
    sigset_t all, before;
    sigfillset(&all);
    for (int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) sigdelset(&all, own);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
        while (workers->size() < count) workers->push_back(new Worker);
    } catch (const std::system_error&) {
    } catch (const std::bad_alloc&) {
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// Runs the parts words[starts[k]] … words[starts[k + 1] − 1], each on a thread of its own as far as
// there are threads, and returns when all are done. If another thread has the workers, the caller runs
// all parts.
extern "C" void run_parts(const Argument* words, const int64* starts, int64 parts) {
    if (parts == 0) return;
    const auto part = [&](int64 k) { return Part{words + starts[k], words + starts[k + 1]}; };
    const bool ours = parts > 1 && !busy.test_and_set();
    if (ours) start(parts - 1);
    const int64 helped = ours ? std::min<int64>(parts - 1, workers->size()) : 0;
    for (int64 k = 0; k < helped; ++k) (*workers)[k]->give(part(k + 1));
    run_calls(part(0));
    for (int64 k = helped + 1; k < parts; ++k) run_calls(part(k));
    for (int64 k = 0; k < helped; ++k) (*workers)[k]->wait();
    if (ours) busy.clear();
}
