"""What the layers other than the convolution refuse, as checks.py does for all of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..utils.errors import ArgumentError, ShapeError, is_int


def check_pool_padding(name: str, padding: str | tuple[int, int], pool_size: tuple[int, int]
                       ) -> None:
    """No window can hold padding only."""
    if not isinstance(padding, str) and (padding[0] >= pool_size[0] or padding[1] >= pool_size[1]):
        raise ArgumentError(f"{name}: expected padding smaller than the window {pool_size}, "
                            f"received {padding}: a window of padding only has nothing to pool.")


def as_rate(name: str, rate: float) -> float:
    """The share of inputs that Dropout sets to zero."""
    if not 0 <= rate < 1:
        raise ArgumentError(f"{name}: expected a rate from 0 to below 1, received {rate!r}.")
    return float(rate)


def as_number(value: float, what: str, least: float, below: float = float("inf")) -> float:
    """value as a float from `least` to less than `below`; raises ArgumentError for all else."""
    if (not isinstance(value, (int, float, np.integer, np.floating)) or isinstance(value, bool)
            or not least <= value < below):
        upper = "" if np.isinf(below) else f" and below {below:g}"
        raise ArgumentError(f"{what}: expected a finite number of at least {least:g}{upper}, "
                            f"received {value!r}.")
    return float(value)


def check_last_axis(name: str, axis: int, input_shape: tuple[int, ...]) -> None:
    """axis is the last one of x (N, *input_shape), that of the channels."""
    if axis not in (-1, len(input_shape)):
        raise ArgumentError(f"{name}: expected axis -1 or {len(input_shape)}, the last one of x "
                            f"{('N', *input_shape)}, received {axis!r}. In minicnn channels are "
                            f"the last axis.")


def as_axis(name: str, axis: Any) -> int:
    """axis as an int; Keras 2 writes [3]."""
    if isinstance(axis, (list, tuple)) and len(axis) == 1:
        axis = axis[0]
    if not is_int(axis, -1):
        raise ArgumentError(f"{name}: expected an axis of -1, the last one, received {axis!r}.")
    return int(axis)


def check_channels(layer: Any, key: str, input_shape: tuple[int, ...]) -> None:
    """x has as many channels as params[key] has entries."""
    values = layer.params.get(key)
    if not input_shape or (values is not None and input_shape[-1] != values.shape[-1]):
        channels = "one axis besides N" if values is None else f"{values.shape[-1]} channels"
        raise ShapeError(f"{layer.name}: expected x with {channels}, received "
                         f"{('N', *input_shape)}. Did you skip a layer?")


def as_axes(name: str, axes: Any) -> tuple[int, ...] | None:
    """Axes of x besides N, which is 0, as a tuple of ints; None stays None."""
    if axes is None:
        return None
    values = axes if isinstance(axes, (tuple, list)) else (axes,)
    if not all(is_int(axis, 1) for axis in values):
        raise ArgumentError(f"{name}: expected shared_axes None, an axis of x from 1, or several, "
                            f"received {axes!r}.")
    return tuple(int(axis) for axis in values)


def check_prelu(layer: Any, input_shape: tuple[int, ...]) -> None:
    """x has the shared axes, and the shape that alpha was made for."""
    if max(layer.shared_axes or (1,)) > len(input_shape):
        raise ShapeError(f"{layer.name}: expected x with the shared axes {layer.shared_axes}, "
                         f"received {('N', *input_shape)}. Share axes from 1 to "
                         f"{len(input_shape)}.")
    alpha, shape = layer.params.get("alpha"), layer.param_shapes(input_shape)["alpha"]
    if alpha is not None and alpha.shape != shape:
        raise ShapeError(f"{layer.name}: expected x for alpha of shape {alpha.shape}, received "
                         f"{('N', *input_shape)}. Was the image size changed?")
