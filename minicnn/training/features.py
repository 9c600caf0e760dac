"""Features: what frozen layers give for each image, computed once; in memory or in a file."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Callable

import numpy as np

from ..model import Sequential
from ..ops import to_cpu
from ..utils.arrays import IntArray
from ..utils.files import preallocated_file
from ..utils.ranks import current_ranks
from .batches import ArrayDataset, Data, forward_batches, release_pages, validate_data

ROWS = 64  # of features, that rows_of copies at once


def extract_features(network: Sequential, data: Data, *, batch_size: int = 32,
                     memory_budget: int = 1 << 30,
                     progress: Callable[[int, int], None] = lambda done, total: None,
                     ) -> ArrayDataset:
    """The network's outputs for all images, in their order, with their targets and views.

    They stay in memory, or above memory_budget bytes in a temporary file. Several ranks compute a
    part each. progress(done, total) is called after each batch. Raises NotFiniteError if an output
    is not finite.
    """
    data, ranks = validate_data(network, data), current_ranks()
    start, stop = ranks.part_of(len(data))  # all of them, unless several ranks share them
    N, done, x = stop - start, 0, np.empty(0)
    for y, _ in forward_batches(network, data, np.arange(start, stop), batch_size):
        if done == 0:
            x = storage((N, *y.shape[1:]), y.dtype, memory_budget)
        x[done:done + len(y)] = to_cpu(y)
        if file := mapped_file(x):
            release_pages(file)
        done += len(y)
        progress(len(data) if done == N else done * ranks.size, len(data))
    x = ranks.assemble(x, len(data), memory_budget)
    return ArrayDataset(x, data.labels, data.views, mapped_file(x))


def rows_of(features: ArrayDataset, indices: IntArray, memory_budget: int) -> ArrayDataset:
    """The features of these images in all views; above memory_budget bytes in a temporary file."""
    N = len(features) // features.views
    rows = np.concatenate([view * N + indices for view in range(features.views)])
    first, stop = current_ranks().part_of(len(rows))
    own = rows[first:stop]
    x = storage((len(own), *features.x.shape[1:]), features.x.dtype, memory_budget)
    for start in range(0, len(own), ROWS):
        x[start:start + ROWS] = features.x[own[start:start + ROWS]]
        for file in (features.file, mapped_file(x)):
            if file is not None:
                release_pages(file)
    x = current_ranks().assemble(x, len(rows), memory_budget)
    return ArrayDataset(x, features.labels[rows], features.views, mapped_file(x))


def storage(shape: tuple[int, ...], dtype: np.dtype, memory_budget: int) -> np.ndarray:
    """An empty array: in memory, or above memory_budget bytes in a temporary file.

    The file has no name, so that nothing is left behind when the process is killed. It lies where
    TMPDIR says, else in /var/tmp, since /tmp is memory on many systems. Raises FileError.
    """
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if size <= memory_budget:
        return np.empty(shape, dtype)
    large = "TMPDIR" not in os.environ and os.access("/var/tmp", os.W_OK)
    with preallocated_file("/var/tmp" if large else tempfile.gettempdir(), size,
                           "Free some space, let TMPDIR name a folder on another disk, or allow "
                           "more memory (--memory-budget).") as file:
        return np.memmap(file, dtype, "r+", shape=shape)


def mapped_file(x: np.ndarray) -> mmap.mmap | None:
    """The mapped file that an array, or the array it is a view of, lies in."""
    owner: object = x
    while isinstance(owner, np.ndarray):
        owner = owner.base
    return owner if isinstance(owner, mmap.mmap) else None


def resident_bytes(x: np.ndarray) -> int:
    """Bytes of memory that an array of `storage` takes: none if it lies in a file."""
    return 0 if mapped_file(x) else x.nbytes
