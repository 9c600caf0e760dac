"""Which layer of a file belongs to which layer of the network: by name, or else by order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike

import numpy as np

from ..layers import Layer
from ..utils.errors import FileError
from .reading import StoredArray

# (layer's name in the file, its arrays)
Entries = Sequence[tuple[str | None, Sequence[StoredArray | np.ndarray]]]


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


Pairs = list[tuple[ParamSlot, int]]  # a layer, and the number of its entry in the file


def by_name(slots: Sequence[ParamSlot], entries: Entries, path: str | PathLike) -> Pairs:
    """The pairs of layers that have the same name; FileError if a name stands for several."""
    names = [name for name, _ in entries]
    wanted = [slot.layer.name for slot in slots]
    duplicates = {name for name in wanted
                  if name in names and names.count(name) + wanted.count(name) > 2}
    if duplicates:
        raise FileError(f"{path}: several layers are called {shorten(duplicates)}, in the file or "
                        f"in the model; give each a name of its own.")
    return [(slot, names.index(slot.layer.name)) for slot in slots if slot.layer.name in names]


def by_order(slots: Sequence[ParamSlot], entries: Entries) -> Pairs:
    """The k-th convolution of the file is the model's k-th, and the same for every kind of layer,
    up to the first layer of the model for which the file has no more of its kind.

    Separately for each kind, because layout F sorts layers by class. Nothing, if the file does not
    tell the order within a class.
    """
    if not getattr(entries, "ordered", True):
        return []
    left: dict[tuple[int, ...], list[int]] = {}
    for number, (_, arrays) in enumerate(entries):
        left.setdefault(tuple(array.ndim for array in arrays), []).append(number)
    pairs: Pairs = []
    for slot in slots:
        numbers = left.get(_kind(slot))
        if not numbers:
            break
        pairs.append((slot, numbers.pop(0)))
    return pairs


def is_one_to_one(pairs: Pairs, slots: Sequence[ParamSlot], entries: Entries) -> bool:
    """Whether pairs by order leave no layer out, on either side, and agree with what names and the
    file's order tell: a layer that both sides call by the same name is the same, unless Keras
    chose that name."""
    if not len(pairs) == len(slots) == len(entries):
        return False
    numbers = [number for _, number in pairs]
    if getattr(entries, "in_order", False) and numbers != sorted(numbers):
        return False
    wanted = {slot.layer.name: slot for slot in slots}
    return all(name is None or name == slot.layer.name or name not in wanted
               or is_automatic(name, wanted[name])
               for slot, name in ((slot, entries[number][0]) for slot, number in pairs))


def has_chosen_name(pairs: Pairs) -> bool:
    """Whether one of these layers has a name that a person chose."""
    return any(not is_automatic(slot.layer.name, slot) for slot, _ in pairs)


def is_automatic(name: str, slot: ParamSlot) -> bool:
    """Whether Keras, or minicnn, may have given the name: conv2d, conv2d_7; convolution2d_1 (Keras
    1), batch_normalization."""
    stem, _, number = name.rpartition("_")
    stem = (stem if number.isdecimal() else name).replace("_", "")
    return stem.replace("convolution", "conv") == type(slot.layer).__name__.lower()


def _kind(slot: ParamSlot) -> tuple[int, ...]:
    """The number of axes of each parameter: (4, 1) for a convolution with biases."""
    return tuple(len(shape) for shape in slot.shapes.values())


def no_match(slots: Sequence[ParamSlot], entries: Entries, path: str | PathLike) -> FileError:
    """The error for a file that holds the layers of another network."""
    names, wanted = [name for name, _ in entries], [slot.layer.name for slot in slots]
    if not set(names) & set(wanted):
        return FileError(f"{path}: 0 of the model's {len(slots)} layers with parameters found: the "
                         f"model has {shorten(wanted)}; the file's {len(entries)} are "
                         f"{shorten(names)}. Names must match, or else number, kinds and order of "
                         f"the layers; skip_mismatch=True loads the first ones that do.")
    missing = [name for name in wanted if name not in names]
    if not missing:
        return FileError(f"{path}: holds {shorten(wanted)}, but no layer's arrays have the shapes "
                         f"that the model expects. Build the network that the file belongs to.")
    return FileError(f"{path}: expected arrays for {shorten(missing)}, which the file lacks (it "
                     f"holds {shorten(names)}). Load it before you replace the head, load with "
                     f"skip_mismatch=True, or build the network that the file belongs to.")


def shorten(names: Iterable[str | None]) -> str:
    """The first few names, for a message."""
    shown = [str(name) if name is not None else "(unnamed)" for name in names]
    return ", ".join(shown[:5]) + (f", … ({len(shown)} in all)" if len(shown) > 5 else "")
