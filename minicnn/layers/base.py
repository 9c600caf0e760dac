"""What every layer has: a name, parameters, their gradients, a forward and a backward."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..initializers import check_initializer, initialize
from ..ops import Window, array_module, to_device
from . import checks


class Layer:
    """A function y = f(x; params) with its derivative.

    A layer of your own needs forward and backward, param_shapes if it has parameters, and
    output_shape if y has another shape than x. `minicnn gradcheck FILE.py:YourLayer` checks it.

    params:    {"W": array, "b": array}, filled by build
    grads:     {"W": dW, "b": db}, assigned (not accumulated) by backward
    trainable: False freezes the layer: backward computes no dW, Dropout lets everything through
    needs_dx:  False at the lowest trainable layer of a training step: nobody reads its dx, and
               backward may return None (a layer serves one thread at a time)
    cache:     what forward keeps for backward
    """

    arguments: tuple[str, ...] = ()  # the constructor's, kept under the same names
    random = False  # True if forward(training=True) draws random numbers
    fusable = False  # True for ReLU: the operation before it can take max(z, 0), too
    activation: Layer | None = None  # of Conv2D and Dense: a layer of its own after this one
    generator: np.random.Generator | None = None  # of layers that draw random numbers
    kernel_initializer = "glorot_uniform"
    non_trainable: tuple[str, ...] = ()  # parameters that training changes by forward, not by dL/dp

    def __init__(self, name: str | None = None) -> None:
        self.name = name or type(self).__name__.lower()
        self.auto_named = name is None
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, np.ndarray] = {}
        self.trainable = True
        self.needs_dx = True
        self.cache: Any = None

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x -> y. training: as in a training step. keep: keep in self.cache what backward needs."""
        raise checks.missing_method(self, "forward(x, training, keep)")

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        """dy = dL/dy -> dx = dL/dx (None if not needs_dx); assigns self.grads unless frozen."""
        raise checks.missing_method(self, "backward(dy)")

    def read_cache(self) -> Any:
        """self.cache; ArgumentError if forward has not been called with keep=True."""
        if self.cache is None:
            raise checks.empty_cache(self)
        return self.cache

    def param(self, key: str, x: np.ndarray) -> np.ndarray:
        """params[key] in the dtype of x."""
        return self.params[key].astype(x.dtype, copy=False)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of y without N, for x of input_shape without N; ShapeError if x does not fit."""
        return input_shape

    def param_shapes(self, input_shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """Shapes of the parameters, for x of input_shape (without N)."""
        return {}

    def window(self, shape: tuple[int, ...]) -> Window | None:
        """The windows that the outputs look at, on an x of `shape` ((N,) H, Wd, C); None if each
        output looks at all of x. By default each looks at one pixel."""
        size = (shape[-3], shape[-2]) if len(shape) >= 3 else (1, 1)
        return Window.on_image(size, (1, 1), (1, 1))

    def build(self, input_shape: tuple[int, ...], rng: np.random.Generator | None) -> None:
        """Draws the missing parameters as initializer says; kernels are zero if rng is None."""
        shapes = self.param_shapes(input_shape)
        checks.check_rebuilt(self, shapes, input_shape)
        if self.params:
            return
        for key, shape in shapes.items():
            self.params[key] = initialize(self.initializer(key, shape), shape, rng)

    def initializer(self, key: str, shape: tuple[int, ...]) -> str:
        """The initializer of params[key], by name; by default vectors such as biases begin at 0."""
        return self.kernel_initializer if len(shape) > 1 else "zeros"

    def to(self, device: str) -> Layer:
        """Moves parameters and gradients to "cpu", "cuda" or "cuda-sim"; empties the caches."""
        for arrays in (self.params, self.grads):  # the same dicts: views see the moved arrays
            arrays.update({key: to_device(value, device) for key, value in arrays.items()})
        self.cache = None
        if self.activation is not None:
            self.activation.cache = None
        return self

    def config(self) -> dict:
        """The constructor's arguments except the name, for files and repr."""
        return {key: getattr(self, key) for key in self.arguments}

    def __repr__(self) -> str:
        arguments = [f"{key}={value!r}" for key, value in self.config().items()]
        return f"{type(self).__name__}({', '.join([*arguments, f'name={self.name!r}'])})"


class ActivatedLayer(Layer):
    """y = activation(z): what Conv2D and Dense have in common.

    activation: a layer or None. A ReLU is computed together with z, any other activation after it.
    """

    def __init__(self, activation_name: str | None, kernel_initializer: str, name: str | None,
                 use_bias: bool) -> None:
        super().__init__(name)
        check_initializer(self.name, kernel_initializer)
        self.activation_name = activation_name
        self.kernel_initializer = kernel_initializer
        self.use_bias = bool(use_bias)

    def no_bias(self, x: np.ndarray) -> np.ndarray:
        """Zeros in place of b, in the dtype of x."""
        return array_module(x).zeros(self.params["W"].shape[-1], x.dtype)

    @property
    def fused_relu(self) -> bool:
        """Whether the operation that computes z takes max(z, 0), too."""
        return self.activation is not None and self.activation.fusable

    def activation_forward(self, z: np.ndarray, training: bool, keep: bool) -> np.ndarray:
        """z -> y; with a fused ReLU z is y already."""
        if self.activation is None:
            return z
        if self.activation.fusable:
            self.activation.cache = z if keep else None
            return z
        return self.activation.forward(z, training, keep)

    def activation_backward(self, dy: np.ndarray) -> np.ndarray:
        """dy -> dz."""
        layer = self.activation
        return dy if layer is None else checks.required_dx(layer, layer.backward(dy))

    def config(self) -> dict:
        """As Layer.config, the activation by its name."""
        return {**super().config(), "activation": self.activation_name}
