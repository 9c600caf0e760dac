"""Images cropped as a network needs them: its input size and the crop of its preprocessing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..data import Dataset, batches
from ..data.datasets import Integers
from ..model import Sequential


def image_size(model: Sequential) -> tuple[int, int]:
    """(height, width) of the network's input."""
    height, width = model.input_shape[:2]
    return height, width


def crop_fraction(model: Sequential) -> float:
    """The crop fraction of the network's preprocessing; 1 if it has none."""
    return model.preprocessing.crop_fraction if model.preprocessing else 1.0


def crop_images(model: Sequential, data: Dataset, indices: Integers) -> np.ndarray:
    """The images at these indices, cropped for the network: (n, H, Wd, 3) uint8."""
    return data.images(indices, image_size(model), crop_fraction(model))


def image_batches(model: Sequential, data: Dataset, batch_size: int
                  ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(indices (n,), pixels (n, H, Wd, 3) uint8) of all images of `data`, in their order, cropped
    for the network and decoded ahead."""
    for pixels, _, indices in batches(data, range(len(data)), batch_size, image_size(model),
                                      crop_fraction(model)):
        yield indices, pixels
