"""Images in batches, decoded ahead by threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from ..ops.fast.threads import cores
from ..preprocessing import Preprocessing
from ..utils.arrays import IntArray, Pixels
from ..utils.errors import check_int
from .datasets import Dataset, Integers
from .images import check_size

if TYPE_CHECKING:
    from concurrent.futures import Future

BATCHES_AHEAD = 2  # decoded in advance: hides a slow file, and bounds the memory
MAX_WORKERS = 8


def batches(data: Dataset, order: Integers, batch_size: int, size: tuple[int, int],
            crop_fraction: float = 1.0, workers: int | None = None,
            recipe: Preprocessing | None = None,
            ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The images of `order`, in that order, cropped by resize_and_crop to size = (h, w).

    Yields pixels (n, h, w, 3) uint8, labels (n,) int64 and indices (n,) int64; n is batch_size,
    or less in the last batch.
    recipe: whose fit may be one of Keras'; then pixels are float32 (Dataset.images).
    workers: number of decoding threads (Pillow releases the interpreter's lock); by default one
    per core, at most 8. They end with the last batch, or when the iterator is closed or dropped.
    Raises ArgumentError at once if an argument does not fit, FileError on reaching a batch with an
    image that cannot be read.
    """
    positions = data.positions(order)
    size = check_size(size, crop_fraction)
    batch_size = check_int(batch_size, "batches, batch_size")
    workers = min(cores(), MAX_WORKERS) if workers is None else check_int(workers,
                                                                          "batches, workers")
    return _decode_ahead(data, positions, batch_size, (size, crop_fraction, recipe), workers)


def _decode_ahead(data: Dataset, order: np.ndarray, batch_size: int,
                  fitting: tuple[tuple[int, int], float, Preprocessing | None], workers: int
                  ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The generator of batches: a function of its own, because a generator's body, and so any
    check in it, starts only at the first next()."""
    from concurrent.futures import ThreadPoolExecutor  # here: `import minicnn` stays fast

    pool = ThreadPoolExecutor(workers, thread_name_prefix="minicnn-decode")

    def submit(indices: IntArray) -> tuple[IntArray, list[Future[Pixels]]]:
        parts = np.array_split(indices, workers)
        return indices, [pool.submit(data.images, part, *fitting) for part in parts]

    pending = (submit(order[k:k + batch_size]) for k in range(0, len(order), batch_size))
    try:
        ahead = deque(islice(pending, BATCHES_AHEAD))
        while ahead:
            ahead.extend(islice(pending, 1))  # keeps BATCHES_AHEAD in work while this one is used
            indices, parts = ahead.popleft()
            pixels = np.concatenate([part.result() for part in parts])
            yield pixels, data.labels[indices], indices
    finally:
        pool.shutdown(cancel_futures=True)
