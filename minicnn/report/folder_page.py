"""One page about a folder of photos: what is in it, and what is wrong with it, before a training.

The page is folder_page.html; see pages.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..data import Dataset, Fingerprints, is_rotated
from .pages import thumbnail, write_page

SAMPLES = 8  # pictures of each class, fewer where there are more than 50 classes
SHOWN = 40  # groups of a finding that are shown as pictures; the others are named
TINY = 64  # the size that `minicnn train` cuts photos to
UNEVEN = 3  # largest class over smallest that is worth a word


@dataclass
class Finding:
    """Something in a folder that a person should know: a title, what follows from it, the photos
    (groups of their numbers; a group is shown side by side), or lines of text instead."""

    title: str
    advice: str
    groups: list[list[int]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


def findings(data: Dataset, found: Fingerprints, groups: np.ndarray,
             parts: Sequence[str] | None = None, skipped: Sequence[str] = ()) -> list[Finding]:
    """What is to be said of the photos, gravest first; [] where all is well.

    found, groups: of perceptual_hashes and near_duplicates.
    parts:   where the folder is split already, the part of each photo (N,).
    skipped: files that are no photos, each with its reason.
    """
    order, starts = np.argsort(groups, kind="stable"), np.cumsum(np.bincount(groups))[:-1]
    copies = [g.tolist() for g in np.split(order, starts) if len(g) > 1]
    labels, where = data.labels, np.zeros(len(data)) if parts is None else np.asarray(parts)
    leaks = [g for g in copies if len(set(where[g])) > 1]
    conflicts = [g for g in copies if len(set(labels[g])) > 1]
    largest = max(copies, key=len, default=[])
    alike = [largest] if 2 * len(largest) > len(data) else []
    inside = [g for g in copies if g not in leaks + conflicts + alike]
    unread, good = sorted(found.unread), np.ones(len(data), bool)
    good[unread] = False
    flat = np.flatnonzero(found.flat & good)
    tiny = np.flatnonzero((found.sizes.min(axis=1) < TINY) & good)
    turned = [i for i in range(len(data)) if good[i] and not isinstance(data.items[i], np.ndarray)
              and is_rotated(data.items[i])]
    every = [
        Finding(f"{len(largest)} of {len(data)} photos look alike",
                "Each is a near duplicate of another of them. As copies they go to one side of a "
                "split together, and hardly anything is left to learn or to test. Are these the "
                "photos that you meant?", alike),
        Finding(f"{_photos(flat)} without content", "They are one even colour. Only those of "
                "exactly the same pixels are taken for copies. Remove them.", _alone(flat)),
        Finding(f"{_photos(unread)} cannot be read", "The file is damaged. Save it again, or "
                "remove it; split.csv calls its part unreadable.", [],
                [found.unread[i] for i in unread]),
        Finding(f"{_groups(leaks)} across the parts", "The same photo is learnt and tested, so "
                "the test says more than is true. Remove it from one part.", leaks),
        Finding(f"{_groups(conflicts)} across classes", "The same photo has two labels, and at "
                "least one is wrong. Keep it in one class.", conflicts),
        Finding(f"{_groups(inside)} within a class", "They count several times in training: remove "
                "all but one. The split of minicnn keeps them on one side.", inside),
        *_of_counts(data, parts),
        Finding(f"{_photos(tiny)} with a side below {TINY} pixels", "They are enlarged and "
                "blurred. Take larger ones where you can, or a smaller --size.", _alone(tiny)),
        Finding(f"{_photos(turned)} rotated by EXIF", "The camera was held upright or upside down "
                "and has noted it. minicnn turns them; other programs may not.", _alone(turned)),
        Finding(f"{len(skipped)} file{'s' * (len(skipped) != 1)} skipped", "No photo, or in no "
                "class.", [], list(skipped))]
    return [one for one in every if one.groups or one.lines]


def _of_counts(data: Dataset, parts: Sequence[str] | None) -> list[Finding]:
    """Classes of very different size, classes that a part lacks."""
    counts = data.counts
    most, least = max(counts, key=counts.get), min(counts, key=counts.get)
    uneven = [f"{most}: {counts[most]}, {least}: {counts[least]}"]
    there = set(zip(parts or (), data.labels.tolist(), strict=bool(parts)))
    missing = [f"{part}: no photo of {name}" for part in dict.fromkeys(parts or ())
               for k, name in enumerate(data.classes) if (part, k) not in there]
    share = counts[most] / len(data)
    return [Finding("The classes are uneven", f"Always saying {most} would be right for "
                    f"{share:.1%}. Train with --class-weights, and look at each class, not at the "
                    f"accuracy alone.", [],
                    uneven if counts[most] >= UNEVEN * max(counts[least], 1) else []),
            Finding("A part lacks a class", "What is not in the training cannot be learnt; what is "
                    "not in the test cannot be judged.", [], missing)]


def _photos(indices: Sequence[int]) -> str:
    return f"{len(indices)} photo{'s' * (len(indices) != 1)}"


def _groups(groups: list[list[int]]) -> str:
    """3 groups of copies (7 photos)."""
    return (f"{len(groups)} group{'s' * (len(groups) != 1)} of copies "
            f"({sum(map(len, groups))} photos)")


def _alone(indices: Sequence[int]) -> list[list[int]]:
    return [[int(i)] for i in indices]


def relation(found: Fingerprints, group: Sequence[int]) -> str:
    """"the same pixels" or "nearly the same", of a group of two or more photos."""
    return "the same pixels" if len(set(found.same[list(group)])) == 1 else "nearly the same"


def write_folder_page(path: str | os.PathLike, title: str, data: Dataset, found: Fingerprints,
                      said: list[Finding], parts: Sequence[str] | None = None,
                      progress: Callable[[int, int], None] | None = None) -> Path:
    """Writes the page (.html) and returns its path; an old one is replaced, all or nothing.

    title: the folder's name. parts: of each photo, None where there is no split. Raises FileError.
    """
    unread = set(found.unread)
    each = min(SAMPLES, max(1, 50 * SAMPLES // len(data.classes)))
    samples = [[i for i in members if i not in unread][:each]
               for members in data.shuffled(0).values()]
    wanted = {i for row in samples for i in row}
    wanted |= {i for one in said for g in one.groups[:SHOWN] for i in g[:SAMPLES]} - unread
    pictures = {}
    for done, i in enumerate(sorted(wanted), 1):
        pictures[i] = thumbnail(data.read(i))
        if progress:
            progress(done, len(wanted))

    def photo(i: int, shown: bool) -> dict:
        return {"name": data.names[i], "class": data.classes[data.labels[i]],
                "part": "" if parts is None else parts[i],
                "size": " × ".join(map(str, found.sizes[i, ::-1])),
                "picture": pictures.get(i, "") if shown else ""}

    names = [p for p in dict.fromkeys(("train", "validation", "test", *(parts or ())))
             if p in set(parts or ())]
    table = np.zeros((len(data.classes), max(len(names), 1)), int)
    np.add.at(table, (data.labels, [names.index(p) for p in parts] if names else 0), 1)
    sizes = found.sizes[sorted(set(range(len(data))) - unread)]
    page = {"title": title, "count": len(data), "parts": names, "sizes": _sizes(sizes),
            "classes": [{"name": name, "counts": row.tolist(),
                         "samples": [photo(i, True) for i in rows]}
                        for name, row, rows in zip(data.classes, table, samples, strict=True)],
            "findings": [{"title": one.title, "advice": one.advice, "lines": one.lines,
                          "groups": [{"relation": relation(found, g) if len(g) > 1 else "",
                                      "photos": [photo(i, k < SHOWN and j < SAMPLES)
                                                 for j, i in enumerate(g)]}
                                     for k, g in enumerate(one.groups)]} for one in said]}
    return write_page(path, "folder_page.html", page)


def _sizes(sizes: np.ndarray) -> str:
    """Of (n, 2) heights and widths: the smallest and the largest photo, width first."""
    if not len(sizes):
        return ""
    order = np.argsort(sizes.prod(axis=1), kind="stable")
    ends = [" × ".join(map(str, sizes[k, ::-1])) for k in (order[0], order[-1])]
    return " to ".join(dict.fromkeys(ends)) + " pixels"
