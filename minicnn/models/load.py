"""Loading a network from a file: architecture, weights and preprocessing."""

from __future__ import annotations

import os

from .. import weights
from ..model import Sequential
from ..preprocessing import Preprocessing
from ..utils.errors import FileError


def load(path: str | os.PathLike, input_shape: tuple[int, ...] | None = None) -> Sequential:
    """The network of a file with architecture and weights: minicnn's .h5, or Keras' .h5 or .keras.

    input_shape: for files that leave height or width open. Raises FileError for anything else.
    """
    layers, shape, network_name, metadata, note = weights.read_model(path, input_shape)
    preprocessing, classes = metadata.get("preprocessing"), metadata.get("classes")
    try:
        if not isinstance(classes, (list, type(None))) or not all(
                isinstance(name, str) and name.isprintable() for name in classes or []):
            raise TypeError("classes are a list of printable names")
        model = Sequential(layers, shape, None, network_name,
                           preprocessing and Preprocessing(**preprocessing), classes)
    except (TypeError, ValueError, OverflowError) as error:  # ArgumentErrors are ValueErrors
        raise FileError(f"{path}: expected classes and preprocessing that fit the network, "
                        f"received others ({error}).") from error
    model.weights_note = note
    return model
