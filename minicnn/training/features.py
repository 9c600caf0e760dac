"""Features: what frozen layers give for each image, computed once; in memory or in a file."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..model import Sequential
from ..ops import to_cpu
from ..utils.arrays import IntArray
from ..utils.mapped_arrays import mapped_file, release_pages, resident_bytes, storage
from ..utils.ranks import current_ranks
from .batches import ArrayDataset, Data, forward_batches, validate_data

__all__ = ["extract_features", "mapped_file", "resident_bytes", "rows_of", "storage"]

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
