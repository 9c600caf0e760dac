"""Which photo is for training, which for validation, which for the test: drawn once, and kept in a
file that a person can read and change.

Photos that are nearly the same go to one side together; else the test would ask what the training
has told.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..utils.errors import ArgumentError, FileError
from ..utils.files import atomic_write, list_folder
from .datasets import Dataset
from .duplicates import Fingerprints, near_duplicates, perceptual_hashes
from .image_folder import ImageFolder

COLUMNS = ["photo", "class", "part"]
UNREADABLE = "unreadable"  # the part of photos whose pixels cannot be decoded
FOLDERS = {"train": "train", "training": "train", "val": "validation", "valid": "validation",
           "validation": "validation", "test": "test", "testing": "test"}


def split_parts(data: Dataset, shares: dict[str, float], groups: Sequence[int] | None = None,
                seed: int = 0) -> list[str]:
    """The part of each photo: {"train": 0.75, "test": 0.25} -> ["train", "train", "test", …].

    Every class is divided by the shares, and has at least one photo in each part whose share is not
    0. groups: a number for each photo, as near_duplicates gives them; photos of one number go to
    one part together, so that the shares are met only nearly where groups are large. Without groups
    the parts above are those of data.split(0.75, seed). The same on every machine.
    Raises ArgumentError for shares that do not sum to 1, or a class that cannot be in every part.
    """
    if not min(shares.values(), default=-1) >= 0 or not abs(sum(shares.values()) - 1) < 1e-6:
        raise ArgumentError(f"split_parts: expected shares from 0 that sum to 1, received {shares}."
                            f" Give for example train 0.75, test 0.25.")
    parts = [name for name, share in shares.items() if share]
    queue = data.units(groups, seed)
    free = np.array([_sizes(count, [shares[name] for name in parts])
                     for count in data.counts.values()]).T  # (parts, K): places left
    counts = np.array([np.bincount(data.labels[unit], minlength=len(data.classes))
                       for unit in queue]).reshape(len(queue), len(data.classes))
    left = (counts > 0).sum(axis=0)  # (K,): groups of each class still to come
    for name, number in zip(data.classes, left, strict=True):
        if number < len(parts):
            raise ArgumentError(f"split_parts: expected at least {len(parts)} photos of {name!r} "
                                f"that differ, one for each of {', '.join(parts)}, received "
                                f"{number}. Add photos or leave the class out.")
    part, empty = np.empty(len(data), int), np.ones((len(parts), len(data.classes)), bool)
    for unit, count in zip(queue, counts, strict=True):
        has = count > 0
        needs = (empty & has & (left <= empty.sum(axis=0))).sum(axis=1)  # classes: now or never
        room = (free - count)[:, has].min(axis=1)
        if len(unit) == 1:
            room = room >= 0  # as Dataset.split: in the order of the draw, the first part first
        chosen = max(range(len(parts)), key=lambda p: (needs[p], room[p], -p))
        part[unit] = chosen
        empty[chosen] &= ~has
        free[chosen] -= count
        left = left - has
    for p, k in np.argwhere(empty):
        raise ArgumentError(f"split_parts: expected photos of {data.classes[k]!r} for "
                            f"{parts[p]!r}, found all others tied to near duplicates in other "
                            f"classes. Remove copies with a wrong label, or add photos.")
    return [parts[p] for p in part]


def _sizes(n: int, shares: Sequence[float]) -> np.ndarray:
    """n photos in parts: rounded as Dataset.split does, at least one in each."""
    ends, last = np.cumsum(shares) * n + 0.5, 0
    for k in range(len(shares)):
        last = ends[k] = min(max(int(ends[k]), last + 1), n - (len(shares) - 1 - k))
    return np.diff(ends, prepend=0).astype(int)


def subsets(data: Dataset, parts: Sequence[str]) -> dict[str, Dataset]:
    """The photos of each part, from the part of each photo; train, validation and test first."""
    names = np.array(parts, object)
    return {name: data.subset(np.flatnonzero(names == name))
            for name in dict.fromkeys(("train", "validation", "test", *parts)) if name in parts}


def drawn_parts(data: Dataset, shares: dict[str, float], found: Fingerprints, groups: np.ndarray,
                seed: int = 0) -> list[str]:
    """As split_parts, of the photos that could be read; the part of the others is UNREADABLE."""
    good = [i for i in range(len(data)) if i not in found.unread]
    parts = np.full(len(data), UNREADABLE, object)
    parts[good] = split_parts(data.subset(good), shares, groups[good], seed)
    return parts.tolist()


def joined(parts: dict[str, Dataset]) -> Dataset:
    """The photos of all parts, which have the same classes."""
    return Dataset([item for data in parts.values() for item in data.items],
                   np.concatenate([data.labels for data in parts.values()]),
                   next(iter(parts.values())).classes,
                   [name for data in parts.values() for name in data.names])


def readable(parts: dict[str, Dataset], progress: Callable[[int, int], None] | None = None
             ) -> tuple[dict[str, Dataset], list[str], dict[str, np.ndarray]]:
    """(The parts without the photos that cannot be decoded, which become the part UNREADABLE; the
    reasons; near_duplicates' numbers of the photos of each part). Reads every photo once; the parts
    have the same classes.

    Raises FileError where that leaves nothing of a class in a part.
    """
    whole = joined(parts)
    found = perceptual_hashes(whole, progress)
    names, unread = [part for part, data in parts.items() for _ in data.names], found.unread
    names = [UNREADABLE if i in unread else part for i, part in enumerate(names)]
    left = subsets(whole, names)
    for part, data in parts.items():
        for kind, count in data.counts.items():
            if count and part != UNREADABLE and not (part in left and left[part].counts[kind]):
                raise FileError(f"{part}: expected photos of {kind!r}, found none of its {count} "
                                f"that can be read. {next(iter(unread.values()))}")
    groups = near_duplicates(whole, found)
    return left, [unread[i] for i in sorted(unread)], {
        part: groups[np.array(names) == part] for part in left}


def split_folders(path: str | os.PathLike) -> dict[str, ImageFolder]:
    """The parts of a folder that is split already: its sub-folders are called train and val (valid,
    validation) or test or both, and each holds one folder a class. {} where it is not so."""
    root = Path(path)
    folders = [entry for entry in list_folder(root) if os.path.isdir(entry)
               ] if os.path.isdir(root) else []
    names = [FOLDERS.get(folder.name.casefold()) for folder in folders]
    if (None in names or len(set(names)) < max(len(names), 2) or "train" not in names
            or not all(any(map(os.path.isdir, list_folder(folder))) for folder in folders)):
        return {}
    found = {name: ImageFolder(folder) for name, folder in zip(names, folders, strict=True)}
    return {name: found[name] for name in ("train", "validation", "test") if name in found}


def write_split(path: str | os.PathLike, parts: dict[str, Dataset]) -> None:
    """A row for each photo: its name, its class, its part. Raises FileError."""
    with atomic_write(path) as draft, draft.open("w", newline="", encoding="utf-8",
                                              errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows((name, data.classes[label], part) for part, data in parts.items()
                         for name, label in zip(data.names, data.labels, strict=True))


def read_split(path: str | os.PathLike, data: Dataset,
               instead: str = "make a new split with minicnn data") -> dict[str, Dataset]:
    """The parts of `data` that the file names, photos in the order of `data`.

    instead: what an error advises where the photos are not to be put back as they were.
    Columns may be separated by semicolons, too, as some spreadsheets do.
    Raises FileError for a file that is no split, and where its photos are not those of `data`, one
    row each, in the same classes.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            separator = ";" if ";" in file.readline() else ","
            file.seek(0)
            rows = [row for row in csv.reader(file, delimiter=separator) if any(row)]
    except (OSError, csv.Error) as problem:
        raise FileError(f"{path}: expected a table with the columns {', '.join(COLUMNS)}, received "
                        f"{getattr(problem, 'strerror', None) or problem}. Check the path."
                        ) from problem
    strange = [row for row in rows if len(row) != 3 or not row[2]]
    if rows[:1] != [COLUMNS] or strange:
        found = ", ".join((strange + rows + [["nothing"]])[0])
        raise FileError(f"{path}: expected the columns {', '.join(COLUMNS)}, each filled, received "
                        f"{found[:80]!r}. Write one with minicnn data.")
    said = {name: (kind, part) for name, kind, part in rows[1:]}
    kinds = {name: data.classes[k] for name, k in zip(data.names, data.labels, strict=True)}
    for what, names in (
            ("has twice", [name for name, n in Counter(row[0] for row in rows).items() if n > 1]),
            ("does not have", [name for name in kinds if name not in said]),
            ("has, but the folder has not", [name for name in said if name not in kinds]),
            ("has in another class", [name for name in kinds if name in said
                                      and kinds[name] != said[name][0]])):
        if names:
            dots = ", …" if len(names) > 3 else ""
            raise FileError(f"{path}: expected one row for each photo of the folder. It {what} "
                            f"{len(names)}: {', '.join(names[:3])}{dots}. Put the photos back "
                            f"as they were, or {instead}.")
    return subsets(data, [said[name][1] for name in data.names])
