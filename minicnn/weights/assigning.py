"""Arrays from a file into layers: all of them or none, and a note of what was set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from os import PathLike
from pathlib import Path

import numpy as np

from ..layers import Dense, Flatten, Layer
from ..utils.errors import FileError
from .matching import (
    Entries,
    Pairs,
    ParamSlot,
    by_name,
    by_order,
    has_chosen_name,
    is_one_to_one,
    no_match,
    shorten,
)
from .reading import StoredArray

# VGG16's first number, W[0, 0, 0, 0] of block1_conv1; in a kernel rotated by 180° it is at
# W[2, 2, 0, 0].
FINGERPRINT = 0.42947057


class MismatchError(FileError):
    """A layer of the file that does not fit that of the network: the number of arrays, or a shape.
    """


Ready = tuple[ParamSlot, int, dict[str, np.ndarray]]  # a layer, its entry's number, its params
Convert = Callable[[np.ndarray, ParamSlot], np.ndarray]


def assign(layers: Sequence[Layer], input_shape: tuple[int, ...], entries: Entries,
           path: str | PathLike, skip_mismatch: bool = False) -> str:
    """Sets the layers' params to the file's arrays (float32, copied); returns what was set, and
    whether the layers were matched by name or by order.

    By name, if the file has a layer with the name of each layer of the model. Otherwise by order,
    if number, kinds and shapes agree, and so do names unlike Keras' automatic ones: Keras counts
    layers through a whole session, so the first Conv2D of a file may be conv2d_7. Theano's kernels
    are converted.
    skip_mismatch: leaves layers as they are for which the file has nothing that fits, such as a new
    head. By name, if the file has the name of the model's first layer, or one that a person chose;
    otherwise by order, up to the first layer that does not fit.
    Raises FileError and changes nothing if a layer is missing, a shape does not fit or an array
    that fits is damaged; with skip_mismatch, if no layer fits.

    >>> assign(layers, (224, 224, 3), read_weights("vgg16.h5"), "vgg16.h5")
    'vgg16.h5: set 32 arrays, 138,357,544 parameters; skipped: none; layers matched by name'
    """
    slots = _param_slots(layers, input_shape)
    match = _match_some if skip_mismatch else _match_all
    ready, notes = match(slots, entries, path)
    numbers = {number for _, number, _ in ready}
    skipped = [str(name) for k, (name, _) in enumerate(entries) if k not in numbers]

    for slot, _, params in ready:
        slot.layer.params.update(params)  # the same dict: views of the network see the new arrays
    arrays = [array for _, _, params in ready for array in params.values()]
    return "; ".join([f"{Path(path).name}: set {len(arrays)} arrays, "
                      f"{sum(array.size for array in arrays):,} parameters",
                      f"skipped: {', '.join(skipped) or 'none'}", *notes])


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


def _match_all(slots: list[ParamSlot], entries: Entries, path: str | PathLike
               ) -> tuple[list[Ready], list[str]]:
    """Every layer of the model with its parameters, and notes on how they were matched."""
    named = by_name(slots, entries, path)
    if len(named) == len(slots) and (named or not entries):
        return _convert_pairs(named, entries, path, ["layers matched by name"] * bool(named))
    pairs = by_order(slots, entries)
    if not is_one_to_one(pairs, slots, entries):
        raise no_match(slots, entries, path)
    try:
        return _convert_pairs(pairs, entries, path, [_order_note(pairs, entries)])
    except MismatchError:
        if has_chosen_name(named):  # then order was a poor guess, and names tell what is missing
            raise no_match(slots, entries, path) from None
        raise


def _convert_pairs(pairs: Pairs, entries: Entries, path: str | PathLike, notes: list[str]
                   ) -> tuple[list[Ready], list[str]]:
    """All pairs with their parameters, and the notes; FileError if a shape does not fit."""
    convert, more_notes = _conversion(pairs, entries, path)
    return [(slot, number, _convert_and_check(slot, entries[number][1], convert, path))
            for slot, number in pairs], notes + more_notes


def _match_some(slots: list[ParamSlot], entries: Entries, path: str | PathLike
                ) -> tuple[list[Ready], list[str]]:
    """The layers of the model for which the file has parameters that fit, and notes."""
    pairs = by_name(slots, entries, path)
    named = bool(pairs) and (pairs[0][0] is slots[0] or has_chosen_name(pairs))
    pairs = pairs if named else by_order(slots, entries)
    convert, notes = _conversion(pairs, entries, path)
    ready: list[Ready] = []
    for slot, number in pairs:
        try:
            params = _convert_and_check(slot, entries[number][1], convert, path)
        except MismatchError:
            if not named:
                break  # what comes after a layer that differs may be of another network
        else:
            ready.append((slot, number, params))
    if not ready:
        raise no_match(slots, entries, path)
    pairs = [(slot, number) for slot, number, _ in ready]
    matched = [slot.layer.name for slot, _ in pairs]
    unmatched = [slot.layer.name for slot in slots if slot.layer.name not in matched]
    return ready, ["layers matched by name" if named else _order_note(pairs, entries),
                   f"left as they were: {', '.join(unmatched) or 'none'}", *notes]


def _order_note(pairs: Pairs, entries: Entries) -> str:
    """Says that layers were matched by order, and which with which if the names differ."""
    names = [(entries[number][0], slot.layer.name) for slot, number in pairs]
    renamed = [f"{theirs} → {ours}" for theirs, ours in names if theirs not in (None, ours)]
    reason = f"their names differ: {shorten(renamed)}" if renamed else "the file has no names"
    return f"layers matched by order, as {reason}"


def _conversion(pairs: Pairs, entries: Entries, path: str | PathLike
                ) -> tuple[Convert, list[str]]:
    """-> (function of a kernel and its slot, notes on what it does).

    Theano computes a true convolution, with the kernel rotated by 180°; every other backend a
    correlation. Keras 1 stored such kernels as (F, C, KH, KW), and flattened images as (C, H, Wd);
    Keras 2 on Theano stores (KH, KW, C, F), still rotated.
    """
    file, backend = Path(path).name, getattr(entries, "backend", "")
    kernels = [(entries[number][1][0], slot.shapes.get("W")) for slot, number in pairs
               if entries[number][1][0].ndim == 4]
    fits = [tuple(W.shape[axis] for axis in (2, 3, 1, 0)) == shape for W, shape in kernels]
    channels_first = any(fit and W.shape != shape
                         for fit, (W, shape) in zip(fits, kernels, strict=True)) or (
        "th_dim_ordering" in file and all(fits))  # the name decides if both orders of axes fit
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


def _is_rotated(kernels: list[StoredArray | np.ndarray], backend: str, file: str,
                channels_first: bool) -> bool:
    """Whether kernels (KH, KW, C, F), with channels_first (F, C, KH, KW), are rotated by 180°.

    Decided by VGG16's fingerprint, the file's name or its backend; if none of them tells, by the
    layout, since (F, C, KH, KW) is Theano's own.
    """
    for kernel in kernels:
        if kernel.shape == ((64, 3, 3, 3) if channels_first else (3, 3, 3, 64)):
            W = np.asarray(kernel)
            W = W.transpose(2, 3, 1, 0) if channels_first else W
            for corner, answer in ((0, False), (2, True)):
                if abs(W[corner, corner, 0, 0] - FINGERPRINT) < 1e-3:
                    return answer
    if "th_kernels" in file or "tf_kernels" in file:
        return "th_kernels" in file
    return backend.lower() == "theano" if backend else channels_first


def _convert_and_check(slot: ParamSlot, arrays: Sequence[StoredArray | np.ndarray],
                       convert: Convert, path: str | PathLike) -> dict[str, np.ndarray]:
    """The layer's params as float32 copies; MismatchError if their number or a shape does not fit,
    another FileError if they are damaged.

    An array of the file is read only if it has as many numbers as the parameter: a small file may
    hold a packed array of any size.
    """
    if len(arrays) != len(slot.shapes):
        raise MismatchError(f"{path}: layer {slot.layer.name!r}: expected {len(slot.shapes)} "
                            f"arrays ({', '.join(slot.shapes)}), received {len(arrays)}.")
    params = {}
    for (key, shape), array in zip(slot.shapes.items(), arrays, strict=True):
        fits = prod(array.shape) == prod(shape)
        if fits:
            numbers = np.asarray(array)
            converted = convert(numbers, slot) if key == "W" else numbers
            fits = converted.shape == shape
        if not fits:
            raise MismatchError(f"{path}: layer {slot.layer.name!r}: expected {key} of shape "
                                f"{shape}, received {array.shape}. Does the file belong to this "
                                f"network, and to this image size? With skip_mismatch=True "
                                f"load_weights leaves the layer as it is.")
        if key.endswith("variance") and (converted < 0).any():
            raise FileError(f"{path}: layer {slot.layer.name!r}: expected a {key} of 0 or more, "
                            f"received {converted.min():g}; the training that wrote it had failed, "
                            f"or the file is damaged.")
        params[key] = np.array(converted, np.float32, order="C")
    return params
