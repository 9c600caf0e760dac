"""A folder with one sub-folder per class, as a data set."""

from __future__ import annotations

import os
from os import PathLike
from pathlib import Path

from ..utils.errors import FileError
from ..utils.files import list_folder
from .datasets import Dataset
from .images import is_rotated, printable


class ImageFolder(Dataset):
    """A folder with one sub-folder per class. The classes are named after the sub-folders, with
    unprintable characters escaped.

    Classes and files are in natural order (img2 before img10); hidden ones are left out. Only the
    headers of the files are read here.

    skipped: the files among the images that are no images, each as its path and the reason.
    rotated: the number of images that read_image rotates or mirrors because their EXIF says so.
    Raises FileError if there is no folder, fewer than two classes, or a class without an image.
    """

    def __init__(self, path: str | PathLike) -> None:
        root = Path(path)
        if not os.path.isdir(root):  # unlike Path.is_dir, it never raises
            raise FileError(f"{root}: expected a folder with one sub-folder per class, found "
                            f"{'a file' if os.path.exists(root) else 'nothing'}; check the path.")
        real = Path(os.path.realpath(root))  # a link to a folder above it is no class
        folders = [entry for entry in list_folder(root) if os.path.isdir(entry)
                   and not real.is_relative_to(os.path.realpath(entry))]
        if len(folders) < 2:
            received = f"only {folders[0].name!r}" if folders else "none"
            raise FileError(f"{root}: expected one sub-folder per class, at least two, found "
                            f"{received}; sort the photos into folders named after their classes, "
                            f"or choose the folder whose sub-folders hold them{_suggestion(root)}.")
        self.skipped = [f"{printable(entry)}: is in no class folder, so it has no label."
                        for entry in list_folder(root) if entry not in folders]
        self.rotated = 0
        items: list[Path] = []
        labels: list[int] = []
        for label, folder in enumerate(folders):
            for file in list_folder(folder):
                if os.path.isdir(file):
                    self.skipped.append(f"{printable(file)}: a folder inside a class folder is "
                                        f"not read.")
                    continue
                try:
                    self.rotated += is_rotated(file)
                except FileError as error:
                    self.skipped.append(str(error))
                else:
                    items.append(file)
                    labels.append(label)
            if label not in labels[-1:]:
                raise FileError(f"{folder}: expected photos of the class {folder.name!r}, found "
                                f"none that can be read; put photos in it, remove it, or choose "
                                f"the folder whose sub-folders hold the photos{_suggestion(root)}.")
        # two classes may hold files of the same name, so the class is part of the name
        names = [file.relative_to(root).as_posix() for file in items]
        super().__init__(items, labels, [printable(folder.name) for folder in folders], names)

    def __repr__(self) -> str:
        return f"{super().__repr__()}, {self.rotated} rotated by EXIF, {len(self.skipped)} skipped"


def _suggestion(root: Path, levels: int = 4) -> str:
    """" (PATH)": the first folder below root that seems to hold one sub-folder per class; "" if
    there is none. Links are not followed, since they may lead in circles."""
    folders = [entry for entry in list_folder(root) if os.path.isdir(entry)
               and not os.path.islink(entry)]
    for folder in folders:
        classes = [entry for entry in list_folder(folder) if os.path.isdir(entry)]
        if len(classes) > 1 and all(any(map(os.path.isfile, list_folder(entry)))
                                    for entry in classes):
            return f" ({printable(folder)})"
    deeper = (_suggestion(folder, levels - 1) for folder in folders if levels)
    return next(filter(None, deeper), "")
