"""Opening Keras' files: HDF5, the archive .keras, and the architecture in JSON.

A file that is not a model is refused, with what it is instead (file_kinds.py). Only what reading
needs is unpacked, and no code is run.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from ..utils.errors import FileError
from ..utils.suggest import suggest_path
from .attributes import text
from .file_kinds import (
    HEAD_BYTES,
    ZIP,
    cut_short,
    first_entry,
    hdf5_size,
    is_json,
    not_a_model,
    not_a_model_archive,
    not_a_model_folder,
)
from .hdf5 import ALWAYS_ALLOWED_BYTES, MAX_INFLATION, MAX_TEXT_BYTES, size_error

if TYPE_CHECKING:  # functions import h5py when called: `import minicnn` stays fast
    import h5py

# What h5py, zipfile and json raise on a damaged file.
DAMAGE = (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError, EOFError,
          ArithmeticError, zipfile.BadZipFile, zlib.error, struct.error, MemoryError)
DISK_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
END_OF_ZIP, LOCATOR_OF_ZIP64 = b"PK\5\6", b"PK\6\7"


class Architecture(NamedTuple):
    """The description of a network in a file beside its weights.

    json:          its text.
    keras_version: of the Keras that wrote it, such as "2.15.0"; None if the file does not say.
    """

    json: str
    keras_version: str | None

    def parse(self) -> Any:
        """The description, with the version where Keras' model.to_json() writes it."""
        config = parse_json(self.json)
        if isinstance(config, dict) and self.keras_version is not None:
            config["keras_version"] = self.keras_version
        return config


@contextmanager
def open_weights(path: str | PathLike) -> Iterator[tuple[h5py.File, Architecture | None]]:
    """-> (h5py.File, its architecture or None), for .h5 and .keras files.

    Whatever a damaged file raises here becomes a FileError. Reading from the file may meet damage
    too: callers do it under refusing_damage.
    """
    import h5py

    with ExitStack() as stack:
        with refusing_damage(path):
            raw = stack.enter_context(open_file(path))
            architecture = None
            head, size = raw.read(HEAD_BYTES), os.fstat(raw.fileno()).st_size
            if head.startswith(ZIP):
                folder = Path(stack.enter_context(TemporaryDirectory()))
                architecture = _unpack(raw, path, size, folder)
                source = folder / "model.weights.h5"
            elif h5py.is_hdf5(path):
                source = Path(path)
                if (expected := hdf5_size(head) or 0) > size:
                    raise cut_short(path, size, f"the {expected:,} bytes that it says it has")
            else:
                raise not_a_model(path, size, head)
            # No cache of chunks, which every open array would have: each chunk is read once.
            file = stack.enter_context(h5py.File(source, "r", rdcc_nbytes=0))
            if not len(file) and not len(file.attrs):
                raise FileError(f"{path}: expected a Keras model or weights, received an empty "
                                f"HDF5 file, without any array. Save the model again.")
            if architecture is None and (description := text(file, "model_config")):
                architecture = Architecture(description, text(file, "keras_version"))
        yield file, architecture


def read_architecture(path: str | PathLike) -> dict | None:
    """The description of a network in a JSON file (Keras' model.to_json()); None if the file is no
    JSON. Raises FileError if it is JSON of another kind, or damaged."""
    with refusing_damage(path), open_file(path) as raw:
        head = raw.read(HEAD_BYTES)
        if not is_json(head):
            return None
        content = head + raw.read(MAX_TEXT_BYTES)
        if len(content) > MAX_TEXT_BYTES:
            raise size_error(str(path), os.fstat(raw.fileno()).st_size, MAX_TEXT_BYTES)
        config = parse_json(content.decode("utf-8-sig"))
        if isinstance(config, str):  # json.dump(model.to_json(), file) writes a text in JSON
            config = parse_json(config)
        if isinstance(config, dict) and "class_name" in config:
            return config
        if isinstance(config, dict) and ("modelTopology" in config or "weightsManifest" in config):
            raise FileError(f"{path}: expected Keras' description of a network, received a model "
                            f"of TensorFlow.js. Export it for Keras (.h5 or .keras) where it was "
                            f"trained.")
        raise FileError(f"{path}: expected Keras' description of a network (model.to_json()), "
                        f"received other JSON. Name the model's file.")


class NotFiniteNumberError(ValueError):
    """A number of a description that is not finite."""


def parse_json(text: str) -> Any:
    """The content of a JSON text; NaN and Infinity, which JSON lacks, raise ValueError."""
    def refuse(word: str) -> None:
        raise NotFiniteNumberError(f"{word} in JSON")
    return json.loads(text, parse_constant=refuse)


def open_file(path: str | PathLike) -> BinaryIO:
    """The file, to read its bytes; FileError for a folder, which says what kind of folder."""
    if os.path.isdir(path):
        raise not_a_model_folder(path)
    return Path(path).open("rb")


@contextmanager
def refusing_damage(path: str | PathLike) -> Iterator[None]:
    """Turns whatever a missing, protected or damaged file raises into a FileError."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileError(f"{path}: expected a file, found none; check the name."
                        f"{suggest_path(path)}") from error
    except PermissionError as error:
        raise FileError(f"{path}: expected a file that may be read, received: {error.strerror}; "
                        f"check the name and the permissions.") from error
    except RecursionError as error:
        raise FileError(f"{path}: its architecture is nested too deeply to read.") from error
    except NotFiniteNumberError as error:
        raise FileError(f"{path}: expected finite numbers in the description of the network, "
                        f"received {error}, as of a Rescaling by it. Build the network anew with "
                        f"numbers that it can compute with.") from error
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise FileError(f"{path}: expected space in {gettempdir()} to unpack it, received: "
                            f"{error.strerror}. Free some space, or set TMPDIR to another "
                            f"folder.") from error
        raise FileError(f"{path}: expected a complete Keras file, but reading stopped at: {error}; "
                        f"it may be truncated or damaged, download it again?") from error


def _unpack(raw: BinaryIO, path: str | PathLike, size: int, folder: Path) -> Architecture:
    """Unpacks model.weights.h5, config.json and, if there is one, metadata.json of a .keras
    archive, and no other entry, into the folder; returns the description of the network."""
    raw.seek(0)
    first = first_entry(raw.read(HEAD_BYTES))
    raw.seek(max(0, size - 70_000))
    tail = raw.read()
    # PyTorch's archives have a directory of zip64, which is not read below.
    refusal = not_a_model_archive(path, [first, "x/data.pkl" if b"/data.pkl" in tail else first])
    if refusal is not None:
        raise refusal
    end = len(tail) - 22 if tail[-22:].startswith(END_OF_ZIP) else tail.rfind(END_OF_ZIP)
    if end < 0:
        raise cut_short(path, size, "a zip archive up to its directory, which stands at its end")
    directory = int.from_bytes(tail[end + 12:end + 16], "little")  # read as one piece
    if directory > MAX_TEXT_BYTES or tail[max(0, end - 20):end].startswith(LOCATOR_OF_ZIP64):
        raise size_error(f"{path}: the archive's directory", directory, MAX_TEXT_BYTES)
    with zipfile.ZipFile(raw) as archive:
        names = archive.namelist()
        refusal = not_a_model_archive(path, names)
        if refusal is not None:
            raise refusal
        weights_limit = max(ALWAYS_ALLOWED_BYTES, MAX_INFLATION * size)
        for name, limit in (("config.json", MAX_TEXT_BYTES), ("metadata.json", MAX_TEXT_BYTES),
                            ("model.weights.h5", weights_limit)):
            entries = [entry for entry in archive.infolist() if entry.filename == name]
            if name == "metadata.json" and not entries:
                continue
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
    metadata = folder / "metadata.json"
    about = parse_json(metadata.read_text("utf-8")) if metadata.exists() else None
    version = about.get("keras_version") if isinstance(about, dict) else None
    return Architecture((folder / "config.json").read_text("utf-8"),
                        version if isinstance(version, str) else None)
