"""The files of a folder, as many as there may be: about 30 bytes for each, and a path or a name
when it is asked for. A million Paths take half a gigabyte."""

from __future__ import annotations

import os
from abc import abstractmethod
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar, cast, overload

import numpy as np

from ..utils.arrays import IntArray

T = TypeVar("T")


class FileTable:
    """Files in their order: for each the number of its folder, and its name among the bytes of all
    names.

    folders:  the folders. prefixes: what the names that are shown have before the file's own:
              "cats/", "cats/young/".
    """

    def __init__(self) -> None:
        self.folders: list[Path] = []
        self.prefixes: list[str] = []
        self.folder_of = array("i")  # (N,)
        self.ends = array("q", [0])  # (N + 1,): file i has text[ends[i]:ends[i + 1]]
        self.text = bytearray()

    def __len__(self) -> int:
        return len(self.folder_of)

    def add_folder(self, folder: Path, prefix: str = "") -> int:
        """A folder for files that are added now; -> its number."""
        self.folders.append(folder)
        self.prefixes.append(prefix)
        return len(self.folders) - 1

    def append(self, folder: int, name: str) -> None:
        """A file of this folder."""
        self.text += os.fsencode(name)
        self.ends.append(len(self.text))
        self.folder_of.append(folder)

    def extend(self, other: FileTable) -> None:
        """The files of another table, behind those of this one."""
        folders, length = len(self.folders), len(self.text)
        self.folders += other.folders
        self.prefixes += other.prefixes
        self.folder_of.extend(number + folders for number in other.folder_of)
        self.ends.extend(end + length for end in other.ends[1:])
        self.text += other.text

    def file_name(self, i: int) -> str:
        """The own name of file i."""
        return os.fsdecode(bytes(self.text[self.ends[i]:self.ends[i + 1]]))

    def path(self, i: int) -> Path:
        """The path of file i."""
        return self.folders[self.folder_of[i]] / self.file_name(i)

    def name(self, i: int) -> str:
        """The name of file i that is shown."""
        return self.prefixes[self.folder_of[i]] + self.file_name(i)

    def named_from(self, root: str | os.PathLike) -> FileTable:
        """The same files, with names relative to this folder. Raises ValueError if one is
        elsewhere."""
        other = FileTable()
        other.folders = self.folders
        other.prefixes = [prefix_of(folder, root) for folder in self.folders]
        other.folder_of, other.ends, other.text = self.folder_of, self.ends, self.text
        return other


def prefix_of(folder: Path, root: str | os.PathLike) -> str:
    """What a name relative to root has before the name of a file in this folder: "cats/"."""
    return "".join(f"{part}/" for part in folder.relative_to(root).parts)


class Compact(Sequence[T]):
    """Something of each file of a table, made when it is asked for; else as a list that is not
    changed.

    rows: (n,) the files that it is of, in this order; None: all.
    """

    def __init__(self, table: FileTable, rows: IntArray | None = None) -> None:
        self.table, self.rows = table, rows

    @abstractmethod
    def value(self, row: int) -> T:
        """Of the file in this row of the table."""

    def __len__(self) -> int:
        return len(self.table) if self.rows is None else len(self.rows)

    def __iter__(self) -> Iterator[T]:
        rows: Iterable = range(len(self)) if self.rows is None else self.rows
        return map(self.value, map(int, rows))

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Compact[T]: ...

    def __getitem__(self, index: int | slice) -> T | Compact[T]:
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        row = range(len(self))[index]  # IndexError, and negative ones
        return self.value(row if self.rows is None else int(self.rows[row]))

    def take(self, positions: IntArray) -> Compact[T]:
        """Those at these positions."""
        rows = positions if self.rows is None else self.rows[positions]
        fits = len(self.table) < 1 << 31
        return type(self)(self.table, rows.astype(np.int32 if fits else np.int64))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, (str, bytes)):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as a list's

    def __repr__(self) -> str:
        return repr(list(self[:3])) if len(self) < 4 else (
            f"{repr(list(self[:3]))[:-1]}, … {len(self) - 3} more]")


class Paths(Compact[Path]):
    """The paths of files."""

    def value(self, row: int) -> Path:
        """The path."""
        return self.table.path(row)


class Names(Compact[str]):
    """The names of files that are shown."""

    def value(self, row: int) -> str:
        """The name."""
        return self.table.name(row)


def names_from(paths: Sequence[Path], root: str | os.PathLike) -> Sequence[str]:
    """The names of files relative to a folder above them, as shown. Raises ValueError if there is a
    file elsewhere."""
    if isinstance(paths, Paths):
        return Names(paths.table.named_from(root), paths.rows)
    return [prefix_of(path.parent, root) + path.name for path in paths]


def as_sequence(values: Sequence[T] | np.ndarray) -> Sequence[T]:
    """A list of the values, or what is compact already."""
    return values if isinstance(values, Compact) else list(values)


def take(values: Sequence[T], positions: IntArray) -> Sequence[T]:
    """The values at these positions, compact if they are."""
    return values.take(positions) if isinstance(values, Compact) else [
        values[i] for i in positions]


def concatenate(parts: Sequence[Sequence[Any]]) -> Sequence[Any]:
    """All values of the parts, compact if those of all are, and of the same kind."""
    if not parts or len({type(part) for part in parts}) > 1 or not isinstance(parts[0], Compact):
        return list(chain.from_iterable(parts))
    compact, table, rows = cast("Sequence[Compact]", parts), parts[0].table, []
    begins: dict[int, int] = {id(table): 0}  # where the files of each table begin
    for part in compact:
        if id(part.table) not in begins:
            if len(begins) == 1:
                table = FileTable()
                table.extend(parts[0].table)
            begins[id(part.table)] = len(table)
            table.extend(part.table)
        own = np.arange(len(part)) if part.rows is None else part.rows.astype(np.int64)
        rows.append(own + begins[id(part.table)])
    return type(parts[0])(table).take(np.concatenate(rows))
