"""Photos in batches, decoded by threads ahead of need."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from ..utils.errors import ArgumentError
from .datasets import Dataset
from .images import check_size

AHEAD = 2  # batches decoded before they are asked for: enough to hide a slow file, and bounded


def batches(data: Dataset, order: Sequence[int], batch_size: int, size: tuple[int, int],
            crop_fraction: float = 1.0, workers: int | None = None,
            ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The photos of `order`, in exactly that order, cut by resize_and_crop to size = (h, w).

    Yields pixels (n, h, w, 3) uint8, labels (n,) int64 and indices (n,) int64; n is batch_size,
    or less in the last batch.
    workers: threads that decode (Pillow lets go of the interpreter meanwhile); by default one a
    core, at most 8. They end with the last batch, or when the iterator is closed or dropped.
    Raises ArgumentError at once where an argument does not fit, FileError when a batch is reached
    that holds a photo which cannot be read.
    """
    order = data.positions(order)
    size = check_size(size, crop_fraction)
    if workers is None:  # process_cpu_count: Python 3.13
        workers = min(getattr(os, "process_cpu_count", os.cpu_count)() or 1, 8)
    for name, value in (("batch_size", batch_size), ("workers", workers)):
        if not isinstance(value, (int, np.integer)) or value < 1:
            raise ArgumentError(f"batches: expected {name} of at least 1, received {value!r}; "
                                f"give a whole number from 1.")
    return _decoded_ahead(data, order, batch_size, size, crop_fraction, workers)


def _decoded_ahead(data, order, batch_size, size, crop_fraction, workers):
    from concurrent.futures import ThreadPoolExecutor  # here: `import minicnn` stays fast

    # A function of its own: a generator's body, checks included, starts only at the first next().
    pool = ThreadPoolExecutor(workers, thread_name_prefix="minicnn-decode")

    def submit(indices: np.ndarray) -> tuple:
        parts = np.array_split(indices, workers)
        return indices, [pool.submit(data.images, part, size, crop_fraction) for part in parts]

    pending = (submit(order[k:k + batch_size]) for k in range(0, len(order), batch_size))
    try:
        ahead = deque(islice(pending, AHEAD))
        while ahead:
            ahead.extend(islice(pending, 1))  # keeps AHEAD batches in work while this one is used
            indices, parts = ahead.popleft()
            pixels = np.concatenate([part.result() for part in parts])
            yield pixels, data.labels[indices], indices
    finally:
        pool.shutdown(cancel_futures=True)
