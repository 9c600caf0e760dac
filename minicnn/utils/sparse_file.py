"""Files that are larger than the memory, made in it: what is not written yet takes none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, BinaryIO


class SparseFile:
    """A file in memory of which only what is written takes some: h5py can make a file of 100 GB in
    it, whose numbers are written to the disk later. (HDF5 itself crashes on a full disk.)"""

    PAGE = 1 << 16

    def __init__(self) -> None:
        self.pages: dict[int, bytearray] = {}
        self.size = self.position = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As any file's."""
        self.position = offset + (0, self.position, self.size)[whence]
        return self.position

    def tell(self) -> int:
        """As any file's."""
        return self.position

    def truncate(self, size: int | None = None) -> int:
        """As any file's."""
        self.size = self.position if size is None else size
        return self.size

    def flush(self) -> None:
        """There is nothing to do."""

    def write(self, data: Any) -> int:
        """As any file's."""
        view = memoryview(data).cast("B")
        for piece, (page, first) in self.pieces(len(view)):
            self.pages.setdefault(page, bytearray(self.PAGE))[
                first:first + piece.stop - piece.start] = view[piece]
        self.position += len(view)
        self.size = max(self.size, self.position)
        return len(view)

    def read(self, count: int = -1) -> bytes:
        """As any file's."""
        rest = max(0, self.size - self.position)
        buffer = bytearray(rest if count < 0 else min(count, rest))
        self.readinto(buffer)
        return bytes(buffer)

    def readinto(self, buffer: Any) -> int:
        """As any file's."""
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self.size - self.position))
        for piece, (page, first) in self.pieces(count):
            length = piece.stop - piece.start
            content = self.pages.get(page)
            view[piece] = bytes(length) if content is None else content[first:first + length]
        self.position += count
        return count

    def pieces(self, count: int) -> Iterator[tuple[slice, tuple[int, int]]]:
        """(slice of `count` bytes from the position on, (page, first byte in it))."""
        done = 0
        while done < count:
            page, first = divmod(self.position + done, self.PAGE)
            length = min(self.PAGE - first, count - done)
            yield slice(done, done + length), (page, first)
            done += length

    def write_to(self, file: BinaryIO) -> None:
        """Writes what was written to a file, where it belongs. Raises OSError."""
        for page, content in sorted(self.pages.items()):
            begin = page * self.PAGE
            file.seek(begin)
            file.write(memoryview(content)[:max(0, self.size - begin)])


def allocate(file: BinaryIO, size: int) -> None:
    """Gives the file this size, and its space on the disk, if the system can. Raises OSError."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
    file.truncate(size)
