"""How many threads compute: decided here, once, for BLAS and for our own.

BLAS could spread a product over the cores by itself. But its threads wait for the next one with
open eyes, some 25 ms long, and take the cores from whatever comes between two products. So here the
work is cut into parts, each part's copies, products and sums follow each other on one thread while
they are in its cache, and BLAS computes on the thread that calls it.
"""

from __future__ import annotations

import functools
import mmap
import os
import sys
import threading
from collections.abc import Callable, Sequence
from contextvars import copy_context
from pathlib import Path
from typing import Any

import numpy as np


class _Own(threading.local):
    """A thread's own: is it one of ours, at work? And its workspace."""

    working = False
    memory = np.empty(0, np.uint8)


_own = _Own()
_sharing = threading.Lock()  # two callers would each give BLAS back what the other has left it
_shared = 0  # what count() was before the caller that shares now held BLAS to one thread
SMALL = 1 << 18  # multiplications that BLAS does on one thread anyway
# Up to so many, OpenBLAS takes the matrices as they lie; of larger ones it makes copies in an order
# of its own first, which thin matrices do not pay back.
UNPACKED = 10**6

# glibc gives the memory of large arrays back to the system at once, to fetch it again page by page,
# a quarter of a small network's time, until it has seen one of 32 MB come and go (untouched: free).
np.empty((32 << 20) - (1 << 13), np.uint8)


@functools.cache
def quota(file: str = "/sys/fs/cgroup/cpu.max") -> int:
    """The processors whose time a container's limit grants (Linux, cgroup 2: "150000 100000" are
    one and a half, so 2); without a limit more than there are."""
    try:
        time, period = map(int, Path(file).read_text().split())
        return max(1, -(-time // period))
    except (OSError, ValueError, ZeroDivisionError):  # no such file; "max 100000"
        return sys.maxsize


@functools.cache
def _blas() -> Any:
    from threadpoolctl import ThreadpoolController  # here: `import minicnn` stays fast

    found = ThreadpoolController().select(user_api="blas")
    if max((library.num_threads for library in found.lib_controllers), default=0) > quota():
        found.limit(limits=quota())  # it does not look at quotas, and takes a thread for each core
    return found


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS, not on Windows
        there = len(os.sched_getaffinity(0))
    else:
        there = getattr(os, "process_cpu_count", os.cpu_count)() or 1  # Python 3.13 knows -X, too
    return min(there, quota())


def count(device: str = "cpu") -> int:
    """As many threads as BLAS may use: the user's OMP_NUM_THREADS, OPENBLAS_NUM_THREADS or
    threadpoolctl.threadpool_limits(…) say; else one a core. One for a GPU, which has its own."""
    if device != "cpu":
        return 1
    return _shared or max((library.num_threads for library in _blas().lib_controllers),
                          default=cores())


def cuts(total: int, most: int, workers: int = 1) -> list[slice]:
    """range(total) in pieces of equal size, `most` at most, as many for each of the workers."""
    number = -(-total // max(most, 1))
    number = min(total, -(-number // workers) * workers)
    return [slice(total * k // number, total * (k + 1) // number) for k in range(number)]


def row_blocks(N: int, OH: int, row_elements: int, most: int, workers: int = 1) -> list[slice]:
    """N·OH output rows of row_elements columns each, in blocks of about `most` elements: whole
    images or rows of one image."""
    rows = most // max(1, row_elements)
    if N > 1 and rows >= OH:
        return [slice(s.start * OH, s.stop * OH) for s in cuts(N, rows // OH, workers)]
    return [slice(n * OH + s.start, n * OH + s.stop) for n in range(N)
            for s in cuts(OH, rows, workers)]


@functools.cache
def _pool(process: int) -> Any:
    """Threads that stay, started when they are needed; a process that was forked starts its own."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(max(cores(), 16), "minicnn-compute",
                              lambda: setattr(_own, "working", True))


def _after_fork() -> None:
    """In the child: whoever held the lock is not there to give it back, nor BLAS its threads."""
    global _sharing, _shared
    _sharing = threading.Lock()
    if _shared:
        _blas().limit(limits=_shared)
    _shared, _own.memory = 0, np.empty(0, np.uint8)  # its parent's, as mapped memory is


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)


def workspace(elements: int, dtype: np.dtype) -> np.ndarray:
    """This thread's own memory (elements,), whatever it holds: the same again at the next call, so
    that nothing is asked for and given back a hundred times."""
    size = elements * np.dtype(dtype).itemsize
    if size > _own.memory.size:
        _own.memory = np.empty(0, np.uint8)  # what was there goes back to the system first
        _own.memory = np.frombuffer(mmap.mmap(-1, size), np.uint8)
    return _own.memory[:size].view(dtype)


def share(work: Callable[[Sequence], Any], items: Sequence, workers: int) -> list:
    """[work(items[0::n]), work(items[1::n]), …] on n = workers threads at once, or on fewer where
    there are fewer items.

    BLAS is held to one thread meanwhile. Who gets what is fixed, and so is the order of the
    results: sums of them are the same to the last bit in every run. np.errstate holds on all of
    them. The first error is raised when all have ended. Who calls while others share waits; a
    worker that shares again does all itself.
    """
    workers = min(workers, len(items))
    if workers < 2 or _own.working:
        return [work(items)]
    from concurrent.futures import wait

    global _shared
    with _sharing:
        _shared = count()
        try:
            with _blas().limit(limits=1):
                pool, running = _pool(os.getpid()), []
                try:
                    for k in range(workers):
                        running.append(pool.submit(copy_context().run, work, items[k::workers]))
                    wait(running)
                finally:
                    wait(running)  # after Ctrl-C, too: no worker is left behind
        finally:
            _shared = 0
    return [one.result() for one in running]


def stacked(a: np.ndarray, N: int) -> np.ndarray:
    """a (M, K) -> (n, M / n, K), a stack of matrices for products with (K, N): as few as keep each
    product UNPACKED, or one where they would be short. On a GPU one."""
    M, K = a.shape
    n = next((n for n in range(1, M // 64 + 1) if M % n == 0 and M // n * K * N <= UNPACKED), 1)
    return a.reshape(n if type(a) is np.ndarray else 1, -1, K)


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a (M, K) @ b (K, N), each thread its part of the longer side; on a GPU as it is."""
    M, N, workers = len(a), b.shape[1], count()
    if type(a) is not np.ndarray or workers < 2 or M * N * a.shape[1] < SMALL:
        return a @ b
    out, most = np.empty((M, N), np.result_type(a, b)), -(-max(M, N) // workers)

    def work(pieces: Sequence[slice]) -> None:
        for s in pieces:
            if M > N:
                np.matmul(a[s], b, out=out[s])
            else:
                np.matmul(a, b[:, s], out=out[:, s])

    share(work, cuts(max(M, N), most, workers), workers)
    return out
