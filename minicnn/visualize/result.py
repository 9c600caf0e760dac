"""Result: what every analysis returns, its numbers and a figure of them."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from ..plotting import drawing
from ..utils.errors import ArgumentError, FileError
from ..utils.files import atomic_write

PICTURES = (".png", ".pdf", ".svg")


@dataclass
class Result(drawing.HasFigure):
    """Base class. Subclasses are dataclasses whose fields are the numbers; str(result) is its text.

    figure() -> matplotlib's Figure, which Jupyter shows.
    save(path) writes the figure (.png, .pdf, .svg) or the numbers (.npz, read by np.load).
    """

    def numbers(self) -> dict[str, np.ndarray]:
        """By its name, every field that is an array, a number, or a list or dict of them."""
        arrays: dict[str, np.ndarray] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            parts = {field.name: value}
            if isinstance(value, dict):
                parts = {f"{field.name}/{key}": part for key, part in value.items()}
            arrays |= {key: np.asarray(part) for key, part in parts.items()
                       if isinstance(part, (np.ndarray, np.generic, int, float, str, list, tuple))}
        return {key: array for key, array in arrays.items() if array.dtype != object}

    def save(self, path: str | os.PathLike, force: bool = False) -> Path:
        """Writes the figure or the numbers, by the suffix; returns the path.

        Raises FileError if the file exists (unless force) or cannot be written, ArgumentError for
        another suffix.
        """
        path = writable(path, (*PICTURES, ".npz", *self.more_suffixes()), force)
        with atomic_write(path) as draft:
            self.write(draft)
        return path

    def more_suffixes(self) -> tuple[str, ...]:
        """Suffixes of the other kinds of file that write() knows."""
        return ()

    def write(self, path: Path) -> None:
        """Writes path by its suffix."""
        if path.suffix == ".npz":
            np.savez_compressed(path, **self.numbers())  # type: ignore[arg-type]  # stub: bool
        else:
            drawing.save(self.figure(), path)


def writable(path: str | os.PathLike, suffixes: tuple[str, ...], force: bool) -> Path:
    """path, if it has one of these suffixes, its folder exists and the file does not yet."""
    path = Path(path)
    if path.suffix not in suffixes:
        raise ArgumentError(f"{path}: expected a name that ends in {', '.join(suffixes)}, "
                            f"received {path.suffix or 'none of them'!r}.")
    if not path.parent.is_dir():
        raise FileError(f"{path}: expected an existing folder {path.parent}, received one that "
                        f"does not exist. Create it first.")
    if path.exists() and not force:
        raise FileError(f"{path}: expected a new file, found one that exists. Choose another name, "
                        f"or overwrite it with force=True.")
    return path
