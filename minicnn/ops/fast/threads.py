"""How many threads compute: decided here, once, for BLAS and for our own.

BLAS could spread a product over the cores by itself, but its idle threads busy-wait for about
25 ms after each product and take the cores from whatever comes between two products. So here the
work is cut into parts. One thread does the copies, products and sums of a part while they are in
its cache, and BLAS computes on the thread that calls it.
"""

from __future__ import annotations

import functools
import mmap
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import copy_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class _ThreadLocal(threading.local):
    """Per thread: whether it is a worker of our pool, and its workspace."""

    working = False
    memory = np.empty(0, np.uint8)


_local = _ThreadLocal()
_pool_lock = threading.Lock()  # one caller at a time: each limits BLAS and restores the limit
_share = sys.maxsize  # the cores that share_cores grants
_blas_threads = 0  # num_threads() before the caller that holds the lock limited BLAS to one
MIN_PARALLEL_MULTIPLIES = 1 << 23  # products with fewer are not worth a second thread
MIN_BLAS_MULTIPLIES = 1 << 18  # with fewer OpenBLAS takes one thread by itself
# OpenBLAS multiplies matrices up to about this many multiplications as they lie; for larger ones it
# first copies them into an order of its own, which does not pay for thin matrices.
MAX_UNPACKED_GEMM = 10**6
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
                    "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
POOL_THREADS = 16  # at least: the user may allow BLAS more threads than there are cores

# glibc returns the memory of large arrays to the system at once and fetches it again page by page,
# a quarter of a small network's time, until one of 32 MB has come and gone (untouched: free).
np.empty((32 << 20) - (1 << 13), np.uint8)


@functools.cache
def cgroup_cpu_limit(file: str = "/sys/fs/cgroup/cpu.max") -> int:
    """The number of processors that a container's limit grants (Linux, cgroup 2), rounded up:
    "150000 100000" is one and a half, so 2. Without a limit, sys.maxsize."""
    try:
        time, period = map(int, Path(file).read_text().split())
        return max(1, -(-time // period))
    except (OSError, ValueError, ZeroDivisionError):  # no such file; "max 100000"
        return sys.maxsize


@functools.cache
def blas_libraries() -> Any:
    """threadpoolctl's controller of this process's BLAS libraries; the first call limits them to
    the threads that the container grants."""
    from threadpoolctl import ThreadpoolController  # here: `import minicnn` stays fast

    blas = ThreadpoolController().select(user_api="blas")
    blas_threads = max((library.num_threads for library in blas.lib_controllers), default=0)
    if blas_threads > cgroup_cpu_limit():
        blas.limit(limits=cgroup_cpu_limit())  # BLAS ignores cgroups: a thread for each core
    return blas


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS, not on Windows
        available = len(os.sched_getaffinity(0))
    else:
        available = getattr(os, "process_cpu_count", os.cpu_count)() or 1  # Python 3.13: -X, too
    return min(available, cgroup_cpu_limit(), _share)


def share_cores(count: int) -> None:
    """From now on this process computes with `count` cores at most, since the others belong to
    processes beside it. BLAS, too, unless OMP_NUM_THREADS or its relatives say otherwise."""
    global _share
    _share = count
    if not any(variable in os.environ for variable in THREAD_VARIABLES):
        blas_libraries().limit(limits=cores())


def num_threads() -> int:
    """As many threads as BLAS may use: what OMP_NUM_THREADS, OPENBLAS_NUM_THREADS or
    threadpoolctl.threadpool_limits(…) say; otherwise one per core."""
    if _blas_threads:
        return _blas_threads
    return max((library.num_threads for library in blas_libraries().lib_controllers),
               default=cores())


def chunk_slices(total: int, max_size: int, workers: int = 1) -> list[slice]:
    """range(total) in slices of equal size, at most max_size or 1, equally many for each worker."""
    number = -(-total // max(max_size, 1))
    number = min(total, -(-number // workers) * workers)
    return [slice(total * k // number, total * (k + 1) // number) for k in range(number)]


def shares(total: int, workers: int) -> list[slice]:
    """range(total) in slices of equal size, one for each worker, or fewer if there is less."""
    return chunk_slices(total, -(-total // max(workers, 1)))


def row_blocks(N: int, OH: int, row_elements: int, max_elements: int, workers: int = 1
               ) -> list[slice]:
    """N·OH output rows of row_elements columns each, in blocks of about max_elements elements:
    whole images or rows of one image."""
    if OH == 0:
        return []
    rows = max_elements // max(1, row_elements)
    if N > 1 and rows >= OH:
        return [slice(s.start * OH, s.stop * OH) for s in chunk_slices(N, rows // OH, workers)]
    return [slice(n * OH + s.start, n * OH + s.stop) for n in range(N)
            for s in chunk_slices(OH, rows, workers)]


@functools.cache
def _pool(process: int) -> ThreadPoolExecutor:
    """Persistent threads, started when first needed; a forked process starts its own."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(max(cores(), POOL_THREADS), "minicnn-compute",
                              lambda: setattr(_local, "working", True))


def _after_fork() -> None:
    """In the child: the lock's owner and BLAS' threads no longer exist, so reset both."""
    global _pool_lock, _blas_threads
    _pool_lock = threading.Lock()
    if _blas_threads:
        blas_libraries().limit(limits=_blas_threads)
    _blas_threads = 0


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)


def workspace(elements: int, dtype: np.dtype) -> np.ndarray:
    """This thread's own scratch memory (elements,), with whatever it holds: the same memory again
    at the next call, so that it is not allocated and freed a hundred times. Threads of native's, to
    which this one gives parts of its work, write to it, too."""
    size = elements * np.dtype(dtype).itemsize
    if size > _local.memory.size:
        _local.memory = np.empty(0, np.uint8)  # free the old memory first
        _local.memory = np.frombuffer(new_pages(size), np.uint8)
    return _local.memory[:size].view(dtype)


@contextmanager
def _single_threaded_blas() -> Iterator[None]:
    """BLAS computes on the thread that calls it. Callers wait for each other."""
    global _blas_threads
    with _pool_lock:
        _blas_threads = num_threads()
        try:
            with blas_libraries().limit(limits=1):
                yield
        finally:
            _blas_threads = 0


def parallel_map(work: Callable[[Sequence[Item]], Answer], items: Sequence[Item], workers: int
                 ) -> list[Answer]:
    """[work(items[0::n]), work(items[1::n]), …] on n = workers threads at once, or on fewer if
    there are fewer items.

    BLAS is limited to one thread meanwhile. Which worker gets which items is fixed, and so is the
    order of the results: sums of them are the same to the last bit in every run with as many
    workers. np.errstate and other context variables hold in the workers. The first error is raised
    once all have ended. Concurrent callers wait for each other; a nested call from a worker runs
    serially.
    """
    workers = min(workers, len(items))
    if workers < 2 or _local.working:
        return [work(items)]
    from concurrent.futures import wait

    with _single_threaded_blas():
        pool, running = _pool(os.getpid()), []
        try:
            for k in range(workers):  # one by one: `finally` waits for those begun
                running.append(  # noqa: PERF401
                    pool.submit(copy_context().run, work, items[k::workers]))
            wait(running)
        finally:
            wait(running)  # after Ctrl-C, too: no worker is left behind
    return [future.result() for future in running]


def new_pages(size: int) -> mmap.mmap:
    """Memory from the system; where Linux has them, in pages of 2 MB: 512 small ones instead would
    be more than the processor can remember the places of."""
    if not hasattr(mmap, "MAP_PRIVATE"):  # Windows
        return mmap.mmap(-1, size)
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without them
            pages.madvise(mmap.MADV_HUGEPAGE)
    return pages


def is_worker() -> bool:
    """Whether this thread computes a part of parallel_map's work: it shares nothing itself."""
    return _local.working


def as_matmul_batch(a: np.ndarray, N: int) -> np.ndarray:
    """a (M, K) -> (n, M / n, K), a batch of matrices to multiply with (K, N): the smallest n that
    keeps each product within MAX_UNPACKED_GEMM, or 1 if they would be short."""
    M, K = a.shape
    for n in range(1, M // 64 + 1):
        if M % n == 0 and M // n * K * N <= MAX_UNPACKED_GEMM:
            return a.reshape(n, M // n, K)
    return a.reshape(1, M, K)


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a (M, K) @ b (K, N), each thread a part of the longer side."""
    M, N, workers = len(a), b.shape[1], num_threads()
    multiplies = M * N * a.shape[1]
    if workers < 2 or is_worker() or multiplies < MIN_BLAS_MULTIPLIES:
        return a @ b
    if multiplies < MIN_PARALLEL_MULTIPLIES:
        with _single_threaded_blas():
            return a @ b
    out = np.empty((M, N), np.result_type(a, b))

    def work(parts: Sequence[slice]) -> None:
        for part in parts:
            if M > N:
                np.matmul(a[part], b, out=out[part])
            else:
                np.matmul(a, b[:, part], out=out[:, part])

    longer = max(M, N)
    parallel_map(work, shares(longer, workers), workers)
    return out
