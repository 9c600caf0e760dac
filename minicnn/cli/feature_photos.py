"""The photos behind a file of features: all that a folder holds, and the same from the file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..data import Dataset, ImageFolder, file_kinds, read_split, split_folders
from ..data.file_kinds import FileKind
from ..data.file_table import FileTable, Names, Paths, concatenate, names_from
from ..data.listing import OtherFile
from ..training.feature_file import FeatureFile
from ..utils.arrays import IntArray
from ..utils.errors import FileError

KINDS = {kind.singular: kind for kind in vars(file_kinds).values() if isinstance(kind, FileKind)}


@dataclass
class AllPhotos:
    """The photos of a folder in their order, with names relative to it.

    parts:  (N,) indices into part_names, if the folder is split or split.csv is given; else empty.
    others: files that are no photos.
    """

    data: Dataset
    others: list[OtherFile]
    part_names: list[str] = field(default_factory=list)
    parts: IntArray = field(default_factory=lambda: np.empty(0, np.int8))


def all_photos(folder: str) -> AllPhotos:
    """The photos of a folder of classes, or of one that is split. Raises FileError."""
    folders = split_folders(folder)
    if not folders:
        data = ImageFolder(folder)
        return AllPhotos(data, data.others)
    classes = folders["train"].classes
    for name, part in folders.items():
        if part.classes != classes:
            raise FileError(f"{folder}: expected the classes of train, {', '.join(classes)}, in "
                            f"{name}, too, found {', '.join(part.classes)}.")
    joint = Dataset(concatenate([part.items for part in folders.values()]),
                    np.concatenate([part.labels for part in folders.values()]), classes,
                    concatenate([names_from(part.items, folder) for part in folders.values()]))
    return AllPhotos(joint, [other for part in folders.values() for other in part.others],
                     list(folders), np.repeat(np.arange(len(folders), dtype=np.int8),
                                              [len(part) for part in folders.values()]))


def split_by_file(photos: AllPhotos, path: str) -> AllPhotos:
    """The same photos, split as a split.csv says. Raises FileError."""
    data = photos.data
    numbered = Dataset(range(len(data)), data.labels, data.classes, data.names)
    parts = read_split(path, numbered)
    code = np.empty(len(data), np.int8)
    for k, part in enumerate(parts.values()):
        code[np.array(part.items)] = k
    return replace(photos, part_names=list(parts), parts=code)


def photos_in_file(file: FeatureFile, folder: str | None) -> tuple[AllPhotos, dict[int, str],
                                                                   IntArray]:
    """(the photos that the file is of, also those that could not be read; why, by index; of each
    photo its row in the file, −1 for none). folder: where they are; None: where they were.

    Raises FileError if the folder holds others.
    """
    about = file.about
    unread = {int(entry[0]): entry for entry in about["unread"]}
    N = len(file) + len(unread)
    readable = np.setdiff1d(np.arange(N), list(unread))
    rows, labels, sizes = np.full(N, -1), np.empty(N, int), np.empty(N, int)
    rows[readable] = np.arange(len(file))
    labels[readable], sizes[readable] = file.labels, file.sizes
    parts = np.empty(N if about["part_names"] else 0, np.int8)
    if len(parts):
        parts[readable] = file.parts
    for i, (_, _, label, _, part, size) in unread.items():
        labels[i], sizes[i] = label, size
        if len(parts):
            parts[i] = part
    names = (unread[i][1] if i in unread else os.fsdecode(file.names[rows[i]]) for i in range(N))
    table = table_of(names, Path(folder or about["folder"]))
    data = Dataset(Paths(table), labels, about["classes"], Names(table))
    others = [OtherFile(Path(path), name, reason, KINDS.get(kind))
              for path, name, reason, kind in about["others"]]
    if folder is not None:
        check_same_photos(file, data, sizes, all_photos(folder).data, folder)
    return (AllPhotos(data, others, about["part_names"], parts),
            {i: entry[3] for i, entry in unread.items()}, rows)


def table_of(names: Iterable[str], root: Path) -> FileTable:
    """The files of these names below the folder."""
    table, numbers = FileTable(), dict[str, int]()
    for name in names:
        prefix, slash, own = name.rpartition("/")
        if prefix not in numbers:
            numbers[prefix] = table.add_folder(root / prefix, prefix + slash)
        table.append(numbers[prefix], own)
    return table


def check_same_photos(file: FeatureFile, expected: Dataset, sizes: IntArray, received: Dataset,
                      folder: str) -> None:
    """Raises FileError unless the photos of the folder are those that the features are of: the same
    names, classes, and bytes of the files."""
    def refuse(what: str) -> FileError:
        return FileError(f"{file.path}: expected features of the photos in {folder}, received "
                         f"those of others: {what}. Make them again: minicnn features {folder}")

    if expected.classes != received.classes:
        raise refuse(f"of the classes {', '.join(expected.classes)}, the folder has "
                     f"{', '.join(received.classes)}")
    if len(expected) != len(received):
        raise refuse(f"{len(expected)} photos, the folder has {len(received)}")
    for ours, theirs, size, path in zip(expected.names, received.names, sizes.tolist(),
                                        received.items, strict=True):
        if ours != theirs:
            raise refuse(f"{ours} where the folder has {theirs}")
        if path.stat().st_size != size:
            raise refuse(f"{ours} had {size:,} bytes, now {path.stat().st_size:,}")
