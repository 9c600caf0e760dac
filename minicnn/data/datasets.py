"""Images with labels, from files or arrays: reading, subsets, splits, folds."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from html import escape
from itertools import pairwise
from typing import Any

import numpy as np

from ..plotting.drawing import inline
from ..preprocessing import Preprocessing
from ..utils.arrays import IntArray, Pixels
from ..utils.errors import ArgumentError, FileError, ShapeError, check_int
from .file_table import as_sequence, take
from .images import check_size, read_image, resize_and_crop
from .keras_resizing import resize_as_keras, resizes_as_keras

Integers = Sequence[int] | IntArray  # labels, indices or group numbers


class Dataset:
    """N images with their labels. Files are read on demand; arrays are kept as they are.

    items:   N paths, or uint8 arrays (H, W) or (H, W, 3).
    labels:  (N,) ints, indices into classes.
    classes: the names of the classes.
    names:   N names to show: file names, positions in a sample.
    Raises ArgumentError if lengths, labels or class names do not fit.
    """

    views = 1  # views of each image that it holds; Augmented has more

    def __init__(self, items: Sequence[Any] | np.ndarray, labels: Integers,
                 classes: Sequence[str], names: Sequence[str]) -> None:
        labels = _as_labels(labels)
        if labels.shape != (len(items),) or len(names) != len(items):
            raise ShapeError(f"Dataset: expected one label and one name for each of {len(items)} "
                             f"photos, received labels of shape {labels.shape} and {len(names)} "
                             f"names; give all three the same length.")
        if isinstance(classes, str) or len(set(classes)) != len(classes):
            raise ArgumentError(f"Dataset: expected a list of different class names, received "
                                f"{classes!r}; name each class once.")
        if labels.size and not 0 <= labels.min() <= labels.max() < len(classes):
            raise ArgumentError(f"Dataset: expected labels from 0 to {len(classes) - 1} for "
                                f"{len(classes)} classes, received {labels.min()} to "
                                f"{labels.max()}; a label is the index of its class in the list.")
        self.items: Sequence[Any] = as_sequence(items)
        self.labels = labels
        self.classes = list(classes)
        self.names: Sequence[str] = as_sequence(names)

    @staticmethod
    def from_arrays(images: Pixels, labels: Integers,
                    classes: Sequence[str] | None = None,
                    names: Sequence[str] | None = None) -> Dataset:
        """A dataset of images (N, H, W) or (N, H, W, 3) uint8; they are not copied.

        By default the classes are called "0", "1", … up to the highest label, and the images
        "image 0", "image 1", …
        """
        images = np.asarray(images)
        if images.dtype != np.uint8:
            raise ArgumentError(f"from_arrays: expected uint8 pixels 0…255, received "
                                f"{images.dtype}; preprocessing belongs to the model.")
        if images.ndim not in (3, 4) or images.shape[3:] not in ((), (3,)):
            raise ShapeError(f"from_arrays: expected images of shape (N, H, W) or (N, H, W, 3), "
                             f"received {images.shape}; put the channels last.")
        if classes is None:
            classes = [str(c) for c in range(_as_labels(labels).max(initial=-1) + 1)]
        if names is None:
            names = [f"image {i}" for i in range(len(images))]
        return Dataset(images, labels, classes, names)

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        counts = ", ".join(f"{name} {count}" for name, count in self.counts.items())
        return f"{type(self).__name__}: {len(self)} photos, {len(self.classes)} classes ({counts})"

    def _repr_html_(self) -> str:
        """For Jupyter: up to 8 images of up to 12 classes, cropped as for a network."""
        rows = []
        for label, name in list(enumerate(self.classes))[:12]:
            members = np.flatnonzero(self.labels == label)
            pictures = []
            for i in members[:8]:
                with suppress(FileError):
                    pictures.append(inline(self.images([i], (96, 96))[0]))
            rows.append(f"<tr><th>{escape(name)}<td>{len(members)}<td>{' '.join(pictures)}")
        return f"<p>{escape(repr(self))}</p><table>{''.join(rows)}</table>"

    @property
    def counts(self) -> dict[str, int]:
        """The number of images of each class, in the order of classes."""
        counts = np.bincount(self.labels, minlength=len(self.classes))
        return dict(zip(self.classes, counts.tolist(), strict=True))

    def read(self, i: int) -> Pixels:
        """Image i as a new (H, W, 3) uint8 array, in its own size. Raises FileError."""
        item = self.items[i]
        if not isinstance(item, np.ndarray):
            return read_image(item)
        return np.repeat(item[..., None], 3, axis=-1) if item.ndim == 2 else item.copy()

    def images(self, indices: Integers, size: tuple[int, int],
               crop_fraction: float = 1.0, recipe: Preprocessing | None = None) -> np.ndarray:
        """The images at these indices, cropped by resize_and_crop to size = (h, w):
        (n, h, w, 3) uint8. Reads them in this thread; `batches` reads ahead in several.
        recipe: if its fit is one of Keras', resize_as_keras brings them to size: float32 pixels."""
        positions = self.positions(indices)
        as_keras = resizes_as_keras(recipe)
        pixels = np.empty((len(positions), *check_size(size, crop_fraction), 3),
                          np.float32 if as_keras else np.uint8)
        for k, i in enumerate(positions):
            photo = self.read(i)
            if recipe is not None and as_keras:
                pixels[k] = resize_as_keras(photo[None], size, recipe)[0]
            else:
                pixels[k] = resize_and_crop(photo, size, crop_fraction)
        return pixels

    def positions(self, indices: Integers) -> IntArray:
        """Any indices that NumPy takes (also negative ones and masks) -> (n,) int64, 0 to N − 1.

        Raises ArgumentError if they do not fit.
        """
        if (isinstance(indices, np.ndarray) and indices.ndim == 1 and indices.dtype == np.int64
                and indices.size and 0 <= indices.min() <= indices.max() < len(self)):
            return indices  # the usual case, without an array of all positions
        try:
            chosen = indices if isinstance(indices, np.ndarray) else list(indices)
            positions = np.arange(len(self))[chosen]
            if positions.ndim != 1:
                raise IndexError(f"{positions.ndim} dimensions")
            return positions
        except (IndexError, TypeError) as problem:
            raise ArgumentError(f"Dataset: expected indices of {len(self)} photos, received others "
                                f"({problem}); count from 0.") from problem

    def subset(self, indices: Integers) -> Dataset:
        """The images at these indices, in this order, with all classes."""
        positions = self.positions(indices)
        return Dataset(take(self.items, positions), self.labels[positions], self.classes,
                       take(self.names, positions))

    def split(self, fraction: float, seed: int = 0) -> tuple[Dataset, Dataset]:
        """Two disjoint datasets; the first holds `fraction` of each class.

        Counts are rounded, and each part gets at least one image of each class. Both keep the
        order of the images. The same seed gives the same split on every machine.
        Raises ArgumentError for a fraction outside (0, 1) or a class of fewer than two images.
        """
        if not 0 < fraction < 1:
            raise ArgumentError(f"split: expected a fraction between 0 and 1, received {fraction}; "
                                f"0.8 puts 80 % of each class in the first part.")
        first = np.zeros(len(self), bool)
        for name, members in self.shuffled(seed).items():
            n = len(members)
            if n < 2:
                raise ArgumentError(f"split: expected at least two photos of each class, received "
                                    f"{n} of {name!r}; add photos or leave the class out.")
            first[members[:min(max(int(fraction * n + 0.5), 1), n - 1)]] = True
        return self.subset(np.flatnonzero(first)), self.subset(np.flatnonzero(~first))

    def take(self, per_class: int, seed: int = 0) -> Dataset:
        """`per_class` images of each class, drawn at random, in the order of this dataset.

        Raises ArgumentError if a class has fewer.
        """
        per_class = check_int(per_class, "take, per_class")
        chosen: list[int] = []
        for name, members in self.shuffled(seed).items():
            if len(members) < per_class:
                raise ArgumentError(f"take: expected {per_class} photos of each class, received "
                                    f"{len(members)} of {name!r}; take fewer.")
            chosen.extend(members[:per_class])
        return self.subset(sorted(chosen))

    def folds(self, count: int = 5, seed: int = 0, groups: Integers | None = None) -> IntArray:
        """The fold of each image, 0 … count − 1: (N,).

        Every class is spread evenly over the folds, in the random order of `split`; the images of
        a group (see split_parts) are in one fold.
        Raises ArgumentError for fewer than two folds, or a class that cannot be in every fold.
        """
        count = check_int(count, "folds, count", least=2)
        fold, sizes = np.empty(len(self), int), np.zeros((count, len(self.classes)), int)
        indices, ends = self.group_order(groups, seed)
        for begin, end in pairwise([0, *ends.tolist()]):
            members = indices[begin:end]
            labels = self.labels[members]
            k = sizes[:, labels].max(axis=1).argmin()  # the fold with fewest of these classes
            fold[members] = k
            np.add.at(sizes[k], labels, 1)
        for name, folds in zip(self.classes, (sizes > 0).sum(axis=0), strict=True):
            if folds < count:
                raise ArgumentError(f"folds: expected at least {count} photos of each class that "
                                    f"differ, received {folds} of {name!r}; take fewer folds.")
        return fold

    def grouped(self, groups: Integers | None, seed: int) -> list[list[int]]:
        """The indices of each group, in random order, large groups first, since they are hardest
        to place. groups: a number for each image; None: each image is a group. Raises ShapeError.
        """
        indices, ends = self.group_order(groups, seed)
        return [part.tolist() for part in np.split(indices, ends[:-1])] if len(self) else []

    def group_order(self, groups: Integers | None, seed: int) -> tuple[IntArray, IntArray]:
        """As grouped, for millions of groups: (the indices (N,), group after group, where each
        group ends among them (G,))."""
        order = np.concatenate([np.empty(0, int), *self.shuffled(seed).values()])
        if groups is None:
            return order, np.arange(1, len(order) + 1)
        numbers = np.asarray(groups)
        if numbers.shape != (len(self),):
            raise ShapeError(f"Dataset: expected a group for each of {len(self)} photos, received "
                             f"shape {numbers.shape}. near_duplicates gives them.")
        _, first, group, sizes = np.unique(numbers[order], return_index=True, return_inverse=True,
                                           return_counts=True)
        queue = np.lexsort((first, -sizes))  # (G,) large groups first, else in random order
        rank = np.empty(len(queue), int)
        rank[queue] = np.arange(len(queue))
        return order[np.argsort(rank[group], kind="stable")], np.cumsum(sizes[queue])

    def shuffled(self, seed: int) -> dict[str, IntArray]:
        """The indices of each class in random order. Each class has a random order of its own, so
        that images added to one class leave the others as they were."""
        seed = check_int(seed, "Dataset, seed", least=0)
        shuffled: dict[str, IntArray] = {}
        for label, name in enumerate(self.classes):
            members = np.flatnonzero(self.labels == label)
            # Raw bits: their stream never changes, that of Generator.permutation may (NEP 19).
            keys = np.random.PCG64([seed, label]).random_raw(len(members))
            shuffled[name] = members[np.argsort(keys, kind="stable")]
        return shuffled


def _as_labels(labels: Integers) -> IntArray:
    """Labels as an int64 array; an empty one may have any dtype."""
    array = np.asarray(labels)
    if array.size and array.dtype.kind not in "iu":
        raise ArgumentError(f"Dataset: expected ints as labels, received {array.dtype}; the label "
                            f"of a photo is the index of its class in the list of classes.")
    return array.astype(np.int64)
