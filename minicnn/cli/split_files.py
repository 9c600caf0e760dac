"""A split.csv of `minicnn train --split`, or of a run that is resumed: the parts that it names."""

from __future__ import annotations

import argparse

import numpy as np

from ..data import Dataset, read_split
from ..utils.errors import FileError
from ..utils.ranks import current_ranks
from .ranks import check_same_photos

RESUME_ADVICE = "begin a new run"  # since a run cannot be resumed with other photos


def parts_of_split_file(args: argparse.Namespace, folder: Dataset) -> dict[str, Dataset]:
    """The parts that --split names. Raises FileError unless all that are needed are there."""
    parts = parts_of_run(args, folder) if args.resume else read_split(args.split, folder)
    expected = ["train"] if args.kfold else ["train", "test"]  # in folds, all train
    if set(expected) - set(parts):
        raise FileError(f"{args.split}: expected parts {' and '.join(expected)}, received "
                        f"{', '.join(parts)}.")
    if none := [name for name, count in parts["train"].counts.items() if not count]:
        raise FileError(f"{args.split}: expected photos of each class in train, found none of "
                        f"{', '.join(none)}. Give some of them the part train.")
    return parts


def parts_of_run(args: argparse.Namespace, data: Dataset) -> dict[str, Dataset]:
    """The parts of the run that is resumed. Rank 0 reads its split.csv for all: the others need not
    see the folder of the run. Raises FileError as read_split, on all ranks; ArgumentError if they
    see different photos."""
    check_same_photos("train", args, {"all": data})
    numbered = Dataset(range(len(data)), data.labels, data.classes, data.names)
    numbers = current_ranks().from_first(lambda: {
        name: np.array(part.items, int)
        for name, part in read_split(args.split, numbered, RESUME_ADVICE).items()})
    return {name: data.subset(part) for name, part in numbers.items()}
