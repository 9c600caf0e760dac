"""What every layer has: a name, parameters, their gradients, a forward and a backward."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..initializers import initialize
from ..ops import device_of, to_device


class Layer:
    """A function y = f(x; params) with its derivative.

    A layer of your own needs forward and backward; with parameters also param_shapes, and where y
    has another shape than x also output_shape. `minicnn gradcheck FILE.py:YourLayer` checks it.

    params:    {"W": array, "b": array}, filled by build
    grads:     {"W": dW, "b": db}, assigned (not accumulated) by backward
    trainable: False freezes the layer: backward computes no dW, Dropout lets everything through
    cache:     what forward keeps for backward
    window:    (kernel, strides), what one output looks at; None where it looks at all of x
    """

    arguments: tuple[str, ...] = ()  # the constructor's, kept under the same names
    random = False  # True where forward(training=True) draws random numbers
    window: tuple[tuple[int, int], tuple[int, int]] | None = ((1, 1), (1, 1))

    def __init__(self, name: str | None = None) -> None:
        self.name = name or type(self).__name__.lower()
        self.auto_named = name is None
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, np.ndarray] = {}
        self.trainable = True
        self.cache: Any = None

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x -> y. training: as in a training step. keep: keep in self.cache what backward needs."""
        raise ArgumentError(f"{self.name}: expected a forward(x, training, keep), found none. "
                            f"Define it in {type(self).__name__}.")

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dy = dL/dy -> dx = dL/dx; assigns self.grads unless the layer is frozen."""
        raise ArgumentError(f"{self.name}: expected a backward(dy), found none. "
                            f"Define it in {type(self).__name__}.")

    def backward_params(self, dy: np.ndarray) -> None:
        """Assigns self.grads only: where a training step ends, nobody asks for dx."""
        self.backward(dy)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of y without N, for x of input_shape without N; ShapeError where x does not fit."""
        return input_shape

    def param_shapes(self, input_shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """Shapes of the parameters, for x of input_shape (without N)."""
        return {}

    def build(self, input_shape: tuple[int, ...], rng: np.random.Generator | None) -> None:
        """Draws the parameters that are not there yet (zeros where rng is None)."""
        shapes = self.param_shapes(input_shape)
        for key, shape in shapes.items():
            if key in self.params and self.params[key].shape != shape:
                raise ShapeError(
                    f"{self.name}: expected {key} of shape {shape} for input {input_shape}, found "
                    f"{self.params[key].shape} from an earlier use. Make a new layer.")
        kind = getattr(self, "kernel_initializer", "glorot_uniform")
        self.params = self.params or {
            key: initialize(kind if len(shape) > 1 else "zeros", shape, rng)
            for key, shape in shapes.items()}

    def check(self, x: np.ndarray) -> None:
        """Raises unless x is a float array of a shape that fits and the parameters exist."""
        if getattr(x, "dtype", None) not in (np.float32, np.float64):
            raise ArgumentError(
                f"{self.name}: expected float32 or float64, received "
                f"{getattr(x, 'dtype', type(x).__name__)}. Pixels become floats by the model's "
                f"preprocessing, other numbers by x.astype('float32').")
        self.output_shape(x.shape[1:])
        for key, p in self.params.items():
            if device_of(p) != device_of(x):
                raise ArgumentError(f"{self.name}: expected x on {device_of(p)}, as {key}, "
                                    f"received x on {device_of(x)}. Move one: layer.to(…), "
                                    f"model.to(…), arrays.to_device(x, …).")
        if not self.params and self.param_shapes(x.shape[1:]):
            raise ArgumentError(f"{self.name}: expected parameters, found none yet. Put the layer "
                                f"into a Sequential, or call build(x.shape[1:], rng).")

    def to(self, device: str) -> Layer:
        """Moves parameters and gradients to "cpu", "cuda" or "cuda-sim"; forgets the cache."""
        for arrays in (self.params, self.grads):  # the same dicts: views see the moved arrays
            arrays.update({key: to_device(value, device) for key, value in arrays.items()})
        for layer in (self, getattr(self, "activation", None) or self):
            layer.cache = None
        return self

    def kept(self) -> Any:
        """self.cache, or a sentence where forward has kept nothing."""
        if self.cache is None:
            raise ArgumentError(f"{self.name}: expected a forward(x) before this backward(dy), "
                                f"found nothing kept. Call forward with keep=True first.")
        return self.cache

    def config(self) -> dict:
        """The constructor's arguments but the name, for files and repr."""
        return {key: getattr(self, key) for key in self.arguments}

    def __repr__(self) -> str:
        args = [f"{key}={value!r}" for key, value in self.config().items()]
        return f"{type(self).__name__}({', '.join([*args, f'name={self.name!r}'])})"
