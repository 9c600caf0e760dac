"""Writing models and weights for Keras 3, and reading models."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..layers import Layer, Normalization
from ..ops import to_cpu
from ..utils.errors import ArgumentError, FileError, is_int
from ..utils.files import atomic_write
from .assigning import assign
from .attributes import text
from .config import config_from_layers, layers_from_config, layers_left_out
from .opening import open_weights, parse_json, read_architecture
from .reading import read_open_file, read_weights

if TYPE_CHECKING:
    import h5py

KERAS_VERSION = "3.15.1"  # the Keras whose layouts these are
KERAS_NAMES = {"W": "kernel", "b": "bias"}  # the other parameters have Keras' names


def write(path: str | PathLike, model: Any) -> None:
    """Writes a Sequential as .h5 (write_model) or .weights.h5 (write_weights), by the path."""
    name = os.fspath(path)
    if name.endswith(".weights.h5"):
        return write_weights(path, model.layers)
    if not name.endswith(".h5"):
        raise ArgumentError(f"save: expected a name that ends in .h5 or .weights.h5, "
                            f"received {name!r}.")
    for class_name in model.classes or []:
        if not str(class_name).isprintable():  # load would refuse it
            raise ArgumentError(f"save: expected printable names of classes, received "
                                f"{class_name!r}; rename it.")
    preprocessing = model.preprocessing and model.preprocessing.to_dict()
    metadata = {"classes": model.classes, "preprocessing": preprocessing}
    return write_model(path, model.layers, model.input_shape, model.name, metadata)


def write_model(path: str | PathLike, layers: Sequence[Layer], input_shape: tuple[int, ...],
                name: str, metadata: dict) -> None:
    """Writes architecture, weights and metadata into one .h5 (layout E), which
    keras.models.load_model also reads.

    metadata: anything that JSON can hold (classes, preprocessing, …), for the attribute "minicnn".
    An older file at path stays until the new one is complete.
    Raises FileError if Keras cannot express the network or the file cannot be written.
    """
    try:
        config = config_from_layers(layers, input_shape, name)
    except FileError as error:
        raise FileError(f"{path}: {error}") from None
    with new_h5(path) as file:
        file.attrs["minicnn"] = json.dumps(metadata)
        file.attrs["model_config"] = json.dumps(config)
        weights = file.create_group("model_weights")
        for group in (file, weights):
            group.attrs["keras_version"] = KERAS_VERSION
            group.attrs["backend"] = "numpy"
        names = [entry["config"]["name"] for entry in config["config"]["layers"]]
        weights.attrs["layer_names"] = names
        arrays = {layer.name: _arrays(layer) for layer in layers}
        for layer_name in names:
            group = weights.create_group(layer_name)
            values = {f"{layer_name}/{KERAS_NAMES.get(key, key)}": value
                      for key, value in arrays.get(layer_name, {}).items()}
            group.attrs["weight_names"] = list(values)
            for key, value in values.items():
                group[key] = value


def write_weights(path: str | PathLike, layers: Sequence[Layer]) -> None:
    """Writes the weights alone, as Keras 3's .weights.h5 (layout F), for load_weights of the same
    network.

    An older file at path stays until the new one is complete. Raises FileError.
    """
    with new_h5(path) as file:
        container = file.create_group("layers")
        counts: dict[str, int] = {}
        for layer in layers:
            kind = _snake_case(type(layer).__name__)
            number = counts[kind] = counts.get(kind, -1) + 1
            arrays = _arrays(layer)
            if arrays:
                group = container.create_group(f"{kind}_{number}/vars" if number
                                               else f"{kind}/vars")
                group.attrs["name"] = layer.name
                for k, value in enumerate(arrays.values()):
                    group[str(k)] = value


def input_shape_in_file(path: str | PathLike) -> tuple[int | None, ...]:
    """(H, Wd, C) of the network in a file of architecture, None for what it leaves open; () if it
    names no shape. Raises FileError."""
    config = read_architecture(path)
    if config is None:
        with open_weights(path) as (_, architecture):
            config = parse_json(architecture or "{}")
    return layers_from_config(config, path)[1] or ()


def read_model(path: str | PathLike, input_shape: tuple[int, ...] | None = None,
               weights_path: str | PathLike | None = None
               ) -> tuple[list[Layer], tuple[int, ...], str, dict, str]:
    """-> (layers with their weights, input shape, name, metadata, a note of what was set).

    path: a file with architecture and weights: Keras' .h5 or .keras, or one of write_model; with
    weights_path, whose weights are taken, also the architecture alone: model.to_json() in a file.
    input_shape: (H, Wd, C), if the file leaves the size open, or for another size.
    Raises FileError.
    """
    config, metadata = read_architecture(path), {}
    if config is not None and weights_path is None:
        raise FileError(f"{path}: describes a network, without its weights. Give them, too: "
                        f"load('{Path(path).name}', weights='model.weights.h5'), on the command "
                        f"line --weights model.weights.h5.")
    if config is None:
        with open_weights(path) as (file, architecture):
            if architecture is None:
                raise FileError(f"{path}: holds weights but no architecture; build the network and "
                                f"call load_weights, or name the file of model.to_json(), too: "
                                f"load('model.json', weights='{Path(path).name}').")
            config, metadata = parse_json(architecture), parse_json(text(file, "minicnn") or "{}")
            entries = read_open_file(file, path)
    if weights_path is not None:
        entries = read_weights(weights_path)
    layers, shape_in_file = layers_from_config(config, path)
    sizes = tuple(input_shape or shape_in_file or ())
    if not sizes or None in sizes:
        raise FileError(f"{path}: leaves the input's size open ({sizes or 'no shape'}); give "
                        f"input_shape=(height, width, channels), on the command line --size "
                        f"H,W.")
    if not all(is_int(size, 1) for size in sizes):
        raise FileError(f"{path}: expected an input shape of ints (height, width, channels), "
                        f"received {sizes}; the file is damaged.")
    shape = cast("tuple[int, ...]", sizes)
    if not isinstance(metadata, dict):
        raise FileError(f"{path}: expected a JSON object in the attribute minicnn, received "
                        f"a {type(metadata).__name__}.")
    try:
        note = assign(layers, shape, entries, weights_path or path)
    except ArgumentError as error:
        raise FileError(f"{path}: describes a network that does not fit together: "
                        f"{error}") from None
    for layer in layers:
        if isinstance(layer, Normalization):
            layer.adopt()
    if left_out := layers_left_out(config, path):
        note += f"; left out, since only training uses them: {', '.join(left_out)}"
    inner = config["config"]
    name = inner.get("name") if isinstance(inner, dict) else None
    return layers, shape, name if isinstance(name, str) else "model", metadata, note


@contextmanager
def new_h5(path: str | PathLike) -> Iterator[h5py.File]:
    """-> an h5py.File that is written to path when the with ends without an error.

    It is built in memory, since HDF5 itself crashes on a full disk. Raises FileError.
    """
    import h5py

    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        yield file
    with atomic_write(path) as partial:
        partial.write_bytes(content.getbuffer())


def _arrays(layer: Layer) -> dict[str, np.ndarray]:
    """A layer's params as float32, which is what the config says."""
    return {key: np.asarray(to_cpu(value), np.float32) for key, value in layer.params.items()}


def _snake_case(name: str) -> str:
    """Conv2D -> conv2d, MyLayer -> my_layer: as Keras names the groups of layout F."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
