"""The photos of `minicnn train`: where they come from, and how they are split."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data import (
    Dataset,
    ImageFolder,
    draw_parts,
    drop_unreadable,
    near_duplicates,
    perceptual_hashes,
    sample,
    split_folders,
    subsets,
)
from ..data.file_table import names_from
from ..data.listing import OtherFile
from ..data.open_image import printable
from ..data.splits import UNREADABLE, concatenate_parts, groups_of_parts
from ..training import TransferConfig
from ..utils.arrays import IntArray
from ..utils.errors import ArgumentError, FileError
from ..utils.language import gettext as _
from .left_out import print_left_out
from .model_words import check_photos
from .option_values import errors_name_options
from .progress import Bar
from .split_files import RESUME_ADVICE, parts_of_run, parts_of_split_file
from .train_features import KnownFeatures, parts_of_features
from .unused_options import unused_option

DEFAULT_CLASSES = {"clouds": ["cirrus", "cumulus"], "fashion": ["sandal", "sneaker"]}
DEFAULT_PER_CLASS = 20


@dataclass
class RunPhotos:
    """The photos of a run.

    parts: "train", "test" but for --kfold, and "validation" if asked for. groups: near_duplicates'
    groups of each part; {} for built-in photos. left_out: the files that are not read, in sentences
    for the page. name: for the run's folder. features: of the photos, if --features names some.
    """

    parts: dict[str, Dataset]
    groups: dict[str, IntArray]
    left_out: list[str]
    name: str
    features: KnownFeatures | None = None


def photos_of(args: argparse.Namespace, config: TransferConfig) -> RunPhotos:
    """The photos that the options name; prints which files are left out and why."""
    share = args.validation_fraction or (0.2 if args.patience is not None and not args.split else 0)
    if args.features is not None:
        photos, unread, parts, groups, features = parts_of_features(args, config, share)
        return RunPhotos(parts, groups, print_left_out(photos.others, unread),
                         Path(features.file.about["folder"]).name, features)
    if args.folder is None:
        return built_in_photos(args, share)
    check_photos("train", args.folder)
    name = Path(args.folder).resolve().name
    folders = split_folders(args.folder)
    if folders:
        parts = parts_of_split_folder(args, folders)
        if args.resume:
            parts = parts_of_run(args, concatenate_parts(parts))
        return readable_parts(args, parts, [other for folder in folders.values()
                                            for other in folder.others], name)
    folder = ImageFolder(args.folder)
    if args.split:
        return readable_parts(args, parts_of_split_file(args, folder), folder.others, name)
    test = 0 if args.kfold else args.test_fraction or 0.25
    shares = {"train": (1 - test) * (1 - share), "validation": (1 - test) * share, "test": test}
    fingerprints = perceptual_hashes(folder, Bar(_("reading the photos")))
    left_out = print_left_out(folder.others, list(fingerprints.unread.values()))
    numbers = near_duplicates(folder, fingerprints)
    names = draw_parts(folder, shares, fingerprints, numbers, args.seed)
    return RunPhotos(subsets(folder, names), groups_of_parts(numbers, names), left_out, name)


def built_in_photos(args: argparse.Namespace, share: float) -> RunPhotos:
    """Those that ship with minicnn. share: of the training photos, for validation."""
    source = args.sample or "clouds"
    names = args.classes or DEFAULT_CLASSES[source]
    names = None if names == ["all"] else names
    count = DEFAULT_PER_CLASS if args.per_class is None else args.per_class
    with errors_name_options({"take": "--per-class", "sample": "--classes"}):
        train = sample(source, "train", names, count, args.seed)
    parts = dict(zip(("train", "validation"), train.split(1 - share, args.seed), strict=True)
                 ) if share else {"train": train}
    if not args.kfold:
        parts["test"] = sample(source, "test", names)
    name = "-".join(train.classes if names else [source]).replace(" ", "_")
    return RunPhotos(parts, {}, [], name)


def readable_parts(args: argparse.Namespace, parts: Mapping[str, Dataset],
                   others: list[OtherFile], name: str) -> RunPhotos:
    """The parts without photos whose pixels cannot be read. others: the files that are no photos.
    A run can be resumed only with all photos that it had."""
    remaining, unread, groups = drop_unreadable(parts, Bar(_("reading the photos")))
    before, now = (set(named[UNREADABLE].names) if UNREADABLE in named else set()
                   for named in (parts, remaining))
    if args.resume and now - before:
        raise FileError(f"{args.resume}: expected the photos that the run began with, found that "
                        f"{', '.join(sorted(now - before)[:3])} can no longer be read. Put them "
                        f"back as they were, or {RESUME_ADVICE}.")
    return RunPhotos(remaining, groups, print_left_out(others, unread), name)


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
        if part.classes != train.classes:
            raise FileError(f"{args.folder}: expected the classes of train, "
                            f"{', '.join(train.classes)}, in {name}, too, found "
                            f"{', '.join(part.classes)}.")
        part.names = names_from(part.items, args.folder)
    if "test" in folders:
        return dict(folders)
    return {"train": train, "test": folders["validation"]}


def check_folds(train: Dataset, count: int) -> None:
    """Raises ArgumentError if a class has fewer photos than --kfold asks for folds."""
    name, photos = min(train.counts.items(), key=lambda item: item[1])
    if photos < count:
        raise ArgumentError(f"--kfold: expected at most as many folds as a class has photos, "
                            f"{photos} of {name}, received {count}. Choose fewer.")


def leaks(parts: dict[str, Dataset], groups: dict[str, IntArray]) -> list[str]:
    """A warning if training photos have near copies among those for validation and test."""
    others = [part for part in ("validation", "test") if part in groups]
    copies = [printable(parts[part].names[i]) for part in others
              for i in np.flatnonzero(np.isin(groups[part], groups["train"])).tolist()]
    if not copies:
        return []
    dots = ", …" if len(copies) > 3 else ""
    return [_("Near copies of training photos: {count} of the {others} others ({names}), so that "
              "the figures overestimate the accuracy. Remove them from one part; minicnn data "
              "shows them.", count=len(copies),
              others=sum(len(parts[part]) for part in others),
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
