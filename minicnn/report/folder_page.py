"""A page about a folder of photos before training: its contents and its problems.

The template is folder_page.html; see pages.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..data import Dataset, Fingerprints, is_rotated
from ..data.datasets import Integers
from ..data.listing import OtherFile, group_by_kind
from ..utils.arrays import IntArray
from .pages import thumbnail, write_page

SAMPLES = 8  # pictures of each class, fewer where there are more than 50 classes
MAX_GROUPS = 40  # of a finding that are shown as pictures; the others are named
MIN_SIDE = 64  # the size to which `minicnn train` crops photos
MAX_IMBALANCE = 3  # largest class over smallest, from which on a finding is reported


@dataclass
class Finding:
    """A problem of a folder: its title, the advice, and the photos (groups of their indices; a
    group is shown side by side) or lines of text; brief: as many lines, shorter, for a screen."""

    title: str
    advice: str
    groups: list[list[int]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    brief: list[str] = field(default_factory=list)


def findings(data: Dataset, fingerprints: Fingerprints, groups: IntArray,
             parts: Sequence[str] | None = None, others: Sequence[OtherFile] = ()
             ) -> list[Finding]:
    """The problems of the photos, the most serious first; [] if there are none.

    fingerprints, groups: of perceptual_hashes and near_duplicates.
    parts:   the part of each photo (N,), if the folder is already split.
    others:  the files of the folder that are not read as photos.
    """
    order, starts = np.argsort(groups, kind="stable"), np.cumsum(np.bincount(groups))[:-1]
    copies: list[list[int]] = [g.tolist() for g in np.split(order, starts) if len(g) > 1]
    labels, part_of = data.labels, np.zeros(len(data)) if parts is None else np.asarray(parts)
    leaks = [g for g in copies if len(set(part_of[g])) > 1]
    conflicts = [g for g in copies if len(set(labels[g])) > 1]
    largest = max(copies, key=len, default=[])
    alike = [largest] if 2 * len(largest) > len(data) else []
    within = [g for g in copies if g not in leaks + conflicts + alike]
    unread, readable = sorted(fingerprints.unread), np.ones(len(data), bool)
    readable[unread] = False
    even = np.flatnonzero(fingerprints.even & readable)
    small = np.flatnonzero((fingerprints.sizes.min(axis=1) < MIN_SIDE) & readable)
    rotated = [i for i in np.flatnonzero(readable).tolist()
               if not isinstance(data.items[i], np.ndarray) and is_rotated(data.items[i])]
    candidates = [
        Finding(f"{len(largest)} of {len(data)} photos look alike",
                "Each is a near duplicate of another of them. Copies go to the same part of a "
                "split, so that hardly anything is left for training or testing. Are these the "
                "photos that you meant?", alike),
        Finding(f"{_photos(even)} of one even colour", "Nothing but that colour is on them: a "
                "blank page, a covered lens? Only those of exactly the same pixels count as "
                "copies. Remove them.", _alone(even)),
        Finding(f"{_photos(unread)} cannot be read", "The file is damaged. Save it again, or "
                "remove it; split.csv calls its part unreadable.", [],
                [fingerprints.unread[i] for i in unread]),
        Finding(f"{_groups(leaks)} across the parts", "The same photo is in the training and in "
                "the test, so the test overestimates the accuracy. Remove it from one part.",
                leaks),
        Finding(f"{_groups(conflicts)} across classes", "The same photo has two labels, and at "
                "least one is wrong. Keep it in one class.", conflicts),
        Finding(f"{_groups(within)} within a class", "They count several times in training: remove "
                "all but one. minicnn's own split keeps them in one part.", within),
        *_class_findings(data, parts),
        Finding(f"{_photos(small)} with a side below {MIN_SIDE} pixels", "They are enlarged and "
                "blurred. Use larger ones if you can, or a smaller --size.", _alone(small)),
        Finding(f"{_photos(rotated)} rotated by EXIF", "The camera was held upright or upside down "
                "and recorded it. minicnn rotates them; other programs may not.", _alone(rotated)),
        Finding(f"{len(others)} file{'s' * (len(others) != 1)} skipped", "Not read as photos, for "
                "the reasons below.", [],
                group_by_kind(others, limit=None), group_by_kind(others))]
    return [finding for finding in candidates if finding.groups or finding.lines]


def _class_findings(data: Dataset, parts: Sequence[str] | None) -> list[Finding]:
    """Classes of very different size, and classes that a part lacks."""
    counts = data.counts
    largest = max(counts, key=lambda name: counts[name])
    smallest = min(counts, key=lambda name: counts[name])
    sizes = [f"{largest}: {counts[largest]}, {smallest}: {counts[smallest]}"]
    is_uneven = counts[largest] >= MAX_IMBALANCE * max(counts[smallest], 1)
    present = set(zip(parts or (), data.labels.tolist(), strict=bool(parts)))
    missing = [f"{part}: no photo of {name}" for part in dict.fromkeys(parts or ())
               for k, name in enumerate(data.classes) if (part, k) not in present]
    share = counts[largest] / len(data)
    return [Finding("The classes are uneven", f"Always saying {largest} would be right for "
                    f"{share:.1%}. Train with --class-weights, and look at each class, not only at "
                    f"the accuracy.", [], sizes if is_uneven else []),
            Finding("A part lacks a class", "A class that is not in the training cannot be "
                    "recognised; one that is not in the test cannot be evaluated.", [], missing)]


def _photos(indices: Integers) -> str:
    """3 photos."""
    return f"{len(indices)} photo{'s' * (len(indices) != 1)}"


def _groups(groups: list[list[int]]) -> str:
    """3 groups of copies (7 photos)."""
    return (f"{len(groups)} group{'s' * (len(groups) != 1)} of copies "
            f"({sum(map(len, groups))} photos)")


def _alone(indices: Integers) -> list[list[int]]:
    """Each photo as a group of its own."""
    return [[int(i)] for i in indices]


def relation(fingerprints: Fingerprints, group: Sequence[int]) -> str:
    """"the same pixels" or "nearly the same", for a group of two or more photos."""
    identical = len(set(fingerprints.same[list(group)])) == 1
    return "the same pixels" if identical else "nearly the same"


def write_folder_page(path: str | os.PathLike, title: str, data: Dataset,
                      fingerprints: Fingerprints, problems: list[Finding],
                      parts: Sequence[str] | None = None,
                      progress: Callable[[int, int], None] | None = None) -> Path:
    """Writes the page (.html) and returns its path; an older one is replaced atomically.

    title: the folder's name. problems: from findings. parts: of each photo; None without a split.
    Raises FileError.
    """
    unread = set(fingerprints.unread)
    each = min(SAMPLES, max(1, 50 * SAMPLES // len(data.classes)))
    samples = [[i for i in members if i not in unread][:each]
               for members in data.shuffled(0).values()]
    wanted = {i for row in samples for i in row}
    wanted |= {i for finding in problems for g in finding.groups[:MAX_GROUPS]
               for i in g[:SAMPLES]} - unread
    pictures = {}
    for done, i in enumerate(sorted(wanted), 1):
        pictures[i] = thumbnail(data.read(i))
        if progress:
            progress(done, len(wanted))

    def photo(i: int, shown: bool) -> dict:
        return {"name": data.names[i], "class": data.classes[data.labels[i]],
                "part": "" if parts is None else parts[i],
                "size": " × ".join(map(str, fingerprints.sizes[i, ::-1])),
                "picture": pictures.get(i, "") if shown else ""}

    names = [p for p in dict.fromkeys(("train", "validation", "test", *(parts or ())))
             if p in set(parts or ())]
    table = np.zeros((len(data.classes), max(len(names), 1)), int)
    columns = [names.index(p) for p in parts or ()] if names else [0] * len(data)
    np.add.at(table, (data.labels, np.array(columns, int)), 1)
    sizes = fingerprints.sizes[sorted(set(range(len(data))) - unread)]
    page = {"title": title, "count": len(data), "parts": names, "sizes": _sizes(sizes),
            "classes": [{"name": name, "counts": row.tolist(),
                         "samples": [photo(i, True) for i in rows]}
                        for name, row, rows in zip(data.classes, table, samples, strict=True)],
            "findings": [{"title": finding.title, "advice": finding.advice, "lines": finding.lines,
                          "groups": [{"relation": relation(fingerprints, g) if len(g) > 1 else "",
                                      "photos": [photo(i, k < MAX_GROUPS and j < SAMPLES)
                                                 for j, i in enumerate(g)]}
                                     for k, g in enumerate(finding.groups)]}
                         for finding in problems]}
    return write_page(path, "folder_page.html", page)


def _sizes(sizes: IntArray) -> str:
    """The smallest and the largest size of (n, 2) heights and widths, width first."""
    if not len(sizes):
        return ""
    order = np.argsort(sizes.prod(axis=1), kind="stable")
    ends = [" × ".join(map(str, sizes[k, ::-1])) for k in (order[0], order[-1])]
    return " to ".join(dict.fromkeys(ends)) + " pixels"
