"""What an analysis asks about: a class, a unit, a feature map; and a photo as the network sees it.

Every question becomes one number, the score S(x), so that its gradient dS/dx exists:

    class k of a softmax      S = z_k, the logit, not p_k: softmax lets the other classes speak, too
    one sigmoid output        S = z for class 1 and S = −z for class 0: log(p / (1 − p)) of that
                              class, so the gradient for class 0 is the negative of that for 1
    a unit (layer, k)         S = y[k]
    a feature map             S = Σ_{i,j} y[i, j, k], or y[i, j, k] with a position
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..data import resize_and_crop
from ..layers import Conv2D, Dense, Dropout, Layer, Pool2D, ReLU, Sigmoid, Softmax
from ..model import Sequential
from ..ops import to_cpu, to_device
from ..utils.errors import ArgumentError, is_int


@dataclass(frozen=True)
class Unit:
    """A unit or feature map as a target. layer None: the last convolution; unit None: the
    strongest for the photo; position (i, j): one place of the map, None the sum over all."""

    layer: str | None = None
    unit: int | None = None
    position: tuple[int, int] | None = None


Asked = int | str | Unit | None  # class number, class name, unit; None: the most probable class,
#                                  of a network without classes the strongest map


def layer_index(model: Sequential, name: str | None = None) -> int:
    """Place of the named layer, or of the last convolution."""
    names = [layer.name for layer in model.layers]
    if name is None:
        return names.index(maps_layer(model))
    if name not in names:
        near = difflib.get_close_matches(str(name), names, 3, 0.3) or names
        raise ArgumentError(f"{model.name}: expected the name of a layer, received {name!r}. "
                            f"Nearest: {', '.join(near)}.")
    return names.index(name)


def maps_layer(model: Sequential) -> str:
    """The last convolution; raises where the network has none."""
    found = [maps_of(model, place) for place, layer in enumerate(model.layers)
             if isinstance(layer, Conv2D)]
    if not found:
        raise ArgumentError(f"{model.name}: expected a network with a convolution, found "
                            f"{', '.join(type(layer).__name__ for layer in model.layers)}. "
                            f"Without feature maps there is nothing to see here.")
    return found[-1]


def maps_of(model: Sequential, place: int) -> str:
    """The name of a convolution, or of the ReLU that follows it as a layer of its own."""
    follower = model.layers[place + 1:place + 2]
    return model.layers[place + bool(follower and isinstance(follower[0], ReLU))].name


def chosen_layers(model: Sequential, layers: Sequence[str] | None = None) -> list[str]:
    """The named layers of maps; None: the convolution before each pooling and the last one, at most
    five in all, from low to high."""
    if layers is None:
        found, conv = [], None
        for place, layer in enumerate(model.layers):
            if isinstance(layer, Conv2D):
                conv = maps_of(model, place)
            elif isinstance(layer, Pool2D) and conv is not None:
                found.append(conv)
        found = list(dict.fromkeys([*found, maps_layer(model)]))
        places = np.linspace(0, len(found) - 1, min(5, len(found))).round().astype(int)
        return [found[place] for place in places]
    if not layers or isinstance(layers, str):
        raise ArgumentError(f"{model.name}: expected a list of layers, received {layers!r}. "
                            f"Name at least one, or leave it out.")
    for name in layers:
        shape = model.shapes()[layer_index(model, name) + 1]
        if len(shape) != 3:
            raise ArgumentError(f"{name}: expected a layer of feature maps (N, H, W, C), received "
                                f"outputs of shape {('N', *shape)}. Name one before Flatten.")
    return list(dict.fromkeys(layers))


def check_unit(model: Sequential, layer: str, unit: int) -> int:
    """unit, where the layer has it."""
    units = model.shapes()[layer_index(model, layer) + 1][-1]
    if not is_int(unit, 0) or unit >= units:
        raise ArgumentError(f"{layer}: expected a unit from 0 to {units - 1}, received {unit!r}.")
    return int(unit)


def copies(layers: list[Layer]) -> list[Layer]:
    """The same layers with the same parameters, but caches of their own: looking at a network
    disturbs no training step."""
    copied = [copy.copy(layer) for layer in layers]
    for layer in copied:
        layer.cache, layer.grads = None, {}
        if getattr(layer, "activation", None) is not None:
            layer.activation = copy.copy(layer.activation)
    return copied


def without_last_activation(layers: list[Layer]) -> list[Layer]:
    """The layers up to the logits: a Sigmoid or Softmax at the end is left out."""
    if layers and isinstance(layers[-1], (Sigmoid, Softmax)):
        return layers[:-1]
    if layers and isinstance(getattr(layers[-1], "activation", None), (Sigmoid, Softmax)):
        last = copy.copy(layers[-1])
        last.activation = None
        return [*layers[:-1], last]
    return layers


def has_classes(model: Sequential) -> bool:
    """Does it end in a vector with Sigmoid or Softmax, or in a Dense without activation, or name
    its classes? Dropout does not count."""
    last = next((layer for layer in reversed(model.layers) if not isinstance(layer, Dropout)), None)
    end = getattr(last, "activation", None) or last
    return len(model.shapes()[-1]) == 1 and (isinstance(end, (Dense, Sigmoid, Softmax))
                                             or model.classes is not None)


@dataclass
class Score:
    """S(x) of one target: y = layers(x), S = Σ weight · y over everything but N.

    layers: copies up to the target's layer, the last activation left out for classes.
    weight: of y's shape without N (or broadcastable to it).
    """

    name: str
    layers: list[Layer]
    weight: np.ndarray
    unit: int
    layer: str

    def values(self, y: np.ndarray) -> np.ndarray:
        """y (N, …) -> S (N,)."""
        return (y * self.weight).reshape(len(y), -1).sum(axis=1)

    def dy(self, y: np.ndarray) -> np.ndarray:
        """dS/dy, of y's shape and dtype."""
        dy = y * 0
        dy += self.weight
        return dy


def score_of(model: Sequential, x: np.ndarray, target: Asked = None) -> Score:
    """The score that `target` asks for; what it leaves open is decided by the photo x (1, …)."""
    if target is None and not has_classes(model):
        target = Unit()
    if isinstance(target, Unit):
        return _unit_score(model, x, target)
    layers = without_last_activation(copies(model.layers))
    if not has_classes(model):
        raise ArgumentError(f"{model.name}: expected a unit of a layer as target, received class "
                            f"{target!r}, and this network has no classes. Use "
                            f"visualize.Unit(layer, unit), or give it a head.")
    K = model.shapes()[-1][0]
    names = model.classes or [str(k) for k in range(max(K, 2))]
    if target is None:
        y = to_cpu(run(layers, x))[0]
        target = int(y[0] > 0) if K == 1 else int(y.argmax())
    elif isinstance(target, str):
        if target not in names:
            near = difflib.get_close_matches(target, names, 3, 0.3) or names[:10]
            raise ArgumentError(f"{model.name}: expected the name of a class, received {target!r}. "
                                f"Nearest: {', '.join(near)}.")
        target = names.index(target)
    if not is_int(target, 0) or target >= len(names):
        raise ArgumentError(f"{model.name}: expected a class from 0 to {len(names) - 1}, received "
                            f"{target!r}.")
    weight = np.zeros(K, np.float32)
    weight[target if K > 1 else 0] = -1 if K == 1 and target == 0 else 1
    return Score(names[target], layers, to_device(weight, model.device), int(target),
                 model.layers[-1].name)


def _unit_score(model: Sequential, x: np.ndarray, target: Unit) -> Score:
    place = layer_index(model, target.layer)
    name, shape = model.layers[place].name, model.shapes()[place + 1]
    layers = copies(model.layers[:place + 1])
    unit = target.unit
    if unit is None:
        y = to_cpu(run(layers, x))[0]
        unit = int(y.reshape(-1, shape[-1]).sum(axis=0).argmax())
    check_unit(model, name, unit)
    text = f"{name}, {'map' if len(shape) > 1 else 'unit'} {unit}"
    if target.position is None:
        weight = np.zeros(shape[-1], np.float32)  # (C,): serves a map of any size
        weight[unit] = 1
    else:
        i, j = check_position(name, shape, target.position)
        weight, text = np.zeros(shape, np.float32), f"{text} at ({i}, {j})"
        weight[i, j, unit] = 1
    return Score(text, layers, to_device(weight, model.device), unit, name)


def check_position(layer: str, shape: tuple[int, ...], position: tuple[int, int]
                   ) -> tuple[int, int]:
    """position, where a layer of that output shape (H, Wd, C) has it."""
    if len(shape) != 3 or np.shape(position) != (2,) or not all(
            is_int(p, 0) and p < n for p, n in zip(position, shape, strict=False)):
        raise ArgumentError(f"{layer}: expected a position (row, column) within {shape[:-1]}, "
                            f"received {position!r}.")
    return int(position[0]), int(position[1])


def run(layers: list[Layer], x: np.ndarray, keep: bool = False) -> np.ndarray:
    """x through these layers, as in prediction."""
    for layer in layers:
        x = layer.forward(x, keep=keep)
    return x


def photo_input(model: Sequential, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One photo -> pixels (H, Wd, 3) uint8 to show, x (1, H, Wd, C) on the model's device.

    image: uint8 (H', Wd', 3), cut to the network's size as in training; or floats, network input of
    input_shape, whose pixels are then worked back by the model's recipe.
    """
    image = to_cpu(image)
    image = image[0] if image.ndim == 4 and len(image) == 1 else image
    if image.dtype == np.uint8:
        recipe = model.preprocessing
        image = resize_and_crop(image, model.input_shape[:2], recipe.crop_fraction if recipe else 1)
        return image, model.to_input(image[None])
    model.check(image[None])
    if not np.isfinite(image).all():
        raise ArgumentError(f"{model.name}: expected a photo of finite numbers, received "
                            f"{(~np.isfinite(image)).sum()} that are NaN or infinite.")
    return to_pixels(model, image), to_device(image[None], model.device)


def to_pixels(model: Sequential, x: np.ndarray) -> np.ndarray:
    """Network input (…, H, Wd, C) -> RGB uint8: the recipe backwards; without one, or for other
    than 3 channels, the whole range is stretched to 0 … 255."""
    x, recipe = to_cpu(x).astype(np.float64), model.preprocessing
    if recipe is not None and x.shape[-1] == 3:
        x = x / recipe.scale + np.asarray(recipe.mean)
        x = x[..., ::-1] if recipe.channel_order == "BGR" else x
    else:
        x = x[..., :3] if x.shape[-1] >= 3 else np.repeat(x[..., :1], 3, axis=-1)
        x = (x - x.min()) / max(np.ptp(x), 1e-12) * 255
    return np.clip(np.rint(x), 0, 255).astype(np.uint8)


def as_rgb(model: Sequential, dx: np.ndarray) -> np.ndarray:
    """A gradient or projection (…, C) with its channels as red, green, blue."""
    bgr = model.preprocessing is not None and model.preprocessing.channel_order == "BGR"
    return to_cpu(dx)[..., ::-1] if bgr and dx.shape[-1] == 3 else to_cpu(dx)
