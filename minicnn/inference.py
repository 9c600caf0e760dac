"""Forward where nothing is kept for backward: some photos at a time, fewer arrays on the way."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np

from .layers import Conv2D, Dropout, Layer, MaxPool2D, ReLU
from .layers.conv2d import choose
from .ops import device_of, xp_of
from .ops.fast.winograd import winograd
from .parallel import by_itself

ELEMENTS = {"cpu": 1 << 23, "cuda": 1 << 30, "cuda-sim": 1 << 30}  # 32 MB and 4 GB in float32


def infer(model: Any, x: np.ndarray, training: bool = False) -> np.ndarray:
    """model's y for x (N, *input_shape), so many photos at a time that no array is larger than
    ELEMENTS, if a single photo's is not; all at once where a layer might mix them."""
    most = max(1, ELEMENTS[device_of(x)] // max(map(math.prod, model.shapes())))
    if len(x) > most and all(by_itself(layer) or type(layer) is Dropout for layer in model.layers):
        return xp_of(x).concatenate([infer(model, x[i:i + most], training)
                                     for i in range(0, len(x), most)])
    for layer in joined(model.layers):
        x = layer.forward(x, training, False)
    return x


class ConvPool:
    """pool(conv(x)), the same to the last bit. Winograd's convolution takes the largest of each 2×2
    outputs while a block of them is in the cache: what conv gives, in VGG16's first block the
    largest array of all, is never written. As rounding and max(·, 0) keep the order of numbers,
    b and ReLU come after the maximum, on a quarter of the numbers.

    Source: Alwani et al., "Fused-layer CNN accelerators", 2016.
    """

    def __init__(self, conv: Conv2D, pool: MaxPool2D) -> None:
        self.conv, self.pool = conv, pool

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = False) -> np.ndarray:
        """x (N, H, Wd, C) -> y (N, OH // 2, OW // 2, F)."""
        W, window = self.conv.weight(x.dtype), self.conv.windows(x.shape)
        algorithm = self.conv.algorithm
        if algorithm == "auto":
            algorithm = choose(x, W, window)
        if algorithm != "winograd" or device_of(x) != "cpu":
            return self.pool.forward(self.conv.forward(x, training, keep), training, keep)
        conv = copy.copy(self.conv)
        conv.linear = lambda x, finish: winograd(x, W, window, finish, pool=True)
        self.conv.cache = self.pool.cache = None
        return conv.forward(x, training, keep)


def joined(layers: list[Layer]) -> list[Layer | ConvPool]:
    """layers, each convolution (alone or with ReLU) and the 2×2 max pooling after it as one."""
    found: list = []
    for layer in layers:
        if (found and type(layer) is MaxPool2D and layer.window == ((2, 2), (2, 2))
                and layer.padding in ("valid", (0, 0)) and type(found[-1]) is Conv2D
                and by_itself(layer) and by_itself(found[-1])
                and type(found[-1].activation) in (type(None), ReLU)):
            layer = ConvPool(found.pop(), layer)
        found.append(layer)
    return found
