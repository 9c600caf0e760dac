"""The photos of `minicnn train`: where they come from, and how they are split."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..data import (
    Dataset,
    ImageFolder,
    draw_parts,
    drop_unreadable,
    near_duplicates,
    perceptual_hashes,
    read_split,
    sample,
    split_folders,
    subsets,
)
from ..data.listing import group_by_kind
from ..data.open_image import printable
from ..data.splits import UNREADABLE, concatenate_parts
from ..utils.arrays import IntArray
from ..utils.errors import FileError
from ..utils.language import gettext as _
from .model_words import check_photos
from .progress import Bar
from .unused_options import unused_option

DEFAULT_CLASSES = {"clouds": ["cirrus", "cumulus"], "fashion": ["sandal", "sneaker"]}
RESUME_ADVICE = "begin a new run"  # since a run cannot be resumed with other photos


def photos_of(args: argparse.Namespace
              ) -> tuple[dict[str, Dataset], dict[str, IntArray], list[str], str, str]:
    """({"train": …, "test": … without --kfold, "validation": … if asked for}, near_duplicates'
    groups of each part ({} for built-in photos), the files that cannot be read, what the test
    photos are called, a name for the run)."""
    share = args.validation_fraction or (0.2 if args.patience is not None and not args.split else 0)
    if args.folder is None:
        source = args.sample or "clouds"
        names = args.classes or DEFAULT_CLASSES[source]
        names = None if names == ["all"] else names
        train = sample(source, "train", names, 20 if args.per_class is None else args.per_class,
                       args.seed)
        stem = "-".join(train.classes if names else [source]).replace(" ", "_")
        parts = dict(zip(("train", "validation"), train.split(1 - share, args.seed), strict=True)
                     ) if share else {"train": train}
        if not args.kfold:
            parts["test"] = sample(source, "test", names)
        return parts, {}, [], "held-out", stem
    check_photos("train", args.folder)
    stem = Path(args.folder).resolve().name
    if folders := split_folders(args.folder):
        parts = parts_of_split_folder(args, folders)
        skipped = [line for folder in folders.values()
                   for line in group_by_kind(folder.others, limit=None)]
        if args.resume:
            parts = read_split(args.split, concatenate_parts(parts), RESUME_ADVICE)
        parts, unread, groups = without_unreadable(args, parts)
        return parts, groups, skipped + unread, "held-out", stem
    folder = ImageFolder(args.folder)
    skipped = group_by_kind(folder.others, limit=None)
    describe_folder(folder)
    if args.split:
        parts = read_split(args.split, folder, *[RESUME_ADVICE] * bool(args.resume))
        expected = ["train"] if args.kfold else ["train", "test"]  # in folds, all train
        if set(expected) - set(parts):
            raise FileError(f"{args.split}: expected parts {' and '.join(expected)}, received "
                            f"{', '.join(parts)}.")
        if none := [name for name, count in parts["train"].counts.items() if not count]:
            raise FileError(f"{args.split}: expected photos of each class in train, found none of "
                            f"{', '.join(none)}. Give some of them the part train.")
        parts, unread, groups = without_unreadable(args, parts)
        return parts, groups, skipped + unread, "held-out", stem
    test = 0 if args.kfold else args.test_fraction or 0.25
    shares = {"train": (1 - test) * (1 - share), "validation": (1 - test) * share, "test": test}
    fingerprints = perceptual_hashes(folder, Bar(_("reading the photos")))
    unread = print_unreadable(list(fingerprints.unread.values()))
    numbers = near_duplicates(folder, fingerprints)
    names = draw_parts(folder, shares, fingerprints, numbers, args.seed)
    groups = {part: numbers[np.array(names) == part] for part in set(names)}
    return subsets(folder, names), groups, skipped + unread, "held-out", stem


def without_unreadable(args: argparse.Namespace, parts: Mapping[str, Dataset]
                       ) -> tuple[dict[str, Dataset], list[str], dict[str, IntArray]]:
    """drop_unreadable, and prints why. A run can be resumed only with all photos that it had."""
    remaining, unread, groups = drop_unreadable(parts, Bar(_("reading the photos")))
    before, now = (set(named[UNREADABLE].names) if UNREADABLE in named else set()
                   for named in (parts, remaining))
    if args.resume and now - before:
        raise FileError(f"{args.resume}: expected the photos that the run began with, found that "
                        f"{', '.join(sorted(now - before)[:3])} can no longer be read. Put them "
                        f"back as they were, or {RESUME_ADVICE}.")
    return remaining, print_unreadable(unread), groups


def parts_of_split_folder(args: argparse.Namespace, folders: Mapping[str, ImageFolder]
                          ) -> dict[str, Dataset]:
    """The parts of a folder that has train/, and test/ or val/ or both."""
    for option, value in (("--test-fraction", args.test_fraction), ("--kfold", args.kfold),
                          ("--validation-fraction", args.validation_fraction),
                          ("--split", not args.resume and args.split)):
        if value:
            raise unused_option(option, "a folder that is not split",
                                f"{args.folder} with {', '.join(folders)}")
    if args.patience is not None and len(folders) < 3:
        raise FileError(f"{args.folder}: expected train, val and test for --patience, found "
                        f"{' and '.join(folders)}. The photos that choose the best "
                        f"epoch cannot be the test.")
    train = folders["train"]
    for name, part in folders.items():
        describe_folder(part)
        if part.classes != train.classes:
            raise FileError(f"{args.folder}: expected the classes of train, "
                            f"{', '.join(train.classes)}, in {name}, too, found "
                            f"{', '.join(part.classes)}.")
        part.names = [file.relative_to(args.folder).as_posix() for file in part.items]
    if "test" in folders:
        return dict(folders)
    return {"train": train, "test": folders["validation"]}


def print_unreadable(reasons: list[str]) -> list[str]:
    """Prints which photos have readable headers and damaged pixels; returns the reasons."""
    for reason in reasons:
        print("  " + _("skipped: {reason}", reason=reason))
    if reasons:
        print(_("Photos that could not be read and are left out: {count}.", count=len(reasons)))
    return reasons


def leaks(parts: dict[str, Dataset], groups: dict[str, IntArray]) -> list[str]:
    """A warning if training photos have near copies among those for validation and test."""
    in_training = set(groups["train"].tolist()) if groups else set()
    others = [(name, group) for part in ("validation", "test") if part in groups
              for name, group in zip(parts[part].names, groups[part].tolist(), strict=True)]
    copies = [printable(name) for name, group in others if group in in_training]
    if not copies:
        return []
    dots = ", …" if len(copies) > 3 else ""
    return [_("Near copies of training photos: {count} of the {others} others ({names}), so that "
              "the figures overestimate the accuracy. Remove them from one part; minicnn data "
              "shows them.", count=len(copies), others=len(others),
              names=", ".join(copies[:3]) + dots)]


def imbalance(train: Dataset, weighted: bool) -> list[str]:
    """A warning if the classes are of very different size, and not weighted."""
    counts = train.counts
    largest = max(counts, key=lambda name: counts[name])
    smallest = min(counts, key=lambda name: counts[name])
    if counts[largest] < 3 * counts[smallest] or weighted:
        return []
    return [_("{largest} has {most_photos} photos, {smallest} {fewest_photos}: always saying "
              "{largest} would be right for {share:.0f}%. Try --class-weights.", largest=largest,
              most_photos=counts[largest], smallest=smallest, fewest_photos=counts[smallest],
              share=100 * counts[largest] / len(train))]


def per_class(data: Dataset) -> str:
    """The number of photos of each class, such as "20 + 20"; their sum, if there are many."""
    counts = list(data.counts.values())
    return " + ".join(map(str, counts)) if len(counts) < 6 else f"{sum(counts)}"


def describe_folder(folder: ImageFolder) -> None:
    """Prints what the folder has, and what was skipped and why, a line for each kind of file."""
    counts = ", ".join(f"{name} {count}" for name, count in folder.counts.items())
    print(_("ImageFolder: {photos} photos, {classes} classes ({counts}), {rotated} rotated by "
            "EXIF, {skipped} skipped", photos=len(folder), classes=len(folder.classes),
            counts=counts, rotated=folder.rotated, skipped=len(folder.others)))
    for line in group_by_kind(folder.others):
        print("  " + _("skipped: {reason}", reason=line))
