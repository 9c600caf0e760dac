"""How a kernel uses memory: transactions per warp and bank conflicts, counted in the simulator.

    with record() as launches:
        launch("relu", flat(1024), x, y, 1024)
    print(launches[0])          # relu: x 4, y 4 transactions; no shared memory

A warp's 32 threads read or write at the same time. Global memory is fetched in pieces of 32 bytes:
32 neighbouring floats are 4 transactions, which is called coalesced; 32 floats that lie apart are
32. Shared memory has 32 banks of 4 bytes, each of which serves one word at a time (any number of
threads may read the same word): if the threads need k words of one bank, they wait k − 1 times.
Accesses of 8 and 16 bytes are served in two and four parts of the warp, and counted so.

The compiler instruments every read and write (kernels/simulator_record.h). What the threads of a
warp do at the same instruction for the n-th time counts as simultaneous. That holds as long
as no thread skips a turn of a loop: measure shapes that fill their tiles, without padding.

Source: NVIDIA, CUDA C++ Programming Guide and Best Practices Guide, on coalesced access and on
shared memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from . import simulator

WARP, PIECE, BANKS, WORD = 32, 32, 32, 4  # threads; bytes of a transaction; banks; bytes of a word


@dataclass(frozen=True)
class Accesses:
    """Means over all accesses of all warps of a launch.

    transactions: pieces of 32 bytes, by the names of the arrays. conflicts_reading and _writing:
    how often a warp waits for a bank of shared memory, None if the kernel does not use it.
    """

    kernel: str
    transactions: dict[str, float]
    conflicts_reading: float | None
    conflicts_writing: float | None

    def __str__(self) -> str:
        arrays = ", ".join(f"{name} {_short(mean)}" for name, mean in self.transactions.items())
        shared = "no shared memory"
        if self.conflicts_reading is not None or self.conflicts_writing is not None:
            shared = (f"{_short(self.conflicts_reading or 0)} read, "
                      f"{_short(self.conflicts_writing or 0)} write conflicts")
        return f"{self.kernel}: {arrays} transactions; {shared}"


@contextlib.contextmanager
def record() -> Iterator[list[Accesses]]:
    """A list that every launch on cuda-sim within the block is added to.

    Kernels are compiled once more for it, and each runs in one order only.
    """
    outer, simulator.log = simulator.log, []
    launches: list[Accesses] = []
    try:
        yield launches
    finally:
        recorded, simulator.log = simulator.log, outer
        launches.extend(summary(*launch) for launch in recorded)


def summary(kernel: str, names: list[str], accesses: np.ndarray) -> Accesses:
    """The means of one launch. accesses: of the type simulator.ACCESS, in the order of time."""
    warps = _simultaneous(accesses)
    transactions = {}
    for k, name in enumerate(names):
        of_array = accesses["array"] == k
        if of_array.any():
            transactions[name] = _transactions(warps[of_array], accesses[of_array])
    shared, writes = accesses["array"] < 0, accesses["writes"] > 0
    return Accesses(kernel, transactions, *(
        _conflicts(warps[which], accesses[which]) if which.any() else None
        for which in (shared & ~writes, shared & writes)))


def _simultaneous(accesses: np.ndarray) -> np.ndarray:
    """A number for each access, the same for those that a warp makes at the same time."""
    _, instruction = np.unique(accesses["instruction"], return_inverse=True)
    thread = accesses["block"].astype(np.int64) * 1024 + accesses["thread"]
    own = _numbered(thread, instruction)  # accesses of one thread at one instruction
    order = np.argsort(own, kind="stable")
    begins = np.flatnonzero(np.diff(own[order], prepend=-1))
    turn = np.empty(len(own), np.int64)  # it is the thread's first, second, … of them
    turn[order] = np.arange(len(own)) - np.repeat(begins, np.diff(begins, append=len(own)))
    return _numbered(thread // WARP, instruction, turn)


def _numbered(*columns: np.ndarray) -> np.ndarray:
    """The number of each row of the columns among the different rows."""
    number = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        _, index = np.unique(column, return_inverse=True)
        _, number = np.unique(number * (index.max(initial=0) + 1) + index, return_inverse=True)
    return number


def _transactions(warps: np.ndarray, accesses: np.ndarray) -> float:
    """The number of different pieces of 32 bytes that a warp touches at a time."""
    first = accesses["offset"] // PIECE
    last = (accesses["offset"] + accesses["bytes"] - 1) // PIECE
    pieces = np.concatenate([first, last])
    both = _numbered(np.concatenate([warps, warps]), pieces)
    return (both.max() + 1) / len(np.unique(warps))


def _conflicts(warps: np.ndarray, accesses: np.ndarray) -> float:
    """How often a warp waits for a bank: the words needed from the busiest bank, minus one, for
    each part of the warp that is served at once."""
    words = np.maximum(accesses["bytes"].astype(np.int64) // WORD, 1)
    lanes = WARP // words  # served at once
    part = _numbered(warps, accesses["thread"] % WARP // lanes)
    part, word = np.repeat(part, words), np.repeat(accesses["offset"] // WORD, words)
    begins = np.cumsum(words) - words
    word = word + np.arange(len(word)) - np.repeat(begins, words)  # 2 or 4 neighbouring words
    wanted = np.unique(np.stack([part, word % BANKS, word]), axis=1)  # each word once
    bank = _numbered(wanted[0], wanted[1])
    busiest = np.zeros(part.max() + 1, np.int64)
    np.maximum.at(busiest, wanted[0], np.bincount(bank)[bank])
    return (busiest - 1).sum() / len(np.unique(warps))


def _short(mean: float) -> str:
    """With one decimal, if it is not 0."""
    return f"{mean:.1f}".removesuffix(".0")
