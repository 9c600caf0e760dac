"""split.csv: which photo is in which part, in a table that a person can read and change."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from ..utils.arrays import IntArray
from ..utils.errors import FileError
from ..utils.files import atomic_write
from .datasets import Dataset
from .splits import subsets

COLUMNS = ["photo", "class", "part"]
ADVICE = "Write one with minicnn data."


def write_split(path: str | os.PathLike, parts: Mapping[str, Dataset]) -> None:
    """Writes a row for each image: its name, class and part. Raises FileError."""
    with atomic_write(path) as partial, partial.open("w", newline="", encoding="utf-8",
                                                     errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows((name, data.classes[label], part) for part, data in parts.items()
                         for name, label in zip(data.names, data.labels, strict=True))


def read_split(path: str | os.PathLike, data: Dataset,
               alternative: str = "make a new split with minicnn data") -> dict[str, Dataset]:
    """The parts of `data` that the file names, images in the order of `data`.

    alternative: what an error advises besides putting the images back as they were.
    Columns may also be separated by semicolons, as some spreadsheets do.
    Raises FileError for a file that is no split, or if its images are not those of `data`, one row
    each, in the same classes.
    """
    index = NameIndex(data.names)
    part_of = np.empty(len(data), object)  # None: not in the file yet
    twice: list[str] = []
    unknown: list[str] = []
    other_class: list[int] = []
    try:
        for name, kind, part in _rows(path):
            images = index.of(name)
            if not images:
                unknown.append(name)
            for i in images:
                if part_of[i] is not None:
                    twice.append(name)
                elif data.classes[data.labels[i]] != kind:
                    other_class.append(i)
                part_of[i] = part
    except (OSError, csv.Error) as error:
        raise FileError(f"{path}: expected a table with the columns {', '.join(COLUMNS)}, received "
                        f"{getattr(error, 'strerror', None) or error}. Check the path."
                        ) from error
    missing = [i for i, part in enumerate(part_of) if part is None]
    for what, names in (
            ("has twice", list(dict.fromkeys(twice))),
            ("does not have", [data.names[i] for i in missing]),
            ("has, but the folder has not", list(dict.fromkeys(unknown))),
            ("has in another class", [data.names[i] for i in sorted(other_class)])):
        if names:
            dots = ", …" if len(names) > 3 else ""
            raise FileError(f"{path}: expected one row for each photo of the folder. It {what} "
                            f"{len(names)}: {', '.join(names[:3])}{dots}. Put the photos back "
                            f"as they were, or {alternative}.")
    return subsets(data, part_of.tolist())


def _rows(path: str | os.PathLike) -> Iterator[list[str]]:
    """The rows below the header, one after the other. Raises FileError for others than those of a
    split, OSError, csv.Error."""
    texts: dict[str, str] = {}  # classes and parts: one text for all rows
    with Path(path).open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
        separator = ";" if ";" in file.readline() else ","
        file.seek(0)
        rows = (row for row in csv.reader(file, delimiter=separator) if any(row))
        header = next(rows, None)
        if header != COLUMNS:
            raise _no_split(path, header or ["nothing"])
        for row in rows:
            if len(row) != 3 or not row[2]:
                raise _no_split(path, row)
            yield [row[0], *(texts.setdefault(text, text) for text in row[1:])]


def _no_split(path: str | os.PathLike, row: Sequence[str]) -> FileError:
    return FileError(f"{path}: expected the columns {', '.join(COLUMNS)}, each filled, received "
                     f"{', '.join(row)[:80]!r}. {ADVICE}")


class NameIndex:
    """Finds names among a million: 16 bytes for each, a tenth of a dict's."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        keys = np.fromiter(map(hash, names), np.int64, len(names))
        self.order: IntArray = np.argsort(keys, kind="stable")
        self.keys = keys[self.order]

    def of(self, name: str) -> list[int]:
        """The positions of a name; hashes may be equal, names decide."""
        first = int(np.searchsorted(self.keys, hash(name)))
        positions = []
        while first < len(self.keys) and self.keys[first] == hash(name):
            if self.names[self.order[first]] == name:
                positions.append(int(self.order[first]))
            first += 1
        return positions
