"""Arrays from Keras' files, in every layout from Keras 0.3 to Keras 3.

    A      /layer_3/param_0                       Keras 0.3; no names, layers are numbered
    B      /fc1/fc1_W_1:0                         Keras 1; the official VGG16 files
    C      /fc1/fc1/kernel:0                      Keras 2 weights
    D, E   /model_weights/fc1/fc1/kernel          Keras 2 and Keras 3 whole models
    F      /layers/dense/vars/0                   Keras 3 .weights.h5; F′ is F in a zip, .keras;
                                                  F″ calls the folder of layers
                                                  _layer_checkpoint_dependencies

Only numbers are read, and only from the file itself (hdf5.py): no pickle, no code.
Source: Keras' saving/legacy_h5_format.py, saving/saving_lib.py.
"""

from __future__ import annotations

import errno
import json
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING, Any, BinaryIO

from ..utils.errors import FileError
from .hdf5 import (
    ALWAYS_ALLOWED_BYTES,
    MAX_ENTRIES,
    MAX_INFLATION,
    MAX_TEXT_BYTES,
    count,
    dataset,
    finite_array,
    has,
    keys,
    member,
    size_error,
    strings,
    text,
    validate_sizes,
)

if TYPE_CHECKING:  # functions import h5py when called: `import minicnn` stays fast
    import h5py

ZIP = b"PK\x03\x04"
# What h5py, zipfile and json raise on a damaged file.
DAMAGE = (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError, EOFError,
          ArithmeticError, zipfile.BadZipFile, zlib.error, struct.error, MemoryError)
DISK_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
MAX_DEPTH = 8  # of models inside models: a hard link to a parent group would go on for ever


class Weights(list[tuple[str | None, list]]):
    """[(layer's name or None, [kernel, bias]), …] in file order, of the layers that have arrays.

    backend: what Keras ran on, "" if the file does not say; with "theano" kernels are rotated.
    ordered: False if the file does not tell in which order the layers of a class follow each
             other; then only names can tell which layer is which.
    """

    backend = ""
    ordered = True
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


def read_weights(path: str | PathLike) -> Weights:
    """The arrays of a Keras file; native float32, or float64 if the file has that.

    Layout F before Keras 3.6 has no names (None) and no order between classes; within a class the
    order is the file's. Raises FileError.
    """
    with open_weights(path) as (file, _):
        return read_open_file(file, path)


@contextmanager
def open_weights(path: str | PathLike) -> Iterator[tuple[h5py.File, str | None]]:
    """-> (h5py.File, JSON text of the architecture or None), for .h5 and .keras files.

    Whatever a damaged file raises, here or in the body of the with, becomes a FileError.
    """
    import h5py

    try:
        with Path(path).open("rb") as raw, ExitStack() as stack:
            head = raw.read(8)
            if head.startswith(ZIP):
                folder = Path(stack.enter_context(TemporaryDirectory()))
                architecture = _unpack(raw, path, folder)
                source = folder / "model.weights.h5"
            elif h5py.is_hdf5(path):
                source, architecture = Path(path), None
            else:
                size = Path(path).stat().st_size
                raise FileError(f"{path}: expected an HDF5 file (Keras' .h5, .weights.h5) or "
                                f".keras, received {size:,} bytes that begin with {head!r}; "
                                f"download it again?")
            with h5py.File(source, "r") as file:
                yield file, architecture or text(file, "model_config")
    except FileNotFoundError as error:
        raise FileError(f"{path}: expected a file, found none; check the name.") from error
    except (PermissionError, IsADirectoryError) as error:
        raise FileError(f"{path}: expected a file that may be read, received: {error.strerror}; "
                        f"check the name and the permissions.") from error
    except RecursionError as error:
        raise FileError(f"{path}: its architecture is nested too deeply to read.") from error
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise FileError(f"{path}: expected space in {gettempdir()} to unpack it, received: "
                            f"{error.strerror}. Free some space, or set TMPDIR to another "
                            f"folder.") from error
        raise FileError(f"{path}: expected a complete Keras file, but reading stopped at: {error}; "
                        f"it may be truncated or damaged, download it again?") from error


def _unpack(raw: BinaryIO, path: str | PathLike, folder: Path) -> str:
    """Unpacks model.weights.h5 and config.json of a .keras archive, and no other entry, into the
    folder; returns the text of config.json."""
    raw.seek(max(0, raw.seek(0, 2) - 70_000))
    tail = raw.read()
    end = len(tail) - 22 if tail[-22:].startswith(b"PK\5\6") else tail.rfind(b"PK\5\6")
    directory = int.from_bytes(tail[end + 12:end + 16], "little")  # read as one piece
    if directory > MAX_TEXT_BYTES or tail[end - 20:end].startswith(b"PK\6\7"):
        raise size_error(f"{path}: the archive's directory", directory, MAX_TEXT_BYTES)
    with zipfile.ZipFile(raw) as archive:
        weights_limit = max(ALWAYS_ALLOWED_BYTES, MAX_INFLATION * raw.seek(0, 2))
        for name, limit in (("config.json", MAX_TEXT_BYTES), ("model.weights.h5", weights_limit)):
            entries = [entry for entry in archive.infolist() if entry.filename == name]
            if len(entries) != 1:
                raise FileError(f"{path}: expected one {name} in it, found {len(entries)}; save it "
                                f"again.")
            entry = entries[0]
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise FileError(f"{path}: expected {name} stored or deflated, received it packed "
                                f"with zip's method {entry.compress_type}; save it again.")
            if entry.file_size > limit:
                raise size_error(f"{path}: {name}", entry.file_size, limit)
            with archive.open(entry) as packed, (folder / name).open("wb") as file:
                shutil.copyfileobj(packed, file)
    return (folder / "config.json").read_text("utf-8")


def parse_json(text: str) -> Any:
    """The content of a JSON text; NaN and Infinity, which JSON lacks, raise ValueError."""
    def refuse(word: str) -> None:
        raise ValueError(f"{word} in JSON")
    return json.loads(text, parse_constant=refuse)


def read_open_file(file: h5py.File, path: str | PathLike) -> Weights:
    """The arrays of an open h5py.File in any layout."""
    root = member(file, "model_weights", path) if has(file, "model_weights") else file  # D, E
    weights = Weights()
    if "nb_layers" in root.attrs:
        _add_numbered(weights, root, path)
    elif strings(root, "layer_names") is not None:
        _add_named(weights, root, path)
    elif (container := _container(root)) is not None:
        _add_by_class(weights, root, container, path, {})
    else:
        raise FileError(f"{path}: expected one of Keras' layouts (layer_names, model_weights or "
                        f"layers), received the groups {', '.join(keys(root)) or 'none'}.")
    validate_sizes([data for _, layer in weights for data in layer], path)
    for _, layer in weights:  # in place, since an open dataset holds a cache
        layer[:] = [finite_array(data, path) for data in layer]
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
            folders.setdefault(weight.rpartition("/")[0], []).append(
                dataset(layer, weight, path))
        for folder, arrays in folders.items():
            # One folder is the layer's own, whatever its name (a layer may have been renamed).
            # Several are a model inside the model: one folder for each of its layers, trainable
            # ones first.
            weights.add(name if len(folders) == 1 else folder.rpartition("/")[2], arrays)
            weights.ordered &= len(folders) == 1


def _add_by_class(weights: Weights, root: h5py.Group, container: str, path: str | PathLike,
                  models: dict[str, str], depth: int = 0) -> None:
    """Layout F: /layers/conv2d_1/vars/0 is the kernel of the second Conv2D, /1 its bias.

    Since Keras 3.6 vars has the layer's name; before, the k-th conv2d is the k-th Conv2D.
    container: the name of root's folder of layers. models: {class: the model it was first seen in}.
    """
    layers = member(root, container, path)
    weights.add_to_count(depth and len(layers))
    for key in sorted(keys(layers), key=_class_and_number):  # conv2d_2 before conv2d_10
        layer = member(layers, key, path)
        arrays = member(layer, "vars", path) if has(layer, "vars") else {}
        if len(arrays):
            name = text(arrays, "name")
            kind = _class_and_number(key)[0]
            # Which comes first, a model's own conv2d or an inner model's? The file does not tell.
            weights.ordered &= models.setdefault(kind, layers.name) == layers.name
            if name is None and (kind not in ("conv2d", "dense") or not weights.ordered):
                raise FileError(f"{path}: {layer.name} has no layer's name, so its position in the "
                                f"network is unknown; save the file again with Keras 3.6 or newer.")
            weights.add(name, [dataset(arrays, n, path) for n in sorted(keys(arrays), key=int)])
        if (inner := _container(layer)) is not None:
            if depth == MAX_DEPTH:
                raise FileError(f"{path}: expected at most {MAX_DEPTH} models inside one another, "
                                f"received {layer.name}.")
            _add_by_class(weights, layer, inner, path, models, depth + 1)


def _container(group: h5py.Group) -> str | None:
    """The name that layout F gives to the folder of a model's layers; None if there is none."""
    return next((key for key in ("layers", "_layer_checkpoint_dependencies")
                 if has(group, key)), None)


def _class_and_number(key: str) -> tuple[str, int]:
    """"conv2d_10" -> ("conv2d", 10), "conv2d" -> ("conv2d", 0)."""
    stem, underscore, number = key.rpartition("_")
    if underscore and number.isdecimal():
        return stem, int(number)
    return key, 0
