"""A network as an ONNX file, which other engines run: onnxruntime, in browsers and on phones, too.

The recipe for pixels is part of the graph, so that a photo gets there what it gets here. Conv and
the poolings of ONNX want (N, C, H, W); the graph turns its data before the first of them and turns
them back where their order counts: before Flatten, whose rows Dense knows as (h·Wd + w)·C + c.
"""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..layers import (
    AveragePool2D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool2D,
    Layer,
    MaxPool2D,
    ReLU,
    Sigmoid,
    Softmax,
)
from ..ops import to_cpu
from ..utils.errors import ArgumentError
from ..utils.files import atomic_write

if TYPE_CHECKING:  # the extra "onnx" is imported where it is used
    from onnx import ModelProto, NodeProto, TensorProto

OPSET, IR = 17, 8  # of 2022: old enough for every engine in use
MOST_BYTES = 2 ** 31 - 2 ** 20  # of one protobuf message, less what is no weight
FIRST, LAST = (0, 3, 1, 2), (0, 2, 3, 1)  # channels first: NHWC -> NCHW; last: NCHW -> NHWC


def write_onnx(path: str | PathLike, model: Any) -> None:
    """A Sequential as an .onnx file; an older file at path stays until the new one is complete.

    See onnx_model for what goes in. Raises ArgumentError for another suffix, without the package
    onnx, or for a layer that ONNX has not; FileError where the file cannot be written.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise ArgumentError(f"{path}: expected a name that ends in .onnx, "
                            f"received {path.suffix or 'no suffix'!r}.")
    content = onnx_model(model).SerializeToString()
    with atomic_write(path) as draft:
        draft.write_bytes(content)


def onnx_model(model: Any) -> ModelProto:
    """The graph of model.predict in prediction: Dropout lets everything through.

    Input:    "pixels", RGB 0…255, float32 (N, H, Wd, 3), any N; of a model without preprocessing
              "x", network input, float32 (N, *input_shape)
    Output:   "y", as model.predict gives it: probabilities, where it ends in Sigmoid or Softmax
    Metadata: classes, preprocessing, image_size, as JSON
    Source:   the operators of opset 17, https://onnx.ai/onnx/operators
    """
    try:
        from onnx import TensorProto, helper
    except ImportError as problem:
        raise ArgumentError("onnx: expected the package onnx, found none. Install it: "
                            "pip install 'minicnn[onnx]'.") from problem
    from .. import __version__

    shapes = model.shapes()
    recipe = model.preprocessing if shapes[0][2:] == (3,) else None  # it is one for RGB
    graph = _Graph("x" if recipe is None else "pixels")
    if recipe is not None:
        graph.preprocess(recipe)
    for number, layer in enumerate(model.layers):
        graph.layer(layer, shapes[number], f"{number}/{layer.name}")
    graph.channels(LAST)
    graph.add("Identity", "y")
    size = sum(len(tensor.raw_data) for tensor in graph.tensors)
    if size > MOST_BYTES:
        raise ArgumentError(f"{model.name}: expected at most {MOST_BYTES} bytes of weights, which "
                            f"is all that one ONNX file holds, received {size}. Use fewer units.")
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])
            for name, shape in ((graph.start, shapes[0]), ("y", shapes[-1]))]
    text = "Input x: network input." if recipe is None else (
        f"Input pixels: RGB, 0…255. Scale the photo, its proportions kept, until it just covers "
        f"image_size / {recipe.crop_fraction:g}, bilinear with antialiasing; cut out the centre.")
    if model.classes is not None and shapes[-1] == (1,):
        text += " Output y: the probability of the second class."
    proto = helper.make_model(
        helper.make_graph(graph.nodes, model.name, ends[:1], ends[1:], graph.tensors),
        opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR, doc_string=text,
        producer_name="minicnn", producer_version=__version__)
    helper.set_model_props(proto, {key: json.dumps(value) for key, value in (
        ("classes", model.classes), ("preprocessing", recipe and recipe.to_dict()),
        ("image_size", shapes[0][:2] if len(shapes[0]) == 3 else None))})
    return proto


class _Graph:
    """Nodes in a row, each fed by the one before it; at is the last one's output, order the way
    its data lie: LAST is NHWC, as here."""

    def __init__(self, start: str) -> None:
        self.start = self.at = start
        self.order = LAST
        self.nodes: list[NodeProto] = []
        self.tensors: list[TensorProto] = []

    def add(self, operator: str, name: str, *constants: np.ndarray, **attributes: Any) -> None:
        """One node behind the last, its output called as it is; constants: its further inputs."""
        from onnx import helper, numpy_helper

        names = [f"{name}/{k}" for k, _ in enumerate(constants, 1)]
        self.tensors += [numpy_helper.from_array(np.ascontiguousarray(value), key)
                         for key, value in zip(names, constants, strict=True)]
        self.nodes.append(helper.make_node(operator, [self.at, *names], [name], name, **attributes))
        self.at = name

    def channels(self, order: tuple[int, ...]) -> None:
        """Turns images into that order, unless they lie so already."""
        if self.order != order:
            self.add("Transpose", f"turned/{len(self.nodes)}", perm=order)
            self.order = order

    def preprocess(self, recipe: Any) -> None:
        """x = (pixels in channel_order − mean) · scale, in this order: the same roundings."""
        if recipe.channel_order == "BGR":
            self.add("Gather", "recipe/BGR", np.array([2, 1, 0]), axis=3)
        self.add("Sub", "recipe/mean", np.array(recipe.mean, np.float32))
        self.add("Mul", "recipe/scale", np.array(recipe.scale, np.float32))

    def layer(self, layer: Layer, shape: tuple[int, ...], name: str) -> None:
        """The nodes of one layer for x of `shape`, without N; all their names begin with name."""
        kind = type(layer)
        params = {key: np.asarray(to_cpu(p), np.float32) for key, p in layer.params.items()}
        if kind in (Conv2D, MaxPool2D, AveragePool2D):
            self.channels(FIRST)
            window = layer.window(shape)
            (top, bottom), (left, right) = window.pads
            where = {"kernel_shape": window.kernel, "strides": window.strides,
                     "pads": (top, left, bottom, right)}
            if kind is Conv2D:  # (KH, KW, C, F) -> (F, C, KH, KW)
                self.add("Conv", name, params["W"].transpose(3, 2, 0, 1), params["b"], **where)
            elif kind is MaxPool2D:
                self.add("MaxPool", name, **where)
            else:
                self.add("AveragePool", name, count_include_pad=0, **where)
        elif kind is GlobalAveragePool2D:
            self.channels(FIRST)
            self.add("GlobalAveragePool", f"{name}/mean")
            self.add("Flatten", name)  # (N, C, 1, 1) -> (N, C)
            self.order = LAST
        elif kind is Flatten:
            self.channels(LAST)
            self.add("Flatten", name)
        elif kind is Dense:
            self.add("Gemm", name, params["W"], params["b"])
        elif kind in (ReLU, Sigmoid, Softmax):
            self.activation(layer, name)
        elif kind is not Dropout:
            raise ArgumentError(f"{layer.name}: expected a layer of minicnn's own, which ONNX has "
                                f"an operator for, received a {kind.__name__}. Leave it out of "
                                f"the network that you export.")
        if getattr(layer, "activation", None) is not None:
            self.activation(layer.activation, f"{name}/activation")

    def activation(self, layer: Layer, name: str) -> None:
        """ReLU, Sigmoid or Softmax, which in ONNX are called about the same."""
        axis = {"axis": -1 if self.order == LAST else 1} if type(layer) is Softmax else {}
        self.add("Relu" if type(layer) is ReLU else type(layer).__name__, name, **axis)
