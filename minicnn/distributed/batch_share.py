"""Which samples of the global batch this rank computes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..utils.arrays import IntArray
from ..utils.ranks import Ranks


@dataclass
class BatchShare:
    """The rows start … stop − 1 of a global batch of `total` samples.

    count: stop − start, or 0 on a rank without samples. Such a rank computes sample 0 anyway, with
    weight 0, so that it takes part in every step and no layer needs to know of empty batches.
    active: False while a rank computes something for itself, such as where a NaN comes from.
    """

    start: int = 0
    stop: int = 1
    total: int = 1
    count: int = 1
    active: bool = True

    def set(self, ranks: Ranks, total: int) -> None:
        """The share of this rank in a batch of `total` samples."""
        self.start, self.stop = ranks.part_of(total)
        self.total, self.count = total, self.stop - self.start
        if self.count == 0:
            self.start, self.stop = 0, 1

    @contextmanager
    def paused(self) -> Iterator[None]:
        """In the body of the with, this rank computes without the others."""
        self.active = False
        try:
            yield
        finally:
            self.active = True


def split_batches(ranks: Ranks, order: IntArray, batch_size: int) -> tuple[IntArray, int]:
    """The indices (N,) of an epoch in global batches -> (this rank's indices, its batch size): cut
    into batches of that size, they are its shares of the global ones.

    That the last batch is smaller does no harm: its share is not larger than those before.
    """
    shares, share = [], BatchShare()
    for k in range(0, len(order), batch_size):
        batch = order[k:k + batch_size]
        share.set(ranks, len(batch))
        shares.append(batch[share.start:share.stop])
    return np.concatenate(shares or [order]), max(map(len, shares), default=1)


class WholeBatchGenerator:
    """A random number generator that draws for the whole global batch, and gives this rank the
    numbers of its samples: the masks of Dropout are those of a single process, whatever the number
    of ranks, and so is the generator's state, which checkpoints hold.
    """

    def __init__(self, generator: np.random.Generator, share: BatchShare) -> None:
        self.generator, self.share = generator, share

    def random(self, shape: tuple[int, ...], dtype: Any = np.float64) -> np.ndarray:
        """Uniform numbers 0 … 1 for samples of this shape (n, …), the rank's share."""
        if not self.share.active:
            return self.generator.random(shape, dtype)
        return self.generator.random((self.share.total, *shape[1:]), dtype)[self.rows]

    def standard_normal(self, shape: tuple[int, ...]) -> np.ndarray:
        """Normal numbers of mean 0 and variance 1, the same way."""
        if not self.share.active:
            return self.generator.standard_normal(shape)
        return self.generator.standard_normal((self.share.total, *shape[1:]))[self.rows]

    @property
    def rows(self) -> slice:
        """Of the global batch."""
        return slice(self.share.start, self.share.stop)

    def __getattr__(self, name: str) -> Any:
        """All else, such as bit_generator, is that of the generator."""
        if name == "generator":  # copy asks before __init__ has set it
            raise AttributeError(name)
        return getattr(self.generator, name)
