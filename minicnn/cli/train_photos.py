"""The photos of `minicnn train`: where they come from, who is to learn and who is for the test."""

from __future__ import annotations

import argparse
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
from ..data.images import printable
from ..data.splits import UNREADABLE, concatenate_parts
from ..utils.errors import ArgumentError, FileError
from .progress import Bar

RESUMED = "begin a new run"  # instead of going on with other photos


def photos_of(args: argparse.Namespace
              ) -> tuple[dict[str, Dataset], dict[str, np.ndarray], list[str], str, str]:
    """({"train": …, "test": … but with --kfold, and "validation" where asked for},
    near_duplicates' numbers of the photos of each part, {} for built-in ones, the files that cannot
    be read, what the test photos are called, a name for the run)."""
    share = args.validation_fraction or (0.2 if args.patience is not None and not args.split else 0)
    if args.folder is None:
        names = args.classes or ["sandal", "sneaker"]
        names = None if names == ["all"] else names
        train = sample("train", names, 20 if args.per_class is None else args.per_class, args.seed)
        stem = "-".join(train.classes if names else ["fashion"]).replace(" ", "_")
        parts = dict(zip(("train", "validation"), train.split(1 - share, args.seed), strict=True)
                     ) if share else {"train": train}
        if not args.kfold:
            parts["test"] = sample("test", names)
        return parts, {}, [], "test", stem
    stem = Path(args.folder).resolve().name
    if folders := split_folders(args.folder):
        parts, skipped = already_split(args, folders), [
            reason for folder in folders.values() for reason in folder.skipped]
        if args.resume:
            parts = read_split(args.split, concatenate_parts(parts), RESUMED)
        parts, unread, groups = decoded(args, parts)
        return parts, groups, skipped + unread, "held-out", stem
    folder = ImageFolder(args.folder)
    describe_folder(folder)
    if args.split:
        parts = read_split(args.split, folder, *[RESUMED] * bool(args.resume))
        expected = ["train"] if args.kfold else ["train", "test"]  # all learn, in k folds
        if set(expected) - set(parts):
            raise FileError(f"{args.split}: expected parts {' and '.join(expected)}, received "
                            f"{', '.join(parts)}.")
        if none := [name for name, count in parts["train"].counts.items() if not count]:
            raise FileError(f"{args.split}: expected photos of each class in train, found none of "
                            f"{', '.join(none)}. Give some of them the part train.")
        parts, unread, groups = decoded(args, parts)
        return parts, groups, folder.skipped + unread, "held-out", stem
    test = 0 if args.kfold else args.test_fraction or 0.25
    shares = {"train": (1 - test) * (1 - share), "validation": (1 - test) * share, "test": test}
    found = perceptual_hashes(folder, Bar("reading the photos"))
    unread, numbers = say_unread(list(found.unread.values())), near_duplicates(folder, found)
    names = draw_parts(folder, shares, found, numbers, args.seed)
    groups = {part: numbers[np.array(names) == part] for part in set(names)}
    return subsets(folder, names), groups, folder.skipped + unread, "held-out", stem


def decoded(args: argparse.Namespace, parts: dict[str, Dataset]
            ) -> tuple[dict[str, Dataset], list[str], dict[str, np.ndarray]]:
    """As readable, and says it. A run goes on only with all photos that it began with."""
    left, unread, groups = drop_unreadable(parts, Bar("reading the photos"))
    before, now = (set(some[UNREADABLE].names) if UNREADABLE in some else set()
                   for some in (parts, left))
    if args.resume and now - before:
        raise FileError(f"{args.resume}: expected the photos that the run began with, found that "
                        f"{', '.join(sorted(now - before)[:3])} can no longer be read. Put them "
                        f"back as they were, or {RESUMED}.")
    return left, say_unread(unread), groups


def already_split(args: argparse.Namespace, folders: dict[str, ImageFolder]) -> dict[str, Dataset]:
    """The parts of a folder that holds train/, and test/ or val/ or both."""
    for option, value in (("--test-fraction", args.test_fraction), ("--kfold", args.kfold),
                          ("--validation-fraction", args.validation_fraction),
                          ("--split", not args.resume and args.split)):
        if value:
            raise ArgumentError(f"{option}: expected only with a folder that is not split, "
                                f"{args.folder} holds {', '.join(folders)}. Leave it out.")
    if args.patience is not None and len(folders) < 3:
        raise FileError(f"{args.folder}: expected train, val and test for --patience, found "
                        f"{' and '.join(folders)}. What the best epoch is chosen by is no test.")
    train = folders["train"]
    for name, part in folders.items():
        describe_folder(part)
        if part.classes != train.classes:
            raise FileError(f"{args.folder}: expected the classes of train, "
                            f"{', '.join(train.classes)}, in {name}, too, found "
                            f"{', '.join(part.classes)}.")
        part.names = [file.relative_to(args.folder).as_posix() for file in part.items]
    return folders if "test" in folders else {"train": train, "test": folders["validation"]}


def say_unread(reasons: list[str]) -> list[str]:
    """Tells which photos have good headers and damaged pixels."""
    for reason in reasons:
        print(f"  skipped: {reason}")
    if reasons:
        print(f"Photos that could not be read and do not count: {len(reasons)}.")
    return reasons


def leaks(parts: dict[str, Dataset], groups: dict[str, np.ndarray]) -> list[str]:
    """A sentence where photos to learn from have near copies among those that test."""
    learnt = set(groups["train"].tolist()) if groups else set()
    others = [(name, group) for part in ("validation", "test") if part in groups
              for name, group in zip(parts[part].names, groups[part].tolist(), strict=True)]
    found = [printable(name) for name, group in others if group in learnt]
    dots = ", …" if len(found) > 3 else ""
    return [f"Near copies of photos to learn from: {len(found)} of the {len(others)} others "
            f"({', '.join(found[:3])}{dots}), so that the figures say more than is true. Remove "
            f"them from one part; minicnn data shows them."] if found else []


def imbalance(train: Dataset, weighted: bool) -> list[str]:
    """A sentence where classes are of very different size."""
    counts = train.counts
    most, least = max(counts, key=counts.get), min(counts, key=counts.get)
    if counts[most] < 3 * counts[least] or weighted:
        return []
    return [f"{most} has {counts[most]} photos, {least} {counts[least]}: always saying {most} "
            f"would be right for {counts[most] / len(train):.0%}. Try --class-weights."]


def per_class(data: Dataset) -> str:
    """20 + 20."""
    counts = list(data.counts.values())
    return " + ".join(map(str, counts)) if len(counts) < 6 else f"{sum(counts)}"


def describe_folder(folder: ImageFolder) -> None:
    """What was found, and what was left out and why."""
    print(folder)
    for reason in folder.skipped:
        print(f"  skipped: {reason}")
