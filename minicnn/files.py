"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import FileError


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """-> the path of a draft beside `path`, for the body of the with to write.

    Once the draft is whole and on the disk it takes the place of `path`. An error leaves what was
    there before, and no draft; only a process that is killed can leave one (`drafts` finds it).
    Raises FileError where something cannot be written.
    """
    path = Path(path)
    draft = path.with_name(f".{os.getpid()}.part.{path.name}")
    try:
        yield draft
        with open(draft, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(draft, path)
        _sync_folder(path.parent)
    except OSError as problem:
        raise FileError(f"{path}: expected a file that can be written, received "
                        f"{problem.strerror or problem}. Check the folder, its rights and the free "
                        f"space.") from problem
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def write_text(path: str | os.PathLike, text: str) -> None:
    """A text file in UTF-8. Raises FileError."""
    with replacing(path) as draft:
        draft.write_text(text, "utf-8", errors="surrogateescape", newline="\n")


def drafts(folder: Path) -> list[Path]:
    """What processes that were killed have left in `folder`."""
    return sorted(folder.glob(".*.part.*"))


def room_for(folder: str | os.PathLike, size: int) -> None:
    """Raises FileError where the disk of `folder` has fewer than `size` bytes left."""
    there = next(one for one in (Path(folder).absolute(), *Path(folder).absolute().parents)
                 if one.exists())
    free = shutil.disk_usage(there).free
    if free < size:
        raise FileError(f"{folder}: expected {size / 1e6:,.0f} MB of free space, found "
                        f"{free / 1e6:,.0f} MB. Make room, or choose another --output.")


def _sync_folder(folder: Path) -> None:
    """A new name is on the disk only once its folder is; Windows does that by itself."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
