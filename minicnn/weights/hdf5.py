"""What is taken out of an HDF5 file, and judged before it is taken.

A file from a stranger may lead to other files, or be made to fill the memory: so links are looked
at before they are followed, and sizes that it declares before anything is read, those of a list of
names as those of all arrays together. HDF5 itself is h5py's.
"""

from __future__ import annotations

import math
import mmap
import os
import re
import zlib
from collections.abc import Sequence
from functools import lru_cache
from itertools import takewhile
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from ..utils.errors import FileError, is_int

if TYPE_CHECKING:  # h5py is imported where it is used: `import minicnn` stays fast
    import h5py

MOST = 2_000       # layers, names in a list, entries of a group
TEXT = 4_000_000   # bytes of a network's description, or of a list of names
SMALL = 64_000_000  # bytes of arrays that any file may hold;
INFLATION = 32      # and how many times its own size a larger one may: numbers do not shrink more
CHUNKS = 100_000    # parts of all arrays
NAME, PARTS = 1_000, 16  # characters of a name, and steps from group to group in it
GZIP, SHUFFLE, FLETCHER = 1, 2, 3  # HDF5's numbers of what may be done to a part


def has(group: h5py.Group, name: str) -> bool:
    """name in group, without following a link: `in` would open what it leads to."""
    import h5py

    return isinstance(group, h5py.Group) and group.id.links.exists(name.encode())


def keys(group: h5py.Group) -> list[str]:
    """The names in a group, of which there are at most MOST."""
    if len(group) > MOST:
        raise ValueError(f"{group.name}: expected at most {MOST:,} entries, received "
                         f"{len(group):,}")
    return list(group)


def member(group: h5py.Group, name: str, path: str | PathLike) -> h5py.Group | h5py.Dataset:
    """group[name], step by step along "a/b/c", through hard links only.

    Soft and external links could lead to another file of the reader's disk.
    """
    import h5py

    if len(name) > NAME or name.count("/") >= PARTS:
        raise FileError(f"{path}: {group.name}: expected names of at most {NAME:,} characters and "
                        f"{PARTS} parts, received {len(name):,} characters: {name[:NAME]!r}; the "
                        f"file is damaged.")
    for part in name.split("/"):
        if not has(group, part):
            raise FileError(f"{path}: expected {name!r} in {group.name}, found nothing there; the "
                            f"file is incomplete, download or save it again.")
        link = group.get(part, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise FileError(f"{path}: {group.name} leads to {part!r} by a {type(link).__name__}; "
                            f"minicnn reads only what lies in the file itself.")
        group = group[part]
    return group


def array(group: h5py.Group, name: str, path: str | PathLike) -> np.ndarray:
    """The dataset group[name] as numbers() gives it."""
    data = dataset(group, name, path)
    judge([data], path)
    return numbers(data, path)


def dataset(group: h5py.Group, name: str, path: str | PathLike) -> h5py.Dataset:
    """The dataset group[name], not read yet: floats that lie in this file."""
    import h5py

    data = member(group, name, path)
    where = f"{path}: {data.name}"
    if not isinstance(data, h5py.Dataset):
        raise FileError(f"{where}: expected an array, received a group.")
    if data.is_virtual or data.external:
        raise FileError(f"{where}: its numbers lie in another file; minicnn reads only what lies "
                        f"in the file itself.")
    if data.dtype.kind != "f" or data.dtype.itemsize not in (2, 4, 8):
        raise FileError(f"{where}: expected floats of 16, 32 or 64 bits, received {data.dtype}.")
    return data


def judge(datasets: Sequence[h5py.Dataset], path: str | PathLike) -> None:
    """Raises FileError unless what datasets claim to hold, in all, may lie in a file of this size.

    A chunk is unpacked whole, and may be larger than the array that is cut out of it.
    """
    claim = chunks = 0
    for data in datasets:
        filters = _filters(data)
        if filters not in ([], [GZIP], [SHUFFLE], [SHUFFLE, GZIP], [FLETCHER]):
            raise FileError(f"{path}: {data.name}: expected an array in gzip, shuffled, with a "
                            f"checksum or plain, received HDF5's filters {filters}; save it "
                            f"plain.")
        chunks += data.id.get_num_chunks() if data.chunks else 0
        if chunks > CHUNKS:
            raise FileError(f"{path}: {data.name}: expected at most {CHUNKS:,} chunks in all, "
                            f"received {chunks:,}; save it plain.")
        chunk = math.prod(data.chunks or ()) * data.dtype.itemsize
        claim += max(data.size * max(data.dtype.itemsize, 4), chunk)
        most = max(SMALL, INFLATION * data.file.id.get_filesize())
        if claim > most:
            raise too_large(f"{path}: {data.name}", claim, most)


def numbers(data: h5py.Dataset, path: str | PathLike) -> np.ndarray:
    """values() of a dataset that has been judged, all of them finite as float32."""
    x = values(data)
    with np.errstate(over="ignore"):
        finite = np.isfinite(x.astype(np.float32, copy=False)).all()
    if not finite:
        raise FileError(f"{path}: {data.name}: expected finite numbers, received NaN or infinite "
                        f"ones (as float32); the training that wrote them had failed, or the file "
                        f"is damaged.")
    return x


def values(data: h5py.Dataset) -> np.ndarray:
    """A dataset that has been judged, as native float32 (from 16 and 32 bits) or float64."""
    return np.asarray(_unpacked(data) if data.chunks else data[()],
                      np.float64 if data.dtype.itemsize == 8 else np.float32)


def _filters(data: h5py.Dataset) -> list[int]:
    """HDF5's numbers of what was done to each chunk, in that order."""
    settings = data.id.get_create_plist()
    return [settings.get_filter(k)[0] for k in range(settings.get_nfilters())]


def _unpacked(data: h5py.Dataset) -> np.ndarray:
    """The numbers of a dataset in chunks.

    HDF5 (2.0) takes a chunk's length on trust: of a short one it hands out, as weights, what else
    lay in the memory, and a checksum of less than four bytes ends the process. So chunks are
    measured here, and unpacked here where they are packed.
    """
    chunks, filters, found = data.chunks, _filters(data), []
    size = math.prod(chunks) * data.dtype.itemsize
    data.id.chunk_iter(found.append)
    packed = [chunk for chunk in found if chunk.size != size + 4 * (FLETCHER in filters)
              or chunk.filter_mask or GZIP in filters or SHUFFLE in filters]
    if not packed:
        return data[()]
    if FLETCHER in filters or max(chunk.size for chunk in found) > data.file.id.get_filesize():
        raise ValueError(f"{data.name}: a chunk has another length than it must have")
    x = np.full(data.shape, data.fillvalue, data.dtype)
    for chunk in found:
        mask, part = data.id.read_direct_chunk(chunk.chunk_offset)
        used = [number for k, number in enumerate(filters) if not mask >> k & 1]
        if GZIP in used:
            stream = zlib.decompressobj()
            part = stream.decompress(part, size + 1)
            if not stream.eof:
                raise ValueError(f"{data.name}: a chunk is cut short, or longer than it must be")
        if len(part) != size:
            raise ValueError(f"{data.name}: a chunk has {len(part):,} bytes in place of {size:,}")
        if SHUFFLE in used:  # all first bytes of the numbers, then all second bytes, …
            planes = np.frombuffer(part, np.uint8).reshape(data.dtype.itemsize, -1)
            part = np.empty(planes.shape[::-1], np.uint8)
            for k, plane in enumerate(planes):
                part[:, k] = plane
        here = tuple(slice(at, at + length) for at, length in zip(chunk.chunk_offset, chunks,
                                                                  strict=True))
        place = x[here]
        place[...] = np.frombuffer(part, data.dtype).reshape(chunks)[
            tuple(map(slice, place.shape))]
    return x


def attribute(group: h5py.Group, name: str) -> Any:
    """An attribute; None where it is absent. One that may hold too much is not even read."""
    if name not in group.attrs:
        return None
    held = group.attrs.get_id(name)
    values = math.prod(held.shape)
    size, most = values * held.dtype.itemsize, TEXT
    if size <= TEXT and held.dtype.hasobject:  # texts lie in a heap, where many may share one
        name_of_file = group.file.filename
        longest = _longest_text(name_of_file, os.stat(name_of_file).st_mtime_ns)
        size, most = values * longest, SMALL if values > 1 else TEXT
    if size > most:
        raise ValueError(f"{group.name}, attribute {name}: expected at most {most:,} bytes, "
                         f"received a claim of {size:,}")
    return group.attrs[name]


@lru_cache(1)
def _longest_text(path: str, changed: int) -> int:
    """The bytes of the longest text in a file's global heaps. Raises ValueError where an object of
    a heap has a size that it cannot have: HDF5 (2.0) would look for the next one for ever; and
    where there are more objects, of 16 bytes or more, than a file has room for: heaps in heaps.

    Source: HDF5 File Format Specification, III.E: "GCOL", version 1, the size of the heap in 8 of
    16 bytes; objects of 2 bytes number, 6 others, 8 bytes size, then content, filled up to a
    multiple of 8. Number 0 is free space, whose size counts these 16 bytes too.
    """
    longest = 0
    with open(path, "rb") as raw, mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as x:
        left = len(x) // 16
        for found in re.finditer(rb"GCOL\x01", x):
            at = found.start()
            end, at = at + int.from_bytes(x[at + 8:at + 16], "little"), at + 16
            while at + 16 <= end:
                free, size = x[at:at + 2] == b"\0\0", int.from_bytes(x[at + 8:at + 16], "little")
                step = size if free else 16 + (size + 7) // 8 * 8
                left -= 1
                if not 0 < step <= end - at <= len(x) or left < 0:
                    raise ValueError("a text of variable length is longer than its place")
                longest, at = longest if free else max(longest, size), at + step
    return longest


def text(group: h5py.Group, name: str) -> str | None:
    """A text attribute, which is bytes or str depending on the file's age; None where absent."""
    value = attribute(group, name)
    return None if value is None else _decoded(value, name)


def strings(group: h5py.Group, name: str) -> list[str] | None:
    """A list-of-strings attribute, whole or split into name0, name1, …; None where it is absent."""
    names = [name] if name in group.attrs else list(takewhile(
        group.attrs.__contains__, (f"{name}{k}" for k in range(MOST))))
    texts: list[str] = []
    for part in (attribute(group, one) for one in names):
        if len(texts) + len(part) > MOST:
            raise ValueError(f"{group.name}: expected at most {MOST:,} {name}, received more")
        texts += [_decoded(value, name) for value in part]  # [] comes back as float64 array
        if sum(map(len, texts)) > TEXT:
            raise ValueError(f"{group.name}: expected at most {TEXT:,} characters of {name}, "
                             f"received more")
    return texts if names else None


def _decoded(value: Any, name: str) -> str:
    value = value.decode() if isinstance(value, bytes) else value
    if not isinstance(value, str):
        raise ValueError(f"expected text as {name}, received {type(value).__name__}")
    return value


def count(group: h5py.Group, name: str) -> int:
    """A number of things in an attribute, 0 where it is absent."""
    value = attribute(group, name)
    if value is not None and not (is_int(value, 0) and value <= MOST):
        raise ValueError(f"expected an int of at most {MOST:,} as {name}, received {value!r}")
    return int(value or 0)


def too_large(where: str, received: int, most: int) -> FileError:
    """The error for a place in a file that claims more bytes than it may."""
    return FileError(f"{where}: expected at most {most:,} bytes, received a claim of {received:,}; "
                     f"the file is damaged, or made to fill the memory.")
