"""Loading a network from a file: architecture, weights and preprocessing."""

from __future__ import annotations

import os
from dataclasses import replace

from ..model import Sequential
from ..preprocessing import Preprocessing
from ..utils.errors import FileError
from ..weights import read_model


def load(path: str | os.PathLike, input_shape: tuple[int, ...] | None = None,
         weights: str | os.PathLike | None = None) -> Sequential:
    """The network of a file with architecture and weights: minicnn's .h5, or Keras' .h5 or .keras.

    input_shape: for files that leave height or width open.
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
        recipe = preprocessing and _recipe(Preprocessing(**preprocessing), shape)
        model = Sequential(layers, shape, None, network_name, recipe, classes)
    except (TypeError, ValueError, OverflowError) as error:  # ArgumentErrors are ValueErrors
        raise FileError(f"{path}: expected classes and preprocessing that fit the network, "
                        f"received others ({error}).") from error
    model.weights_note = note
    return model


def _recipe(recipe: Preprocessing, shape: tuple[int, ...]) -> Preprocessing | None:
    """The recipe of a file. Until 0.2 a recipe of three channels could be saved with a network of
    another input, where it was of no use: it becomes grey for one channel, if its means are the
    same, and None otherwise."""
    if len(shape) == 3 and shape[2] == recipe.channels:
        return recipe
    if len(shape) == 3 and shape[2] == 1 and len(set(recipe.mean)) == 1:
        return replace(recipe, channel_order="GREY", mean=recipe.mean[:1])
    return None
