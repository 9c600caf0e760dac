"""Names a file that is not a Keras model, by its first bytes, and says what to do with it.

Nothing is unpacked or run. Sources: the formats' own magic numbers; HDF5 File Format Specification,
II.A (superblock); PKZIP APPNOTE 4.3 (zip).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from ..utils.errors import FileError
from ..utils.files import list_folder

HEAD_BYTES = 512  # enough to tell the kinds apart
MODEL_SUFFIXES = (".keras", ".h5", ".hdf5", ".json")  # of files that load opens
# Of files that people have in the place of a model; opening them says what they are.
OTHER_SUFFIXES = (".pt", ".pth", ".ckpt", ".onnx", ".tflite", ".pb", ".pkl", ".pickle", ".joblib",
                  ".safetensors", ".npz", ".npy", ".zip")

ZIP, HDF5 = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"
# The number with which torch.save of before 1.6 begins, as pickle writes it.
OLD_TORCH = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
TO_KERAS = "Build the network in Keras with the same numbers and save it as .keras"
KINDS: Sequence[tuple[bytes, str, str]] = (  # first bytes, name, what to do
    (b"version https://git-lfs", "a Git LFS pointer, which only names the file",
     "Run git lfs pull in its folder, or download the file itself."),
    (b"\x89PNG", "a picture (PNG)", "Name the model; photos come after it."),
    (b"\xff\xd8\xff", "a picture (JPEG)", "Name the model; photos come after it."),
    (b"%PDF", "a PDF", "Name the model."),
    (b"\x93NUMPY", "an array of NumPy's (.npy)", f"{TO_KERAS}."),
    (b"\x1f\x8b", "an archive (gzip)", "Unpack it and name the model in it."),
    (b"7z\xbc\xaf", "an archive (7z)", "Unpack it and name the model in it."),
    (b"Rar!", "an archive (RAR)", "Unpack it and name the model in it."),
    (b"BZh", "an archive (bzip2)", "Unpack it and name the model in it."),
    (b"\xfd7zXZ", "an archive (xz)", "Unpack it and name the model in it."),
    (b"MATLAB", "a MATLAB file (.mat)", f"{TO_KERAS}."),
    (b"\x89HDF", "an HDF5 file damaged on its way, as by a transfer as text",
     "Download or copy it again, as a binary file."))
TORCH = ("a PyTorch file, whose Python code minicnn never runs",
         f"{TO_KERAS}; for another engine export it to ONNX from PyTorch.")
PICKLE = ("a Python pickle, whose code minicnn never runs",
          "Save the network itself from Keras: model.save('model.keras').")


def not_a_model(path: str | PathLike, size: int, head: bytes) -> FileError:
    """The error for a file that begins with `head` and is neither HDF5 nor .keras."""
    kind = _kind(Path(path).name, size, head)
    if kind is None:
        return FileError(f"{path}: expected a Keras model or weights (.keras, .h5, "
                         f".weights.h5), received {size:,} bytes that begin with {head[:8]!r}; "
                         f"download it again?")
    return _error(path, *kind)


def not_a_model_folder(path: str | PathLike) -> FileError:
    """The error for a folder."""
    if os.path.exists(Path(path, "saved_model.pb")):
        return _error(path, "a SavedModel folder of TensorFlow's",
                      "Load it with TensorFlow's Keras and save it as .keras, or take the .h5 or "
                      ".keras that it was made from.")
    models = [entry for entry in list_folder(Path(path)) if entry.suffix in MODEL_SUFFIXES[:3]]
    return _error(path, "a folder", f"Name the model's file in it: {models[0]}." if models else
                  "Name the model's file.")


def not_a_model_archive(path: str | PathLike, names: Sequence[str]) -> FileError | None:
    """The error for a zip archive with entries of these names, which is no .keras; None if it may
    be a damaged .keras."""
    if any(name.endswith("/data.pkl") for name in names):
        return _error(path, *TORCH)
    if names and all(name.endswith(".npy") for name in names):
        return _error(path, "arrays of NumPy's (.npz)", f"{TO_KERAS}.")
    models = [name for name in names if name.endswith((*MODEL_SUFFIXES[:3], "saved_model.pb",
                                                       ".tflite"))]
    if models and "model.weights.h5" not in names:
        return _error(path, f"an archive that holds {models[0]}", "Unpack it and name that.")
    return None


def first_entry(head: bytes) -> str:
    """The name of the first entry of a zip archive that begins with `head`."""
    length = int.from_bytes(head[26:28], "little")
    return head[30:30 + length].decode("utf-8", "replace")


def cut_short(path: str | PathLike, size: int, expected: str) -> FileError:
    """The error for a file of `size` bytes that ends too early."""
    return FileError(f"{path}: is cut short: expected {expected}, received {size:,} bytes. "
                     f"Download or copy it again.")


def hdf5_size(head: bytes) -> int | None:
    """The size in bytes that an HDF5 file claims in its superblock; None if it is none, or of a
    kind that Keras does not write."""
    if not head.startswith(HDF5) or len(head) < 48:
        return None
    version = head[8]
    if version in (0, 1) and head[13] == 8:
        at = 40 + 4 * version
    elif version in (2, 3) and head[9] == 8:
        at = 28
    else:
        return None
    return int.from_bytes(head[at:at + 8], "little")


def is_json(head: bytes) -> bool:
    """Whether a file that begins with `head` seems to be JSON: an object, or a text with one."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"{", b'"{'))


def _kind(name: str, size: int, head: bytes) -> tuple[str, str] | None:
    """(what it is, what to do) of a file that begins with `head`; None if nothing tells."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not size:
        return "an empty file of 0 bytes", "Download or copy it again."
    for first, kind, advice in KINDS:
        if head.startswith(first):
            return kind, advice
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml")):
        return ("a web page (HTML)", "The download gave a page in place of the file: use the link "
                "of the file itself, such as the one behind Raw or Download.")
    if head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return TORCH if OLD_TORCH in head[:24] or name.endswith((".pt", ".pth")) else PICKLE
    if name.endswith((".pkl", ".pickle", ".joblib")):  # joblib compresses
        return PICKLE
    if head[4:8] == b"TFL3":
        return ("a TensorFlow Lite file (.tflite)",
                "Take the .keras or .h5 that it was converted from.")
    if head[8:9] == b"{" and 8 <= int.from_bytes(head[:8], "little") <= size - 8:
        return "a safetensors file, numbers without a network of Keras'", f"{TO_KERAS}."
    if name.endswith(".onnx") or (head[:1] == b"\x08" and 0 < head[1] < 32
                                  and head[2:3] in (b"\x12", b"\x1a", b"\x3a", b"\x42")
                                  and not name.endswith(".pb")):
        return "an ONNX file, which minicnn writes and does not read", f"{TO_KERAS}."
    if name.endswith(".pb"):
        return ("a graph of TensorFlow's (.pb)", "Load its SavedModel folder with TensorFlow's "
                "Keras and save it as .keras.")
    if is_json(head):
        return ("JSON, which describes a network at most, without its weights",
                "Open both together: load('model.json', weights='model.weights.h5').")
    if b"\0" not in head and head.isascii():
        return f"a text that begins with {head[:20].decode()!r}", "Name the model."
    return None


def _error(path: str | PathLike, kind: str, advice: str) -> FileError:
    return FileError(f"{path}: expected a Keras model or weights (.keras, .h5, .weights.h5), "
                     f"received {kind}. {advice}")
