"""LeakyReLU, ReLU6, HardSigmoid: piecewise linear layers without parameters, added to
ACTIVATIONS."""

from __future__ import annotations

from functools import partial

import numpy as np

from ..ops import ops_for
from . import argument_checks, checks
from .activations import ACTIVATIONS
from .base import Layer


class LeakyReLU(Layer):
    """y = x for x > 0, else negative_slope · x, of any shape; negative_slope is 0 or more.

    Derivation: dy/dx is 1 for x > 0, that is y > 0, else negative_slope.
    Source: Maas et al. 2013. Keras 2 calls the slope alpha; Dense(…, activation="leaky_relu") takes
    0.2, as Keras does.
    """

    arguments = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.3, name: str | None = None) -> None:
        super().__init__(name)
        self.negative_slope = argument_checks.as_number(negative_slope,
                                                    f"{self.name}, negative_slope", 0)

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x -> y of the same shape."""
        checks.check_input(self, x)
        y = ops_for(x).leaky_relu(x, self.negative_slope)
        self.cache = y if keep else None
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dx = dy where y > 0, else negative_slope · dy."""
        y = self.read_cache()
        return ops_for(dy, y).leaky_relu_grad(dy, y, self.negative_slope)


class ReLU6(Layer):
    """y = min(max(x, 0), 6), of any shape. At x = 0 and x = 6 the derivative is taken as 0.

    Derivation: dy/dx is 1 for 0 < x < 6, that is 0 < y < 6, else 0.
    Source: Krizhevsky 2010 (CIFAR-10), MobileNet. Keras also writes ReLU(max_value=6).
    """

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x -> y of the same shape."""
        checks.check_input(self, x)
        y = ops_for(x).clipped_line(x, 1, 0, 6)
        self.cache = y if keep else None
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dx = dy · [0 < y < 6]."""
        y = self.read_cache()
        return ops_for(dy, y).clipped_line_grad(dy, y, 1, 6)


class HardSigmoid(Layer):
    """y = min(max(slope · x + ½, 0), 1), of any shape: a sigmoid of three straight pieces.

    slope: 1/6 as in Keras 3 and PyTorch; Keras 1 and 2 compute 1/5 under this name, and their files
           are read so. 0 or more.
    Derivation: dy/dx is slope for 0 < y < 1, with 1/6 that is -3 < x < 3, else 0.
    Source: Courbariaux et al. 2015; with 1/6 Howard et al. 2019 (MobileNetV3).
    """

    arguments = ("slope",)

    def __init__(self, slope: float = 1 / 6, name: str | None = None) -> None:
        super().__init__(name)
        self.slope = argument_checks.as_number(slope, f"{self.name}, slope", 0)

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x -> y of the same shape."""
        checks.check_input(self, x)
        y = ops_for(x).clipped_line(x, self.slope, 0.5, 1)
        self.cache = y if keep else None
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dx = slope · dy · [0 < y < 1]."""
        y = self.read_cache()
        return ops_for(dy, y).clipped_line_grad(dy, y, self.slope, 1)


ACTIVATIONS.update({"leaky_relu": partial(LeakyReLU, 0.2), "relu6": ReLU6,
                    "hard_sigmoid": partial(HardSigmoid, 1 / 6)})
