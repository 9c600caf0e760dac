"""A folder with one sub-folder a class, as a data set."""

from __future__ import annotations

import os
from os import PathLike
from pathlib import Path

from ..utils.errors import FileError
from ..utils.files import list_folder
from .datasets import Dataset
from .images import printable, was_turned


class ImageFolder(Dataset):
    """A folder with one sub-folder a class; the names of the sub-folders are the classes, what is
    no printable text in them escaped.

    Classes and files stand in natural order (img2 before img10); hidden ones are passed over.
    Only the headers of the files are read here.

    skipped: what was found among the photos but is no image, each as path and reason.
    turned:  the number of photos that read_image turns because their EXIF says so.
    Raises FileError where there is no folder, fewer than two classes, or a class without a photo.
    """

    def __init__(self, path: str | PathLike) -> None:
        root = Path(path)
        if not os.path.isdir(root):  # unlike Path.is_dir, it never raises
            raise FileError(f"{root}: expected a folder with one sub-folder a class, found "
                            f"{'a file' if os.path.exists(root) else 'nothing'}; check the path.")
        real = Path(os.path.realpath(root))  # a link to a folder above it is no class
        folders = [entry for entry in list_folder(root) if os.path.isdir(entry)
                   and not real.is_relative_to(os.path.realpath(entry))]
        if len(folders) < 2:
            found = f"only {folders[0].name!r}" if folders else "none"
            raise FileError(f"{root}: expected one sub-folder a class, at least two, found "
                            f"{found}; sort the photos into folders named after their classes, "
                            f"or choose the folder whose sub-folders hold them{_deeper(root)}.")
        self.skipped = [f"{printable(entry)}: lies in no class folder, so it has no label."
                        for entry in list_folder(root) if entry not in folders]
        self.turned = 0
        items, labels = [], []
        for label, folder in enumerate(folders):
            for file in list_folder(folder):
                if os.path.isdir(file):
                    self.skipped.append(f"{printable(file)}: a folder inside that of a class is "
                                        f"not read.")
                    continue
                try:
                    self.turned += was_turned(file)
                except FileError as problem:
                    self.skipped.append(str(problem))
                else:
                    items.append(file)
                    labels.append(label)
            if label not in labels[-1:]:
                raise FileError(f"{folder}: expected photos of the class {folder.name!r}, found "
                                f"none that can be read; put photos in it, remove it, or choose "
                                f"the folder whose sub-folders hold the photos{_deeper(root)}.")
        # two classes may hold files of the same name, so the class is part of the name
        names = [file.relative_to(root).as_posix() for file in items]
        super().__init__(items, labels, [printable(folder.name) for folder in folders], names)

    def __repr__(self) -> str:
        return f"{super().__repr__()}, {self.turned} turned by EXIF, {len(self.skipped)} skipped"


def _deeper(root: Path, levels: int = 4) -> str:
    """" (…)": the first folder below root that looks like one folder a class, if any. Links, which
    may lead in circles, are not followed."""
    folders = [entry for entry in list_folder(root) if os.path.isdir(entry)
               and not os.path.islink(entry)]
    for folder in folders:
        classes = [entry for entry in list_folder(folder) if os.path.isdir(entry)]
        if len(classes) > 1 and all(any(map(os.path.isfile, list_folder(one))) for one in classes):
            return f" ({printable(folder)})"
    return next(filter(None, (_deeper(folder, levels - 1) for folder in folders if levels)), "")
