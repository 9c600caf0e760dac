"""`minicnn train --features FILE`: which options the file decides, its photos, their features."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data import Dataset
from ..data.file_table import take
from ..data.splits import (
    UNREADABLE,
    concatenate_parts,
    draw_readable_parts,
    move_unreadable,
    subsets,
)
from ..models import VGG16
from ..training import ArrayDataset, TransferConfig
from ..training.feature_file import FeatureFile, open_features
from ..training.features import resident_bytes
from ..training.transfer_config import block_number
from ..utils.arrays import IntArray
from ..utils.errors import ArgumentError, FileError
from ..utils.language import gettext as _
from .feature_photos import AllPhotos, photos_in_file
from .progress import Bar
from .split_files import parts_of_run, parts_of_split_file
from .unused_options import unused_option

DECIDED = ("size", "cut")  # options whose value is that of the file
OF_VIEWS = ("augment", "views", "seed")  # that have to be those of the file's views


@dataclass
class KnownFeatures:
    """Features of the photos of each part, as indices of rows of the file."""

    file: FeatureFile
    rows: dict[str, IntArray]

    def of_transfer(self, config: TransferConfig) -> tuple[ArrayDataset, ...]:
        """As transfer takes them: of training (its views, if there is an augmentation), monitored
        and test photos; within the memory budget, or in temporary files."""
        budget = config.memory_budget * 10**6
        bar = Bar(_("features"))
        try:
            features: list[ArrayDataset] = []
            for part in ("train", "validation", "test"):
                if part not in self.rows:
                    continue
                if part == "train" and config.augment:
                    data = self.file.views_of_training(budget, bar)
                else:
                    data = self.file.rows(self.rows[part], budget, bar)
                budget = max(0, budget - resident_bytes(data.x))
                features.append(data)
        finally:
            bar.close()
        return tuple(features)


def options_of_features(options: dict[str, Any], chosen: Collection[str]) -> dict[str, Any]:
    """The options of a training with --features, with the file's size and cut. chosen: options that
    the command line or --config name. Raises ArgumentError for those that contradict the file."""
    file = open_features(options["features"])
    about, name = file.about, options["features"]
    for key in DECIDED:
        if key in chosen and options[key] not in (None, about[key]):
            raise ArgumentError(f"--{key}: expected {about[key]}, that of {name}, received "
                                f"{options[key]}. Leave it out, or make other features: minicnn "
                                f"features {about['folder']} --{key} {options[key]}")
    block = options["finetune"]
    if block and options["folder"] is None:
        raise ArgumentError(f"--finetune: expected the folder of photos beside --features, since "
                            f"{block} computes with the photos, received none. Name it: minicnn "
                            f"train {about['folder']} --features {name} --finetune {block}")
    if block and block_number(about["cut"]) < block_number(block):
        raise ArgumentError(f"--finetune: expected a block that {name} has, up to {about['cut']}, "
                            f"received {block}. Make other features: minicnn features --cut "
                            f"{block}_pool")
    if options["augment"]:
        for key in OF_VIEWS:
            if options[key] != about[key]:
                own = about[key] if about["augment"] else "no views"
                raise ArgumentError(f"--{key}: expected the {key} of {name}, {own}, received "
                                    f"{options[key]}. Leave --augment out, or make features of "
                                    f"these views: minicnn features --augment")
    return options | {key: about[key] for key in DECIDED}


def parts_of_features(args: argparse.Namespace, config: TransferConfig, share: float
                      ) -> tuple[AllPhotos, list[str], dict[str, Dataset], dict[str, IntArray],
                                 KnownFeatures]:
    """(the photos, why some cannot be read, the parts of the split, near copies in each, their
    features): the same parts as without --features. share: of the training photos, for validation.
    """
    file = open_features(args.features)
    file.check_network(VGG16(include_top=False, input_shape=(config.size, config.size, 3),
                             cut=config.last_kept))
    photos, unread, row_of = photos_in_file(file, args.folder)
    data = photos.data
    # A number of its own, beyond all those of the file, for a photo without features.
    groups = np.arange(len(data)) + len(data)
    groups[row_of >= 0] = file.groups
    numbered = Dataset(range(len(data)), data.labels, data.classes, data.names)
    parts = numbered_parts(args, photos, numbered, list(unread), groups, share)
    index = {name: np.array(part.items, int) for name, part in parts.items()}
    rows = {name: row_of[i] for name, i in index.items() if name != UNREADABLE}
    if config.augment and not np.array_equal(rows["train"], file.training):
        raise FileError(f"{args.features}: expected views of the training photos, received those "
                        f"of others. Make them again: minicnn features --split")
    return (photos, [unread[i] for i in sorted(unread)],
            {name: Dataset(take(data.items, i), data.labels[i], data.classes, take(data.names, i))
             for name, i in index.items()},
            {name: groups[i] for name, i in index.items()}, KnownFeatures(file, rows))


def numbered_parts(args: argparse.Namespace, photos: AllPhotos, numbered: Dataset,
                   unread: list[int], groups: IntArray, share: float) -> dict[str, Dataset]:
    """The parts of the split, whose items are the numbers of the photos."""
    if args.resume:
        return parts_of_run(args, numbered)
    if photos.part_names:
        parts = fixed_parts(args, photos, numbered)
    elif args.split:
        parts = parts_of_split_file(args, numbered)
    else:
        test = 0 if args.kfold else args.test_fraction or 0.25
        shares = {"train": (1 - test) * (1 - share), "validation": (1 - test) * share,
                  "test": test}
        return subsets(numbered, draw_readable_parts(numbered, shares, unread, groups, args.seed))
    joint, is_unread = concatenate_parts(parts), set(unread)
    return move_unreadable(parts, joint, {
        k: "" for k, i in enumerate(joint.items) if i in is_unread})[0]


def fixed_parts(args: argparse.Namespace, photos: AllPhotos, numbered: Dataset
                ) -> dict[str, Dataset]:
    """The parts of features whose split is fixed. Raises ArgumentError for options of another."""
    for option, value in (("--test-fraction", args.test_fraction), ("--kfold", args.kfold),
                          ("--validation-fraction", args.validation_fraction),
                          ("--split", args.split)):
        if value:
            raise unused_option(option, "features without a split",
                                f"{args.features} with {', '.join(photos.part_names)}")
    names = photos.part_names
    parts = {name: numbered.subset(np.flatnonzero(photos.parts == names.index(name)))
             for name in names}
    if args.patience is not None and not {"validation", "test"} <= set(parts):
        raise FileError(f"{args.features}: expected train, validation and test for --patience, "
                        f"found {' and '.join(names)}. The photos that choose the best epoch "
                        f"cannot be the test.")
    if "test" not in parts:
        parts["test"] = parts.pop("validation")
    return parts
