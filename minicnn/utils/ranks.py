"""The processes that work on a job together, their ranks: this process alone, unless
minicnn/distributed says otherwise.

Whatever shares work asks current_ranks() and is written once, for one process and for many: each
takes its part (part_of), and what they have computed is put together (gather, assemble). Every
rank must reach the same calls in the same order, since each waits there for all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import numpy as np

Answer = TypeVar("Answer")


class Ranks:
    """This process alone: rank 0 of 1. Subclasses have more.

    callbacks: classes of callbacks that each training gets, unless it has one of them.
    """

    rank = 0
    size = 1
    callbacks: Sequence[Any] = ()

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, the only one that prints and writes."""
        return self.rank == 0

    def part_of(self, count: int) -> tuple[int, int]:
        """(start, stop): which of `count` things this rank computes; the parts of the ranks follow
        each other, and their sizes differ by 1 at most."""
        quotient, rest = divmod(count, self.size)
        start = self.rank * quotient + min(self.rank, rest)
        return start, start + quotient + (self.rank < rest)

    def gather(self, part: Answer) -> list[Answer]:
        """What each rank has given, in the order of the ranks, for all of them."""
        return [part]

    def from_first(self, function: Callable[[], Answer]) -> Answer:
        """What the function returns on rank 0, which alone calls it, for all; its error is raised
        on all."""
        return function()

    def alone_on_first(self, function: Callable[[], Answer]) -> Answer | None:
        """Calls the function on rank 0, which computes there without the others; these wait. What
        it returns, or None on the others."""
        answer = None
        if self.is_first:
            with working_with(ALONE):
                answer = function()
        self.wait_for_all()
        return answer

    def check_same(self, where: str, facts: Mapping[str, object]) -> None:
        """Raises ArgumentError on all ranks unless they have the same facts."""

    def wait_for_all(self) -> None:
        """Returns once every rank is here, without using the processor meanwhile."""

    def assemble(self, part: np.ndarray, count: int, memory_budget: int) -> np.ndarray:
        """The rows (count, …) of which each rank has computed its part_of: in memory, or if they
        take more than memory_budget bytes in a temporary file that all ranks read."""
        return part


ALONE = Ranks()
_current: ContextVar[Ranks] = ContextVar("ranks", default=ALONE)


current_ranks: Callable[[], Ranks] = _current.get  # the ranks that share the work now


@contextmanager
def working_with(ranks: Ranks) -> Iterator[None]:
    """In the body of the with, the work is shared by these ranks; working_with(ALONE): by none,
    for what rank 0 does alone."""
    token = _current.set(ranks)
    try:
        yield
    finally:
        _current.reset(token)
