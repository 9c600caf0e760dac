"""Arrays that outgrow the memory lie in a temporary file, mapped into memory."""

from __future__ import annotations

import mmap
import os
import tempfile

import numpy as np

from .files import preallocated_file

MORE_SPACE = "Free some space, or let TMPDIR name a folder on another disk."
MORE_MEMORY = ("Free some space, let TMPDIR name a folder on another disk, or allow more memory "
               "(--memory-budget).")


def storage(shape: tuple[int, ...], dtype: np.dtype, memory_budget: int,
            advice: str = MORE_MEMORY) -> np.ndarray:
    """An empty array: in memory, or above memory_budget bytes in a temporary file.

    The file has no name, so that nothing is left behind when the process is killed. It lies where
    TMPDIR says, else in /var/tmp, since /tmp is memory on many systems. Raises FileError, which
    ends in the advice, if the disk is too full.
    """
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if size <= memory_budget:
        return np.empty(shape, dtype)
    large = "TMPDIR" not in os.environ and os.access("/var/tmp", os.W_OK)
    with preallocated_file("/var/tmp" if large else tempfile.gettempdir(), size,
                           advice) as file:
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


def release_pages(file: mmap.mmap) -> None:
    """The pages of a mapped file that were read may leave the memory (Linux and macOS)."""
    if hasattr(file, "madvise"):
        file.madvise(mmap.MADV_DONTNEED)
