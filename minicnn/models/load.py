"""Loading a network from a file: architecture, weights and preprocessing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

import numpy as np

from ..layers import Flatten, Layer, Normalization, Rescaling, Reshape, Resizing
from ..model import Sequential
from ..preprocessing import INTERPOLATIONS, Preprocessing
from ..utils.errors import FileError
from ..weights import read_model
from ..weights.config import first_resizing


def pixel_recipe(model: Sequential) -> Preprocessing | None:
    """The recipe that leaves pixels as they are, 0…255, if the network scales them by layers of its
    own: a Rescaling or Normalization before its first parameters.

    None for any other, and if these layers make the numbers larger: then they expect pixels in
    another range, such as 0 to 1, which only the author of the network knows."""
    first = takewhile(lambda layer: not layer.params, model.layers)
    scaling = [layer for layer in first if isinstance(layer, (Rescaling, Normalization))]
    if not scaling or len(model.input_shape) != 3 or model.input_shape[2] not in (1, 3):
        return None
    ends = np.zeros((2, 1, 1, model.input_shape[2]), np.float32)
    ends[1] = 255
    for layer in scaling:
        ends = layer.forward(ends, keep=False)
    if np.abs(ends).max() > 256:
        return None
    return replace(base_recipe(model), mean=(0.0,), scale=1.0)


def base_recipe(model: Sequential) -> Preprocessing:
    """The standard recipe for a network of images (H, W, 1 or 3), which brings photos to size as
    the network's own Resizing does, if it begins with one that resize_as_keras can compute."""
    order = "GREY" if model.input_shape[2] == 1 else "RGB"
    first = first_resizing(model.layers)
    if first is None or not _is_computed(first):
        return Preprocessing(order)
    fit = ("crop_to_aspect_ratio" if first.crop_to_aspect_ratio else
           "pad_to_aspect_ratio" if first.pad_to_aspect_ratio else "stretch")
    return Preprocessing(order, fit=fit, interpolation=first.interpolation)


def _is_computed(layer: Resizing) -> bool:
    """Whether resize_as_keras computes what this layer computes in Keras, on each of its backends.
    """
    return (layer.interpolation in INTERPOLATIONS
            and not (layer.antialias and layer.interpolation == "bilinear")
            and not (layer.crop_to_aspect_ratio and layer.pad_to_aspect_ratio))


def load(path: str | os.PathLike, input_shape: tuple[int, ...] | None = None,
         weights: str | os.PathLike | None = None) -> Sequential:
    """The network of a file with architecture and weights: minicnn's .h5, or Keras' .h5 or .keras.

    A network that begins with Rescaling or Normalization scales its pixels itself; unless the file
    says otherwise, its preprocessing then leaves them as they are, so that it predicts the same
    from uint8 images and from the same pixels as floats. One that begins with Resizing gets input
    of that size, and preprocessing that resizes photos as Keras does, so predict takes images of
    any size. (A network with a Resizing that you build yourself has the preprocessing that you give
    it.)

    input_shape: for files that leave height or width open, (H, Wd, C).
    weights:     a file whose weights are taken; then path may also be the architecture alone, as
                 Keras' model.to_json() describes it.
    Raises FileError for anything else, and says what it is.

    >>> load("model.json", weights="model.weights.h5")
    Sequential('sequential', 5 layers, input (8, 8, 3))
    """
    layers, shape, network_name, metadata, note = read_model(path, input_shape, weights)
    preprocessing, classes = metadata.get("preprocessing"), metadata.get("classes")
    try:
        if not isinstance(classes, (list, type(None))) or not all(
                isinstance(name, str) and name.isprintable() for name in classes or []):
            raise TypeError("classes are a list of printable names")
        recipe = (None if preprocessing is None else
                  _recipe(Preprocessing(**preprocessing), shape))
        model = Sequential(layers, shape, None, network_name, recipe, classes)
    except (TypeError, ValueError, OverflowError) as error:  # ArgumentErrors are ValueErrors
        raise FileError(f"{path}: expected classes and preprocessing that fit the network, "
                        f"received others ({error}).") from error
    if model.preprocessing is None:
        model.preprocessing = pixel_recipe(model)
    model.weights_note = note + "".join(
        f"; Keras' {layer.name} resizes photos to {layer.height} × {layer.width} pixels by "
        f"{'antialiased ' * layer.antialias}{layer.interpolation} interpolation, which minicnn "
        f"lacks: it crops photos, so those of another size give other numbers"
        for layer in stretching_layers(layers))
    return model


def stretching_layers(layers: Sequence[Layer]) -> list[Resizing]:
    """The layers for which Keras resizes photos in a way that minicnn lacks."""
    return [layer for layer in layers
            if isinstance(layer, Resizing) and not _is_computed(layer)]


def lacks_channels(model: Sequential) -> bool:
    """Whether it takes grey images as (H, Wd), as many a first network for MNIST does, and computes
    the same from (H, Wd, 1): it begins with a Flatten or a Reshape, possibly after scaling."""
    first = next((layer for layer in model.layers if not isinstance(layer, Rescaling)), None)
    scaling = [layer for layer in model.layers if isinstance(layer, Rescaling)]
    return (len(model.input_shape) == 2 and isinstance(first, (Flatten, Reshape))
            and all(isinstance(number, float) for layer in scaling
                    for number in (layer.scale, layer.offset)))


def _recipe(recipe: Preprocessing, shape: tuple[int, ...]) -> Preprocessing | None:
    """The recipe of a file. Until 0.2 a recipe of three channels could be saved with a network of
    another input, where it was of no use: it becomes grey for one channel, if its means are the
    same, and None otherwise."""
    if len(shape) == 3 and shape[2] == recipe.channels:
        return recipe
    if len(shape) == 3 and shape[2] == 1 and len(set(recipe.mean)) == 1:
        return replace(recipe, channel_order="GREY", mean=recipe.mean[:1])
    return None
