"""Arrays from a file into layers: all of them or none, and the sentence that says what was set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np

from ..layers import Dense, Flatten, Layer
from ..utils.errors import FileError

# VGG16's first number, W[0, 0, 0, 0] of block1_conv1; in a kernel turned by 180° it stands at
# W[2, 2, 0, 0].
FINGERPRINT = 0.42947057


@dataclass
class Place:
    """A layer that waits for arrays, their shapes, and what its rows meant before Flatten."""

    layer: Layer
    shapes: dict[str, tuple[int, ...]]
    flattened: tuple[int, ...] | None  # (H, Wd, C) for the first Dense after a Flatten


def assign(layers: Sequence[Layer], input_shape: tuple[int, ...],
           entries: Sequence[tuple[str | None, list[np.ndarray]]], path: str | PathLike) -> str:
    """Sets the layers' params to the file's arrays (float32, copied) and says what was set.

    By name where the file's names meet the model's; where none does, by order, if there are as
    many layers and every shape fits. Theano kernels are converted on the way.
    Raises FileError and changes nothing where a layer is missing or a shape does not fit.

    >>> assign(layers, (224, 224, 3), read_weights("vgg16.h5"), "vgg16.h5")
    'vgg16.h5: set 32 arrays, 138,357,544 parameters; skipped: none'
    """
    places = _places(layers, input_shape)
    pairs, skipped, notes = _match(places, entries, path)
    convert, note = _conversion(pairs, getattr(entries, "backend", ""), path)
    ready = [(place.layer, _checked(place, arrays, convert, path)) for place, arrays in pairs]

    for layer, params in ready:
        layer.params.update(params)  # the same dict: views of the network see the new arrays
    arrays = [array for _, params in ready for array in params.values()]
    return "; ".join([f"{Path(path).name}: set {len(arrays)} arrays, "
                      f"{sum(array.size for array in arrays):,} parameters",
                      f"skipped: {', '.join(skipped) or 'none'}", *notes, *note])


def _places(layers: Sequence[Layer], shape: tuple[int, ...]) -> list[Place]:
    """The layers that have parameters, in order."""
    places, flattened = [], None
    for layer in layers:
        after = layer.output_shape(shape)
        shapes = layer.param_shapes(shape)
        if isinstance(layer, Flatten) and len(shape) == 3:
            flattened = shape
        if shapes:
            places.append(Place(layer, shapes, flattened))
        if isinstance(layer, Dense):
            flattened = None
        shape = after
    return places


def _match(places: list[Place], entries, path) -> tuple[list, list[str], list[str]]:
    """-> [(place, arrays)], names of the file's layers that are skipped, notes for the sentence."""
    names = [name for name, _ in entries]
    wanted = [place.layer.name for place in places]
    if not set(names) & set(wanted):
        pairs = _match_by_order(places, entries, path)
        return pairs, [], ["no layer's name matched, so layers were paired by their order"
                           ] if pairs else []
    double = {name for name in wanted if names.count(name) > 1 or wanted.count(name) > 1}
    if double:
        raise FileError(f"{path}: several layers are called {_some(double)}, in the file or in the "
                        f"model; give each a name of its own.")
    missing = [name for name in wanted if name not in names]
    if missing:
        raise FileError(f"{path}: expected arrays for {_some(missing)}, which the file lacks (it "
                        f"holds {_some(names)}). Load it before you replace the head, or build "
                        f"the network that the file belongs to.")
    arrays = dict(entries)
    return ([(place, arrays[place.layer.name]) for place in places],
            [str(name) for name in names if name not in wanted], [])


def _match_by_order(places: list[Place], entries, path) -> list[tuple[Place, list[np.ndarray]]]:
    """The k-th convolution of the file is the model's k-th, and so for dense layers.

    Per class, because layout F without names keeps no order between classes.
    """
    pairs: list[tuple[Place, list[np.ndarray]]] = []
    for rank in (4, 2):  # Conv2D, Dense
        theirs = [arrays for _, arrays in entries if arrays[0].ndim == rank]
        ours = [place for place in places if len(place.shapes.get("W", ())) == rank]
        if len(ours) == len(theirs):
            pairs += zip(ours, theirs, strict=True)
    if not len(pairs) == len(places) == len(entries) or not getattr(entries, "ordered", True):
        raise FileError(f"{path}: 0 of the model's {len(places)} layers with parameters found: the "
                        f"model has {_some(place.layer.name for place in places)}; the file's "
                        f"{len(entries)} are {_some(name for name, _ in entries)}. Names must "
                        f"match, or else number, kinds and order of the layers.")
    return pairs


def _conversion(pairs, backend: str, path) -> tuple:
    """-> (function of a kernel and its place, notes for the sentence).

    Theano convolves truly, with the kernel turned by 180°, where every other backend correlates.
    Keras 1 stored such kernels as (F, C, KH, KW), and flattened images as (C, H, Wd); Keras 2 on
    Theano stores (KH, KW, C, F), still turned.
    """
    file = Path(path).name
    kernels = [(arrays[0], place.shapes.get("W")) for place, arrays in pairs if arrays[0].ndim == 4]
    fits = [W.transpose(2, 3, 1, 0).shape == shape for W, shape in kernels]
    channels_first = any(fit and W.shape != shape
                         for fit, (W, shape) in zip(fits, kernels, strict=True)) or (
        "th_dim_ordering" in file and all(fits))  # the name decides where both axes orders fit
    if channels_first:
        kernels = [(W.transpose(2, 3, 1, 0), shape) for W, shape in kernels]  # (KH, KW, C, F)
    turned = _is_turned([W for W, _ in kernels], backend, file, channels_first)

    def convert(W: np.ndarray, place: Place) -> np.ndarray:
        if W.ndim == 4:
            W = W.transpose(2, 3, 1, 0) if channels_first else W  # (KH, KW, C, F)
            return W[::-1, ::-1] if turned else W
        if channels_first and place.flattened and W.shape[:1] == (np.prod(place.flattened),):
            H, Wd, C = place.flattened
            W = W.reshape(C, H, Wd, -1).transpose(1, 2, 0, 3)  # (H, Wd, C, units)
            return W.reshape(H * Wd * C, -1)                   # (H·Wd·C, units)
        return W

    notes = []
    if channels_first:
        notes.append("converted from (F, C, KH, KW), rows after Flatten from (C, H, W)")
    if turned:
        notes.append("kernels turned by 180°, from Theano")
    return convert, notes


def _is_turned(kernels: list[np.ndarray], backend: str, file: str, channels_first: bool) -> bool:
    """Whether kernels (KH, KW, C, F) are turned: by VGG16's fingerprint, the file's name, its
    backend; else by the layout, since (F, C, KH, KW) is Theano's own."""
    for W in kernels:
        if W.shape == (3, 3, 3, 64):
            for corner, answer in ((0, False), (2, True)):
                if abs(W[corner, corner, 0, 0] - FINGERPRINT) < 1e-3:
                    return answer
    if "th_kernels" in file or "tf_kernels" in file:
        return "th_kernels" in file
    return backend.lower() == "theano" if backend else channels_first


def _checked(place: Place, arrays: list[np.ndarray], convert, path) -> dict[str, np.ndarray]:
    """The layer's params as float32 copies, or a FileError where count or shape does not fit."""
    if len(arrays) != len(place.shapes):
        raise FileError(f"{path}: layer {place.layer.name!r}: expected {len(place.shapes)} arrays "
                        f"({', '.join(place.shapes)}), received {len(arrays)}.")
    params = {}
    for (key, shape), array in zip(place.shapes.items(), arrays, strict=True):
        converted = convert(array, place) if key == "W" else array
        if converted.shape != shape:
            raise FileError(f"{path}: layer {place.layer.name!r}: expected {key} of shape {shape}, "
                            f"received {array.shape}. Does the file belong to this network, and "
                            f"to this image size?")
        params[key] = np.array(converted, np.float32, order="C")
    return params


def _some(names) -> str:
    """The first few names, for a sentence."""
    names = [str(name) if name is not None else "(unnamed)" for name in names]
    return ", ".join(names[:5]) + (f", … ({len(names)} in all)" if len(names) > 5 else "")
