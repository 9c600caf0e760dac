"""Checks of inputs and arguments, apart from the mathematics; argument_checks.py has the rest.

A check returns nothing, or its argument in the form that the layer stores, or raises an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ..ops import Window, device_of
from ..utils.errors import ArgumentError, ShapeError, as_pair

if TYPE_CHECKING:
    from .protocols import CheckedLayer, Convolution, FullyConnected, WindowedLayer


def check_input(layer: CheckedLayer, x: np.ndarray) -> None:
    """x is a float array of a fitting shape, on the device of the parameters, which must exist."""
    if getattr(x, "dtype", None) not in (np.float32, np.float64):
        raise ArgumentError(
            f"{layer.name}: expected float32 or float64, received "
            f"{getattr(x, 'dtype', type(x).__name__)}. Pixels become floats by the model's "
            f"preprocessing, other numbers by x.astype('float32').")
    layer.output_shape(x.shape[1:])  # raises if the shape does not fit
    for key, p in layer.params.items():
        if device_of(p) != device_of(x):
            raise ArgumentError(f"{layer.name}: expected x on {device_of(p)}, as {key}, "
                                f"received x on {device_of(x)}. Move one: layer.to(…), "
                                f"model.to(…), to_device(x, …).")
    if not layer.params and layer.param_shapes(x.shape[1:]):
        raise ArgumentError(f"{layer.name}: expected parameters, found none yet. Put the layer "
                            f"into a Sequential, or call build(x.shape[1:], rng).")


def empty_cache(layer: CheckedLayer) -> ArgumentError:
    """The error for a backward without a forward before it."""
    return ArgumentError(f"{layer.name}: backward(dy) needs the cache of forward(x): expected "
                         f"one, found none. Call forward(x, keep=True) first.")


def missing_method(layer: CheckedLayer, method: str) -> ArgumentError:
    """The error for a layer that does not define a method it needs."""
    return ArgumentError(f"{layer.name}: expected a {method}, found none. "
                         f"Define it in {type(layer).__name__}.")


def required_dx(layer: CheckedLayer, dx: np.ndarray | None) -> np.ndarray:
    """dx of the layer's backward, which the layer before it needs."""
    if dx is None:
        raise missing_method(layer, "backward(dy) that returns dx, unless self.needs_dx is False")
    return dx


def check_rebuilt(layer: CheckedLayer, shapes: dict[str, tuple[int, ...]],
                  input_shape: tuple[int, ...]) -> None:
    """Parameters that exist already have the shapes that this input needs."""
    for key, shape in shapes.items():
        if key in layer.params and layer.params[key].shape != shape:
            raise ShapeError(
                f"{layer.name}: expected {key} of shape {shape} for input {input_shape}, found "
                f"{layer.params[key].shape} from an earlier use. Make a new layer.")


def check_activation(name: str, activation: str | None, known: Iterable[str]) -> None:
    """activation is None or the name of one."""
    if activation is not None and activation not in known:
        raise ArgumentError(f"{name}: expected activation None or one of {', '.join(known)}, "
                            f"received {activation!r}.")


def check_ordinary_convolution(name: str, dilation_rate: int | tuple[int, int], groups: int
                               ) -> None:
    """Keras' arguments that this engine lacks must have the values that change nothing."""
    if as_pair(dilation_rate, f"{name}, dilation_rate") != (1, 1) or groups != 1:
        raise ArgumentError(f"{name}: expected dilation_rate 1 and groups 1, received "
                            f"{dilation_rate} and {groups}. minicnn has neither dilated nor "
                            f"grouped convolution.")


def as_padding(name: str, padding: str | int | tuple[int, int]) -> str | tuple[int, int]:
    """padding as the layers keep it: "same", "valid" or a pair of ints of at least 0."""
    if not isinstance(padding, str):
        return as_pair(padding, f"{name}, padding", least=0)
    if padding not in ("same", "valid"):
        raise ArgumentError(f'{name}: expected padding "same", "valid" or an int, '
                            f"received {padding!r}.")
    return padding


def check_images(name: str, input_shape: tuple[int, ...]) -> None:
    """input_shape is (H, Wd, C)."""
    if len(input_shape) != 3:
        raise ShapeError(f"{name}: expected x of shape (N, H, W, C), received "
                         f"{('N', *input_shape)}. Is a Flatten before it?")


def check_windows(layer: WindowedLayer, input_shape: tuple[int, ...], window: Window) -> None:
    """At least one window fits on the image."""
    if min(window.output_size) < 1:
        raise ShapeError(f"{layer.name}: expected x of at least {window.kernel} pixels, less "
                         f"padding {layer.padding!r}, received {('N', *input_shape)}. Use a larger "
                         f"image or fewer poolings.")


def check_conv2d(layer: Convolution, input_shape: tuple[int, ...], window: Window) -> None:
    """At least one window fits, and the image has as many channels as the kernels."""
    check_windows(layer, input_shape, window)
    W = layer.params.get("W")
    if W is not None and input_shape[2] != W.shape[2]:
        raise ShapeError(f"{layer.name}: expected {W.shape[2]} input channels (W is {W.shape}), "
                         f"received x of shape {('N', *input_shape)}. Did you skip a layer?")
    if layer.activation_name == "softmax":
        check_softmax_units(layer.name, (layer.filters,))


def check_dense(layer: FullyConnected, input_shape: tuple[int, ...]) -> None:
    """input_shape is (D,), with as many inputs as W has."""
    if len(input_shape) != 1:
        raise ShapeError(f"{layer.name}: expected x of shape (N, D), received {('N', *input_shape)}"
                         f". Put Flatten() or GlobalAveragePool2D() before it.")
    W = layer.params.get("W")
    if W is not None and input_shape[0] != W.shape[0]:
        raise ShapeError(f"{layer.name}: expected {W.shape[0]} inputs (W is {W.shape}), "
                         f"received x of shape {('N', *input_shape)}. Was the image size changed?")
    if layer.activation_name == "softmax":
        check_softmax_units(layer.name, (layer.units,))


def check_softmax_units(name: str, input_shape: tuple[int, ...]) -> None:
    """The softmax of one unit is 1 whatever its input, and nothing can be trained."""
    if not input_shape or input_shape[-1] < 2:
        raise ArgumentError(f"{name}: expected at least 2 units, received {('N', *input_shape)}. "
                            f"The softmax of one unit is always 1, so it cannot learn; use "
                            f"Dense(1) with Sigmoid.")
