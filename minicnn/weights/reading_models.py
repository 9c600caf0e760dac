"""Reading whole models: architecture, weights and metadata."""

from __future__ import annotations

from contextlib import ExitStack
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..layers import Layer, Normalization
from ..utils.errors import ArgumentError, FileError, is_int
from . import random_views
from .assigning import assign
from .attributes import text
from .config import layers_from_config, layers_left_out, resized
from .opening import (
    Architecture,
    open_weights,
    parse_json,
    read_architecture,
    refusing_damage,
)
from .reading import entries_of, open_entries

if TYPE_CHECKING:  # functions import h5py when called: `import minicnn` stays fast
    import h5py


def input_shape_in_file(path: str | PathLike) -> tuple[int | None, ...]:
    """(H, Wd, C) of the network in a file of architecture, None for what it leaves open; () if it
    names no shape. Raises FileError."""
    config = read_architecture(path)
    if config is None:
        with refusing_damage(path), open_weights(path) as (_, architecture):
            config = architecture.parse() if architecture else {}
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
    config: Any = read_architecture(path)
    metadata: Any = {}
    if config is not None and weights_path is None:
        raise FileError(f"{path}: describes a network, without its weights. Give them, too: "
                        f"load('{Path(path).name}', weights='model.weights.h5'), on the command "
                        f"line --weights model.weights.h5.")
    with ExitStack() as stack:
        if config is None:
            file, architecture = stack.enter_context(open_weights(path))
            with refusing_damage(path):
                config, metadata = _described(file, architecture, path)
                entries = entries_of(file, path)
        if weights_path is not None:
            entries = stack.enter_context(open_entries(weights_path))
        layers, shape = _built(config, input_shape, path)
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
        names = ", ".join(settings["name"] for _, settings in left_out)
        note += (f"; left out, since only training uses them: {names}"
                 f"{random_views.suggestion(left_out)}")
    inner = config["config"]
    name = inner.get("name") if isinstance(inner, dict) else None
    return layers, shape, name if isinstance(name, str) else "model", metadata, note


def _described(file: h5py.File, architecture: Architecture | None, path: str | PathLike
               ) -> tuple[Any, Any]:
    """-> (the description of the network, what minicnn has written beside it) of an open file."""
    if architecture is None:
        raise FileError(f"{path}: holds weights but no architecture; build the network and "
                        f"call load_weights, or name the file of model.to_json(), too: "
                        f"load('model.json', weights='{Path(path).name}'), on the command line "
                        f"model.json --weights {Path(path).name}.")
    config, metadata = architecture.parse(), parse_json(text(file, "minicnn") or "{}")
    layers_from_config(config, path)  # says what is wrong with it, before the arrays do
    return config, metadata


def _built(config: Any, input_shape: tuple[int, ...] | None, path: str | PathLike
           ) -> tuple[list[Layer], tuple[int, ...]]:
    """The layers of a description, without their weights, and the shape of their input."""
    layers, shape_in_file = layers_from_config(config, path)
    sizes = tuple(input_shape or shape_in_file or ())
    if all(size is None or is_int(size, 1) for size in sizes):
        sizes = tuple(resized(layers, sizes) or ())
    if not sizes or None in sizes:
        raise FileError(f"{path}: leaves the input's size open ({sizes or 'no shape'}); give "
                        f"input_shape=(height, width, channels), on the command line --size "
                        f"H,W.")
    if not all(is_int(size, 1) for size in sizes):
        raise FileError(f"{path}: expected an input shape of ints (height, width, channels), "
                        f"received {sizes}; the file is damaged.")
    return layers, cast("tuple[int, ...]", sizes)
