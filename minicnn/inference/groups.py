"""Forward for inference: no caches for backward, and groups of images that fit."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..layers import NOISE_LAYERS, Layer
from ..layers.network import Network
from ..layers.samplewise import is_samplewise
from ..ops import array_module, device_of
from .bands import bands_of_rows, infer_in_bands, number_of_bands, up_to_pooling
from .fused_conv import FusedConv, fuse

MAX_ELEMENTS = {"cpu": 1 << 22, "cuda": 1 << 30, "cuda-sim": 1 << 30}  # 16 MB, 4 GB in float32


def infer(model: Network, x: np.ndarray, training: bool = False) -> np.ndarray:
    """model's y for x (N, *input_shape), in groups of images whose arrays have at most
    MAX_ELEMENTS, and a single large image in bands of its rows; all at once if a layer might mix
    the images."""
    layers = fuse(model.layers, training)
    if all(is_samplewise(layer, training) or type(layer) in NOISE_LAYERS  # draws for each image
           for layer in model.layers):
        return infer_in_groups(layers, elements_per_image(layers, model.shapes()), x, training)
    for layer in layers:
        x = layer.forward(x, training, keep=False)
    return x


def infer_in_groups(layers: Sequence[Layer | FusedConv], elements: Sequence[int], x: np.ndarray,
                    training: bool) -> np.ndarray:
    """The layers' y for x, where layer i needs an array of elements[i] for each image. (Further
    elements are those of layers that come later.)

    The first layers of a network need most, the last ones have most weights and are computed best
    for many images at once. So the layers from which on all arrays fit compute all images, and the
    first ones half of the images after the other half; for them the same holds again.
    """
    if len(x) == 1:
        return infer_one(layers, elements, x, training)
    first = first_that_fits(elements[:len(layers)], len(x), MAX_ELEMENTS[device_of(x)])
    if first > 0:
        half = -(-len(x) // 2)
        x = array_module(x).concatenate([
            infer_in_groups(layers[:first], elements, images, training)
            for images in (x[:half], x[half:])])
    for layer in layers[first:]:
        x = layer.forward(x, training, keep=False)
    return x


def infer_one(layers: Sequence[Layer | FusedConv], elements: Sequence[int], x: np.ndarray,
              training: bool) -> np.ndarray:
    """infer_in_groups for a single image x (1, H, Wd, C): several convolutions up to a pooling
    whose arrays are larger than BAND_ELEMENTS are computed in bands of rows. Of one alone, nothing
    lies in between that bands would save; of so many that bands do not pay, the first is computed
    alone."""
    i = 0
    while i < len(layers):
        convs = up_to_pooling(layers[i:])
        largest = max(elements[i:i + len(convs)], default=0)
        count = number_of_bands(largest, device_of(x))
        bands = bands_of_rows(convs, x.shape[1:], count) if len(convs) > 1 and count > 1 else []
        if bands:
            x = infer_in_bands(convs, x, bands)
            i += len(convs)
        else:
            x = layers[i].forward(x, training, keep=False)
            i += 1
    return x


def first_that_fits(elements: Sequence[int], N: int, max_elements: int) -> int:
    """The number of the layer from which on the arrays of N images have at most max_elements; 0 for
    a single image, which cannot be halved."""
    first = len(elements) if N > 1 else 0
    while first > 0 and N * elements[first - 1] <= max_elements:
        first -= 1
    return first


def elements_per_image(layers: Sequence[Layer | FusedConv], shapes: Sequence[tuple[int, ...]]
                       ) -> list[int]:
    """Of the largest array that each of the fused layers reads, makes on the way or writes; shapes:
    of the input and of every single layer's output."""
    sizes, elements, start = [math.prod(shape) for shape in shapes], [], 0
    for layer in layers:
        stop = start + (len(layer.layers) if isinstance(layer, FusedConv) else 1)
        elements.append(max(sizes[start:stop + 1]))
        start = stop
    return elements
