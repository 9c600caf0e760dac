"""Safe reading of HDF5 files that may be hostile.

Such a file may link to other files, or be made to exhaust the memory. So links are checked before
they are followed, and declared sizes before anything is read: of texts (attributes.py), of all
arrays together (validate_sizes), and of each array, which a layer takes only if it has as many
numbers as its parameter (assigning.py): what is read is at most as large as the network. The format
itself is read by h5py.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from ..utils.errors import FileError

if TYPE_CHECKING:  # functions import h5py when called: `import minicnn` stays fast
    import h5py

MAX_ENTRIES = 2_000  # layers, names in a list, entries of a group
MAX_TEXT_BYTES = 4_000_000  # of a network's description, or of a list of names
# All arrays of a file together: as many bytes as the larger of ALWAYS_ALLOWED_BYTES and
# MAX_INFLATION · its size: trained weights hardly compress, and zeros 1000 times are no weights.
ALWAYS_ALLOWED_BYTES, MAX_INFLATION = 64_000_000, 32
MAX_CHUNKS = 100_000  # of all arrays together
MAX_NAME_CHARACTERS, MAX_NAME_PARTS = 1_000, 16  # the parts of a path "a/b/c"
GZIP, SHUFFLE, FLETCHER = 1, 2, 3  # HDF5's numbers of the filters that a chunk may have


def has(group: h5py.Group, name: str) -> bool:
    """name in group, without following a link: `in` would open what it leads to."""
    import h5py

    return isinstance(group, h5py.Group) and group.id.links.exists(name.encode())


def keys(group: h5py.Group) -> list[str]:
    """The names in a group; ValueError if there are more than MAX_ENTRIES."""
    if len(group) > MAX_ENTRIES:
        raise ValueError(f"{group.name}: expected at most {MAX_ENTRIES:,} entries, received "
                         f"{len(group):,}")
    return list(group)


def member(group: h5py.Group, name: str, path: str | PathLike) -> h5py.Group | h5py.Dataset:
    """group[name], step by step along "a/b/c", through hard links only.

    Soft and external links could lead to another file on the user's disk.
    """
    import h5py

    if len(name) > MAX_NAME_CHARACTERS or name.count("/") >= MAX_NAME_PARTS:
        raise FileError(f"{path}: {group.name}: expected names of at most {MAX_NAME_CHARACTERS:,} "
                        f"characters and {MAX_NAME_PARTS} parts, received {len(name):,} "
                        f"characters: {name[:MAX_NAME_CHARACTERS]!r}; the file is damaged.")
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
    """The dataset group[name] as an array of finite floats."""
    data = dataset(group, name, path)
    validate_sizes([data], path)
    return finite_array(data, path)


def dataset(group: h5py.Group, name: str, path: str | PathLike) -> h5py.Dataset:
    """The dataset group[name], not read yet, whose floats are in this file. Raises FileError."""
    import h5py

    data = member(group, name, path)
    where = f"{path}: {data.name}"
    if not isinstance(data, h5py.Dataset):
        raise FileError(f"{where}: expected an array, received a group.")
    if data.is_virtual or data.external:
        raise FileError(f"{where}: its numbers are in another file; minicnn reads only what "
                        f"is in the file itself.")
    if data.dtype.kind != "f" or data.dtype.itemsize not in (2, 4, 8):
        raise FileError(f"{where}: expected floats of 16, 32 or 64 bits, received {data.dtype}.")
    return data


def validate_sizes(datasets: Sequence[h5py.Dataset], path: str | PathLike) -> None:
    """Raises FileError if the datasets together claim more bytes than a file of this size can hold.

    A chunk is unpacked as one piece, and may be larger than the array that it is part of: up to
    ALWAYS_ALLOWED_BYTES, since those of an array that can grow are made for rows still to come.
    """
    claim = chunks = 0
    for data in datasets:
        filters = _filters(data)
        if filters not in ([], [GZIP], [SHUFFLE], [SHUFFLE, GZIP], [FLETCHER]):
            raise FileError(f"{path}: {data.name}: expected an array in gzip, shuffled, with a "
                            f"checksum or plain, received HDF5's filters {filters}; save it "
                            f"plain.")
        chunks += data.id.get_num_chunks() if data.chunks else 0
        if chunks > MAX_CHUNKS:
            raise FileError(f"{path}: {data.name}: expected at most {MAX_CHUNKS:,} chunks in all, "
                            f"received {chunks:,}; save it plain.")
        chunk = math.prod(data.chunks or ()) * data.dtype.itemsize
        own = data.size * max(data.dtype.itemsize, 4)
        if chunk > max(ALWAYS_ALLOWED_BYTES, own):
            raise size_error(f"{path}: {data.name}", chunk, max(ALWAYS_ALLOWED_BYTES, own))
        claim += max(own, chunk)
        limit = max(ALWAYS_ALLOWED_BYTES, MAX_INFLATION * data.file.id.get_filesize())
        if claim > limit:
            raise size_error(f"{path}: {data.name}", claim, limit)


def finite_array(data: h5py.Dataset, path: str | PathLike) -> np.ndarray:
    """A dataset that has passed validate_sizes, as an array; FileError unless all are finite."""
    x = values(data)
    with np.errstate(over="ignore"):
        finite = np.isfinite(x.astype(np.float32, copy=False)).all()
    if not finite:
        raise FileError(f"{path}: {data.name}: expected finite numbers, received NaN or infinite "
                        f"ones (as float32); the training that wrote them had failed, or the file "
                        f"is damaged.")
    return x


def values(data: h5py.Dataset) -> np.ndarray:
    """A dataset that has passed validate_sizes, as native float32 (from 16 and 32 bits) or float64.
    """
    return np.asarray(_unpacked(data) if data.chunks else data[()],
                      np.float64 if data.dtype.itemsize == 8 else np.float32)


def numbers(data: h5py.Dataset) -> np.ndarray:
    """A dataset of any numbers, or of text of a fixed length, that has passed validate_sizes, as it
    is stored."""
    return _unpacked(data) if data.chunks else data[()]


def _filters(data: h5py.Dataset) -> list[int]:
    """HDF5's numbers of the filters that each chunk went through, in that order."""
    settings = data.id.get_create_plist()
    return [settings.get_filter(k)[0] for k in range(settings.get_nfilters())]


def _shuffled_bytes(data: h5py.Dataset) -> int:
    """The size of the numbers whose bytes the filter SHUFFLE has sorted, by the file; 0 if none."""
    settings = data.id.get_create_plist()
    filters = [settings.get_filter(k) for k in range(settings.get_nfilters())]
    return next((values[0] if values else 0 for number, _, values, _ in filters
                 if number == SHUFFLE), 0)


def _unpacked(data: h5py.Dataset) -> np.ndarray:
    """The numbers of a dataset in chunks.

    HDF5 (2.0) trusts a chunk's length: if a chunk is too short, it returns other memory as weights,
    and a checksum of less than four bytes crashes the process. So lengths are checked here, and
    compressed chunks are unpacked here.
    """
    shape, filters = data.chunks, _filters(data)
    chunks: list[Any] = []
    size = math.prod(shape) * data.dtype.itemsize
    data.id.chunk_iter(chunks.append)
    packed = [chunk for chunk in chunks if chunk.size != size + 4 * (FLETCHER in filters)
              or chunk.filter_mask or GZIP in filters or SHUFFLE in filters]
    if not packed:
        return data[()]
    if SHUFFLE in filters and _shuffled_bytes(data) != data.dtype.itemsize:
        raise ValueError(f"{data.name}: its bytes are shuffled as those of other numbers")
    if FLETCHER in filters or max(chunk.size for chunk in chunks) > data.file.id.get_filesize():
        raise ValueError(f"{data.name}: a chunk has a wrong length")
    x = np.full(data.shape, data.fillvalue, data.dtype)
    for chunk in chunks:
        mask, part = data.id.read_direct_chunk(chunk.chunk_offset)
        used = [number for k, number in enumerate(filters) if not mask >> k & 1]
        if GZIP in used:
            stream = zlib.decompressobj()
            part = stream.decompress(part, size + 1)
            if not stream.eof:
                raise ValueError(f"{data.name}: a chunk is truncated or too long")
        if len(part) != size:
            raise ValueError(f"{data.name}: a chunk has {len(part):,} bytes in place of {size:,}")
        if SHUFFLE in used:  # all first bytes of the numbers, then all second bytes, …
            planes = np.frombuffer(part, np.uint8).reshape(data.dtype.itemsize, -1)
            part = np.empty(planes.shape[::-1], np.uint8)
            for k, plane in enumerate(planes):
                part[:, k] = plane
        here = tuple(slice(at, at + length) for at, length in zip(chunk.chunk_offset, shape,
                                                                  strict=True))
        target = x[here]
        target[...] = np.frombuffer(part, data.dtype).reshape(shape)[
            tuple(map(slice, target.shape))]
    return x


def size_error(where: str, received: int, limit: int) -> FileError:
    """The error for a part of a file that claims more bytes than it may."""
    return FileError(f"{where}: expected at most {limit:,} bytes, received a claim of "
                     f"{received:,}; the file is damaged, or made to exhaust the memory.")
