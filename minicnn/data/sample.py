"""The images that ship with the package: training works at once, without a download."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..utils.errors import ArgumentError
from ..utils.files import list_folder
from .datasets import Dataset
from .file_table import take

SAMPLES = ("clouds", "fashion")


def photos() -> dict[str, Path]:
    """The paths of the four photos that ship with the package, by name: a cat (chelsea), a cup
    (coffee), a portrait (astronaut), a rocket."""
    return {path.stem: path for path in sorted((Path(__file__).parent / "photos").glob("*.jpg"))}


def sample(name: str = "clouds", split: str = "train", classes: Sequence[str] | None = None,
           per_class: int | None = None, seed: int = 0) -> Dataset:
    """Images with labels that ship with the package, to learn from or, with split="test", to test.

    name: "clouds": 280 photos of clouds, 160 × 160 in colour: 60 of cirrus and of cumulus, 40 each
        of altocumulus, contrail, cumulonimbus and stratus; another 280 for "test". The labels are
        the source's and not free of error: the photos of some clouds show two kinds.
        "fashion": 1,000 images of clothes, 28 × 28 grey, 100 of each of ten classes; another 1,000
        for "test".
    classes:   names in any order; the labels follow that order. None: all.
    per_class: number of images of each class, drawn with `seed`. None: all.
    Raises ArgumentError for another name or split, an unknown class, or more images than there are.

    Sources: Liu Pu, "Cirrus Cumulus Stratus Nimbus (CCSN) Database" (2019), Harvard Dataverse,
    doi:10.7910/DVN/CADDPD, CC0 1.0: drawn at random, scaled down. H. Xiao, K. Rasul, R. Vollgraf,
    "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms" (2017),
    Zalando SE, MIT licence: the first 100 of each class of the official training and test split.
    """
    if name not in SAMPLES:
        raise ArgumentError(f'sample: expected "clouds" or "fashion", received {name!r}; the split '
                            f'comes after it: sample("clouds", "test").')
    if split not in ("train", "test"):
        raise ArgumentError(f'sample: expected split "train" or "test", received {split!r}; '
                            f'split "train" further with Dataset.split.')
    data = _clouds(split) if name == "clouds" else _fashion(split)
    known = data.classes
    wanted = known if classes is None else classes
    if not len(wanted) or not set(wanted) <= set(known):
        raise ArgumentError(f"sample: expected classes among {', '.join(known)}, received "
                            f"{classes!r}; give a list of these names.")
    new_label = np.full(len(known), -1)  # label among all classes -> index in wanted
    for label, class_name in enumerate(wanted):
        new_label[known.index(class_name)] = label
    rows = np.flatnonzero(new_label[data.labels] >= 0)
    data = Dataset(take(data.items, rows), new_label[data.labels[rows]], wanted,
                   take(data.names, rows))
    return data if per_class is None else data.take(per_class, seed)


def _clouds(split: str) -> Dataset:
    """All photos of a split, one folder per class."""
    folder = Path(__file__).parent / "clouds" / split
    classes = [entry.name for entry in list_folder(folder)]
    files = [(file, label) for label, name in enumerate(classes)
             for file in list_folder(folder / name)]
    return Dataset([file for file, _ in files], [label for _, label in files], classes,
                   [f"clouds/{split}/{file.parent.name}/{file.name}" for file, _ in files])


def _fashion(split: str) -> Dataset:
    """All images of a split."""
    import h5py

    with h5py.File(Path(__file__).with_name("fashion_mini.h5"), "r") as file:
        classes = [str(name) for name in file.attrs["class_names"]]
        images, labels = file[split]["images"][:], file[split]["labels"][:]
    return Dataset(images, labels, classes,
                   [f"fashion_mini/{split}/{row}" for row in range(len(labels))])
