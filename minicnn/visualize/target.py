"""The target of an analysis: a class, a unit or a feature map; and a photo as the network sees it.

Every target becomes one number, the score S(x), so that its gradient dS/dx exists:

    class k of a softmax      S = z_k, the logit, not p_k, which depends on the other classes, too
    one sigmoid output        S = z for class 1 and S = −z for class 0: log(p / (1 − p)) of that
                              class, so the gradient for class 0 is the negative of that for 1
    a unit (layer, k)         S = y[k]
    a feature map             S = Σ_{i,j} y[i, j, k], or y[i, j, k] with a position
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..layers import NOISE_LAYERS, BatchNormalization, Conv2D, Dense, Layer, Pool2D, ReLU
from ..layers.sharing import copy_layers, last_activation, without_last_activation
from ..model import Sequential
from ..ops import to_cpu, to_device
from ..utils.errors import ArgumentError, is_int
from ..utils.language import gettext as _
from ..utils.suggest import closest_names
from .photos import crop_photo


@dataclass(frozen=True)
class Unit:
    """A unit or feature map as a target. layer None: the last convolution; unit None: the
    strongest for the photo; position (i, j): one element of the map, None: the sum over all."""

    layer: str | None = None
    unit: int | None = None
    position: tuple[int, int] | None = None


Target = int | str | Unit | None  # class number, class name, unit; None: the most probable class,
#                                   of a network without classes the strongest map


# Layers


def layer_index(model: Sequential, name: str | None = None) -> int:
    """Index of the named layer, or of the last convolution."""
    return model.index(maps_layer(model) if name is None else name)


def maps_layer(model: Sequential) -> str:
    """The last convolution (with its ReLU); raises ArgumentError if the network has none."""
    convolutions = [index for index, layer in enumerate(model.layers) if isinstance(layer, Conv2D)]
    if not convolutions:
        raise ArgumentError(f"{model.name}: expected a network with a convolution, received one of "
                            f"{', '.join(type(layer).__name__ for layer in model.layers)}. "
                            f"Without feature maps there is nothing to see here.")
    return with_relu(model, convolutions[-1])


def with_relu(model: Sequential, index: int) -> str:
    """The name of a convolution, or of the ReLU that follows it as a layer of its own, whether or
    not a batch normalization stands between the two."""
    last = index + 1
    while last < len(model.layers) and isinstance(model.layers[last], BatchNormalization):
        last += 1
    has_relu = last < len(model.layers) and isinstance(model.layers[last], ReLU)
    return model.layers[last if has_relu else index].name


def chosen_layers(model: Sequential, layers: Sequence[str] | None = None) -> list[str]:
    """The named layers of feature maps; None: the convolution before each pooling layer and the
    last one, at most five in all, from low to high."""
    if layers is None:
        names, convolution = [], None
        for index, layer in enumerate(model.layers):
            if isinstance(layer, Conv2D):
                convolution = with_relu(model, index)
            elif isinstance(layer, Pool2D) and convolution is not None:
                names.append(convolution)
        names = list(dict.fromkeys([*names, maps_layer(model)]))
        spaced = np.linspace(0, len(names) - 1, min(5, len(names))).round().astype(int)
        return [names[index] for index in spaced]
    if not layers or isinstance(layers, str):
        raise ArgumentError(f"{model.name}: expected a list of layers, received {layers!r}. "
                            f"Name at least one, or leave it out.")
    for name in layers:
        maps_shape(model, layer_index(model, name))
    return list(dict.fromkeys(layers))


def maps_shape(model: Sequential, index: int) -> tuple[int, int, int]:
    """(OH, OW, K) of a layer of feature maps; raises ArgumentError if it has none."""
    shape = model.shapes()[index + 1]
    if len(shape) != 3:
        raise ArgumentError(f"{model.layers[index].name}: expected a layer of feature maps "
                            f"(N, H, W, C), received outputs of shape {('N', *shape)}. Name one "
                            f"before Flatten.")
    return shape[0], shape[1], shape[2]


def check_unit(model: Sequential, layer: str, unit: int) -> int:
    """unit, if the layer has it."""
    units = model.shapes()[layer_index(model, layer) + 1][-1]
    if not is_int(unit, 0) or unit >= units:
        raise ArgumentError(f"{layer}: expected a unit from 0 to {units - 1}, received {unit!r}.")
    return int(unit)


# The network's end


def has_classes(model: Sequential) -> bool:
    """Does it end in a vector with Sigmoid or Softmax, or in a Dense without activation, or name
    its classes? Dropout and noise do not count."""
    layers = [layer for layer in model.layers if not isinstance(layer, NOISE_LAYERS)]
    ends_in_logits = bool(layers) and isinstance(layers[-1], Dense) and not layers[-1].activation
    return len(model.shapes()[-1]) == 1 and (
        ends_in_logits or last_activation(layers) is not None or model.classes is not None)


def class_names(model: Sequential) -> list[str]:
    """The names of the classes, or their numbers; two of them for one sigmoid output."""
    return model.classes or [str(k) for k in range(max(model.shapes()[-1][-1], 2))]


# The score


@dataclass
class Score:
    """S(x) of one target: y = layers(x), S = Σ weight · y over everything but N.

    layers: copies up to the target's layer, the last activation left out for classes.
    weight: of y's shape without N (or broadcastable to it).
    kind: what S is, if a sigmoid or softmax was left out: "logit, before softmax".
    """

    name: str
    layers: list[Layer]
    weight: np.ndarray
    unit: int
    layer: str
    kind: str = ""

    def values(self, y: np.ndarray) -> np.ndarray:
        """y (N, …) -> S (N,)."""
        return (y * self.weight).reshape(len(y), -1).sum(axis=1)

    def dy(self, y: np.ndarray) -> np.ndarray:
        """dS/dy, of y's shape and dtype."""
        dy = y * 0
        dy += self.weight
        return dy


def score_of(model: Sequential, x: np.ndarray, target: Target = None) -> Score:
    """The score of the target; the photo x (1, …) decides what the target leaves open."""
    if target is None and not has_classes(model):
        target = Unit()
    if isinstance(target, Unit):
        return _unit_score(model, x, target)
    layers = without_last_activation(copy_layers(model.layers))
    if not has_classes(model):
        raise ArgumentError(f"{model.name}: expected a unit of a layer as target, received class "
                            f"{target!r}, and this network has no classes. Use "
                            f"visualize.Unit(layer, unit), or give it a head.")
    K, names = model.shapes()[-1][0], class_names(model)
    if target is None:
        y = to_cpu(forward(layers, x))[0]
        target = int(y[0] > 0) if K == 1 else int(y.argmax())
    elif isinstance(target, str):
        if target not in names:
            nearest = closest_names(target, names) or names[:10]
            raise ArgumentError(f"{model.name}: expected the name of a class, received {target!r}. "
                                f"Nearest: {', '.join(nearest)}.")
        target = names.index(target)
    if not is_int(target, 0) or target >= len(names):
        raise ArgumentError(f"{model.name}: expected a class from 0 to {len(names) - 1}, received "
                            f"{target!r}.")
    weight = np.zeros(K, np.float32)
    weight[target if K > 1 else 0] = -1 if K == 1 and target == 0 else 1
    left_out = last_activation(model.layers)
    kind = "" if left_out is None else _("logit, before {activation}",
                                         activation=type(left_out).__name__.lower())
    return Score(names[target], layers, to_device(weight, model.device), int(target),
                 model.layers[-1].name, kind)


def _unit_score(model: Sequential, x: np.ndarray, target: Unit) -> Score:
    index = layer_index(model, target.layer)
    name, shape = model.layers[index].name, model.shapes()[index + 1]
    layers = copy_layers(model.layers[:index + 1])
    unit = target.unit
    if unit is None:
        y = to_cpu(forward(layers, x))[0]
        unit = int(y.reshape(-1, shape[-1]).sum(axis=0).argmax())
    check_unit(model, name, unit)
    text = (_("{layer}, map {unit}", layer=name, unit=unit) if len(shape) > 1 else
            _("{layer}, unit {unit}", layer=name, unit=unit))
    if target.position is None:
        weight = np.zeros(shape[-1], np.float32)  # (C,): fits a map of any size
        weight[unit] = 1
    else:
        i, j = check_position(name, shape, target.position)
        weight, text = np.zeros(shape, np.float32), _("{map} at ({row}, {column})", map=text,
                                                      row=i, column=j)
        weight[i, j, unit] = 1
    return Score(text, layers, to_device(weight, model.device), unit, name)


def check_position(layer: str, shape: tuple[int, ...], position: tuple[int, int]
                   ) -> tuple[int, int]:
    """position, if a layer of that output shape (H, Wd, C) has it."""
    if len(shape) != 3 or np.shape(position) != (2,) or not all(
            is_int(p, 0) and p < n for p, n in zip(position, shape, strict=False)):
        raise ArgumentError(f"{layer}: expected a position (row, column) within {shape[:-1]}, "
                            f"received {position!r}.")
    return int(position[0]), int(position[1])


def forward(layers: Sequence[Layer], x: np.ndarray, keep: bool = False) -> np.ndarray:
    """x through these layers, as in prediction; keep: for a backward pass."""
    for layer in layers:
        x = layer.forward(x, keep=keep)
    return x


# Photos


def photo_input(model: Sequential, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One photo -> pixels (H, Wd, 3) uint8 to show, x (1, H, Wd, C) on the model's device.

    image: uint8 (H', Wd', 3), cropped to the network's size as in training; or floats, network
    input of input_shape, whose pixels are then reconstructed by to_pixels.
    """
    image = to_cpu(image)
    image = image[0] if image.ndim == 4 and len(image) == 1 else image
    if image.dtype == np.uint8:
        image = crop_photo(model, image)
        return image, model.to_input(image[None])
    model.check(image[None])
    if not np.isfinite(image).all():
        raise ArgumentError(f"{model.name}: expected a photo of finite numbers, received "
                            f"{(~np.isfinite(image)).sum()} that are NaN or infinite.")
    return to_pixels(model, image), to_device(image[None], model.device)


def to_pixels(model: Sequential, x: np.ndarray) -> np.ndarray:
    """Network input (…, H, Wd, C) -> RGB uint8 (…, H, Wd, 3): the inverse of the preprocessing;
    without one, the whole range is scaled to 0 … 255."""
    x = to_cpu(x).astype(np.float64)
    if model.preprocessing is not None:
        x = model.preprocessing.inverse(x)
    else:
        x = x[..., :3] if x.shape[-1] >= 3 else np.repeat(x[..., :1], 3, axis=-1)
        x = (x - x.min()) / max(np.ptp(x), 1e-12) * 255
    return np.clip(np.rint(x), 0, 255).astype(np.uint8)


def as_rgb(model: Sequential, dx: np.ndarray) -> np.ndarray:
    """A gradient or projection (…, C) with its channels as red, green, blue."""
    return to_cpu(dx) if model.preprocessing is None else model.preprocessing.to_rgb(to_cpu(dx))
