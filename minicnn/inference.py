"""Forward for inference: no caches for backward, batches that fit, convolutions fused with what
follows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .layers import NOISE_LAYERS, BatchNormalization, Conv2D, Layer, MaxPool2D, ReLU
from .layers.checks import check_input
from .layers.network import Network
from .layers.samplewise import is_samplewise
from .ops import array_module, device_of, ops_for

MAX_ELEMENTS = {"cpu": 1 << 22, "cuda": 1 << 30, "cuda-sim": 1 << 30}  # 16 MB, 4 GB in float32


def infer(model: Network, x: np.ndarray, training: bool = False) -> np.ndarray:
    """model's y for x (N, *input_shape), in groups of images whose arrays have at most MAX_ELEMENTS
    (or image by image, if one needs more); all at once if a layer might mix the images."""
    layers = fuse(model.layers, training)
    if all(is_samplewise(layer, training) or type(layer) in NOISE_LAYERS  # draws for each image
           for layer in model.layers):
        return infer_in_groups(layers, elements_per_image(layers, model.shapes()), x, training)
    for layer in layers:
        x = layer.forward(x, training, keep=False)
    return x


def infer_in_groups(layers: Sequence[Layer | FusedConv], elements: Sequence[int], x: np.ndarray,
                    training: bool) -> np.ndarray:
    """The layers' y for x, where layer i needs an array of elements[i] for each image.

    The first layers of a network need most, the last ones have most weights and are computed best
    for many images at once. So the layers from which on all arrays fit compute all images, and the
    first ones half of the images after the other half; for them the same holds again.
    """
    first = first_that_fits(elements[:len(layers)], len(x), MAX_ELEMENTS[device_of(x)])
    if first > 0:
        half = -(-len(x) // 2)
        x = array_module(x).concatenate([
            infer_in_groups(layers[:first], elements, images, training)
            for images in (x[:half], x[half:])])
    for layer in layers[first:]:
        x = layer.forward(x, training, keep=False)
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


class FusedConv:
    """A convolution and the layers after it as one operation, which need not write what comes
    between: [BatchNormalization,] [ReLU,] [MaxPool2D], in this order.

    Outside a training step a batch normalization is y = scale · z + shift, and z = X_col @ W2d + b,
    so y = X_col @ (W2d · scale) + (b · scale + shift): a convolution with other numbers. They are
    computed anew each time: F kernels are few numbers compared with N·OH·OW·F. (For a Dense it is
    the other way round, so it stays a layer of its own.)
    """

    def __init__(self, conv: Conv2D) -> None:
        self.conv, self.relu = conv, conv.fused_relu
        self.layers: list[Layer] = [conv]  # that are in it
        self.norm: BatchNormalization | None = None
        self.pool: MaxPool2D | None = None

    def joins(self, layer: Layer, training: bool) -> bool:
        """Adds the layer, if it can be computed together with those that are already in it."""
        if self.pool is not None or not is_samplewise(layer, training):
            return False
        if type(layer) is BatchNormalization and self.norm is None and not self.relu:
            self.norm = layer
        elif type(layer) is ReLU:
            self.relu = True
        elif type(layer) is MaxPool2D:
            self.pool = layer
        else:
            return False
        self.layers.append(layer)
        return True

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = False) -> np.ndarray:
        """x (N, H, Wd, C) -> y (N, OH, OW, F); nothing is kept."""
        conv = self.conv
        check_input(conv, x)
        shape = conv.output_shape(x.shape[1:])
        for layer in self.layers:
            layer.cache = None
            if layer.activation is not None:
                layer.activation.cache = None
        for layer in self.layers[1:]:
            shape = layer.output_shape(shape)  # raises if it does not fit
        W = conv.param("W", x)
        b = conv.param("b", x) if conv.use_bias else conv.no_bias(x)
        if self.norm is not None:
            scale, shift = self.norm.folded(x)
            W, b = W * scale, b * scale + shift
        ops, window = ops_for(x), conv.window(x.shape)
        if self.pool is None:
            return ops.conv2d(x, W, b, window, relu=self.relu)
        pool_window = self.pool.window((*window.output_size, conv.filters))
        return ops.conv2d_max_pool(x, W, b, window, pool_window, relu=self.relu)


def fuse(layers: Sequence[Layer], training: bool = False) -> list[Layer | FusedConv]:
    """The layers, each convolution fused with those that can be computed together with it."""
    fused: list[Layer | FusedConv] = []
    for layer in layers:
        before = fused[-1] if fused else None
        if isinstance(before, FusedConv) and before.joins(layer, training):
            continue
        if isinstance(layer, Conv2D) and is_samplewise(layer) and (
                layer.activation is None or type(layer.activation) is ReLU):
            fused.append(FusedConv(layer))
        else:
            fused.append(layer)
    return [part.conv if isinstance(part, FusedConv) and len(part.layers) == 1 else part
            for part in fused]
