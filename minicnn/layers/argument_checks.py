"""Checks of the arguments of the layers other than the convolution; checks.py has those that all
layers share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..utils.errors import ArgumentError, ShapeError, as_pair, is_int

if TYPE_CHECKING:
    from .protocols import CheckedLayer, SizedLayer, SlopedLayer, StandardizingLayer


def check_pool_padding(name: str, padding: str | tuple[int, int], pool_size: tuple[int, int]
                       ) -> None:
    """No window may consist of padding only."""
    if not isinstance(padding, str) and (padding[0] >= pool_size[0] or padding[1] >= pool_size[1]):
        raise ArgumentError(f"{name}: expected padding smaller than the window {pool_size}, "
                            f"received {padding}: a window of padding only has nothing to pool.")


def as_rate(name: str, rate: float) -> float:
    """The share of inputs that Dropout sets to zero."""
    if not 0 <= rate < 1:
        raise ArgumentError(f"{name}: expected a rate from 0 to below 1, received {rate!r}.")
    return float(rate)


def as_number(value: float, what: str, least: float, below: float = float("inf")) -> float:
    """value as a float from `least` to less than `below`; raises ArgumentError for anything
    else."""
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


def check_channels(layer: CheckedLayer, key: str, input_shape: tuple[int, ...]) -> None:
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


def check_prelu(layer: SlopedLayer, input_shape: tuple[int, ...]) -> None:
    """x has the shared axes, and the shape that alpha was made for."""
    if max(layer.shared_axes or (1,)) > len(input_shape):
        raise ShapeError(f"{layer.name}: expected x with the shared axes {layer.shared_axes}, "
                         f"received {('N', *input_shape)}. Share axes from 1 to "
                         f"{len(input_shape)}.")
    alpha, shape = layer.params.get("alpha"), layer.param_shapes(input_shape)["alpha"]
    if alpha is not None and alpha.shape != shape:
        raise ShapeError(f"{layer.name}: expected x for alpha of shape {alpha.shape}, received "
                         f"{('N', *input_shape)}. Was the image size changed?")


def as_numbers(name: str, what: str, value: Any, least: float = -np.inf
               ) -> float | tuple[float, ...]:
    """value as a float, or as a tuple of them if it has several entries, all of them finite."""
    try:
        numbers = np.asarray(value, np.float64).reshape(-1)
    except (TypeError, ValueError):
        numbers = np.array([np.nan])
    if not len(numbers) or not np.isfinite(numbers).all() or (numbers < least).any():
        lower = "" if np.isinf(least) else f" of at least {least:g}"
        raise ArgumentError(f"{name}: expected {what} as a finite number{lower}, or one for each "
                            f"channel, received {value!r}.")
    return float(numbers[0]) if len(numbers) == 1 else tuple(numbers.tolist())


def check_per_channel(layer: CheckedLayer, keys: tuple[str, ...], input_shape: tuple[int, ...]
                      ) -> None:
    """Attributes that hold several numbers hold one for each channel."""
    for key in keys:
        value = getattr(layer, key)
        if isinstance(value, tuple) and (len(value),) != input_shape[-1:]:
            raise ShapeError(f"{layer.name}: expected x with {len(value)} channels, one for each "
                             f"{key}, received {('N', *input_shape)}. Does it follow the right "
                             f"layer?")


def check_mean_and_variance(name: str, mean: Any, variance: Any) -> None:
    """Either both are given or neither."""
    if (mean is None) != (variance is None):
        raise ArgumentError(f"{name}: expected mean and variance, or neither of them, received "
                            f"{mean!r} and {variance!r}.")


def check_has_mean(layer: StandardizingLayer) -> None:
    """mean and variance must be known."""
    if layer.mean is None:
        raise ArgumentError(f"{layer.name}: expected mean and variance, received none. Give them: "
                            f"Normalization(mean=…, variance=…), in the units of x.")


def as_target_shape(name: str, target_shape: Any) -> tuple[int, ...]:
    """One to three sizes, at most one of them -1."""
    sizes = tuple(target_shape) if isinstance(target_shape, (list, tuple)) else (target_shape,)
    if not (1 <= len(sizes) <= 3 and all(is_int(size, -1) and size != 0 for size in sizes)
            and sizes.count(-1) <= 1):
        raise ArgumentError(f"{name}: expected a target_shape of one to three sizes, (D,), (H, W) "
                            f"or (H, W, C), at most one of them -1, received {target_shape!r}. "
                            f"minicnn has no arrays of more axes.")
    return tuple(int(size) for size in sizes)


def check_reshaped(name: str, target_shape: tuple[int, ...], input_shape: tuple[int, ...]
                   ) -> tuple[int, ...]:
    """target_shape, its -1 replaced; x has as many numbers."""
    total = int(np.prod(input_shape))
    known = int(np.prod([size for size in target_shape if size != -1]))
    shape = tuple(total // known if size == -1 else size for size in target_shape)
    if int(np.prod(shape)) != total:
        raise ShapeError(f"{name}: expected x of as many numbers as {target_shape}, received "
                         f"{('N', *input_shape)}, which has {total} each. Change target_shape.")
    return shape


def as_permutation(name: str, dims: Any) -> tuple[int, ...]:
    """The axes from 1 in some order."""
    order = tuple(dims) if isinstance(dims, (list, tuple)) else (dims,)
    if not all(is_int(axis, 1) for axis in order) or sorted(order) != [*range(1, len(order) + 1)]:
        raise ArgumentError(f"{name}: expected dims, the axes from 1 in another order, received "
                            f"{dims!r}. N, axis 0, stays the first.")
    return tuple(int(axis) for axis in order)


def check_permuted(name: str, dims: tuple[int, ...], input_shape: tuple[int, ...]) -> None:
    """x has as many axes as dims."""
    if len(dims) != len(input_shape):
        raise ShapeError(f"{name}: expected x with {len(dims)} axes besides N, received "
                         f"{('N', *input_shape)}. Name all axes of x.")


def as_pads(name: str, padding: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    """1, (1, 2) or ((1, 2), (3, 4)) as ((top, bottom), (left, right))."""
    rows, columns = padding if isinstance(padding, (list, tuple)) and len(padding) == 2 else (
        padding, padding)
    return (as_pair(rows, f"{name}, padding", least=0),
            as_pair(columns, f"{name}, padding", least=0))


def check_crop(layer: SizedLayer, input_shape: tuple[int, ...]) -> None:
    """The image is not smaller than the crop."""
    if input_shape[0] < layer.height or input_shape[1] < layer.width:
        raise ShapeError(f"{layer.name}: expected x of at least {layer.height} × {layer.width} "
                         f"pixels, received {('N', *input_shape)}. Use larger images: minicnn "
                         f"crops and does not enlarge here.")


def check_resized(layer: SizedLayer, input_shape: tuple[int, ...]) -> None:
    """The image has that size already."""
    if input_shape[:2] != (layer.height, layer.width):
        raise ShapeError(f"{layer.name}: expected x of {layer.height} × {layer.width} pixels, "
                         f"received {('N', *input_shape)}. minicnn resizes photos before the "
                         f"network, not inside it: give the network that size, by "
                         f"input_shape=({layer.height}, {layer.width}, {input_shape[2]}).")
