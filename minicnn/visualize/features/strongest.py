"""The photos that activate each map most: one pass over all of them, which several ranks share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...data import Dataset
from ...layers import Layer
from ...model import Sequential
from ...ops import to_cpu
from ...utils.ranks import ALONE, current_ranks
from ..photos import Progress, check_finite, photo_batches
from ..target import forward

Largest = tuple[np.ndarray, np.ndarray, np.ndarray]  # values (K, n), photos (K, n), (K, n, 2)


def strongest(model: Sequential, layers: list[Layer], data: Dataset, batch_size: int, n: int,
              progress: Progress) -> Largest:
    """The n largest a_m of every unit: values (K, n), −inf if there are fewer; photos (K, n);
    positions (K, n, 2).

    Several ranks look through a part of the photos each. Whatever is among the n largest of all is
    among the n largest of its part; of equal values the earlier photo comes first, as with one.
    """
    ranks = current_ranks()
    if len(data) < ranks.size:
        ranks = ALONE  # a part without photos would not even know the number of maps
    start, stop = ranks.part_of(len(data))
    part = data if ranks.size == 1 else data.subset(range(start, stop))

    def progress_of_all(done: int, total: int) -> None:
        progress(len(data) if done == total else done * ranks.size, len(data))

    a, photos, positions = of_part(layers, photo_batches(model, part, batch_size, progress_of_all),
                                   n)
    parts = ranks.gather((a, np.where(photos < 0, photos, photos + start), positions))
    a, photos, positions = (np.concatenate(arrays, axis=1) for arrays in zip(*parts, strict=True))
    order = np.argsort(-a, axis=1, kind="stable")[:, :n]  # (K, n)
    return (np.take_along_axis(a, order, axis=1), np.take_along_axis(photos, order, axis=1),
            np.take_along_axis(positions, order[..., None], axis=1))


def of_part(layers: list[Layer], batches: Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]],
            n: int) -> Largest:
    """The same for the photos of these batches."""
    largest: list[np.ndarray] = []  # values, photos, flat positions: (n, K) each
    for indices, _pixels, x in batches:
        y = to_cpu(forward(layers, x))
        y = y[:, None, None] if y.ndim == 2 else y  # (N, OH, OW, K)
        check_finite(y, layers[-1].name, indices)
        N, OH, OW, K = y.shape
        y = y.reshape(N, OH * OW, K)
        flat = y.argmax(axis=1)  # (N, K)
        a = np.take_along_axis(y, flat[:, None], axis=1)[:, 0]
        batch = [a, np.broadcast_to(indices[:, None], a.shape), flat]
        if not largest:
            largest = [np.full((n, K), fill, part.dtype)
                       for fill, part in zip((-np.inf, -1, 0), batch, strict=True)]
        both = [np.concatenate(parts) for parts in zip(largest, batch, strict=True)]  # (n + N, K)
        order = np.argsort(-both[0], axis=0, kind="stable")[:n]
        largest = [np.take_along_axis(part, order, axis=0) for part in both]
    a, index, flat = (part.T for part in largest)
    return a, index, np.stack(np.divmod(flat, OW), axis=-1)
