"""Forward for inference: no caches for backward, batches and bands of rows that fit, convolutions
fused with what follows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeGuard

import numpy as np

from .layers import NOISE_LAYERS, BatchNormalization, Conv2D, Layer, MaxPool2D, ReLU
from .layers.checks import check_input
from .layers.network import Network
from .layers.samplewise import is_samplewise
from .ops import Window, array_module, device_of, ops_for

MAX_ELEMENTS = {"cpu": 1 << 22, "cuda": 1 << 30, "cuda-sim": 1 << 30}  # 16 MB, 4 GB in float32
# Of one image: smaller bands take less memory, but rows at their borders are computed twice.
MAX_BAND_ELEMENTS = {"cpu": 1 << 21, "cuda": 1 << 30, "cuda-sim": 1 << 30}
BAND_ROWS = 4  # bands begin at multiples of it, as Winograd's tiles do


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
    if len(x) == 1:
        return infer_one(layers, elements, x, training)
    first = first_that_fits(elements[:len(layers)], len(x), MAX_ELEMENTS[device_of(x)])
    if first > 0:
        half = -(-len(x) // 2)
        x = array_module(x).concatenate([
            infer_in_groups(layers[:first], elements, images, training)
            for images in (x[:half], x[half:])])
    for layer in layers[first:]:
        x = layer.forward(x, training, keep=False)
    return x


def infer_one(layers: Sequence[Layer | FusedConv], elements: Sequence[int], x: np.ndarray,
              training: bool) -> np.ndarray:
    """infer_in_groups for a single image x (1, H, Wd, C): where its arrays are larger than
    MAX_BAND_ELEMENTS, the convolutions up to a pooling are computed in bands of its rows."""
    i = 0
    while i < len(layers):
        convs = up_to_pooling(layers[i:])
        largest = max(elements[i:i + len(convs)], default=0)
        bands = -(-largest // MAX_BAND_ELEMENTS[device_of(x)])
        if len(convs) > 1 and bands > 1:
            x = infer_in_bands(convs, x, bands)
            i += len(convs)
        else:
            x = layers[i].forward(x, training, keep=False)
            i += 1
    return x


def up_to_pooling(layers: Sequence[Layer | FusedConv]) -> list[FusedConv]:
    """The convolutions with which the layers begin, up to the first one with a pooling. One whose
    border rows see nothing but padding ends them: Window.on_rows needs rows that they see."""
    convs: list[FusedConv] = []
    for layer in layers:
        if can_be_fused(layer):
            layer = FusedConv(layer)
        if not isinstance(layer, FusedConv) or layer.sees_padding_alone():
            break
        convs.append(layer)
        if layer.pool is not None:
            break
    return convs


def infer_in_bands(convs: Sequence[FusedConv], x: np.ndarray, bands: int) -> np.ndarray:
    """x (N, H, Wd, C) -> y of the last convolution, in about so many bands of its rows. What the
    others give is never whole in memory; the rows that two bands see are computed for both."""
    shapes = [x.shape[1:]]
    for conv in convs:
        shapes.append(conv.output_shape(shapes[-1]))
    y = array_module(x).empty((len(x), *shapes[-1]), x.dtype)
    OH = len(y[0])
    rows = -(-OH // bands)
    rows = -(-rows // BAND_ROWS) * BAND_ROWS
    for first in range(0, OH, rows):
        band = slice(first, min(first + rows, OH))
        y[:, band] = compute_rows(convs, shapes, x, band)
    return y


def compute_rows(convs: Sequence[FusedConv], shapes: Sequence[tuple[int, ...]], x: np.ndarray,
                 rows: slice) -> np.ndarray:
    """These rows of the last convolution's y, from the rows of its input that they see, which are
    computed in the same way. shapes: of x and of every output, whole and without N."""
    if not convs:
        return x[:, rows]
    input_rows, windows = convs[-1].on_rows(shapes[-2], rows)
    return convs[-1].compute(compute_rows(convs[:-1], shapes[:-1], x, input_rows), *windows)


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

    def sees_padding_alone(self) -> bool:
        """Whether the padding above and below is at least as high as the kernel."""
        conv = self.conv
        return not isinstance(conv.padding, str) and conv.padding[0] >= conv.kernel_size[0]

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """(H, Wd, C) -> (OH, OW, F), of the last layer; raises if one does not fit."""
        for layer in self.layers:
            shape = layer.output_shape(shape)
        return shape

    def windows(self, shape: tuple[int, ...]) -> list[Window]:
        """Of the convolution on an x of `shape` (H, Wd, C), and of the pooling on its output."""
        windows = [self.conv.window(shape)]
        if self.pool is not None:
            windows.append(self.pool.window((*windows[0].output_size, self.conv.filters)))
        return windows

    def on_rows(self, shape: tuple[int, ...], rows: slice) -> tuple[slice, list[Window]]:
        """The rows of an x of `shape` that these rows of y see, and the windows on them alone."""
        windows: list[Window] = []
        for window in reversed(self.windows(shape)):
            rows, window = window.on_rows(rows)
            windows.insert(0, window)
        return rows, windows

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = False) -> np.ndarray:
        """x (N, H, Wd, C) -> y (N, OH, OW, F); nothing is kept."""
        self.output_shape(x.shape[1:])  # raises if a layer does not fit
        return self.compute(x, *self.windows(x.shape[1:]))

    def compute(self, x: np.ndarray, window: Window, pool_window: Window | None = None
                ) -> np.ndarray:
        """forward with these windows, which may see less padding than those of a whole image."""
        check_input(self.conv, x)
        for layer in self.layers:
            layer.cache = None
            if layer.activation is not None:
                layer.activation.cache = None
        conv, ops = self.conv, ops_for(x)
        W = conv.param("W", x)
        b = conv.param("b", x) if conv.use_bias else conv.no_bias(x)
        if self.norm is not None:
            scale, shift = self.norm.folded(x)
            W, b = W * scale, b * scale + shift
        if pool_window is None:
            return ops.conv2d(x, W, b, window, relu=self.relu)
        return ops.conv2d_max_pool(x, W, b, window, pool_window, relu=self.relu)


def fuse(layers: Sequence[Layer], training: bool = False) -> list[Layer | FusedConv]:
    """The layers, each convolution fused with those that can be computed together with it."""
    fused: list[Layer | FusedConv] = []
    for layer in layers:
        before = fused[-1] if fused else None
        if isinstance(before, FusedConv) and before.joins(layer, training):
            continue
        if can_be_fused(layer):
            fused.append(FusedConv(layer))
        else:
            fused.append(layer)
    return [part.conv if isinstance(part, FusedConv) and len(part.layers) == 1 else part
            for part in fused]


def can_be_fused(layer: Layer | FusedConv) -> TypeGuard[Conv2D]:
    """Whether it is a convolution whose activation, if any, its operation computes."""
    return isinstance(layer, Conv2D) and is_samplewise(layer) and (
        layer.activation is None or type(layer.activation) is ReLU)
