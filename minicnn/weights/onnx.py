"""Export to ONNX, for other engines such as onnxruntime, also in browsers and on phones.

The preprocessing is part of the graph, so that an image gives the same outputs there as here. Conv
and pooling in ONNX need (N, C, H, W): the graph transposes its data before the first of them, and
back before Flatten, since Dense expects the pixels in the order (h·Wd + w)·C + c.
"""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike

from ..layers import (
    ACTIVATION_LAYERS,
    ELU,
    NOISE_LAYERS,
    SELU,
    AveragePool2D,
    BatchNormalization,
    CenterCrop,
    Conv2D,
    Dense,
    Flatten,
    GlobalAveragePool2D,
    GlobalMaxPool2D,
    HardSigmoid,
    Layer,
    LeakyReLU,
    MaxPool2D,
    Normalization,
    Permute,
    PReLU,
    ReLU6,
    Rescaling,
    Reshape,
    Resizing,
    SiLU,
    Softmax,
    ZeroPadding2D,
)
from ..layers.base import ActivatedLayer
from ..layers.network import Network
from ..layers.rescaling import MIN_STD
from ..ops import Window, to_cpu
from ..preprocessing import Preprocessing
from ..utils.errors import ArgumentError
from ..utils.files import atomic_write

if TYPE_CHECKING:  # functions import the extra "onnx" when called
    from onnx import ModelProto, NodeProto, TensorProto

OPSET, IR = 17, 8  # of 2022: old enough for all current engines
MAX_WEIGHT_BYTES = 2 ** 31 - 2 ** 20  # of one protobuf message, minus all but the weights
RESHAPING_LAYERS = (Reshape, Permute, ZeroPadding2D, CenterCrop, Resizing)
# The axes to transpose by: NHWC -> NCHW and NCHW -> NHWC.
CHANNELS_FIRST, CHANNELS_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


def write_onnx(path: str | PathLike, model: Network) -> None:
    """Writes a Sequential as .onnx; an older file at path stays until the new one is complete.

    See onnx_model for the contents. Raises ArgumentError for another suffix, without the package
    onnx, or for a layer that ONNX lacks; FileError if the file cannot be written.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise ArgumentError(f"{path}: expected a name that ends in .onnx, "
                            f"received {path.suffix or 'no suffix'!r}.")
    content = onnx_model(model).SerializeToString()
    with atomic_write(path) as partial:
        partial.write_bytes(content)


def onnx_model(model: Any) -> ModelProto:
    """The graph of model.predict; Dropout and noise do nothing in it.

    Input:    "pixels", RGB 0…255, float32 (N, H, Wd, 3), any N, or grey ones (N, H, Wd, 1); of a
              model without preprocessing "x", network input, float32 (N, *input_shape)
    Output:   "y", as from model.predict: probabilities, if the network ends in Sigmoid or Softmax
    Metadata: classes, preprocessing, image_size, as JSON
    Source:   the operators of opset 17, https://onnx.ai/onnx/operators
    """
    try:
        from onnx import TensorProto, helper
    except ImportError as error:
        raise ArgumentError("onnx: expected the package onnx, found none. Install it: "
                            "pip install onnx, or the extra onnx (where minicnn's sources are: "
                            "pip install -e \".[onnx]\").") from error
    from .. import __version__

    shapes = model.shapes()
    preprocessing = model.preprocessing
    graph = _Graph("x" if preprocessing is None else "pixels")
    if preprocessing is not None:
        graph.preprocess(preprocessing)
    for number, layer in enumerate(model.layers):
        graph.layer(layer, shapes[number], f"{number}/{layer.name}")
    graph.transpose_to(CHANNELS_LAST)
    graph.add("Identity", "y")
    size = sum(len(tensor.raw_data) for tensor in graph.tensors)
    if size > MAX_WEIGHT_BYTES:
        raise ArgumentError(f"{model.name}: expected at most {MAX_WEIGHT_BYTES} bytes of weights, "
                            f"which is all that one ONNX file holds, received {size}. Use fewer "
                            f"units.")
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])
            for name, shape in ((graph.start, shapes[0]), ("y", shapes[-1]))]
    text = "Input x: network input." if preprocessing is None else (
        f"Input pixels: {'grey' if preprocessing.channels == 1 else 'RGB'}, 0…255. "
        f"{_how_to_fit(preprocessing)}")
    if model.classes is not None and shapes[-1] == (1,):
        text += " Output y: the probability of the second class."
    proto = helper.make_model(
        helper.make_graph(graph.nodes, model.name, ends[:1], ends[1:], graph.tensors),
        opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR, doc_string=text,
        producer_name="minicnn", producer_version=__version__)
    helper.set_model_props(proto, {key: json.dumps(value) for key, value in (
        ("classes", model.classes), ("preprocessing", preprocessing and preprocessing.to_dict()),
        ("image_size", shapes[0][:2] if len(shapes[0]) == 3 else None))})
    return proto


def _how_to_fit(preprocessing: Preprocessing) -> str:
    """How photos are brought to image_size, in words: the graph takes them at that size."""
    if preprocessing.fit == "crop":
        return (f"Scale the photo, keeping its aspect ratio, until it just covers image_size / "
                f"{preprocessing.crop_fraction:g}, bilinear with antialiasing; crop the centre.")
    before = {"stretch": "", "crop_to_aspect_ratio": "Crop the centre in its aspect ratio. ",
              "pad_to_aspect_ratio": "Pad the photo with zeros to its aspect ratio. "}
    return (f"{before[preprocessing.fit]}Stretch it to image_size, {preprocessing.interpolation} "
            f"without antialiasing, as Keras' Resizing does.")


class _Graph:
    """A chain of nodes, each taking the output of the one before.

    output: the name of the last node's output. order: of its axes; CHANNELS_LAST is NHWC.
    """

    def __init__(self, start: str) -> None:
        self.start = self.output = start
        self.order: tuple[int, ...] = CHANNELS_LAST
        self.nodes: list[NodeProto] = []
        self.tensors: list[TensorProto] = []

    def add(self, operator: str, name: str, *constants: np.ndarray, **attributes: Any) -> None:
        """Adds a node, whose output gets its name too; constants: its further inputs."""
        from onnx import helper, numpy_helper

        names = [f"{name}/{k}" for k, _ in enumerate(constants, 1)]
        self.tensors += [numpy_helper.from_array(np.ascontiguousarray(value), key)
                         for key, value in zip(names, constants, strict=True)]
        self.nodes.append(helper.make_node(operator, [self.output, *names], [name], name,
                                           **attributes))
        self.output = name

    def multiply_by(self, other: str, name: str) -> None:
        """Multiplies the last output by that of an earlier node of the same shape."""
        from onnx import helper

        self.nodes.append(helper.make_node("Mul", [self.output, other], [name], name))
        self.output = name

    def transpose_to(self, order: tuple[int, ...]) -> None:
        """Brings the axes of images into that order, unless they are already."""
        if self.order != order:
            self.add("Transpose", f"transposed/{len(self.nodes)}", perm=order)
            self.order = order

    def preprocess(self, preprocessing: Preprocessing) -> None:
        """x = (pixels in channel_order − mean) · scale, in this order: the same roundings."""
        if preprocessing.channel_order == "BGR":
            self.add("Gather", "preprocessing/BGR", np.array([2, 1, 0]), axis=3)
        self.add("Sub", "preprocessing/mean", np.array(preprocessing.mean, np.float32))
        self.add("Mul", "preprocessing/scale", np.array(preprocessing.scale, np.float32))

    def layer(self, layer: Layer, shape: tuple[int, ...], name: str) -> None:
        """Adds the nodes of one layer for x of `shape`, without N; their names begin with name."""
        kind = type(layer)
        params = {key: np.asarray(to_cpu(p), np.float32) for key, p in layer.params.items()}
        bias = [params["b"]] if "b" in params else []
        if kind in (Conv2D, MaxPool2D, AveragePool2D):
            self.transpose_to(CHANNELS_FIRST)
            window = cast(Window, layer.window(shape))
            (top, bottom), (left, right) = window.pads
            attributes = {"kernel_shape": window.kernel, "strides": window.strides,
                          "pads": (top, left, bottom, right)}
            if kind is Conv2D:  # (KH, KW, C, F) -> (F, C, KH, KW)
                self.add("Conv", name, params["W"].transpose(3, 2, 0, 1), *bias, **attributes)
            elif kind is MaxPool2D:
                self.add("MaxPool", name, **attributes)
            else:
                self.add("AveragePool", name, count_include_pad=0, **attributes)
        elif kind in (GlobalAveragePool2D, GlobalMaxPool2D):
            self.transpose_to(CHANNELS_FIRST)
            self.add(kind.__name__.removesuffix("2D"), f"{name}/pooled")
            self.add("Flatten", name)  # (N, C, 1, 1) -> (N, C)
            self.order = CHANNELS_LAST
        elif kind is Flatten:
            self.transpose_to(CHANNELS_LAST)
            self.add("Flatten", name)
        elif kind is Dense:
            self.add("Gemm", name, params["W"], *bias)
        elif isinstance(layer, BatchNormalization):
            if len(shape) == 3:
                self.transpose_to(CHANNELS_FIRST)
            mean, variance = params["moving_mean"], params["moving_variance"]
            gamma, beta = params.get("gamma", 0 * mean + 1), params.get("beta", 0 * mean)
            self.add("BatchNormalization", name, gamma, beta, mean, variance,
                     epsilon=layer.epsilon)
        elif kind in RESHAPING_LAYERS:
            self.reshaping(layer, shape, name)
        elif isinstance(layer, Rescaling):
            self.add("Mul", f"{name}/scale", self.per_channel(layer.scale))
            self.add("Add", name, self.per_channel(layer.offset))
        elif isinstance(layer, Normalization):
            std = np.maximum(np.sqrt(layer.variance or 0.0), MIN_STD)
            self.add("Sub", f"{name}/mean", self.per_channel(layer.mean or 0.0))
            self.add("Div", name, self.per_channel(std))
        elif kind in ACTIVATION_LAYERS:
            self.activation(layer, name)
        elif kind not in NOISE_LAYERS:
            raise ArgumentError(f"{layer.name}: expected a layer of minicnn's own, for which ONNX "
                                f"has an operator, received a {kind.__name__}. Leave it out of "
                                f"the network that you export.")
        if isinstance(layer, ActivatedLayer) and layer.activation is not None:
            self.activation(layer.activation, f"{name}/activation")

    def per_channel(self, value: ArrayLike) -> np.ndarray:
        """A number, or one for each channel, in the order of the axes."""
        numbers = np.asarray(value, np.float32)
        channels_first = self.order == CHANNELS_FIRST and numbers.ndim == 1
        return numbers[:, None, None] if channels_first else numbers

    def reshaping(self, layer: Layer, shape: tuple[int, ...], name: str) -> None:
        """Adds a layer that moves numbers, for x of `shape`, without N."""
        self.transpose_to(CHANNELS_LAST)
        if isinstance(layer, Reshape):
            self.add("Reshape", name, np.array([0, *layer.output_shape(shape)]))
        elif isinstance(layer, Permute):
            self.add("Transpose", name, perm=(0, *layer.dims))
        elif isinstance(layer, ZeroPadding2D):
            (top, bottom), (left, right) = layer.padding
            self.add("Pad", name, np.array([0, top, left, 0, 0, bottom, right, 0]))
        elif isinstance(layer, CenterCrop):
            top, left = layer.corner(shape)
            ends = [top + layer.height, left + layer.width]
            self.add("Slice", name, np.array([top, left]), np.array(ends), np.array([1, 2]))

    def activation(self, layer: Layer, name: str) -> None:
        """Adds an activation, whose name in ONNX is nearly the same: ReLU is Relu there."""
        kind, constants, x = type(layer), [], self.output
        operator = kind.__name__.replace("LU", "lu")
        attributes: dict[str, Any] = {}
        if kind is Softmax:
            attributes = {"axis": -1 if self.order == CHANNELS_LAST else 1}
        elif isinstance(layer, ELU):
            attributes = {"alpha": layer.alpha}
        elif isinstance(layer, LeakyReLU):
            attributes = {"alpha": layer.negative_slope}
        elif kind is PReLU:  # (H, Wd, C), or 1 along some axes
            alpha = np.asarray(to_cpu(layer.params["alpha"]), np.float32)
            constants = [alpha if self.order == CHANNELS_LAST else alpha.transpose(2, 0, 1)]
        elif kind is ReLU6:
            operator, constants = "Clip", [np.array(0, np.float32), np.array(6, np.float32)]
        elif isinstance(layer, HardSigmoid):
            attributes = {"alpha": layer.slope, "beta": 0.5}
        elif isinstance(layer, SELU):
            operator = "Selu"
            attributes = {"alpha": layer.alpha, "gamma": layer.scale}
        elif kind is SiLU:  # x · σ(x), since SiLU is no operator of opset 17
            operator, name = "Sigmoid", f"{name}/sigmoid"
        self.add(operator, name, *constants, **attributes)
        if kind is SiLU:
            self.multiply_by(x, name.removesuffix("/sigmoid"))
