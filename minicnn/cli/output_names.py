"""Names of outputs that the command line does not name: by method, model and photo, numbered."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from itertools import chain, count
from pathlib import Path

from ..utils.errors import FileError
from ..visualize.result import writable
from .model_words import MODEL_FILE

MAX_STEM, MAX_BYTES = 50, 100  # characters and bytes of each part of a name


def plain_name(text: str) -> str:
    """Short, and plain enough for any file system: letters, digits, "_", "." and "-"."""
    name = re.sub(r"[^\w.-]", "_", text)[:MAX_STEM]
    return name.encode()[:MAX_BYTES].decode(errors="ignore").strip("._-")


def model_name(word: str | None) -> str:
    """"runs/photos-1" and "runs/photos-1/model.h5" -> "photos-1"; "cats.keras" -> "cats"; None,
    for the network that ships, -> "vgg16"."""
    path = Path(word or "vgg16")
    if path.name == MODEL_FILE:
        path = path.resolve().parent
    if os.path.isdir(path):  # unlike Path.is_dir, it never raises
        return plain_name(path.resolve().name) or "model"
    return plain_name(path.stem) or "model"


def photo_name(words: Sequence[str]) -> str:
    """"photos/new.jpg" -> "new", of several the first; "" for none."""
    if not words:
        return ""
    path = Path(words[0])
    return plain_name(path.resolve().name if os.path.isdir(path) else path.stem)


def hyphenate(*parts: str) -> str:
    """The parts that are not empty, with hyphens."""
    return "-".join(part for part in parts if part)


def first_free(name: str, suffix: str, is_free: Callable[[str], bool]) -> str:
    """name + suffix, or the first of name-2, name-3, … + suffix that is free."""
    numbered = (f"{name}-{number}{suffix}" for number in count(2))
    return next(filter(is_free, chain([name + suffix], numbered)))


def unused(path: Path) -> Path:
    """path, or the first of NAME-2, NAME-3, … that does not exist."""
    return path.with_name(first_free(path.stem, path.suffix,
                                     lambda name: not path.with_name(name).exists()))


def unused_folder(path: Path) -> Path:
    """path, or the first of NAME-2, NAME-3, … that does not exist or is empty."""
    def is_free(name: str) -> bool:
        folder = path.with_name(name)
        return not folder.exists() or is_empty_folder(folder)

    return path.with_name(first_free(path.name, "", is_free))


def is_empty_folder(path: Path) -> bool:
    """Whether it is a folder that can be read and holds nothing."""
    try:
        return not any(path.iterdir())
    except OSError:
        return False


def output_path(named: str | None, default: str, suffixes: tuple[str, ...], force: bool) -> Path:
    """Where to write: the file that --output names, else the default's name, numbered if it exists.

    Raises FileError if the named file exists (unless force), ArgumentError for its suffix.
    """
    if named is None:
        return Path(default) if force else unused(Path(default))
    return new_file(named, suffixes, force)


def new_file(named: str, suffixes: tuple[str, ...], force: bool) -> Path:
    """The file that an option names; raises as output_path."""
    path = writable(named, suffixes, force=True)  # the suffix, the folder
    check_new(path, force)
    return path


def check_new(path: Path, force: bool) -> None:
    """Raises FileError if the file exists, unless force."""
    if path.exists() and not force:
        raise FileError(f"{path}: expected a new file, found one that exists. Choose another name, "
                        f"or overwrite it with --force.")
