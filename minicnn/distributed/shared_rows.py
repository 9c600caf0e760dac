"""Rows that the ranks have computed in parts, for all of them: in memory, or in a file."""

from __future__ import annotations

import atexit
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from ..training.batches import release_pages
from ..training.features import mapped_file
from ..utils.errors import FileError
from ..utils.files import preallocated_file

Answer = TypeVar("Answer")
BLOCK_BYTES = 1 << 24  # that are written at once


class ConnectedRanks(Protocol):
    """What is needed of MPIRanks, which imports this file."""

    comm: Any
    rank: int
    size: int
    local_size: int

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0."""

    def part_of(self, count: int) -> tuple[int, int]:
        """(start, stop) of this rank's part."""

    def gather(self, part: Answer) -> list[Answer]:
        """What each rank has given."""

    def from_first(self, function: Callable[[], Answer]) -> Answer:
        """What the function returns on rank 0."""

    def wait_for_all(self) -> None:
        """Returns once every rank is here."""

    def name_of(self, rank: int) -> str:
        """For messages."""


def gather_rows(ranks: ConnectedRanks, part: np.ndarray, count: int) -> np.ndarray:
    """Each rank's part (n, …) -> all rows (count, …), in the memory of each rank."""
    from mpi4py import MPI

    rows = np.empty((count, *part.shape[1:]), part.dtype)
    counts = ranks.gather(len(part))
    if rows.size == 0:
        return rows
    # A row is the unit of the counts: of bytes there may be more than MPI's int can count.
    row = MPI.BYTE.Create_contiguous(rows.nbytes // count).Commit()
    starts = np.cumsum([0, *counts[:-1]]).tolist()
    ranks.comm.Allgatherv([np.ascontiguousarray(part), len(part), row], [rows, counts, starts, row])
    row.Free()
    return rows


def map_rows(ranks: ConnectedRanks, part: np.ndarray, count: int) -> np.ndarray:
    """Each rank's part (n, …) -> all rows (count, …), mapped from a temporary file into which each
    rank writes its part, so the rows take disk space, not memory.

    The file lies where TMPDIR says, else in /var/tmp; several machines must see the same folder
    there. On a single machine it has no name once all have opened it, and nothing is left behind
    when the processes are killed; on several, where the name is needed, rank 0 removes it at its
    end. Raises FileError.
    """
    row_bytes = part.dtype.itemsize * int(np.prod(part.shape[1:], dtype=np.int64))
    start, _ = ranks.part_of(count)
    path = ranks.from_first(lambda: new_file(count * row_bytes))

    def write() -> None:
        with path.open("r+b") as file:
            file.seek(start * row_bytes)
            step = max(1, BLOCK_BYTES // max(1, row_bytes))
            for k in range(0, len(part), step):
                file.write(np.ascontiguousarray(part[k:k + step]).data)
                if mapped := mapped_file(part):
                    release_pages(mapped)
            file.flush()
            os.fsync(file.fileno())  # a network drive shows it to other machines from now on

    try:
        on_all(ranks, write, path)
        rows = np.memmap(path, part.dtype, "r+", shape=(count, *part.shape[1:]))
        ranks.wait_for_all()
    finally:
        if ranks.is_first:
            one_machine = ranks.local_size == ranks.size
            remove(path) if one_machine else atexit.register(remove, path)
    return rows


def new_file(size: int) -> Path:
    """A new file of `size` bytes, which the disk has room for. Raises FileError."""
    large = "TMPDIR" not in os.environ and os.access("/var/tmp", os.W_OK)
    folder = "/var/tmp" if large else tempfile.gettempdir()
    preallocated_file(folder, size, "Free some space, let TMPDIR name a folder on another disk, or "
                                    "allow more memory (--memory-budget).").close()
    handle, path = tempfile.mkstemp(".features", "minicnn-", folder)
    os.truncate(handle, size)
    os.close(handle)
    return Path(path)


def on_all(ranks: ConnectedRanks, work: Callable[[], None], path: Path) -> None:
    """Calls work() on each rank; if it fails on any, FileError is raised on all, with its name."""
    problem = ""
    try:
        work()
    except OSError as error:
        problem = error.strerror or str(error)
    for rank, text in enumerate(ranks.gather(problem)):
        if text:
            raise FileError(f"{path}: expected a file that all ranks can write, received on "
                            f"{ranks.name_of(rank)}: {text}. Let TMPDIR name a folder with enough "
                            f"space that all machines see.")


def remove(path: Path) -> None:
    """Removes the file, if it is still there."""
    with suppress(OSError):
        path.unlink()
