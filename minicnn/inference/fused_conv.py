"""A convolution and what follows it as one operation, for inference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

import numpy as np

from ..layers import BatchNormalization, Conv2D, Layer, MaxPool2D, ReLU
from ..layers.checks import check_input
from ..layers.samplewise import is_samplewise
from ..ops import Window, ops_for


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
        """Whether the padding above and below is at least as high as the kernel: then the first
        windows see no row of x."""
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
        for window in reversed(self.windows(shape)):  # what the pooling sees, the convolution makes
            rows, window = window_on_rows(window, rows)
            windows.insert(0, window)
        return rows, windows

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = False) -> np.ndarray:
        """x (N, H, Wd, C) -> y (N, OH, OW, F); nothing is kept."""
        check_input(self.conv, x)
        self.output_shape(x.shape[1:])  # raises if a layer after it does not fit
        return self.compute(x, *self.windows(x.shape[1:]))

    def compute(self, x: np.ndarray, window: Window, pool_window: Window | None = None
                ) -> np.ndarray:
        """x (N, H, Wd, C) -> y (N, OH, OW, F): forward of a whole image, or of some of its rows,
        with the windows that on_rows gives for them; these may see less padding."""
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


def window_on_rows(window: Window, rows: slice) -> tuple[slice, Window]:
    """The rows of the image that these rows of windows see, and the windows on those rows alone,
    with the padding that they see. The first and the last must see a row of the image: otherwise
    there is no such slice."""
    (KH, _), (SH, _), ((top, _), columns), (H, Wd) = window
    start, stop = rows.start * SH - top, (rows.stop - 1) * SH - top + KH
    image_rows = slice(max(start, 0), min(stop, H))
    pads = (image_rows.start - start, stop - image_rows.stop), columns
    return image_rows, window._replace(pads=pads, size=(image_rows.stop - image_rows.start, Wd))
