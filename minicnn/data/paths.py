"""Images named on a command line: files, folders, folders of classes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ..preprocessing import Preprocessing
from ..utils.errors import ArgumentError, FileError
from ..utils.ranks import current_ranks
from ..utils.suggest import suggest_path
from .datasets import Dataset, Integers
from .file_kinds import OtherKindError
from .fingerprints import check_same_images
from .image_folder import ImageFolder
from .keras_resizing import resizes_as_keras
from .listing import OtherFile, group_by_kind, list_photos
from .open_image import printable, readable_formats
from .part_names import parts_of, sub_folders


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
               crop_fraction: float = 1.0, recipe: Preprocessing | None = None) -> np.ndarray:
        """As Dataset.images, but never raises FileError."""
        pixels = np.zeros((len(indices), *size, 3),
                          np.float32 if resizes_as_keras(recipe) else np.uint8)
        for k, i in enumerate(indices):
            try:
                pixels[k] = super().images([i], size, crop_fraction, recipe)[0]
            except FileError as error:
                self.errors[int(i)] = str(error)
        return pixels


def find_photos(arguments: Sequence[str | PathLike]) -> tuple[list[Path], list[OtherFile]]:
    """(the photos that the arguments name, the other files of folders).

    A file is taken as it is named, whatever it holds. Folders are listed with their sub-folders, by
    the content of the files (list_photos); the names of the others are paths.
    Raises FileError for a path that does not exist, and for a folder without photos.
    """
    photos: list[Path] = []
    others: list[OtherFile] = []
    for path in map(Path, arguments):
        if not os.path.exists(path):  # unlike Path.exists, it never raises
            raise FileError(f"{printable(path)}: expected a photo or a folder of photos, found "
                            f"nothing; check the path.{suggest_path(path)}")
        if not os.path.isdir(path):
            photos.append(path)
            continue
        listing = list_photos(path)
        if not listing.photos:
            holds = " ".join(group_by_kind(listing.others, 1))
            raise FileError(f"{printable(path)}: expected photos in this folder "
                            f"({', '.join(readable_formats())}), found none. {holds}".rstrip())
        photos += listing.photos
        others += listing.others
    return photos, others


def photo_paths(arguments: Sequence[str | PathLike]) -> list[Path]:
    """The paths of images, as find_photos finds them, which also gives the other files."""
    return find_photos(arguments)[0]


def readable_photos(words: Sequence[str], labelled: bool = False
                    ) -> tuple[Dataset, list[OtherFile]]:
    """(the images of files and folders that can be read, the other files). See read_photos."""
    if labelled and len(words) > 1:
        raise ArgumentError(f"photos: expected one folder with a sub-folder per class, received "
                            f"{len(words)} paths. Name one folder.")
    folder = Path(words[0])
    data: Dataset
    if labelled or (len(words) == 1 and os.path.isdir(folder) and len(sub_folders(folder)) > 1
                    and not parts_of(folder)):
        data = image_folder = ImageFolder(folder)
        others = list(image_folder.others)
    else:
        paths, others = find_photos(words)
        data = UnlabelledImages(paths, _short_names(words, paths))
    unread = unreadable(data)
    others += [unread[i] for i in sorted(unread)]
    readable = [i for i in range(len(data)) if i not in unread]
    if not readable:
        raise FileError(f"{words[0]}: expected photos that can be read, found none. "
                        f"{others[0].reason}")
    return data.subset(readable), others


def unreadable(data: Dataset) -> dict[int, OtherFile]:
    """{index: why} of the images that cannot be read. Several ranks read a part each; raises
    ArgumentError on all of them if they have other images."""
    ranks = current_ranks()
    check_same_images(data)
    own: dict[int, OtherFile] = {}
    for i in range(*ranks.part_of(len(data))):
        try:
            data.read(i)
        except FileError as error:
            kind = error.kind if isinstance(error, OtherKindError) else None
            own[i] = OtherFile(Path(data.items[i]), printable(data.names[i]), str(error), kind)
    return {i: other for part in ranks.gather(own) for i, other in part.items()}


def _short_names(words: Sequence[str], photos: Sequence[Path]) -> list[str]:
    """The names of the photos: below the folder that was named, or the file's own."""
    folders = [Path(word) for word in words]
    return [next((photo.relative_to(folder).as_posix() for folder in folders
                  if photo != folder and photo.is_relative_to(folder)), photo.name)
            for photo in photos]


def read_photos(words: list[str], labelled: bool = False) -> tuple[Dataset, list[str]]:
    """(images of files and folders, why others were skipped).

    A single folder of folders gives labelled images, unless these are the parts of a split.
    labelled: raise ArgumentError or FileError for anything else. Raises FileError if no image can
    be read.
    """
    data, others = readable_photos(words, labelled)
    return data, [other.reason for other in others]
