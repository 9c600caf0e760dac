"""Atomic writes, disk-space checks, folder locks and listings."""

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

STALE_AFTER = 3600.0  # seconds after which no process is still writing a partial file
# Entries that Windows, macOS and network drives add to every folder, in lower case.
SYSTEM_ENTRIES = ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "$recycle.bin",
                  "system volume information", "@eadir")


@contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """-> the path of a partial file beside `path`, for the body of the with to write.

    When the body is done, the partial file is flushed to the disk and replaces `path`. If an error
    occurs, the older file stays and the partial file is deleted. Only a process that is killed
    leaves a partial file behind; it is deleted when `path` is written an hour later.
    Raises FileError if something cannot be written.
    """
    path = Path(path)
    for old in partial_files(path.parent, path.name):
        with suppress(OSError):
            if time.time() - old.stat().st_mtime > STALE_AFTER:
                old.unlink()
    partial = path.with_name(f".{secrets.token_hex(4)}.part.{path.name}")
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise FileError(f"{path}: expected a file that can be written, received "
                        f"{error.strerror or error}. Check the folder, its permissions and the "
                        f"free disk space.") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a text file in UTF-8. Raises FileError."""
    with atomic_write(path) as partial:
        partial.write_text(text, "utf-8", errors="surrogateescape", newline="\n")


def partial_files(folder: Path, name: str | None = None) -> list[Path]:
    """The partial files in `folder`, of the file `name` or of all files: those that are being
    written, and those that a killed process left behind."""
    return sorted(folder.glob(f".*.part.{'*' if name is None else glob.escape(name)}"))


def preallocated_file(folder: str | os.PathLike, size: int, advice: str) -> IO[bytes]:
    """A new unnamed file with `size` bytes of the disk of `folder` allocated to it.

    It vanishes when it is closed or the process is killed. Raises FileError, which ends in the
    advice, if the disk is too full.
    """
    try:
        file = tempfile.TemporaryFile(dir=os.fspath(folder), prefix="minicnn-")  # noqa: SIM115
        try:
            if size and hasattr(os, "posix_fallocate"):  # Linux: also checks quotas and limits
                os.posix_fallocate(file.fileno(), 0, size)
            elif shutil.disk_usage(folder).free < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            file.close()
            raise
    except OSError as error:
        raise FileError(f"{folder}: expected {size / 1e6:,.1f} MB of free disk space, received: "
                        f"{error.strerror}. {advice}") from error
    return file


def check_free_space(folder: str | os.PathLike, size: int, count: int) -> None:
    """Raises FileError if the disk of `folder` cannot take `count` files of `size` bytes."""
    advice = "Free some space, or choose another --output."
    with ExitStack() as files:
        for _ in range(count):
            files.enter_context(preallocated_file(folder, size, advice))


@contextmanager
def lock_folder(folder: str | os.PathLike) -> Iterator[None]:
    """Locks the folder against other processes until the end of the with, or of the process.

    Raises FileError if another process holds the lock. Windows has no such locks: there the folder
    is not locked.
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
                                f"received one in use. Wait until that process is done."
                                ) from None
        yield
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    """Flushes the folder, so that a new file's name is on the disk. Windows does so by itself."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def list_folder(folder: Path) -> list[Path]:
    """The entries of a folder in natural order, without hidden ones and SYSTEM_ENTRIES."""
    return [folder / name for name in entry_names(folder)]


def entry_names(folder: Path) -> list[str]:
    """The names of the entries of list_folder, for folders of so many files that a Path for each
    takes too much memory. Raises FileError if the folder cannot be read."""
    try:
        names = [entry.name for entry in folder.iterdir()
                 if entry.name[0] != "." and entry.name.casefold() not in SYSTEM_ENTRIES]
    except OSError as error:
        raise FileError(f"{folder}: expected a folder that can be read, received "
                        f"{error.strerror}; check its permissions.") from error
    names.sort()  # decides between names of the same key, such as a and A
    names.sort(key=_natural_key)
    return names


def _natural_key(name: str) -> str:
    """Sorts img2 before img10: runs of digits compare as numbers, the rest without case.

    One string, since a list of parts takes ten times the memory. A text ends in NUL, which no name
    contains, and so "a" stands before "a1" before "ab"; the number of its digits stands before a
    number.
    """
    parts = re.split("([0-9]+)", name)  # text, digits, text, digits, …, text
    for k, part in enumerate(parts):
        if k % 2:
            digits = part.lstrip("0")
            parts[k] = chr(len(digits)) + digits
        else:
            parts[k] = part.casefold() + "\0"
    return "".join(parts)
