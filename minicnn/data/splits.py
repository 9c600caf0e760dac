"""Splits into train, validation and test.

Near duplicates go to the same part; otherwise the test would contain images of the training.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from ..utils.arrays import BoolArray, IntArray, Pixels
from ..utils.errors import ArgumentError, FileError
from ..utils.files import list_folder
from .datasets import Dataset, Integers
from .duplicates import near_duplicates
from .file_kinds import NO_PART
from .file_table import concatenate
from .fingerprints import Fingerprints, perceptual_hashes
from .image_folder import ImageFolder
from .listing import FolderListing, OtherFile, list_photos
from .open_image import printable
from .part_names import parts_of

UNREADABLE = "unreadable"  # the part of images whose pixels cannot be decoded


def split_parts(data: Dataset, shares: dict[str, float], groups: Integers | None = None,
                seed: int = 0) -> list[str]:
    """The part of each image: {"train": 0.75, "test": 0.25} -> ["train", "train", "test", …].

    Every class is divided by the shares, and has at least one image in each part whose share is
    not 0.
    groups: a number for each image, from near_duplicates; images of the same number go to the same
            part, so that with large groups the shares are met only approximately. Without groups
            the parts above are those of data.split(0.75, seed).
    The same seed gives the same parts on every machine.
    Raises ArgumentError for shares that do not sum to 1, or a class that cannot be in every part.
    """
    if not min(shares.values(), default=-1) >= 0 or not abs(sum(shares.values()) - 1) < 1e-6:
        raise ArgumentError(f"split_parts: expected shares from 0 that sum to 1, received {shares}."
                            f" Give for example train 0.75, test 0.25.")
    parts = [name for name, share in shares.items() if share]
    indices, ends = data.group_order(groups, seed)
    sizes, labels, K = np.diff(ends, prepend=0), data.labels[indices], len(data.classes)
    free = np.array([_part_sizes(count, [shares[name] for name in parts])
                     for count in data.counts.values()]).T  # (parts, K): images still to assign
    # (K,): groups of each class still to come
    pairs = np.unique(np.repeat(np.arange(len(ends)), sizes) * K + labels)
    groups_left = np.bincount(pairs % K, minlength=K)
    for name, number in zip(data.classes, groups_left, strict=True):
        if number < len(parts):
            raise ArgumentError(f"split_parts: expected at least {len(parts)} photos of {name!r} "
                                f"that differ, one for each of {', '.join(parts)}, received "
                                f"{number}. Add photos or leave the class out.")
    part, empty = np.empty(len(data), np.int8), np.ones((len(parts), K), bool)
    single = int(np.searchsorted(-sizes, -1))  # the first group of one image
    begin = int(ends[single - 1]) if single else 0
    for first, end in pairwise([0, *ends[:single].tolist()]):
        count = np.bincount(labels[first:end], minlength=K)
        has = count > 0
        # (parts,): the classes that stay without an image in this part unless it gets this group
        urgent = (empty & has & (groups_left <= empty.sum(axis=0))).sum(axis=1)
        space = (free - count)[:, has].min(axis=1)
        chosen = max(range(len(parts)), key=lambda p: (urgent[p], space[p], -p))
        part[indices[first:end]] = chosen
        empty[chosen] &= ~has
        free[chosen] -= count
        groups_left = groups_left - has
    for k in range(K):
        members = indices[begin:][labels[begin:] == k]
        part[members] = _parts_of_single_images(len(members), free[:, k], empty[:, k])
    for p, k in np.argwhere(empty):
        raise ArgumentError(f"split_parts: expected photos of {data.classes[k]!r} for "
                            f"{parts[p]!r}, found all others tied to near duplicates in other "
                            f"classes. Remove copies with a wrong label, or add photos.")
    return [parts[p] for p in part]


def _parts_of_single_images(n: int, free: IntArray, empty: BoolArray) -> Pixels:
    """The parts of n images of a class that are in no group: as Dataset.split does, the first part
    is filled first; but the last images go to parts that would stay without any.

    free: (parts,) images of the class still to assign. empty: (parts,) whether a part has none of
    them; updated.
    """
    chosen = np.empty(n, np.uint8)
    spaces, without = free.tolist(), empty.tolist()
    for i in range(n):
        urgent = n - i <= sum(without)
        p = max(range(len(spaces)), key=lambda p: (urgent and without[p], spaces[p] > 0, -p))
        chosen[i] = p
        without[p] = False
        spaces[p] -= 1
    empty[...] = without
    return chosen


def _part_sizes(n: int, shares: Sequence[float]) -> IntArray:
    """The sizes of the parts of n images: rounded as Dataset.split does, at least one in each."""
    ends, last = np.cumsum(shares) * n + 0.5, 0
    for k in range(len(shares)):
        last = ends[k] = min(max(int(ends[k]), last + 1), n - (len(shares) - 1 - k))
    return np.diff(ends, prepend=0).astype(int)


def subsets(data: Dataset, parts: Sequence[str]) -> dict[str, Dataset]:
    """The images of each part; train, validation and test first. parts: of each image."""
    names = np.array(parts, object)
    return {name: data.subset(np.flatnonzero(names == name))
            for name in dict.fromkeys(("train", "validation", "test", *parts)) if name in parts}


def draw_parts(data: Dataset, shares: dict[str, float], fingerprints: Fingerprints,
               groups: IntArray, seed: int = 0) -> list[str]:
    """As split_parts, for the images that can be read; the part of the others is UNREADABLE."""
    return draw_readable_parts(data, shares, list(fingerprints.unread), groups, seed)


def draw_readable_parts(data: Dataset, shares: dict[str, float], unread: Sequence[int],
                        groups: IntArray, seed: int = 0) -> list[str]:
    """As draw_parts. unread: the images that cannot be read."""
    is_unread = np.zeros(len(data), bool)
    is_unread[list(unread)] = True
    readable = np.flatnonzero(~is_unread)
    parts = np.full(len(data), UNREADABLE, object)
    parts[readable] = split_parts(data.subset(readable), shares, groups[readable], seed)
    return parts.tolist()


def concatenate_parts(parts: Mapping[str, Dataset]) -> Dataset:
    """The images of all parts, which have the same classes, as one data set."""
    return Dataset(concatenate([data.items for data in parts.values()]),
                   np.concatenate([data.labels for data in parts.values()]),
                   next(iter(parts.values())).classes,
                   concatenate([data.names for data in parts.values()]))


def drop_unreadable(parts: Mapping[str, Dataset],
                    progress: Callable[[int, int], None] | None = None
                    ) -> tuple[dict[str, Dataset], list[str], dict[str, IntArray]]:
    """Moves the images that cannot be decoded to the part UNREADABLE. Reads every image once.

    Returns the parts, why images are unreadable, and near_duplicates' groups for each part. The
    parts have the same classes. Raises FileError if a class in a part has no readable image.
    """
    data = concatenate_parts(parts)
    fingerprints = perceptual_hashes(data, progress)
    unread = fingerprints.unread
    remaining, names = move_unreadable(parts, data, unread)
    return (remaining, [unread[i] for i in sorted(unread)],
            groups_of_parts(near_duplicates(data, fingerprints), names))


def move_unreadable(parts: Mapping[str, Dataset], data: Dataset, unread: Mapping[int, str]
                    ) -> tuple[dict[str, Dataset], list[str]]:
    """(the parts without the images that cannot be decoded, which are in UNREADABLE; the part of
    each image). data: concatenate_parts(parts). unread: {index: reason}.

    Raises FileError if a class in a part has no readable image.
    """
    names = [part for part, subset in parts.items() for _ in range(len(subset))]
    names = [UNREADABLE if i in unread else part for i, part in enumerate(names)]
    remaining = subsets(data, names)
    for part, before in parts.items():
        for kind, count in before.counts.items():
            if not count or part == UNREADABLE:
                continue
            if part not in remaining or not remaining[part].counts[kind]:
                raise FileError(f"{part}: expected photos of {kind!r}, found none of its {count} "
                                f"that can be read. {next(iter(unread.values()))}")
    return remaining, names


def groups_of_parts(groups: IntArray, parts: Sequence[str]) -> dict[str, IntArray]:
    """The groups of the images of each part. parts: of each image."""
    names = np.array(parts, object)
    return {part: groups[names == part] for part in dict.fromkeys(parts)}


def split_folders(path: str | os.PathLike) -> dict[str, ImageFolder]:
    """The parts of a folder that is already split: its sub-folders have the usual names of train,
    and of validation or test or both (part_names.py), and each has one sub-folder per class. {} if
    it is not split.

    What else the folder holds is among the others of "train", whose names begin at `path`, as those
    of all parts do.
    """
    root = Path(path)
    folders = parts_of(root) if os.path.isdir(root) else {}
    parts = {part: ImageFolder(folder) for part, folder in folders.items()}
    for data in parts.values():
        data.others = [other._replace(name=printable(other.path.relative_to(root).as_posix()))
                       for other in data.others]
    if parts:
        parts["train"].others += _outside(root, list(folders.values()))
    return parts


def _outside(root: Path, folders: list[Path]) -> list[OtherFile]:
    """The files below root that are in none of the folders; photos among them are in no part."""
    listing = FolderListing()
    here = listing.table.add_folder(root)
    for entry in list_folder(root):
        if not os.path.isdir(entry):
            listing.add(here, entry.name)
        elif not any(folder.is_relative_to(entry) for folder in folders):
            inside = list_photos(entry, root)
            listing.table.extend(inside.table)
            listing.others += inside.others
    return listing.others + [
        OtherFile(photo, printable(name), f"{printable(photo)}: is in no part of the split.",
                  NO_PART)
        for photo, name in zip(listing.photos, listing.names, strict=True)]
