"""A folder with one sub-folder per class, as a data set."""

from __future__ import annotations

import os
from os import PathLike
from pathlib import Path

import numpy as np

from ..utils.errors import FileError
from ..utils.files import list_folder
from ..utils.suggest import suggest_path
from .datasets import Dataset
from .file_kinds import NO_CLASS
from .file_table import FileTable, Names, Paths
from .listing import FolderListing, OtherFile, group_by_kind, link_to_folder, list_photos
from .open_image import printable
from .part_names import part_of, parts_of, sub_folders


class ImageFolder(Dataset):
    """A folder with one sub-folder per class. The classes are named after the sub-folders, with
    unprintable characters escaped. The photos in folders inside them belong to the class, too.

    Classes and files are in natural order (img2 before img10); hidden files and those of the system
    are left out. Only the headers of the files are read here.

    others:  the files that are not read as photos, as listing.OtherFile.
    skipped: the reason for each of them, with its path.
    rotated: the number of images that read_image rotates or mirrors because their EXIF says so.
    Raises FileError if there is no folder, fewer than two classes, a class without an image, or if
    the sub-folders are not classes: the parts of a split, or folders that each hold the same ones.
    """

    def __init__(self, path: str | PathLike) -> None:
        root = Path(path)
        if not os.path.isdir(root):  # unlike Path.is_dir, it never raises
            actual, nearest = (("a file", "") if os.path.exists(root) else
                              ("nothing", suggest_path(root)))
            raise FileError(f"{root}: expected a folder with one sub-folder per class, found "
                            f"{actual}; check the path.{nearest}")
        real = Path(os.path.realpath(root))  # a link to a folder above it is no class
        folders = [entry for entry in sub_folders(root)
                   if not real.is_relative_to(os.path.realpath(entry))]
        _check_classes(root, folders)
        self.others = _files_beside(root, folders)
        self.rotated = 0
        table, counts = FileTable(), []
        for folder in folders:
            listing = list_photos(folder, root)
            if not listing.photos:
                holds = "".join(f" ({line})" for line in group_by_kind(listing.others, 1)[:1])
                raise FileError(f"{folder}: expected photos of the class {folder.name!r}, found "
                                f"none that can be read{holds}; put photos in it, remove it, or "
                                f"choose the folder whose sub-folders hold the photos"
                                f"{_suggestion(root)}.")
            self.others += listing.others
            self.rotated += sum(listing.rotated)
            counts.append(len(listing.photos))
            table.extend(listing.table)
        # two classes may hold files of the same name, so the class is part of the name
        super().__init__(Paths(table), np.repeat(np.arange(len(folders)), counts),
                         [printable(folder.name) for folder in folders], Names(table))

    @property
    def skipped(self) -> list[str]:
        """Why each of the others is not read as a photo, with its path."""
        return [other.reason for other in self.others]

    def __repr__(self) -> str:
        return f"{super().__repr__()}, {self.rotated} rotated by EXIF, {len(self.others)} skipped"


def _check_classes(root: Path, folders: list[Path]) -> None:
    """Raises FileError unless there are two folders or more that can be classes."""
    if len(folders) < 2:
        received = f"only {folders[0].name!r}" if folders else "none"
        raise FileError(f"{root}: expected one sub-folder per class, at least two, found "
                        f"{received}; sort the photos into folders named after their classes, "
                        f"or choose the folder whose sub-folders hold them{_suggestion(root)}.")
    names = ", ".join(printable(folder.name) for folder in folders[:5])
    parts = {part_of(folder.name): folder for folder in reversed(folders)}
    if None not in parts:
        parts.update(parts_of(root).items())
        purposes = "".join(f", {printable(parts[part])} to {purpose}" for part, purpose in (
            ("train", "train"), ("test", "evaluate")) if part in parts)
        raise FileError(f"{root}: expected one sub-folder per class, found the parts of a split "
                        f"({names}); choose the folder whose sub-folders hold the photos"
                        f"{purposes}.")
    if any(os.path.isfile(entry) for folder in folders for entry in list_folder(folder)):
        return
    inside = {tuple(entry.name for entry in sub_folders(folder)) for folder in folders}
    shared = inside.pop()
    if not inside and len(shared) > 1:
        raise FileError(f"{root}: expected one sub-folder per class, found none: {names} each hold "
                        f"the folders {printable(', '.join(shared[:5]))}, as if those were the "
                        f"classes; choose the folder whose sub-folders hold the photos"
                        f"{_suggestion(root)}, or give the folders inside other names.")


def _files_beside(root: Path, folders: list[Path]) -> list[OtherFile]:
    """What lies in the root beside the class folders: photos without a class, others, links."""
    others: list[OtherFile] = []
    for entry in list_folder(root):
        if entry in folders:
            continue
        if os.path.isdir(entry):
            others.append(link_to_folder(entry, entry.name))
            continue
        listing = FolderListing()
        listing.add(listing.table.add_folder(root), entry.name)
        others += listing.others
        if listing.photos:
            others.append(OtherFile(entry, printable(entry.name), f"{printable(entry)}: is in no "
                                    f"class folder, so it has no label.", NO_CLASS))
    return others


def _suggestion(root: Path, levels: int = 4) -> str:
    """" (PATH)": the first folder below root that is split into parts, or seems to hold one
    sub-folder per class; never one that is called a test; "" if there is none. Links are not
    followed, since they may lead in circles."""
    folders = [entry for entry in list_folder(root) if os.path.isdir(entry)
               and not entry.is_symlink() and part_of(entry.name) in (None, "train")]
    folders.sort(key=lambda folder: part_of(folder.name) is None)  # training first
    for folder in folders:
        classes = [entry for entry in list_folder(folder) if os.path.isdir(entry)]
        if parts_of(folder) or len(classes) > 1 and all(
                any(map(os.path.isfile, list_folder(entry))) for entry in classes):
            return f" ({printable(folder)})"
    deeper = (_suggestion(folder, levels - 1) for folder in folders if levels)
    return next(filter(None, deeper), "")
