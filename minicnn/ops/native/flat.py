"""Kernels that go once through arrays, element by element, each thread a part of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..fast.threads import shares
from .library import has_kernels, library, workers_for

MIN_SIZE = 1 << 15  # of arrays: with fewer, slicing them and the call cost more than NumPy takes


def fits(written: Sequence[np.ndarray], read: Sequence[np.ndarray]) -> bool:
    """Whether the kernels can compute with these arrays as they lie in memory, and it pays."""
    first = (*written, *read)[0]
    return (first.size >= MIN_SIZE and has_kernels(first.dtype)
            and all(a.flags.writeable for a in written)
            and all(a.dtype == first.dtype and a.shape == first.shape and a.flags.c_contiguous
                    and a.flags.aligned for a in (*written, *read)))


def each(kernel: str, arrays: Sequence[np.ndarray], *numbers: Any) -> None:
    """Runs a kernel (arrays, size, numbers) on arrays that fit."""
    lines = [a.reshape(-1) for a in arrays]  # views
    size = lines[0].size
    library(lines[0].dtype.name).on_threads([
        [(kernel, *(line[part] for line in lines), part.stop - part.start, *numbers)]
        for part in shares(size, workers_for(size))])
