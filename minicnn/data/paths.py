"""Images named on a command line: files, folders, folders of classes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ..utils.errors import ArgumentError, FileError
from ..utils.files import list_folder
from .datasets import Dataset, Integers
from .image_folder import ImageFolder
from .images import printable

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")


class UnlabelledImages(Dataset):
    """Images without labels, of which some may be unreadable: those are black.

    items:  paths or arrays, as for a Dataset. names: by default the paths.
    errors: {index: why this image cannot be read}, filled while the images are read.
    """

    def __init__(self, items: Sequence[Any], names: Sequence[str] | None = None) -> None:
        super().__init__(items, np.zeros(len(items), int), ["photo"],
                         list(map(str, items)) if names is None else names)
        self.errors: dict[int, str] = {}

    def images(self, indices: Integers, size: tuple[int, int],
               crop_fraction: float = 1.0) -> np.ndarray:
        """As Dataset.images, but never raises FileError."""
        pixels = np.zeros((len(indices), *size, 3), np.uint8)
        for k, i in enumerate(indices):
            try:
                pixels[k] = super().images([i], size, crop_fraction)[0]
            except FileError as error:
                self.errors[int(i)] = str(error)
        return pixels


def photo_paths(arguments: Sequence[str | PathLike]) -> list[Path]:
    """The paths of images: files as they are named, and of a folder its images, by their suffixes.

    Raises FileError for a path that does not exist, and a folder without images.
    """
    paths = []
    for path in map(Path, arguments):
        if not os.path.exists(path):  # unlike Path.exists, it never raises
            raise FileError(f"{printable(path)}: expected a photo or a folder of photos, found "
                            f"nothing.")
        files = [path]
        if os.path.isdir(path):
            files = [entry for entry in list_folder(path) if entry.suffix.lower() in SUFFIXES]
        if not files:
            raise FileError(f"{path}: expected photos in this folder ({', '.join(SUFFIXES)}), "
                            f"found none.")
        paths += files
    return paths


def read_photos(words: list[str], labelled: bool = False) -> tuple[Dataset, list[str]]:
    """(images of files and folders, why others were skipped).

    A single folder of folders gives labelled images. labelled: raise ArgumentError or FileError
    for anything else. Raises FileError if no image can be read.
    """
    if labelled and len(words) > 1:
        raise ArgumentError(f"photos: expected one folder with a sub-folder per class, received "
                            f"{len(words)} paths. Name one folder.")
    folder = Path(words[0])
    data: Dataset
    if labelled or (len(words) == 1 and os.path.isdir(folder)
                    and any(map(os.path.isdir, list_folder(folder)))):
        data = image_folder = ImageFolder(folder)
        skipped = list(image_folder.skipped)
    else:
        paths = photo_paths(words)
        data, skipped = UnlabelledImages(paths, [path.name for path in paths]), []
    readable = []
    for i in range(len(data)):
        try:
            data.read(i)
            readable.append(i)
        except FileError as error:
            skipped.append(str(error))
    if not readable:
        raise FileError(f"{words[0]}: expected photos that can be read, found none. {skipped[0]}")
    return data.subset(readable), skipped
