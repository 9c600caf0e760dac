"""The photos that ship with the package: no download, no folder, a network trains at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..utils.errors import ArgumentError
from .datasets import Dataset


def photos() -> dict[str, Path]:
    """The four photos that ship with the package, as files: a cat (chelsea), a cup (coffee), a
    portrait (astronaut), a rocket."""
    found = sorted((Path(__file__).parent / "photos").glob("*.jpg"))
    return {path.stem: path for path in found}


def sample(split: str = "train", classes: Sequence[str] | None = None,
           per_class: int | None = None, seed: int = 0) -> Dataset:
    """1,000 photos of clothes, 28 × 28 grey, 100 of each of ten classes; another 1,000 for "test".

    classes:   names in any order; the labels follow that order. None: all ten.
    per_class: so many photos of each class, drawn with `seed`. None: all 100.
    Raises ArgumentError for another split, an unknown class, or more photos than there are.

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
    place = np.full(len(known), -1)  # label in the file -> label asked for
    for label, name in enumerate(wanted):
        place[known.index(name)] = label
    rows = np.flatnonzero(place[labels] >= 0)
    data = Dataset(images[rows], place[labels[rows]], wanted,
                   [f"fashion_mini/{split}/{row}" for row in rows])
    return data if per_class is None else data.take(per_class, seed)
