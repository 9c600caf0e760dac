"""The problems of a folder of photos: what they are, how serious, what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..data import Dataset, Fingerprints
from ..data.datasets import Integers
from ..data.listing import OtherFile, group_by_kind
from ..utils.arrays import IntArray
from ..utils.language import gettext as _
from ..utils.language import ngettext

MIN_SIDE = 64  # pixels: smaller photos are enlarged by much for a network
MAX_IMBALANCE = 3  # largest class over smallest, from which on a finding is reported


@dataclass
class Finding:
    """A problem of a folder: its title, the advice, and the photos (groups of their indices; a
    group is shown side by side) or lines of text; brief: as many lines, shorter, for a screen.
    serious: whether it makes the figures wrong or loses photos, or is only worth a look."""

    title: str
    advice: str
    groups: list[list[int]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    brief: list[str] = field(default_factory=list)
    serious: bool = True


def findings(data: Dataset, fingerprints: Fingerprints, groups: IntArray,
             parts: Sequence[str] | None = None, others: Sequence[OtherFile] = ()
             ) -> list[Finding]:
    """The problems of the photos, the most serious first; [] if there are none.

    fingerprints, groups: of perceptual_hashes and near_duplicates.
    parts:   the part of each photo (N,), if the folder is already split.
    others:  the files of the folder that are not read as photos.
    """
    unread = sorted(fingerprints.unread)
    lost = [other for other in others
            if other.kind is None or (other.kind.is_photo and other.is_photo)]
    lost_ids = set(map(id, lost))
    rest = [other for other in others if id(other) not in lost_ids]
    candidates = [
        Finding(ngettext("{num} photo cannot be read", "{num} photos cannot be read", len(unread)),
                _("The file is damaged. Save it again, or remove it; split.csv calls its part "
                  "unreadable."), [],
                [fingerprints.unread[i] for i in unread]),
        Finding(ngettext("{num} photo skipped", "{num} photos skipped", len(lost)),
                _("They are missing from the training until they can be read. What each is, and "
                  "what to do:"), [],
                group_by_kind(lost, limit=None), group_by_kind(lost)),
        *_copies(data, fingerprints, groups, parts), *_class_findings(data, parts),
        *_worth_a_look(data, fingerprints),
        Finding(ngettext("{num} other file skipped", "{num} other files skipped", len(rest)),
                _("Not photos, or not where a class is. What each is, and what to do:"), [],
                group_by_kind(rest, limit=None), group_by_kind(rest), False),
        _even(fingerprints)]
    return sorted((finding for finding in candidates if finding.groups or finding.lines),
                  key=lambda finding: not finding.serious)


def _copies(data: Dataset, fingerprints: Fingerprints, groups: IntArray,
            parts: Sequence[str] | None) -> list[Finding]:
    """Near duplicates: of nearly all photos, across parts, across classes, within a class."""
    order, starts = np.argsort(groups, kind="stable"), np.cumsum(np.bincount(groups))[:-1]
    copies: list[list[int]] = [g.tolist() for g in np.split(order, starts) if len(g) > 1]
    labels, part_of = data.labels, np.zeros(len(data)) if parts is None else np.asarray(parts)
    leaks = [g for g in copies if len(set(part_of[g])) > 1]
    conflicts = [g for g in copies if len(set(labels[g])) > 1]
    largest = max(copies, key=len, default=[])
    alike = [largest] if 2 * len(largest) > len(data) else []
    listed = set(map(id, leaks + conflicts + alike))
    within = [g for g in copies if id(g) not in listed]
    guess = (" " + _("Nearly the same is a guess: look before you remove.")
             if not all(identical(fingerprints, g) for g in within) else "")
    return [
        Finding(_("{count} of {total} photos look alike", count=len(largest), total=len(data)),
                _("Each is a near duplicate of another of them. Copies go to the same part of a "
                  "split, so that hardly anything is left for training or testing. Are these the "
                  "photos that you meant?"), alike),
        Finding(_("{groups} across classes", groups=_groups(conflicts)),
                _("The same photo has two labels, and at least one is wrong. Keep it in one "
                  "class."), conflicts),
        Finding(_("{groups} across the parts", groups=_groups(leaks)),
                _("The same photo is in the training and in the test, so the test overestimates "
                  "the accuracy. Remove it from one part."), leaks),
        Finding(_("{groups} within a class", groups=_groups(within)),
                _("They count several times in training: remove all but one. minicnn's own split "
                  "keeps them in one part.") + guess, within, serious=False)]


def _class_findings(data: Dataset, parts: Sequence[str] | None) -> list[Finding]:
    """Classes of very different size, and classes that a part lacks."""
    counts = data.counts
    largest = max(counts, key=lambda name: counts[name])
    smallest = min(counts, key=lambda name: counts[name])
    sizes = [f"{largest}: {counts[largest]}, {smallest}: {counts[smallest]}"]
    is_uneven = counts[largest] >= MAX_IMBALANCE * max(counts[smallest], 1)
    present = set(zip(parts or (), data.labels.tolist(), strict=bool(parts)))
    missing = [_("{part}: no photo of {name}", part=part, name=name)
               for part in dict.fromkeys(parts or ())
               for k, name in enumerate(data.classes) if (part, k) not in present]
    share = counts[largest] / len(data)
    return [Finding(_("A part lacks a class"),
                    _("A class that is not in the training cannot be recognised; one that is not "
                      "in the test cannot be evaluated."), [], missing),
            Finding(_("The classes are uneven"),
                    _("Always saying {name} would be right for {share:.1f}%. Train with "
                      "--class-weights, and look at each class, not only at the accuracy.",
                      name=largest, share=100 * share), [], sizes if is_uneven else [],
                    serious=False)]


def _worth_a_look(data: Dataset, fingerprints: Fingerprints) -> list[Finding]:
    """Tiny photos, photos in sub-folders of a class, photos rotated by EXIF."""
    readable = np.ones(len(data), bool)
    readable[list(fingerprints.unread)] = False
    small = np.flatnonzero((fingerprints.sizes.min(axis=1) < MIN_SIDE) & readable)
    files = [i for i in np.flatnonzero(readable).tolist()
             if not isinstance(data.items[i], np.ndarray)]
    inner: Counter[str] = Counter()
    for i in files:
        folder, _slash, _name = data.names[i].rpartition("/")
        if folder.rpartition("/")[2] not in ("", data.classes[data.labels[i]]):
            inner[folder] += 1
    rotated = np.flatnonzero(fingerprints.rotated & readable)
    return [
        Finding(ngettext("{num} photo with a side below {side} pixels",
                         "{num} photos with a side below {side} pixels", len(small), side=MIN_SIDE),
                _("They are enlarged and blurred. Use larger ones if you can, or a smaller "
                  "--size."), _alone(small), serious=False),
        Finding(ngettext("{num} photo in sub-folders of a class",
                         "{num} photos in sub-folders of a class", inner.total()),
                _("They count for the class whose folder is the outer one. If the inner folders "
                  "are classes of their own, move them up."), [],
                [f"{folder}: {count}" for folder, count in inner.items()],
                serious=False),
        Finding(ngettext("{num} photo rotated by EXIF", "{num} photos rotated by EXIF",
                         len(rotated)),
                _("The camera was held upright or upside down and recorded it. minicnn rotates "
                  "them; other programs may not."), _alone(rotated), serious=False)]


def _even(fingerprints: Fingerprints) -> Finding:
    """Photos of one colour, all over, by all of their pixels."""
    even = [i for i in np.flatnonzero(fingerprints.even).tolist() if i not in fingerprints.unread]
    return Finding(ngettext("{num} photo nearly even", "{num} photos nearly even", len(even)),
                   _("Look before you remove: a blank page, a covered lens, or a clear sky? All of "
                     "their pixels have nearly the same colour. Only those of exactly the same "
                     "pixels count as copies."), _alone(even), serious=False)


def _groups(groups: list[list[int]]) -> str:
    """3 groups of copies (7 photos)."""
    return ngettext("{num} group of copies ({photos} photos)",
                    "{num} groups of copies ({photos} photos)", len(groups),
                    photos=sum(map(len, groups)))


def _alone(indices: Integers) -> list[list[int]]:
    """Each photo as a group of its own."""
    return [[int(i)] for i in indices]


def relation(fingerprints: Fingerprints, group: Sequence[int]) -> str:
    """"the same pixels" or "nearly the same", for a group of two or more photos."""
    return _("the same pixels") if identical(fingerprints, group) else _("nearly the same")


def identical(fingerprints: Fingerprints, group: Sequence[int]) -> bool:
    """Whether the photos of a group have the same pixels."""
    return len(set(fingerprints.same[list(group)])) == 1
