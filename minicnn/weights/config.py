"""From Keras' description of a network (JSON) to layers, and back.

Reads Sequential and linear Functional networks of Keras 1, 2 and 3; models inside models are
flattened. What minicnn lacks is refused by name. Code is never run: Lambda and registered classes
are refused, too.
Source: Keras' saving/serialization_lib.py, models/functional.py, models/sequential.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from os import PathLike
from typing import Any

from ..layers import Layer, Normalization, Rescaling, Resizing, ZeroPadding2D
from ..utils.errors import ArgumentError, FileError
from .hdf5 import MAX_ENTRIES
from .keras_layers import (
    ONLY_IN_TRAINING,
    READERS,
    UnsupportedSettingError,
    check_settings,
    is_of_keras,
    modern,
    modern_class,
    read_layer,
)
from .layer_entries import keras_entries
from .tensor_arithmetic import layer_instead

MODELS = ("Sequential", "Functional", "Model")


def layers_from_config(config: dict, path: str | PathLike
                       ) -> tuple[list[Layer], tuple[int | None, ...] | None]:
    """-> (layers without parameters yet, input shape (H, Wd, C)).

    Sizes that the file leaves open are None; so is the shape if the file has none.
    Raises FileError, which names the layer and the reason why minicnn cannot have it.
    """
    try:
        refuse_code(config.get("config"), path)
        return _layers(config, path)
    except (ArgumentError, KeyError, IndexError, TypeError, ValueError, AttributeError,
            ArithmeticError, RecursionError) as error:
        raise FileError(f"{path}: expected Keras' description of a network, but reading stopped at "
                        f"{type(error).__name__}: {error}") from error


def refuse_code(config: object, path: str | PathLike) -> None:
    """Raises FileError if a description holds code anywhere, also in a layer that would be left out
    or has no name: a Lambda, or a lambda as a setting."""
    if isinstance(config, list):
        for value in config:
            refuse_code(value, path)
    elif isinstance(config, dict):
        if config.get("class_name") in ("Lambda", "__lambda__"):
            inner = config.get("config")
            name = inner.get("name") if isinstance(inner, dict) else config.get("name")
            layer = f"layer {name!r}" if isinstance(name, str) else "a layer without a name"
            raise FileError(f"{path}: expected Keras' own layers, but {layer} is a Lambda, which "
                            f"holds code; minicnn never runs code from a file. Rebuild the network "
                            f"without it.")
        for value in config.values():
            refuse_code(value, path)


def _layers(config: dict, path: str | PathLike
            ) -> tuple[list[Layer], tuple[int | None, ...] | None]:
    layers: list[Layer] = []
    shape: tuple[int | None, ...] | None = None
    keras_2 = is_before_keras_3(config)
    for entry, trainable in _iterate_layers(config, path, True):
        kind, c = modern_class(entry["class_name"]), entry.get("config") or {}
        name = c.get("name")
        if not isinstance(name, str) or len(layers) == MAX_ENTRIES:
            raise FileError(f"{path}: expected at most {MAX_ENTRIES:,} layers, each with a text as "
                            f"name, received {len(layers) + 1:,}, the last one a {kind} of name "
                            f"{name!r}. Save the network again with Keras.")
        where = f"{path}: layer {c.get('name')!r}"
        batch = c.get("batch_shape") or c.get("batch_input_shape")
        if shape is None and batch:
            shape = tuple(batch[1:])
        if kind == "InputLayer" or is_left_out(entry):
            continue
        _check_class(entry, where)
        c = modern(kind, c)
        try:
            check_settings(kind, c)
            added = read_layer(kind, c | _take_zeros(layers, kind, c), keras_2)
        except UnsupportedSettingError as error:
            key, received, expected = error.args
            raise FileError(f"{where} ({kind}): expected {key} {' or '.join(map(str, expected))}, "
                            f"received {str(received)[:80]}; minicnn has nothing else. Use this "
                            f"file in Keras, or rebuild the network with it.") from None
        for layer in added:
            layer.trainable = trainable and bool(c.get("trainable", True))
        layers += added
    return layers, shape or _built_shape(config)


def is_before_keras_3(config: dict) -> bool:
    """Whether a description is of Keras 1 or 2, by its keras_version; without any it is if it has
    no module, which Keras 3 writes."""
    version = config.get("keras_version")
    if isinstance(version, str):
        return version.partition(".")[0] in ("0", "1", "2")
    return "module" not in config


def first_resizing(layers: Sequence[Layer]) -> Resizing | None:
    """The Resizing with which a network begins, if it does; scaling its pixels may come before."""
    first = next((layer for layer in layers if not isinstance(layer, (Rescaling, Normalization))),
                 None)
    return first if isinstance(first, Resizing) else None


def resized(layers: Sequence[Layer], shape: tuple[int | None, ...] | None
            ) -> tuple[int | None, ...] | None:
    """The input shape; if the network begins by resizing, to that size, to which minicnn brings
    photos before the network."""
    first = first_resizing(layers)
    if first is not None and shape is not None and len(shape) == 3:
        return first.height, first.width, shape[2]
    return shape


def _take_zeros(layers: list[Layer], kind: str, config: dict) -> dict:
    """{"padding": …} in numbers for a valid Conv2D after a ZeroPadding2D with as much on both
    sides, which is taken from the layers: the convolution pads by itself. {} for all else."""
    before = layers[-1] if layers else None
    if isinstance(before, ZeroPadding2D) and (kind, config.get("padding")) == ("Conv2D", "valid"):
        (top, bottom), (left, right) = before.padding
        if (top, left) == (bottom, right):
            layers.pop()
            return {"padding": (top, left)}
    return {}


def is_left_out(entry: dict) -> bool:
    """Whether it is a layer of Keras' that computes nothing outside of training."""
    return entry["class_name"] in ONLY_IN_TRAINING and is_of_keras(entry)


def layers_left_out(config: dict, path: str | PathLike) -> list[tuple[str, dict]]:
    """Those layers as (class, settings), of a description that layers_from_config has read."""
    return [(entry["class_name"], entry["config"])
            for entry, _ in _iterate_layers(config, path, True) if is_left_out(entry)]


def _check_class(entry: dict, where: str) -> None:
    """Raises FileError for custom classes, and for Keras' layers that minicnn lacks."""
    kind = entry["class_name"]
    module = entry.get("module") or "keras"
    if not is_of_keras(entry) or ">" in kind:
        raise FileError(f"{where} has the custom class {module}.{kind}; minicnn never runs code "
                        f"from a file. Rebuild the network from Keras' own layers.")
    if modern_class(kind) not in READERS:
        if instead := layer_instead(entry):
            raise FileError(f"{where} is a {kind}, which minicnn lacks. {instead}, copy the "
                            f"weights with set_weights, and save that network.")
        raise FileError(f"{where} is a {kind}, which minicnn lacks; use this file in Keras, or "
                        f"rebuild the network from what minicnn has: {', '.join(READERS)}.")


def _iterate_layers(entry: dict, path: str | PathLike, trainable: bool
                    ) -> Iterator[tuple[dict, bool]]:
    """(layer, whether it is trainable) in order; models inside the model are flattened."""
    config = entry["config"]
    if entry["class_name"] not in MODELS:
        raise FileError(f"{path}: expected a Sequential or Functional network, received a "
                        f"{entry['class_name']}; minicnn never runs code from a file. Build the "
                        f"network of Keras' own layers as one of these, and save that.")
    if isinstance(config, list):  # a Sequential of Keras 2.0 … 2.2.2
        config = {"layers": config}
    layers = config["layers"]
    if entry["class_name"] != "Sequential":
        layers = _linear_order(config, path)
    trainable = trainable and bool(config.get("trainable", True))
    for layer in layers:
        if layer["class_name"] in MODELS:
            yield from _iterate_layers(layer, path, trainable)
        else:
            yield layer, trainable


def _linear_order(config: dict, path: str | PathLike) -> list[dict]:
    """The layers of a Functional model from input to output; FileError if they are not in one line.
    """
    follower: dict[str, dict] = {}
    inputs = []
    for layer in config["layers"]:
        name = layer["name"]
        if layer["class_name"] == "InputLayer":
            inputs.append(layer)
            continue
        sources = list(_sources(layer["inbound_nodes"]))
        calls = len(layer["inbound_nodes"])
        if len(sources) > 1 and calls > 1:
            raise FileError(f"{path}: expected one line of layers, but layer {name!r} is used more "
                            f"than once ({calls} times, on the outputs of {', '.join(sources)}). "
                            f"Build the network with a layer of its own for each use, copy the "
                            f"weights, and save that; or use this file in Keras.")
        if len(sources) != 1 or sources[0] in follower:
            raise FileError(f"{path}: expected one line of layers, but layer {name!r} is at a "
                            f"branch (inputs: {', '.join(sources) or 'none'}), as in MobileNet, in "
                            f"ResNet and in what Teachable Machine exports. minicnn computes "
                            f"networks without branches, such as VGG16: train a head on that, or "
                            f"use this file in Keras.")
        follower[sources[0]] = layer
    if len(inputs) != 1:
        raise FileError(f"{path}: expected one input, received {len(inputs)}.")
    line = inputs
    while line[-1]["name"] in follower:
        line.append(follower.pop(line[-1]["name"]))
    outputs = [config["output_layers"]] if isinstance(config["output_layers"][0], str) else \
        config["output_layers"]
    if follower or [output[0] for output in outputs] != [line[-1]["name"]]:
        raise FileError(f"{path}: expected one line of layers from the input to one output, "
                        f"received outputs {', '.join(str(output[0]) for output in outputs)}.")
    return line


def _sources(node: object) -> Iterator[str]:
    """Names of the layers whose outputs a call takes: ["fc1", 0, 0, {}] in Keras 2,
    {"class_name": "__keras_tensor__", "config": {"keras_history": ["fc1", 0, 0]}} in Keras 3."""
    if isinstance(node, dict):
        if node.get("class_name") == "__keras_tensor__":
            yield node["config"]["keras_history"][0]
        else:
            for value in node.values():
                yield from _sources(value)
    elif isinstance(node, list):
        if len(node) > 2 and isinstance(node[0], str) and isinstance(node[1], int):
            yield node[0]
        else:
            for value in node:
                yield from _sources(value)


def _built_shape(config: dict) -> tuple[int | None, ...] | None:
    """The shape with which a Sequential without an input layer was first called."""
    inner = config["config"]
    batch = inner.get("build_input_shape") if isinstance(inner, dict) else None
    return tuple(batch[1:]) if batch else None


def config_from_layers(layers: Sequence[Layer], input_shape: tuple[int, ...], name: str) -> dict:
    """The Sequential of Keras 3 that computes the same; input_shape is (H, Wd, C).

    Raises FileError for what Keras cannot express.
    """
    batch_shape = [None, *input_shape]
    entries: list[tuple[str, dict[str, Any]]] = [("InputLayer", {
        "name": "input_layer", "batch_shape": batch_shape, "dtype": "float32"})]
    for layer in layers:
        entries += keras_entries(layer)
    names = [name, *(config["name"] for _, config in entries)]
    for bad in {n for n in names[1:] if names[1:].count(n) > 1} | {n for n in names if "/" in n}:
        raise FileError(f"expected each layer to have a name of its own, without /, as Keras "
                        f"does, received {bad!r}; rename it.")
    return {"class_name": "Sequential", "config": {
        "name": name, "trainable": True, "dtype": "float32", "build_input_shape": batch_shape,
        "layers": [{"class_name": kind, "config": config} for kind, config in entries]}}
