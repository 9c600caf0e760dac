"""Many photos through a network: in batches, bounded by memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..data import Dataset, batches, resize_and_crop
from ..model import Sequential
from ..utils.errors import ArgumentError, check_int

Photos = Dataset | Sequence[np.ndarray] | np.ndarray  # uint8 (H', Wd', 3) each, of any size
Progress = Callable[[int, int], None]  # progress(done, total)


def silent(done: int, total: int) -> None:
    """The Progress that shows nothing."""


def as_dataset(photos: Photos) -> Dataset:
    """Photos with labels; a list of arrays gets the label 0 for all."""
    if isinstance(photos, Dataset):
        return photos
    arrays = [np.asarray(photo) for photo in photos]
    for photo in arrays:
        if photo.dtype != np.uint8 or photo.ndim not in (2, 3) or photo.shape[2:] not in ((), (3,)):
            raise ArgumentError(f"photos: expected uint8 pixels (H, W, 3) each, received "
                                f"{photo.dtype} of shape {photo.shape}. Read files with "
                                f"data.read_image.")
    return Dataset(arrays, np.zeros(len(arrays), int), ["photo"],
                   [f"photo {i}" for i in range(len(arrays))])


def bounded(model: Sequential, stop: int, batch_size: int | None = None, budget: int = 256 << 20
            ) -> int:
    """Photos a batch: batch_size, or where None as many as keep the outputs of the first `stop`
    layers, all together, within `budget` bytes (float32)."""
    if batch_size is not None:
        return check_int(batch_size, f"{model.name}, batch_size")
    one = 4 * sum(int(np.prod(shape)) for shape in model.shapes()[:stop + 1])
    return int(max(1, min(64, budget // one)))


def photo_batches(model: Sequential, photos: Photos, batch_size: int, progress: Progress = silent
                  ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(indices (n,), pixels (n, H, Wd, 3) uint8, x (n, H, Wd, C) on the model's device), the photos
    cut to the network's size as in training, in their order."""
    data, recipe = as_dataset(photos), model.preprocessing
    if not len(data):
        raise ArgumentError(f"{model.name}: expected at least one photo, received none.")
    order, done = np.arange(len(data)), 0
    crop = recipe.crop_fraction if recipe else 1.0
    for pixels, _, indices in batches(data, order, batch_size, model.input_shape[:2], crop):
        yield np.asarray(indices), pixels, model.to_input(pixels)
        done += len(pixels)
        progress(done, len(data))


def cut_to_size(model: Sequential, photos: Photos) -> np.ndarray:
    """All photos at the network's size: (N, H, Wd, 3) uint8."""
    data, recipe = as_dataset(photos), model.preprocessing
    crop = recipe.crop_fraction if recipe else 1.0
    return np.stack([resize_and_crop(data.read(i), model.input_shape[:2], crop)
                     for i in range(len(data))])
