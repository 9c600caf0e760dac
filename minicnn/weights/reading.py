"""Arrays out of Keras' files, in every layout from Keras 0.3 to Keras 3.

    A      /layer_3/param_0                       Keras 0.3; no names, layers are numbered
    B      /fc1/fc1_W_1:0                         Keras 1; the official VGG16 files
    C      /fc1/fc1/kernel:0                      Keras 2 weights
    D, E   /model_weights/fc1/fc1/kernel          Keras 2 and Keras 3 whole models
    F      /layers/dense/vars/0                   Keras 3 .weights.h5; F′ is F in a zip, .keras;
                                                  F″ says _layer_checkpoint_dependencies for layers

Only numbers are taken, and only from inside the file: no pickle, no code, no link that leads out.
Source: Keras' saving/legacy_h5_format.py, saving/saving_lib.py.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import FileError

if TYPE_CHECKING:  # h5py is imported where it is used: `import minicnn` stays fast
    import h5py

ZIP = b"PK\x03\x04"
# What h5py, zipfile and json raise on a damaged file.
DAMAGE = (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError, EOFError,
          zipfile.BadZipFile)
DEEPEST = 8        # models inside models; a hard link to a folder above would go on for ever
INFLATION = 1100   # gzip makes at most 1032 bytes out of one


class Weights(list):
    """[(layer's name or None, [kernel, bias]), …] in file order, of the layers that have arrays.

    backend: what Keras ran on, "" where the file does not say; on "theano" kernels are turned.
    ordered: False where the file does not tell in what order layers of one class follow each
             other; then only names can say which is which.
    """

    backend = ""
    ordered = True


def read_weights(path: str | PathLike) -> Weights:
    """The arrays of a Keras file; native float32, or float64 where the file has that.

    Layout F before Keras 3.6 holds no names (None) and no order between classes; within a class
    the order is the file's. Raises FileError.
    """
    with opened(path) as (file, _):
        return weights_in(file, path)


@contextmanager
def opened(path: str | PathLike) -> Iterator[tuple]:
    """-> (h5py.File, JSON text of the architecture or None), for .h5 and .keras files.

    Whatever a damaged file sets off, here or in the body of the with, becomes a FileError.
    """
    import h5py

    try:
        with open(path, "rb") as raw:
            head = raw.read(8)
        if head.startswith(ZIP):
            with zipfile.ZipFile(path) as archive:
                architecture = archive.read("config.json").decode()
                source = io.BytesIO(archive.read("model.weights.h5"))
        elif h5py.is_hdf5(path):
            source, architecture = path, None
        else:
            raise FileError(f"{path}: expected an HDF5 file (Keras' .h5, .weights.h5) or .keras, "
                            f"received {Path(path).stat().st_size:,} bytes that begin with "
                            f"{head!r}; download it again?")
        with h5py.File(source, "r") as file:
            yield file, architecture or text(file.attrs.get("model_config"))
    except FileNotFoundError as error:
        raise FileError(f"{path}: expected a file, found none; check the name.") from error
    except (PermissionError, IsADirectoryError) as error:
        raise FileError(f"{path}: expected a file that may be read, received: {error.strerror}; "
                        f"check the name and its rights.") from error
    except RecursionError as error:
        raise FileError(f"{path}: its architecture is nested too deeply to read.") from error
    except DAMAGE as error:
        raise FileError(f"{path}: expected a whole Keras file, but reading stopped at: {error}; "
                        f"it may be cut short or damaged, download it again?") from error


def weights_in(file: h5py.File, path: str | PathLike) -> Weights:
    """The arrays of an open h5py.File, whichever its layout."""
    root = member(file, "model_weights", path) if "model_weights" in file else file  # D, E
    weights = Weights()
    if "nb_layers" in root.attrs:
        weights.extend(_numbered(root, path))
    elif strings(root, "layer_names") is not None:
        _add_named(weights, root, path)
    elif _container(root):
        _add_counted(weights, root, path, {})
    else:
        raise FileError(f"{path}: expected one of Keras' layouts (layer_names, model_weights or "
                        f"layers), received the groups {', '.join(root) or 'none'}.")
    weights.backend = text(root.attrs.get("backend")) or ""
    return weights


def _numbered(root, path) -> Iterator[tuple]:
    """Layout A: /layer_{k}/param_{p}; the numbers count layers without parameters too."""
    for k in range(int(root.attrs["nb_layers"])):
        layer = member(root, f"layer_{k}", path)
        count = int(layer.attrs.get("nb_params", 0))
        if count:
            yield None, [array(layer, f"param_{p}", path) for p in range(count)]


def _add_named(weights: Weights, root, path) -> None:
    """Layouts B to E: layer_names and weight_names give the order; HDF5 sorts by alphabet."""
    for name in strings(root, "layer_names"):
        layer = member(root, name, path)
        folders: dict[str, list[np.ndarray]] = {}
        for weight in strings(layer, "weight_names") or []:
            folders.setdefault(weight.rpartition("/")[0], []).append(array(layer, weight, path))
        for folder, arrays in folders.items():
            # One folder: the layer's own, whatever it is called (a layer may have been renamed).
            # Several: a model inside the model, one folder for each of its layers, those that
            # may train first.
            weights.append((name if len(folders) == 1 else folder.rpartition("/")[2], arrays))
            weights.ordered &= len(folders) == 1


def _add_counted(weights: Weights, root, path, homes: dict[str, str], depth: int = 0) -> None:
    """Layout F: /layers/conv2d_1/vars/0 is the kernel of the second Conv2D, /1 its bias.

    Since Keras 3.6 vars has the layer's name; before, the k-th conv2d is the k-th Conv2D.
    homes: the model in which each class has been met.
    """
    layers = member(root, _container(root), path)
    for key in sorted(layers, key=_class_and_number):  # conv2d_2 before conv2d_10
        layer = member(layers, key, path)
        arrays = member(layer, "vars", path) if "vars" in layer else {}
        if len(arrays):
            name = text(arrays.attrs.get("name"))
            kind = _class_and_number(key)[0]
            # Which comes first, a model's own conv2d or that of a model inside it?
            weights.ordered &= homes.setdefault(kind, layers.name) == layers.name
            if name is None and (kind not in ("conv2d", "dense") or not weights.ordered):
                raise FileError(f"{path}: {layer.name} carries no layer's name, so its place in "
                                f"the network is unknown; save the file again with Keras 3.6 or "
                                f"newer.")
            weights.append((name, [array(arrays, n, path) for n in sorted(arrays, key=int)]))
        if _container(layer):
            if depth == DEEPEST:
                raise FileError(f"{path}: expected at most {DEEPEST} models inside one another, "
                                f"received {layer.name}.")
            _add_counted(weights, layer, path, homes, depth + 1)


def _container(group) -> str | None:
    """What layout F calls the folder of a model's layers; None where there is none."""
    return next((key for key in ("layers", "_layer_checkpoint_dependencies") if key in group), None)


def _class_and_number(key: str) -> tuple[str, int]:
    """"conv2d_10" -> ("conv2d", 10), "conv2d" -> ("conv2d", 0)."""
    kind, _, number = re.fullmatch(r"(.*?)(_(\d+))?", key, re.DOTALL).groups()
    return kind, int(number or 0)


def member(group: h5py.Group, name: str, path: str | PathLike) -> h5py.Group | h5py.Dataset:
    """group[name], step by step along "a/b/c", through hard links only.

    Soft and external links could lead to another file of the reader's disk.
    """
    import h5py

    for part in name.split("/"):
        if not isinstance(group, h5py.Group) or part not in group:
            raise FileError(f"{path}: expected {name!r} in {group.name}, found nothing there; the "
                            f"file is incomplete, download or save it again.")
        link = group.get(part, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise FileError(f"{path}: {group.name} leads to {part!r} by a {type(link).__name__}; "
                            f"minicnn reads only what lies in the file itself.")
        group = group[part]
    return group


def array(group: h5py.Group, name: str, path: str | PathLike) -> np.ndarray:
    """The dataset group[name] as native float32 (from 16 and 32 bits) or float64."""
    import h5py

    data = member(group, name, path)
    where = f"{path}: {data.name}"
    if not isinstance(data, h5py.Dataset):
        raise FileError(f"{where}: expected an array, received a group.")
    if data.is_virtual or data.external:
        raise FileError(f"{where}: its numbers lie in another file; minicnn reads only what lies "
                        f"in the file itself.")
    if data.dtype.kind != "f" or data.dtype.itemsize not in (2, 4, 8):
        raise FileError(f"{where}: expected floats of 16, 32 or 64 bits, received {data.dtype}.")
    stored = data.id.get_storage_size()
    if data.nbytes > 2**26 and data.nbytes > INFLATION * stored:
        raise FileError(f"{where}: claims {data.nbytes:,} bytes but holds {stored:,}; the file is "
                        f"damaged or made to fill the memory.")
    return np.asarray(data[()], np.float64 if data.dtype.itemsize == 8 else np.float32)


def strings(group: h5py.Group, name: str) -> list[str] | None:
    """A list-of-strings attribute, whole or split into name0, name1, …; None where it is absent."""
    attrs = group.attrs
    if name in attrs:
        return [text(value) for value in attrs[name]]  # empty lists come back as float64 arrays
    parts: list[str] = []
    k = 0
    while f"{name}{k}" in attrs:
        parts += [text(value) for value in attrs[f"{name}{k}"]]
        k += 1
    return parts if k else None


def text(value: bytes | str | None) -> str | None:
    """A string attribute, which is bytes or str depending on the file's age."""
    return value.decode() if isinstance(value, bytes) else value
