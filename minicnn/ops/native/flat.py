"""Kernels that go once through arrays, element by element, each thread a part of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..fast.threads import chunk_slices, num_threads, parallel_map
from .library import has_kernels, library

MIN_SIZE = 1 << 15  # of arrays: with fewer, slicing them and the call cost more than NumPy takes
MIN_PART = 1 << 19  # elements that are worth a thread


def fits(written: Sequence[np.ndarray], read: Sequence[np.ndarray]) -> bool:
    """Whether the kernels can compute with these arrays as they lie in memory, and it pays."""
    first = (*written, *read)[0]
    return (first.size >= MIN_SIZE and has_kernels(first.dtype)
            and all(a.flags.writeable for a in written)
            and all(a.dtype == first.dtype and a.shape == first.shape and a.flags.c_contiguous
                    and a.flags.aligned for a in (*written, *read)))


def each(kernel: str, arrays: Sequence[np.ndarray], *numbers: Any) -> None:
    """Runs a kernel (arrays, size, numbers) on arrays that fit."""
    kernels, size, workers = library(arrays[0].dtype.name), arrays[0].size, num_threads()
    lines = [a.reshape(-1) for a in arrays]  # views

    def work(parts: Sequence[slice]) -> None:
        for part in parts:
            kernels(kernel, *(line[part] for line in lines), part.stop - part.start, *numbers)

    workers = min(workers, max(1, size // MIN_PART))
    parallel_map(work, chunk_slices(size, max(1, -(-size // workers)), workers), workers)
