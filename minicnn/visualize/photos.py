"""Photos as a network's input: one cropped to its size, many in batches bounded by memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..data import Dataset, resize_and_crop
from ..data.keras_resizing import resize_as_keras, resizes_as_keras
from ..model import Sequential
from ..models import image_batches, image_size
from ..preprocessing import crop_fraction_of, whole_pixels
from ..utils.errors import ArgumentError, check_int

ImageInput = Dataset | Sequence[np.ndarray] | np.ndarray  # uint8 (H', Wd', 3) each, of any size
Progress = Callable[[int, int], None]  # progress(done, total)


def silent(done: int, total: int) -> None:
    """The Progress that shows nothing."""


def offset_progress(progress: Progress, start: int, total: int) -> Progress:
    """The Progress of a part of the work that begins at step `start` of `total`."""
    def report(done: int, _: int) -> None:
        progress(start + done, total)
    return report


def as_dataset(photos: ImageInput) -> Dataset:
    """The photos as a Dataset; those of a list or an array all get the label 0."""
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


def crop_photo(model: Sequential, photo: np.ndarray, times: int = 1) -> np.ndarray:
    """photo (H', Wd', 3) uint8 as the network sees it in training: resized and cropped to its
    size, or to `times` that size; grey, if the network sees it so. Whole pixels, also if its recipe
    is to resize photos as Keras does."""
    (H, Wd), recipe = image_size(model), model.preprocessing
    size = times * H, times * Wd
    if recipe is not None and resizes_as_keras(recipe):
        colour = np.repeat(photo[..., None], 3, -1) if photo.ndim == 2 else photo
        pixels = whole_pixels(resize_as_keras(colour[None], size, recipe)[0])
    else:
        pixels = resize_and_crop(photo, size, crop_fraction_of(recipe))
    return pixels if recipe is None else recipe.as_seen(pixels)


def crop_photos(model: Sequential, photos: ImageInput) -> np.ndarray:
    """All photos at the network's size: (N, H, Wd, 3) uint8."""
    data = as_dataset(photos)
    return np.stack([crop_photo(model, data.read(i)) for i in range(len(data))])


def batch_size_for(model: Sequential, stop: int, batch_size: int | None = None,
                   budget: int = 256 << 20) -> int:
    """batch_size; if None, as many photos as keep the outputs of the first `stop` layers, all
    together, within `budget` bytes (float32), from 1 to 64."""
    if batch_size is not None:
        return check_int(batch_size, f"{model.name}, batch_size")
    bytes_per_photo = 4 * sum(int(np.prod(shape)) for shape in model.shapes()[:stop + 1])
    return int(max(1, min(64, budget // bytes_per_photo)))


def photo_batches(model: Sequential, photos: ImageInput, batch_size: int,
                  progress: Progress = silent
                  ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(indices (n,), pixels (n, H, Wd, 3) uint8, x (n, H, Wd, C) on the model's device): the photos
    in their order, cropped to the network's size as in training."""
    data = as_dataset(photos)
    if not len(data):
        raise ArgumentError(f"{model.name}: expected at least one photo, received none.")
    done = 0
    for indices, images in image_batches(model, data, batch_size):
        shown = images
        if images.dtype != np.uint8 and model.preprocessing is not None:
            shown = whole_pixels(model.preprocessing.inverse(images))
        yield indices, shown, model.to_input(images)
        done += len(images)
        progress(done, len(data))


def check_finite(y: np.ndarray, layer: str, indices: np.ndarray) -> None:
    """Raises ArgumentError if a layer's outputs for the photos of these indices are not finite."""
    if not np.isfinite(y).all():
        raise ArgumentError(f"{layer}: expected finite activations, received others for photos "
                            f"{indices[0]} to {indices[-1]}. Are the weights finite?")
