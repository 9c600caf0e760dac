"""The images that ship with the package: training works at once, without a download."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..utils.errors import ArgumentError
from .datasets import Dataset


def photos() -> dict[str, Path]:
    """The paths of the four photos that ship with the package, by name: a cat (chelsea), a cup
    (coffee), a portrait (astronaut), a rocket."""
    return {path.stem: path for path in sorted((Path(__file__).parent / "photos").glob("*.jpg"))}


def sample(split: str = "train", classes: Sequence[str] | None = None,
           per_class: int | None = None, seed: int = 0) -> Dataset:
    """1,000 images of clothes, 28 × 28 grey, 100 of each of ten classes; another 1,000 for "test".

    classes:   names in any order; the labels follow that order. None: all ten.
    per_class: number of images of each class, drawn with `seed`. None: all 100.
    Raises ArgumentError for another split, an unknown class, or more images than there are.

    Source: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking
    Machine Learning Algorithms" (2017), Zalando SE, MIT licence; the first 100 of each class of
    the official training and test split.
    """
    import h5py

    if split not in ("train", "test"):
        raise ArgumentError(f'sample: expected split "train" or "test", received {split!r}; '
                            f'split "train" further with Dataset.split.')
    with h5py.File(Path(__file__).with_name("fashion_mini.h5"), "r") as file:
        known = [str(name) for name in file.attrs["class_names"]]
        images, labels = file[split]["images"][:], file[split]["labels"][:]
    wanted = known if classes is None else classes
    if not len(wanted) or not set(wanted) <= set(known):
        raise ArgumentError(f"sample: expected classes among {', '.join(known)}, received "
                            f"{classes!r}; give a list of these names.")
    new_label = np.full(len(known), -1)  # label in the file -> index in wanted
    for label, name in enumerate(wanted):
        new_label[known.index(name)] = label
    rows = np.flatnonzero(new_label[labels] >= 0)
    data = Dataset(images[rows], new_label[labels[rows]], wanted,
                   [f"fashion_mini/{split}/{row}" for row in rows])
    return data if per_class is None else data.take(per_class, seed)
