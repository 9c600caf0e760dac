"""Files that are there whole or not at all, the room for them, and what a folder holds."""

from __future__ import annotations

import errno
import glob
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from .errors import FileError

LEFT = 3600.0  # seconds after which nobody writes a draft any more
# What Windows, macOS and network drives leave in every folder, in small letters.
SYSTEM = ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "$recycle.bin",
          "system volume information", "@eadir")


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """-> the path of a draft beside `path`, for the body of the with to write.

    Once the draft is whole and on the disk it takes the place of `path`. An error leaves what was
    there before, and no draft; only a process that is killed can leave one, which goes when `path`
    is written an hour later. Raises FileError where something cannot be written.
    """
    path = Path(path)
    for old in drafts(path.parent, path.name):
        with suppress(OSError):
            if time.time() - old.stat().st_mtime > LEFT:
                old.unlink()
    draft = path.with_name(f".{secrets.token_hex(4)}.part.{path.name}")
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


def drafts(folder: Path, name: str | None = None) -> list[Path]:
    """Drafts in `folder`, of the file `name` or of all: being written, or left by a process that
    was killed."""
    return sorted(folder.glob(f".*.part.{'*' if name is None else glob.escape(name)}"))


def reserved(folder: str | os.PathLike, size: int, advice: str) -> IO[bytes]:
    """A new file without a name, for which `size` bytes of the disk of `folder` are set aside. It
    is gone when it is closed or the process killed. Raises FileError, with the advice."""
    try:
        file = tempfile.TemporaryFile(dir=folder, prefix="minicnn-")
        try:
            if size and hasattr(os, "posix_fallocate"):  # Linux: what no quota or limit forbids
                os.posix_fallocate(file.fileno(), 0, size)
            elif shutil.disk_usage(folder).free < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            file.close()
            raise
    except OSError as problem:
        raise FileError(f"{folder}: expected room for {size / 1e6:,.1f} MB, received: "
                        f"{problem.strerror}. {advice}") from problem
    return file


def room_for(folder: str | os.PathLike, size: int, count: int) -> None:
    """Raises FileError where the disk of `folder` cannot take `count` files of `size` bytes."""
    with ExitStack() as files:
        for _ in range(count):
            files.enter_context(reserved(folder, size, "Make room, or choose another --output."))


@contextmanager
def held(folder: str | os.PathLike) -> Iterator[None]:
    """Meanwhile no other process can hold the folder; one that ends or is killed lets go of it.

    Raises FileError where another holds it. Windows has no such locks: all hold it there.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network drives have no locks, either
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise FileError(f"{folder}: expected a folder that no other process works in, "
                                f"found it in use. Wait until that one is done.") from None
        yield
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    """A new name is on the disk only once its folder is; Windows does that by itself."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def visible(folder: Path) -> list[Path]:
    """What a folder holds, in natural order, without hidden entries and those of SYSTEM."""
    try:
        entries = [entry for entry in folder.iterdir()
                   if entry.name[0] != "." and entry.name.casefold() not in SYSTEM]
    except OSError as problem:
        raise FileError(f"{folder}: expected a folder that can be read, received "
                        f"{problem.strerror}; check its permissions.") from problem
    return sorted(entries, key=lambda entry: _natural(entry.name))


def _natural(name: str) -> tuple:
    """img2 before img10: the runs of digits compare as numbers, the rest without case."""
    parts = re.split("([0-9]+)", name)  # text, digits, text, digits, …, text
    return [int(p) if k % 2 else p.casefold() for k, p in enumerate(parts)], name
