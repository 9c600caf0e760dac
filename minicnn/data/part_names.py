"""The usual names of the folders for training, validation and test."""

from __future__ import annotations

import os
from pathlib import Path

from ..utils.files import list_folder

WORDS = {"train": "train", "training": "train", "val": "validation", "valid": "validation",
         "validation": "validation", "dev": "validation", "test": "test", "testing": "test"}
# Those of data sets on the web: seg_{} is Intel's, test1 that of Kaggle's Dogs vs. Cats.
PATTERNS = ("{}", "{}_set", "{}set", "{}_data", "{}_images", "{}_photos", "{}1", "seg_{}")
PART_OF_FOLDER = {pattern.format(word): part for word, part in WORDS.items()
                  for pattern in PATTERNS}


def part_of(name: str) -> str | None:
    """ "train", "validation" or "test" for the usual names of such folders, else None."""
    return PART_OF_FOLDER.get(name.casefold().replace("-", "_").replace(" ", "_"))


def sub_folders(folder: Path) -> list[Path]:
    """The sub-folders of a folder in natural order. Raises FileError if it cannot be read."""
    return [entry for entry in list_folder(folder) if os.path.isdir(entry)]


def parts_of(root: Path) -> dict[str, Path]:
    """The folders of the parts, {"train": …, "validation": …, "test": …}, each the one that holds
    the folders of classes; {} unless there is one for train and another, each with sub-folders.

    Some archives repeat the name: training_set/training_set/cats.
    """
    parts: dict[str, Path] = {}
    for folder in sub_folders(root):
        part = part_of(folder.name)
        if part is None:
            continue
        if part in parts:  # val and validation: which?
            return {}
        inside = sub_folders(folder)
        while len(inside) == 1 and part_of(inside[0].name) == part:
            folder, inside = inside[0], sub_folders(inside[0])
        if not inside:
            return {}
        parts[part] = folder
    order = ("train", "validation", "test")
    return {part: parts[part] for part in order if part in parts} if (
        "train" in parts and len(parts) > 1) else {}
