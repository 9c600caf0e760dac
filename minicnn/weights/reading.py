"""Arrays out of Keras' files, in every layout from Keras 0.3 to Keras 3.

    A      /layer_3/param_0                       Keras 0.3; no names, layers are numbered
    B      /fc1/fc1_W_1:0                         Keras 1; the official VGG16 files
    C      /fc1/fc1/kernel:0                      Keras 2 weights
    D, E   /model_weights/fc1/fc1/kernel          Keras 2 and Keras 3 whole models
    F      /layers/dense/vars/0                   Keras 3 .weights.h5; F′ is F in a zip, .keras;
                                                  F″ says _layer_checkpoint_dependencies for layers

Only numbers are taken, and only from inside the file (hdf5.py): no pickle, no code.
Source: Keras' saving/legacy_h5_format.py, saving/saving_lib.py.
"""

from __future__ import annotations

import errno
import json
import re
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
    INFLATION,
    MOST,
    SMALL,
    TEXT,
    count,
    dataset,
    has,
    judge,
    keys,
    member,
    numbers,
    strings,
    text,
    too_large,
)

if TYPE_CHECKING:  # h5py is imported where it is used: `import minicnn` stays fast
    import h5py

ZIP = b"PK\x03\x04"
# What h5py, zipfile and json raise on a damaged file.
DAMAGE = (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError, EOFError,
          ArithmeticError, zipfile.BadZipFile, zlib.error, struct.error, MemoryError)
FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
DEEPEST = 8        # models inside models; a hard link to a folder above would go on for ever


class Weights(list):
    """[(layer's name or None, [kernel, bias]), …] in file order, of the layers that have arrays.

    backend: what Keras ran on, "" where the file does not say; on "theano" kernels are turned.
    ordered: False where the file does not tell in what order layers of one class follow each
             other; then only names can say which is which.
    """

    backend = ""
    ordered = True
    met = 0

    def add(self, name: str | None, arrays: list) -> None:
        """A layer of the file and its arrays."""
        self.append((name, arrays))
        self.count(len(arrays))

    def count(self, more: int) -> None:
        """Raises ValueError where layers and arrays, which links may multiply, become too many."""
        self.met += more
        if self.met > MOST:
            raise ValueError(f"expected at most {MOST:,} arrays, received more")


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
        with open(path, "rb") as raw, ExitStack() as stack:
            head = raw.read(8)
            if head.startswith(ZIP):
                folder = stack.enter_context(TemporaryDirectory())
                source, architecture = _unpacked(raw, path, folder)
            elif h5py.is_hdf5(path):
                source, architecture = path, None
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
                        f"check the name and its rights.") from error
    except RecursionError as error:
        raise FileError(f"{path}: its architecture is nested too deeply to read.") from error
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise FileError(f"{path}: expected room in {gettempdir()} to unpack it, received: "
                            f"{error.strerror}. Make room, or set TMPDIR to another "
                            f"folder.") from error
        raise FileError(f"{path}: expected a whole Keras file, but reading stopped at: {error}; "
                        f"it may be cut short or damaged, download it again?") from error


def _unpacked(raw: BinaryIO, path: str | PathLike, folder: str) -> tuple[Path, str]:
    """-> (the HDF5 file of a .keras archive, in a folder for it, and its JSON text); of the other
    entries nothing is unpacked."""
    raw.seek(max(0, raw.seek(0, 2) - 70_000))
    tail = raw.read()
    end = len(tail) - 22 if tail[-22:].startswith(b"PK\5\6") else tail.rfind(b"PK\5\6")
    directory = int.from_bytes(tail[end + 12:end + 16], "little")  # zipfile reads it at once
    if directory > TEXT or tail[end - 20:end].startswith(b"PK\6\7"):
        raise too_large(f"{path}: the archive's directory", directory, TEXT)
    with zipfile.ZipFile(raw) as archive:
        for name, most in (("config.json", TEXT),
                           ("model.weights.h5", max(SMALL, INFLATION * raw.seek(0, 2)))):
            found = [entry for entry in archive.infolist() if entry.filename == name]
            if len(found) != 1:
                raise FileError(f"{path}: expected one {name} in it, found {len(found)}; save it "
                                f"again.")
            if found[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise FileError(f"{path}: expected {name} stored or deflated, received it packed "
                                f"in zip's way {found[0].compress_type}; save it again.")
            if found[0].file_size > most:
                raise too_large(f"{path}: {name}", found[0].file_size, most)
            with archive.open(found[0]) as packed, open(Path(folder, name), "wb") as file:
                shutil.copyfileobj(packed, file)
    return Path(folder, "model.weights.h5"), Path(folder, "config.json").read_text("utf-8")


def json_of(text: str) -> Any:
    """What a JSON text says; NaN and Infinity, which JSON lacks, raise ValueError."""
    def refuse(word: str) -> None:
        raise ValueError(f"{word} in JSON")
    return json.loads(text, parse_constant=refuse)


def weights_in(file: h5py.File, path: str | PathLike) -> Weights:
    """The arrays of an open h5py.File, whichever its layout."""
    root = member(file, "model_weights", path) if has(file, "model_weights") else file  # D, E
    weights = Weights()
    if "nb_layers" in root.attrs:
        _add_numbered(weights, root, path)
    elif strings(root, "layer_names") is not None:
        _add_named(weights, root, path)
    elif _container(root):
        _add_counted(weights, root, path, {})
    else:
        raise FileError(f"{path}: expected one of Keras' layouts (layer_names, model_weights or "
                        f"layers), received the groups {', '.join(keys(root)) or 'none'}.")
    judge([data for _, layer in weights for data in layer], path)
    for _, layer in weights:  # in place: an open dataset keeps a cache
        layer[:] = [numbers(data, path) for data in layer]
    weights.backend = text(root, "backend") or ""
    return weights


def _add_numbered(weights: Weights, root, path) -> None:
    """Layout A: /layer_{k}/param_{p}; the numbers count layers without parameters too."""
    for k in range(count(root, "nb_layers")):
        layer = member(root, f"layer_{k}", path)
        arrays = count(layer, "nb_params")
        if arrays:
            weights.add(None, [dataset(layer, f"param_{p}", path) for p in range(arrays)])


def _add_named(weights: Weights, root, path) -> None:
    """Layouts B to E: layer_names and weight_names give the order; HDF5 sorts by alphabet."""
    for name in strings(root, "layer_names"):
        layer = member(root, name, path)
        folders: dict[str, list[h5py.Dataset]] = {}
        for weight in strings(layer, "weight_names") or []:
            folders.setdefault(weight.rpartition("/")[0], []).append(
                dataset(layer, weight, path))
        for folder, arrays in folders.items():
            # One folder: the layer's own, whatever it is called (a layer may have been renamed).
            # Several: a model inside the model, one folder for each of its layers, those that
            # may train first.
            weights.add(name if len(folders) == 1 else folder.rpartition("/")[2], arrays)
            weights.ordered &= len(folders) == 1


def _add_counted(weights: Weights, root, path, homes: dict[str, str], depth: int = 0) -> None:
    """Layout F: /layers/conv2d_1/vars/0 is the kernel of the second Conv2D, /1 its bias.

    Since Keras 3.6 vars has the layer's name; before, the k-th conv2d is the k-th Conv2D.
    homes: the model in which each class has been met.
    """
    layers = member(root, _container(root), path)
    weights.count(depth and len(layers))
    for key in sorted(keys(layers), key=_class_and_number):  # conv2d_2 before conv2d_10
        layer = member(layers, key, path)
        arrays = member(layer, "vars", path) if has(layer, "vars") else {}
        if len(arrays):
            name = text(arrays, "name")
            kind = _class_and_number(key)[0]
            # Which comes first, a model's own conv2d or that of a model inside it?
            weights.ordered &= homes.setdefault(kind, layers.name) == layers.name
            if name is None and (kind not in ("conv2d", "dense") or not weights.ordered):
                raise FileError(f"{path}: {layer.name} carries no layer's name, so its place in "
                                f"the network is unknown; save the file again with Keras 3.6 or "
                                f"newer.")
            weights.add(name, [dataset(arrays, n, path) for n in sorted(keys(arrays), key=int)])
        if _container(layer):
            if depth == DEEPEST:
                raise FileError(f"{path}: expected at most {DEEPEST} models inside one another, "
                                f"received {layer.name}.")
            _add_counted(weights, layer, path, homes, depth + 1)


def _container(group) -> str | None:
    """What layout F calls the folder of a model's layers; None where there is none."""
    return next((key for key in ("layers", "_layer_checkpoint_dependencies")
                 if has(group, key)), None)


def _class_and_number(key: str) -> tuple[str, int]:
    """"conv2d_10" -> ("conv2d", 10), "conv2d" -> ("conv2d", 0)."""
    kind, _, number = re.fullmatch(r"(.*?)(_(\d+))?", key, re.DOTALL).groups()
    return kind, int(number or 0)
