"""Forward without caches for backward: in batches that fit, convolution and pooling as one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .layers import Conv2D, Dropout, Layer, MaxPool2D, ReLU
from .layers.checks import check_input
from .layers.samplewise import is_samplewise
from .ops import array_module, device_of, ops_for

MAX_ELEMENTS = {"cpu": 1 << 23, "cuda": 1 << 30, "cuda-sim": 1 << 30}  # 32 MB, 4 GB in float32


def infer(model: Any, x: np.ndarray, training: bool = False) -> np.ndarray:
    """model's y for x (N, *input_shape), in batches whose arrays have at most MAX_ELEMENTS, if a
    single image's do; all at once if a layer might mix the images."""
    per_image = max(map(math.prod, model.shapes()))
    batch_size = max(1, MAX_ELEMENTS[device_of(x)] // per_image)
    samplewise = all(is_samplewise(layer) or type(layer) is Dropout for layer in model.layers)
    if len(x) > batch_size and samplewise:
        return array_module(x).concatenate([infer(model, x[i:i + batch_size], training)
                                            for i in range(0, len(x), batch_size)])
    for layer in fuse_conv_pool(model.layers):
        x = layer.forward(x, training, keep=False)
    return x


class ConvPool:
    """pool(conv(x)) as one operation, which need not write what the convolution gives."""

    def __init__(self, conv: Conv2D, pool: MaxPool2D) -> None:
        self.conv, self.pool = conv, pool

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = False) -> np.ndarray:
        """x (N, H, Wd, C) -> y (N, OH, OW, F); nothing is kept."""
        conv, pool = self.conv, self.pool
        check_input(conv, x)
        between = conv.output_shape(x.shape[1:])
        pool.output_shape(between)  # raises if it does not fit
        conv.cache = pool.cache = None
        if conv.activation is not None:
            conv.activation.cache = None
        return ops_for(x).conv2d_max_pool(x, conv.param("W", x), conv.param("b", x),
                                          conv.window(x.shape), pool.window(between),
                                          relu=conv.fused_relu)


def fuse_conv_pool(layers: list[Layer]) -> list[Layer | ConvPool]:
    """layers, each convolution (alone or with ReLU) and the max pooling after it as one."""
    fused: list[Layer | ConvPool] = []
    for layer in layers:
        before = fused[-1] if fused else None
        if (type(layer) is MaxPool2D and type(before) is Conv2D
                and is_samplewise(layer) and is_samplewise(before)
                and (before.activation is None or type(before.activation) is ReLU)):
            fused[-1] = ConvPool(before, layer)
        else:
            fused.append(layer)
    return fused
