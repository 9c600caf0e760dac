"""Arrays from Keras' files, in every layout from Keras 0.3 to Keras 3.

    A      /layer_3/param_0                       Keras 0.3; no names, layers are numbered
    B      /fc1/fc1_W_1:0                         Keras 1; the official VGG16 files
    C      /fc1/fc1/kernel:0                      Keras 2 weights
    D, E   /model_weights/fc1/fc1/kernel          Keras 2 and Keras 3 whole models
    F      /layers/dense/vars/0                   Keras 3 .weights.h5; F′ is F in a zip, .keras;
                                                  F″ calls the folder of layers
                                                  _layer_checkpoint_dependencies; on Windows Keras
                                                  2.13 to 2.15 wrote one group "layers\\dense"

Only numbers are read, and only from the file itself (hdf5.py): no pickle, no code. An array is
read when it is wanted, so that no memory is spent on what does not fit the network.
Source: Keras' saving/legacy_h5_format.py, saving/saving_lib.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np

from ..utils.errors import FileError
from .attributes import count, strings, text
from .hdf5 import MAX_ENTRIES, dataset, finite_array, has, keys, member, validate_sizes
from .opening import open_weights, refusing_damage

if TYPE_CHECKING:  # functions import h5py when called: `import minicnn` stays fast
    import h5py

    # A model's group -> {conv2d_1: the group of that layer, …}; None if it is no model's.
    LayersOf = Callable[[h5py.Group], dict[str, h5py.Group] | None]

CONTAINERS = ("layers", "_layer_checkpoint_dependencies")  # layout F's folder of a model's layers
MAX_DEPTH = 8  # of models inside models: a hard link to a parent group would go on for ever


# Layers whose order the number of their class tells.
KINDS = ("conv2d", "dense", "batch_normalization", "normalization", "p_re_lu")


class Weights(list[tuple[str | None, list]]):
    """[(layer's name or None, [kernel, bias]), …] in file order, of the layers that have arrays.

    backend: what Keras ran on, "" if the file does not say; with "theano" kernels are rotated.
    ordered: False if the file does not tell in which order the layers of a class follow each
             other; then only names can tell which layer is which.
    in_order: whether the order of all entries, of all classes, is that of the network.
    """

    backend = ""
    ordered = in_order = True
    entries_read = 0

    def add(self, name: str | None, arrays: list) -> None:
        """Adds a layer of the file and its arrays."""
        self.append((name, arrays))
        self.add_to_count(len(arrays))

    def add_to_count(self, entries: int) -> None:
        """Counts layers and arrays; ValueError if they are too many, since links may multiply them.
        """
        self.entries_read += entries
        if self.entries_read > MAX_ENTRIES:
            raise ValueError(f"expected at most {MAX_ENTRIES:,} arrays, received more")


class StoredArray:
    """An array of an open file, its size checked and its numbers not read yet.

    np.asarray reads them: native float32, or float64 if the file has that. Raises FileError if they
    are damaged or not finite.
    """

    def __init__(self, data: h5py.Dataset, path: str | PathLike) -> None:
        self.data, self.path = data, path
        self.shape: tuple[int, ...] = data.shape
        self.ndim = len(self.shape)

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        with refusing_damage(self.path):
            return np.asarray(finite_array(self.data, self.path), dtype)


def read_weights(path: str | PathLike) -> Weights:
    """All arrays of a Keras file; native float32, or float64 if the file has that.

    Layout F before Keras 3.6 has no names (None) and no order between classes; within a class the
    order is the file's. Raises FileError.
    """
    with open_entries(path) as entries:
        for _, layer in entries:
            layer[:] = map(np.asarray, layer)
    return entries


@contextmanager
def open_entries(path: str | PathLike) -> Iterator[Weights]:
    """The layers of a Keras file, their arrays StoredArray, which can be read until the end of the
    with. Raises FileError."""
    with open_weights(path) as (file, _):
        with refusing_damage(path):
            entries = entries_of(file, path)
        yield entries


def entries_of(file: h5py.File, path: str | PathLike) -> Weights:
    """The layers of an open h5py.File in any layout, their arrays StoredArray."""
    root = member(file, "model_weights", path) if has(file, "model_weights") else file  # D, E
    weights = Weights()
    if "nb_layers" in root.attrs:
        _add_numbered(weights, root, path)
    elif strings(root, "layer_names") is not None:
        _add_named(weights, root, path)
    elif any((layers_of := way)(root) is not None
             for way in (_nested_groups(path), _windows_groups(root, path))):
        weights.in_order = False
        _add_by_class(weights, root, layers_of, path, {})
    elif has(root, "state") and has(root, "arrays"):
        raise FileError(f"{path}: expected a model or weights, received a checkpoint of a "
                        f"training. Name the model.h5 of its run folder.")
    else:
        raise FileError(f"{path}: expected one of Keras' layouts (layer_names, model_weights or "
                        f"layers), received the groups {', '.join(keys(root)) or 'none'}.")
    validate_sizes([data for _, layer in weights for data in layer], path)
    for _, layer in weights:
        layer[:] = [StoredArray(data, path) for data in layer]
    weights.backend = text(root, "backend") or ""
    return weights


def _add_numbered(weights: Weights, root: h5py.Group, path: str | PathLike) -> None:
    """Layout A: /layer_{k}/param_{p}; the numbers count layers without parameters too."""
    for k in range(count(root, "nb_layers")):
        layer = member(root, f"layer_{k}", path)
        arrays = count(layer, "nb_params")
        if arrays:
            weights.add(None, [dataset(layer, f"param_{p}", path) for p in range(arrays)])


def _add_named(weights: Weights, root: h5py.Group, path: str | PathLike) -> None:
    """Layouts B to E: layer_names and weight_names give the order, since HDF5 sorts by name."""
    for name in strings(root, "layer_names") or []:
        layer = member(root, name, path)
        folders: dict[str, list[h5py.Dataset]] = {}
        for weight in strings(layer, "weight_names") or []:
            if not _is_counter(layer, weight, path):
                folders.setdefault(weight.rpartition("/")[0], []).append(
                    dataset(layer, weight, path))
        for folder, arrays in folders.items():
            # One folder is the layer's own, whatever its name (a layer may have been renamed).
            # Several are a model inside the model: one folder for each of its layers, trainable
            # ones first.
            weights.add(name if len(folders) == 1 else folder.rpartition("/")[2], arrays)
            weights.ordered &= len(folders) == 1


def _add_by_class(weights: Weights, group: h5py.Group, layers_of: LayersOf,
                  path: str | PathLike, models: dict[str, str], depth: int = 0) -> None:
    """Layout F: /layers/conv2d_1/vars/0 is the kernel of the second Conv2D, /1 its bias.

    Since Keras 3.6 vars has the layer's name; before, the k-th conv2d is the k-th Conv2D.
    models: {class: the model it was first seen in}.
    """
    layers = layers_of(group) or {}
    if depth:  # in a model inside the model
        weights.add_to_count(len(layers))
    for key in sorted(layers, key=_class_and_number):  # conv2d_2 before conv2d_10
        layer = layers[key]
        arrays = member(layer, "vars", path) if has(layer, "vars") else {}
        if len(arrays):
            name = text(arrays, "name")
            kind = _class_and_number(key)[0]
            # Which comes first, a model's own conv2d or an inner model's? The file does not tell.
            weights.ordered &= models.setdefault(kind, group.name) == group.name
            if name is None and (kind not in KINDS or not weights.ordered):
                raise FileError(f"{path}: {layer.name} has no layer's name, so its position in the "
                                f"network is unknown; save the file again with Keras 3.6 or newer.")
            weights.add(name, [dataset(arrays, n, path) for n in sorted(keys(arrays), key=int)
                               if not _is_counter(arrays, n, path)])
        if layers_of(layer) is not None:
            if depth == MAX_DEPTH:
                raise FileError(f"{path}: expected at most {MAX_DEPTH} models inside one another, "
                                f"received {layer.name}.")
            _add_by_class(weights, layer, layers_of, path, models, depth + 1)


def _is_counter(group: h5py.Group, name: str, path: str | PathLike) -> bool:
    """Whether it is a single whole number: how many images a Normalization has seen."""
    data = member(group, name, path)
    return hasattr(data, "dtype") and data.shape == () and data.dtype.kind in "iu"


def _nested_groups(path: str | PathLike) -> LayersOf:
    """Layout F: a model's layers are the entries of the group "layers" in its own group."""
    def layers_of(group: h5py.Group) -> dict[str, h5py.Group] | None:
        for container in CONTAINERS:
            if has(group, container):
                layers = member(group, container, path)
                return {key: member(layers, key, path) for key in keys(layers)}
        return None
    return layers_of


def _windows_groups(root: h5py.Group, path: str | PathLike) -> LayersOf:
    """Layout F of Keras 2.13 to 2.15 on Windows: all layers are entries of one group, since their
    names are joined by a backslash: "layers\\dense", and of a model inside the model
    "layers\\functional\\layers\\conv2d"."""
    by_model: dict[str, dict[str, h5py.Group]] = {}
    for name in keys(root):
        folder, _, key = name.rpartition("\\")
        model, _, container = folder.rpartition("\\")
        if container in CONTAINERS:
            by_model.setdefault(model, {})[key] = member(root, name, path)
    return lambda group: by_model.get("" if group == root else group.name.rpartition("/")[2])


def _class_and_number(key: str) -> tuple[str, int]:
    """"conv2d_10" -> ("conv2d", 10), "conv2d" -> ("conv2d", 0)."""
    stem, underscore, number = key.rpartition("_")
    if underscore and number.isdecimal():
        return stem, int(number)
    return key, 0
