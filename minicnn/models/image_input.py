"""Images cropped as a network needs them: its input size and the crop of its preprocessing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..data import Dataset, batches
from ..data.datasets import Integers
from ..model import Sequential
from ..preprocessing import crop_fraction_of, whole_pixels
from ..utils.arrays import IntArray, Pixels
from ..utils.errors import ArgumentError


def image_size(model: Sequential) -> tuple[int, int]:
    """(H, Wd) of the network's input. Raises ArgumentError if it takes no images."""
    if len(model.input_shape) != 3:
        raise ArgumentError(f"{model.name}: expected a network of images (H, W, C), received one "
                            f"of inputs {model.input_shape}. Choose another network.")
    return model.input_shape[0], model.input_shape[1]


def crop_images(model: Sequential, data: Dataset, indices: Integers) -> Pixels:
    """The images at these indices, cropped for the network: (n, H, Wd, 3) uint8, rounded if its
    recipe is to resize them as Keras does; grey, if the network sees them so."""
    recipe = model.preprocessing
    pixels = whole_pixels(
        data.images(indices, image_size(model), crop_fraction_of(recipe), recipe))
    return pixels if recipe is None else recipe.as_seen(pixels)


def image_batches(model: Sequential, data: Dataset, batch_size: int
                  ) -> Iterator[tuple[IntArray, Pixels]]:
    """(indices (n,), images (n, H, Wd, …)) of all images of `data`, in their order, cropped for the
    network and decoded ahead, as model.predict takes them: pixels, uint8, grey if the network sees
    them so; or if its recipe is to resize them as Keras does, network input, since their pixels are
    no whole numbers then."""
    recipe = model.preprocessing
    for pixels, _, indices in batches(data, range(len(data)), batch_size, image_size(model),
                                      crop_fraction_of(recipe), recipe=recipe):
        if recipe is None:
            yield indices, pixels
        else:
            fractional = pixels.dtype != np.uint8
            yield indices, recipe(pixels) if fractional else recipe.as_seen(pixels)
