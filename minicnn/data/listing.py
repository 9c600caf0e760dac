"""The files of a folder: which are photos, and what the others are. All commands use this listing.

The content of a file decides what it is, not its name. Only two kinds are skipped silently: hidden
files (.DS_Store and whatever else begins with a dot) and those of Windows, macOS and network
drives, such as Thumbs.db and desktop.ini (utils/files.py, SYSTEM_ENTRIES).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from ..utils.errors import FileError
from ..utils.files import entry_names
from ..utils.language import gettext as _
from .file_kinds import EMPTY, EXPLANATION, LINK, ZEROS, FileKind, OtherKindError
from .file_table import FileTable, Names, Paths, prefix_of
from .images import is_rotated
from .open_image import printable

# Of files that somebody called a photo: they are missed if they cannot be read.
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff",
                  ".avif", ".heic", ".heif")
MAX_NAMED = 8  # files of a kind on the screen; a page names all


class OtherFile(NamedTuple):
    """A file, or a link to a folder, that is not read as a photo.

    name:   as it is shown, printable; below the folder that was listed.
    reason: one sentence, with the path and what to do.
    kind:   what it is instead; None if it is a photo that cannot be read, for its own reason.
    """

    path: Path
    name: str
    reason: str
    kind: FileKind | None = None

    @property
    def is_photo(self) -> bool:
        """True for a photo that cannot be read, and for what is called one by its suffix; of a file
        without content only the suffix is known."""
        if self.kind is None or self.kind in (LINK, EXPLANATION):
            return self.kind is None
        named_photo = self.path.suffix.lower() in PHOTO_SUFFIXES
        return named_photo or (self.kind.is_photo and self.kind not in (EMPTY, ZEROS))


@dataclass
class FolderListing:
    """The photos of a folder and its sub-folders, in natural order (img2 before img10), whether
    read_image rotates each, and all other files.

    table: the photos, which `photos` has as paths and `names` by their names.
    """

    table: FileTable = field(default_factory=FileTable)
    rotated: list[bool] = field(default_factory=list)
    others: list[OtherFile] = field(default_factory=list)

    @property
    def photos(self) -> Sequence[Path]:
        """The paths of the photos."""
        return Paths(self.table)

    @property
    def names(self) -> Sequence[str]:
        """The names of the photos."""
        return Names(self.table)

    def add(self, folder: int, name: str) -> None:
        """Adds a file to the photos, or with its reason to the others. Reads its header only.

        folder: its number in the table. name: its own.
        """
        path = self.table.folders[folder] / name
        try:
            self.rotated.append(is_rotated(path))
        except FileError as error:
            kind = error.kind if isinstance(error, OtherKindError) else None
            self.others.append(OtherFile(path, printable(self.table.prefixes[folder] + name),
                                         str(error), kind))
        else:
            self.table.append(folder, name)


def list_photos(folder: str | PathLike, root: str | PathLike | None = None) -> FolderListing:
    """Lists a folder with its sub-folders.

    root: what the names of the others are relative to; None: their names are their paths.
    Links to folders are followed, but not to one above, and to each folder once.
    Hidden files and those of the system are left out silently (see above); a sub-folder that cannot
    be read is among the others, with the reason. Raises FileError if `folder` cannot be read.
    """
    start, real_start = Path(folder), Path(os.path.realpath(folder))
    listing, read = FolderListing(), {str(real_start)}
    prefix = str(start / "x")[:-1] if root is None else prefix_of(start, root)
    stack = [(listing.table.add_folder(start, prefix), iter(entry_names(start)))]
    while stack:
        number, names = stack[-1]
        name = next(names, None)
        if name is None:
            stack.pop()
            continue
        path = listing.table.folders[number] / name
        if not os.path.isdir(path):  # unlike Path.is_dir, it never raises
            listing.add(number, name)
            continue
        shown, real = listing.table.prefixes[number] + name, os.path.realpath(path)
        if real in read or real_start.is_relative_to(real):
            listing.others.append(link_to_folder(path, shown))
            continue
        read.add(real)
        try:
            inside = iter(entry_names(path))
        except FileError as error:
            listing.others.append(OtherFile(path, printable(shown), str(error)))
        else:
            stack.append((listing.table.add_folder(path, f"{shown}/"), inside))
    return listing


def link_to_folder(path: Path, name: str) -> OtherFile:
    """A link to a folder that is read already."""
    return OtherFile(path, printable(name), f"{printable(path)}: is {LINK.singular}; "
                     f"{LINK.advice}.", LINK)


def group_by_kind(others: Iterable[OtherFile], limit: int | None = MAX_NAMED) -> list[str]:
    """One line for each kind: "3 videos: a.mp4, b.mov, c.mp4. Save single frames as JPEG."

    Photos that cannot be read have a line each, the reason, and stand first.
    limit: the number of files of a kind that are named; the others are counted. None: all are.
    """
    lines: list[str] = []
    groups: dict[FileKind, list[str]] = {}
    for other in others:
        if other.kind is None:
            lines.append(other.reason)
        else:
            groups.setdefault(other.kind, []).append(other.name)
    # photos of other formats first, then the most frequent kinds
    for kind in sorted(groups, key=lambda kind: (not kind.is_photo, -len(groups[kind]))):
        names = groups[kind]
        what = _(kind.plural) if len(names) > 1 else _(kind.singular).partition(" ")[2]
        rest, advice = len(names) - len(names[:limit]), _(kind.advice)
        more = _(", … and {count} more", count=rest) if rest else ""
        lines.append(f"{len(names)} {what}{_(': ')}{', '.join(names[:limit])}{more}. "
                     f"{advice[0].upper()}{advice[1:]}.")
    return lines
