"""A network from a file: its architecture, its weights, its preprocessing."""

from __future__ import annotations

import os

from .. import weights
from ..model import Sequential
from ..preprocessing import Preprocessing
from ..utils.errors import FileError


def load(path: str | os.PathLike, input_shape: tuple[int, ...] | None = None) -> Sequential:
    """Builds the network of a whole-model file, ours or Keras' (.h5, .keras), with its weights.

    input_shape: for files that leave height or width open. Raises FileError for anything else.
    """
    layers, shape, name, metadata, note = weights.read_model(path, input_shape)
    recipe, classes = metadata.get("preprocessing"), metadata.get("classes")
    try:
        if not isinstance(classes, (list, type(None))) or not all(
                isinstance(one, str) and one.isprintable() for one in classes or []):
            raise TypeError("classes are a list of printable names")
        model = Sequential(layers, shape, None, name, recipe and Preprocessing(**recipe),
                           classes)
    except (TypeError, ValueError, OverflowError) as error:  # ArgumentErrors are ValueErrors
        raise FileError(f"{path}: expected classes and preprocessing that fit the network, "
                        f"received others ({error}).") from error
    model.weights_note = note
    return model
