"""Photos with labels: from a folder of classes or from arrays; split, sampled, read."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from html import escape

import numpy as np

from ..plotting.drawing import inline
from ..utils.errors import ArgumentError, FileError, ShapeError
from .images import check_size, read_image, resize_and_crop


class Dataset:
    """N photos with their labels. Files are read when asked for; arrays are kept as they are.

    items:   N paths, or uint8 arrays (H, W) or (H, W, 3).
    labels:  (N,) whole numbers, places in classes.
    classes: the names of the classes.
    names:   N names for people: file names, places in a sample.
    Raises ArgumentError where lengths, labels or class names do not fit.
    """

    views = 1  # of each photo that it holds; Augmented has more

    def __init__(self, items: Sequence, labels: Sequence[int], classes: Sequence[str],
                 names: Sequence[str]) -> None:
        labels = _whole(labels)
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
                                f"{labels.max()}; labels are places in the list of classes.")
        self.items = list(items)
        self.labels = labels
        self.classes = list(classes)
        self.names = list(names)

    @staticmethod
    def from_arrays(images: np.ndarray, labels: Sequence[int],
                    classes: Sequence[str] | None = None,
                    names: Sequence[str] | None = None) -> Dataset:
        """A dataset of images (N, H, W) or (N, H, W, 3) uint8; they are not copied.

        Without classes they are called "0", "1", … up to the highest label; without names the
        photos are called "image 0", "image 1", …
        """
        images = np.asarray(images)
        if images.dtype != np.uint8:
            raise ArgumentError(f"from_arrays: expected uint8 pixels 0…255, received "
                                f"{images.dtype}; preprocessing belongs to the model.")
        if images.ndim not in (3, 4) or images.shape[3:] not in ((), (3,)):
            raise ShapeError(f"from_arrays: expected images of shape (N, H, W) or (N, H, W, 3), "
                             f"received {images.shape}; put the channels last.")
        if classes is None:
            classes = [str(c) for c in range(_whole(labels).max(initial=-1) + 1)]
        if names is None:
            names = [f"image {i}" for i in range(len(images))]
        return Dataset(images, labels, classes, names)

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        counts = ", ".join(f"{name} {count}" for name, count in self.counts.items())
        return f"{type(self).__name__}: {len(self)} photos, {len(self.classes)} classes ({counts})"

    def _repr_html_(self) -> str:
        """For Jupyter: up to 8 photos of up to 12 classes, cut as for a network."""
        rows = []
        for label, name in list(enumerate(self.classes))[:12]:
            members, pictures = np.flatnonzero(self.labels == label), []
            for i in members[:8]:
                with suppress(FileError):
                    pictures.append(inline(self.images([i], (96, 96))[0]))
            rows.append(f"<tr><th>{escape(name)}<td>{len(members)}<td>{' '.join(pictures)}")
        return f"<p>{escape(repr(self))}</p><table>{''.join(rows)}</table>"

    @property
    def counts(self) -> dict[str, int]:
        """The number of photos of each class, in the order of classes."""
        counts = np.bincount(self.labels, minlength=len(self.classes))
        return dict(zip(self.classes, counts.tolist(), strict=True))

    def read(self, i: int) -> np.ndarray:
        """Photo i as a new (H, W, 3) uint8 array, in its own size. Raises FileError."""
        item = self.items[i]
        if not isinstance(item, np.ndarray):
            return read_image(item)
        return np.repeat(item[..., None], 3, axis=-1) if item.ndim == 2 else item.copy()

    def images(self, indices: Sequence[int], size: tuple[int, int],
               crop_fraction: float = 1.0) -> np.ndarray:
        """The photos of these indices, cut by resize_and_crop to size = (h, w): (n, h, w, 3) uint8.

        Reads them in this thread; `batches` reads ahead with several.
        """
        indices = self.positions(indices)
        pixels = np.empty((len(indices), *check_size(size, crop_fraction), 3), np.uint8)
        for k, i in enumerate(indices):
            pixels[k] = resize_and_crop(self.read(i), size, crop_fraction)
        return pixels

    def positions(self, indices: Sequence[int]) -> np.ndarray:
        """Indices as NumPy takes them (negative ones, masks too) -> (n,) int64 from 0 to N − 1.

        Raises ArgumentError where they do not fit.
        """
        try:
            picked = np.arange(len(self))[list(indices)]
            if picked.ndim != 1:
                raise IndexError(f"{picked.ndim} dimensions")
            return picked
        except (IndexError, TypeError) as problem:
            raise ArgumentError(f"Dataset: expected indices of {len(self)} photos, received others "
                                f"({problem}); count from 0.") from problem

    def subset(self, indices: Sequence[int]) -> Dataset:
        """The photos of these indices, in this order, with all classes kept."""
        picked = self.positions(indices)
        return Dataset([self.items[i] for i in picked], self.labels[picked], self.classes,
                       [self.names[i] for i in picked])

    def split(self, fraction: float, seed: int = 0) -> tuple[Dataset, Dataset]:
        """Two datasets without a photo in common; the first holds `fraction` of each class.

        Counts are rounded, and each part gets at least one photo of each class. Both keep the
        order of the photos. The same seed gives the same split on every machine.
        Raises ArgumentError for a fraction outside (0, 1) or a class of fewer than two photos.
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
        """`per_class` photos of each class, drawn at random, in the order of this dataset.

        Raises ArgumentError where a class has fewer.
        """
        if not isinstance(per_class, (int, np.integer)) or per_class < 1:
            raise ArgumentError(f"take: expected at least one photo of each class, received "
                                f"per_class={per_class!r}; give a whole number from 1.")
        chosen = []
        for name, members in self.shuffled(seed).items():
            if len(members) < per_class:
                raise ArgumentError(f"take: expected {per_class} photos of each class, received "
                                    f"{len(members)} of {name!r}; take fewer.")
            chosen.extend(members[:per_class])
        return self.subset(sorted(chosen))

    def folds(self, count: int = 5, seed: int = 0, groups: Sequence[int] | None = None
              ) -> np.ndarray:
        """A fold, 0 … count − 1, for each photo: (N,). Every class is spread evenly over the folds,
        in the draw of `split`; photos of one group, as of split_parts, are in one fold.

        Raises ArgumentError for fewer than two folds, or a class that cannot be in every fold.
        """
        if not isinstance(count, (int, np.integer)) or count < 2:
            raise ArgumentError(f"folds: expected at least 2 folds, received {count!r}.")
        fold, held = np.empty(len(self), int), np.zeros((count, len(self.classes)), int)
        for unit in self.units(groups, seed):  # each to the fold with fewest photos of its classes
            fold[unit] = k = held[:, self.labels[unit]].max(axis=1).argmin()
            np.add.at(held[k], self.labels[unit], 1)
        for name, found in zip(self.classes, (held > 0).sum(axis=0), strict=True):
            if found < count:
                raise ArgumentError(f"folds: expected at least {count} photos of each class that "
                                    f"differ, received {found} of {name!r}; take fewer folds.")
        return fold

    def units(self, groups: Sequence[int] | None, seed: int) -> list[list[int]]:
        """The indices of each group in the order of the draw, large groups first, which want room;
        None: each photo is alone. Raises ShapeError."""
        groups = np.arange(len(self)) if groups is None else np.asarray(groups)
        if groups.shape != (len(self),):
            raise ShapeError(f"Dataset: expected a group for each of {len(self)} photos, received "
                             f"shape {groups.shape}. near_duplicates gives them.")
        found: dict[int, list[int]] = {}
        for members in self.shuffled(seed).values():
            for i in members:
                found.setdefault(int(groups[i]), []).append(i)
        return sorted(found.values(), key=len, reverse=True)

    def shuffled(self, seed: int) -> dict[str, np.ndarray]:
        """The indices of each class in an order drawn for that class alone: photos added to one
        class leave the draw of the others as it was."""
        if not isinstance(seed, (int, np.integer)) or seed < 0:
            raise ArgumentError(f"Dataset: expected a seed that is a whole number from 0, received "
                                f"{seed!r}; any such number will do.")
        drawn = {}
        for label, name in enumerate(self.classes):
            members = np.flatnonzero(self.labels == label)
            # Raw bits: their stream never changes, that of Generator.permutation may (NEP 19).
            keys = np.random.PCG64([seed, label]).random_raw(len(members))
            drawn[name] = members[np.argsort(keys, kind="stable")]
        return drawn


def _whole(labels: Sequence[int]) -> np.ndarray:
    """Labels as an array of whole numbers; an empty one may have any dtype."""
    labels = np.asarray(labels)
    if labels.size and labels.dtype.kind not in "iu":
        raise ArgumentError(f"Dataset: expected whole numbers as labels, received {labels.dtype}; "
                            f"give each photo the place of its class in the list of classes.")
    return labels.astype(np.int64)
