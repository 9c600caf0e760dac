"""Arrays from a file into layers: all of them or none, and a note of what was set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import prod
from os import PathLike
from pathlib import Path

import numpy as np

from ..layers import Dense, Flatten, Layer
from ..utils.errors import FileError

# VGG16's first number, W[0, 0, 0, 0] of block1_conv1; in a kernel rotated by 180° it is at
# W[2, 2, 0, 0].
FINGERPRINT = 0.42947057

Entries = Sequence[tuple[str | None, list[np.ndarray]]]  # (layer's name in the file, its arrays)


@dataclass
class ParamSlot:
    """A layer whose parameters are to be set.

    shapes:    of its parameters, by their names.
    flattened: (H, Wd, C) of the image whose pixels are the rows of W; None unless the layer is the
               first Dense after a Flatten.
    """

    layer: Layer
    shapes: dict[str, tuple[int, ...]]
    flattened: tuple[int, ...] | None


Match = tuple[ParamSlot, list[np.ndarray]]
Convert = Callable[[np.ndarray, ParamSlot], np.ndarray]


def assign(layers: Sequence[Layer], input_shape: tuple[int, ...], entries: Entries,
           path: str | PathLike) -> str:
    """Sets the layers' params to the file's arrays (float32, copied); returns what was set.

    Layers are matched by name; if no name matches, by order, provided that there are as many
    layers and every shape fits. Theano's kernels are converted.
    Raises FileError and changes nothing if a layer is missing or a shape does not fit.

    >>> assign(layers, (224, 224, 3), read_weights("vgg16.h5"), "vgg16.h5")
    'vgg16.h5: set 32 arrays, 138,357,544 parameters; skipped: none'
    """
    slots = _param_slots(layers, input_shape)
    matches, skipped, match_notes = _match(slots, entries, path)
    convert, convert_notes = _conversion(matches, getattr(entries, "backend", ""), path)
    ready = [(slot.layer, _convert_and_check(slot, arrays, convert, path))
             for slot, arrays in matches]

    for layer, params in ready:
        layer.params.update(params)  # the same dict: views of the network see the new arrays
    arrays = [array for _, params in ready for array in params.values()]
    return "; ".join([f"{Path(path).name}: set {len(arrays)} arrays, "
                      f"{sum(array.size for array in arrays):,} parameters",
                      f"skipped: {', '.join(skipped) or 'none'}", *match_notes, *convert_notes])


def _param_slots(layers: Sequence[Layer], shape: tuple[int, ...]) -> list[ParamSlot]:
    """The layers that have parameters, in order."""
    slots: list[ParamSlot] = []
    flattened = None
    for layer in layers:
        output_shape = layer.output_shape(shape)
        shapes = layer.param_shapes(shape)
        if isinstance(layer, Flatten) and len(shape) == 3:
            flattened = shape
        if shapes:
            slots.append(ParamSlot(layer, shapes, flattened))
        if isinstance(layer, Dense):
            flattened = None
        shape = output_shape
    return slots


def _match(slots: list[ParamSlot], entries: Entries, path: str | PathLike
           ) -> tuple[list[Match], list[str], list[str]]:
    """-> (matches, names of the file's layers that are skipped, notes on what was done)."""
    names = [name for name, _ in entries]
    wanted = [slot.layer.name for slot in slots]
    if not set(names) & set(wanted):
        matches = _match_by_order(slots, entries, path)
        note = "no layer's name matched, so layers were paired by their order"
        return matches, [], [note] if matches else []
    duplicates = {name for name in wanted if names.count(name) > 1 or wanted.count(name) > 1}
    if duplicates:
        raise FileError(f"{path}: several layers are called {_shorten(duplicates)}, in the file or "
                        f"in the model; give each a name of its own.")
    missing = [name for name in wanted if name not in names]
    if missing:
        raise FileError(f"{path}: expected arrays for {_shorten(missing)}, which the file lacks "
                        f"(it holds {_shorten(names)}). Load it before you replace the head, or "
                        f"build the network that the file belongs to.")
    arrays = dict(entries)
    return ([(slot, arrays[slot.layer.name]) for slot in slots],
            [str(name) for name in names if name not in wanted], [])


def _match_by_order(slots: list[ParamSlot], entries: Entries, path: str | PathLike) -> list[Match]:
    """The k-th convolution of the file is the model's k-th, and the same for dense layers.

    Separately for each class, because layout F without names keeps no order between classes.
    """
    matches: list[Match] = []
    for rank in (4, 2):  # Conv2D, Dense
        theirs = [arrays for _, arrays in entries if arrays[0].ndim == rank]
        ours = [slot for slot in slots if len(slot.shapes.get("W", ())) == rank]
        if len(ours) == len(theirs):
            matches += zip(ours, theirs, strict=True)
    if not len(matches) == len(slots) == len(entries) or not getattr(entries, "ordered", True):
        raise FileError(f"{path}: 0 of the model's {len(slots)} layers with parameters found: the "
                        f"model has {_shorten(slot.layer.name for slot in slots)}; the file's "
                        f"{len(entries)} are {_shorten(name for name, _ in entries)}. Names must "
                        f"match, or else number, kinds and order of the layers.")
    return matches


def _conversion(matches: list[Match], backend: str, path: str | PathLike
                ) -> tuple[Convert, list[str]]:
    """-> (function of a kernel and its slot, notes on what it does).

    Theano computes a true convolution, with the kernel rotated by 180°; every other backend a
    correlation. Keras 1 stored such kernels as (F, C, KH, KW), and flattened images as (C, H, Wd);
    Keras 2 on Theano stores (KH, KW, C, F), still rotated.
    """
    file = Path(path).name
    kernels = [(arrays[0], slot.shapes.get("W")) for slot, arrays in matches
               if arrays[0].ndim == 4]
    fits = [W.transpose(2, 3, 1, 0).shape == shape for W, shape in kernels]
    channels_first = any(fit and W.shape != shape
                         for fit, (W, shape) in zip(fits, kernels, strict=True)) or (
        "th_dim_ordering" in file and all(fits))  # the name decides if both orders of axes fit
    if channels_first:
        kernels = [(W.transpose(2, 3, 1, 0), shape) for W, shape in kernels]  # (KH, KW, C, F)
    rotated = _is_rotated([W for W, _ in kernels], backend, file, channels_first)

    def convert(W: np.ndarray, slot: ParamSlot) -> np.ndarray:
        if W.ndim == 4:
            W = W.transpose(2, 3, 1, 0) if channels_first else W  # (KH, KW, C, F)
            return W[::-1, ::-1] if rotated else W
        if channels_first and slot.flattened and W.shape[:1] == (prod(slot.flattened),):
            H, Wd, C = slot.flattened
            W = W.reshape(C, H, Wd, -1).transpose(1, 2, 0, 3)  # (H, Wd, C, units)
            return W.reshape(H * Wd * C, -1)                   # (H·Wd·C, units)
        return W

    notes = []
    if channels_first:
        notes.append("converted from (F, C, KH, KW), rows after Flatten from (C, H, W)")
    if rotated:
        notes.append("kernels rotated by 180°, from Theano")
    return convert, notes


def _is_rotated(kernels: list[np.ndarray], backend: str, file: str, channels_first: bool) -> bool:
    """Whether kernels (KH, KW, C, F) are rotated by 180°.

    Decided by VGG16's fingerprint, the file's name or its backend; if none of them tells, by the
    layout, since (F, C, KH, KW) is Theano's own.
    """
    for W in kernels:
        if W.shape == (3, 3, 3, 64):
            for corner, answer in ((0, False), (2, True)):
                if abs(W[corner, corner, 0, 0] - FINGERPRINT) < 1e-3:
                    return answer
    if "th_kernels" in file or "tf_kernels" in file:
        return "th_kernels" in file
    return backend.lower() == "theano" if backend else channels_first


def _convert_and_check(slot: ParamSlot, arrays: list[np.ndarray], convert: Convert,
                       path: str | PathLike) -> dict[str, np.ndarray]:
    """The layer's params as float32 copies; FileError if their number or a shape does not fit."""
    if len(arrays) != len(slot.shapes):
        raise FileError(f"{path}: layer {slot.layer.name!r}: expected {len(slot.shapes)} arrays "
                        f"({', '.join(slot.shapes)}), received {len(arrays)}.")
    params = {}
    for (key, shape), array in zip(slot.shapes.items(), arrays, strict=True):
        converted = convert(array, slot) if key == "W" else array
        if converted.shape != shape:
            raise FileError(f"{path}: layer {slot.layer.name!r}: expected {key} of shape {shape}, "
                            f"received {array.shape}. Does the file belong to this network, and "
                            f"to this image size?")
        params[key] = np.array(converted, np.float32, order="C")
    return params


def _shorten(names: Iterable[str | None]) -> str:
    """The first few names, for a message."""
    shown = [str(name) if name is not None else "(unnamed)" for name in names]
    return ", ".join(shown[:5]) + (f", … ({len(shown)} in all)" if len(shown) > 5 else "")
