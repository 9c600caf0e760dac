"""Photos as they are given on a command line: files, folders, folders of classes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from ..utils.errors import ArgumentError, FileError
from ..utils.files import list_folder
from .datasets import Dataset
from .image_folder import ImageFolder
from .images import printable

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")


class Photos(Dataset):
    """Photos that may be unreadable: black then, and the reason in problems, by their number.

    items: paths or arrays, as of a Dataset; names: None for those of the paths.
    """

    def __init__(self, items: Sequence, names: Sequence[str] | None = None) -> None:
        super().__init__(items, np.zeros(len(items), int), ["photo"],
                         list(map(str, items)) if names is None else names)
        self.problems: dict[int, str] = {}

    def images(self, indices: Sequence[int], size: tuple[int, int],
               crop_fraction: float = 1.0) -> np.ndarray:
        """As of a Dataset; never a FileError."""
        pixels = np.zeros((len(indices), *size, 3), np.uint8)
        for k, i in enumerate(indices):
            try:
                pixels[k] = super().images([i], size, crop_fraction)[0]
            except FileError as problem:
                self.problems[int(i)] = str(problem)
        return pixels


def photo_paths(arguments: Sequence[str | PathLike]) -> list[Path]:
    """Photos as they are given; of a folder, the photos in it, by their suffixes."""
    paths = []
    for path in map(Path, arguments):
        if not os.path.exists(path):  # unlike Path.exists, it never raises
            raise FileError(f"{printable(path)}: expected a photo or a folder of photos, found "
                            f"nothing.")
        inside = [path]
        if os.path.isdir(path):
            inside = [entry for entry in list_folder(path) if entry.suffix.lower() in SUFFIXES]
        if not inside:
            raise FileError(f"{path}: expected photos in this folder ({', '.join(SUFFIXES)}), "
                            f"found none.")
        paths += inside
    return paths


def read_photos(words: list[str], labelled: bool = False) -> tuple[Dataset, list[str]]:
    """Photos of files and folders; a single folder of folders has its classes. Those that cannot be
    read are left out, with the reason."""
    if labelled and len(words) > 1:
        raise ArgumentError(f"photos: expected one folder with a sub-folder a class, received "
                            f"{len(words)} paths. Name one folder.")
    folder = Path(words[0])
    if labelled or (len(words) == 1 and os.path.isdir(folder)
                    and any(map(os.path.isdir, list_folder(folder)))):
        data = ImageFolder(folder)
        skipped = list(data.skipped)
    else:
        paths = photo_paths(words)
        names = [path.name for path in paths]
        data, skipped = Dataset(paths, np.zeros(len(paths), int), ["photo"], names), []
    kept = []
    for i in range(len(data)):
        try:
            data.read(i)
            kept.append(i)
        except FileError as problem:
            skipped.append(str(problem))
    if not kept:
        raise FileError(f"{words[0]}: expected photos that can be read, found none. {skipped[0]}")
    return data.subset(kept), skipped
