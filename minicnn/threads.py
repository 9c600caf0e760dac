"""How many threads compute: decided here, once, for BLAS and for our own.

A product of two large matrices is spread over the cores by BLAS itself. Where a core's work is a
chain of small products, BLAS gets one thread and we start the others: never both at a time.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from typing import Any


@functools.cache
def _blas() -> Any:
    from threadpoolctl import ThreadpoolController  # here: `import minicnn` stays fast

    return ThreadpoolController().select(user_api="blas")


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS, not on Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def count(device: str = "cpu") -> int:
    """As many threads as BLAS may use: the user's OMP_NUM_THREADS, OPENBLAS_NUM_THREADS or
    threadpoolctl.threadpool_limits(…) say; else one a core. One for a GPU, which has its own."""
    if device != "cpu":
        return 1
    limits = [library["num_threads"] for library in _blas().info()]
    return max(limits, default=cores())


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
def _pool(process: int, threads: int) -> Any:
    """Threads that stay; a process that was forked starts its own."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(threads, thread_name_prefix="minicnn-compute")


def share(work: Callable[[Sequence], Any], items: Sequence, workers: int) -> list:
    """[work(items[0::n]), work(items[1::n]), …] on n = workers threads at once, or on fewer where
    there are fewer items.

    BLAS is held to one thread meanwhile. Who gets what is fixed, and so is the order of the
    results: sums of them are the same to the last bit in every run. The first error is raised when
    all have ended.
    """
    workers = min(workers, len(items))
    if workers < 2:
        return [work(items)]
    with _blas().limit(limits=1):
        pool = _pool(os.getpid(), workers)
        running = [pool.submit(work, items[k::workers]) for k in range(workers)]
        errors = [one.exception() for one in running]  # waits for each
    for error in filter(None, errors):
        raise error
    return [one.result() for one in running]
