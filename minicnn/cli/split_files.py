"""A split.csv of `minicnn train --split`: the parts that it has to name."""

from __future__ import annotations

import argparse

from ..data import Dataset, read_split
from ..utils.errors import FileError

RESUME_ADVICE = "begin a new run"  # since a run cannot be resumed with other photos


def parts_of_split_file(args: argparse.Namespace, folder: Dataset) -> dict[str, Dataset]:
    """The parts that --split names. Raises FileError unless all that are needed are there."""
    parts = read_split(args.split, folder, *[RESUME_ADVICE] * bool(args.resume))
    expected = ["train"] if args.kfold else ["train", "test"]  # in folds, all train
    if set(expected) - set(parts):
        raise FileError(f"{args.split}: expected parts {' and '.join(expected)}, received "
                        f"{', '.join(parts)}.")
    if none := [name for name, count in parts["train"].counts.items() if not count]:
        raise FileError(f"{args.split}: expected photos of each class in train, found none of "
                        f"{', '.join(none)}. Give some of them the part train.")
    return parts
