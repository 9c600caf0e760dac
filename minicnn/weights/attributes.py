"""Safe reading of HDF5's attributes: texts, lists of texts, counts.

HDF5 (2.0) allocates what an attribute claims before it looks for the text, up to 4 GB each, and
searches a damaged heap for ever. So both are checked here, in the file's own bytes.
Source: HDF5 File Format Specification, III.E (global heap), IV.A (object headers).
"""

from __future__ import annotations

import math
import mmap
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..utils.errors import is_int
from .hdf5 import MAX_ENTRIES, MAX_TEXT_BYTES

if TYPE_CHECKING:  # functions import h5py when called: `import minicnn` stays fast
    import h5py

ATTRIBUTE, CONTINUATION = 0x0C, 0x10  # types of messages in an object header
REFERENCE_BYTES = 16  # of a text of variable length: length 4, address of its heap 8, number 4
MAX_MESSAGES = 20_000  # of an object header


def attribute(group: h5py.Group, name: str) -> Any:
    """An attribute; None if it is absent. Raises ValueError, before it is read, if too large."""
    import h5py

    if name not in group.attrs:
        return None
    header = group.attrs.get_id(name)
    elements = math.prod(header.shape)
    size = elements * header.dtype.itemsize
    if size <= MAX_TEXT_BYTES and header.dtype.hasobject:  # texts on a heap; many may share one
        if h5py.check_string_dtype(header.dtype) is None:
            raise ValueError(f"{group.name}, attribute {name}: expected text or numbers, received "
                             f"{header.dtype}")
        path = Path(group.file.filename)
        _check_heaps(path, path.stat().st_mtime_ns)
        size = _claimed_bytes(group, name, elements)
    if size > MAX_TEXT_BYTES:
        raise ValueError(f"{group.name}, attribute {name}: expected at most {MAX_TEXT_BYTES:,} "
                         f"bytes, received a claim of {size:,}")
    return group.attrs[name]


@lru_cache(1)
def _check_heaps(path: Path, changed: int) -> None:
    """Raises ValueError if an object of a file's global heaps has an impossible size, since HDF5
    (2.0) would search for the next one for ever, or if there are more objects, of 16 bytes or more,
    than fit into the file (heaps in heaps). changed: when the file was, so that the cached answer
    is of this version.

    "GCOL", version 1, the size of the heap in 8 of 16 bytes; objects of 2 bytes number, 6 others, 8
    bytes size, then content, filled up to a multiple of 8. Number 0 is free space, whose size
    counts these 16 bytes too.
    """
    with path.open("rb") as raw, mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as x:
        objects_left = len(x) // 16
        for heap in re.finditer(rb"GCOL\x01", x):
            at = heap.start()
            end, at = at + int.from_bytes(x[at + 8:at + 16], "little"), at + 16
            while at + 16 <= end:
                free, size = x[at:at + 2] == b"\0\0", int.from_bytes(x[at + 8:at + 16], "little")
                step = size if free else 16 + (size + 7) // 8 * 8
                objects_left -= 1
                if not 0 < step <= end - at <= len(x) or objects_left < 0:
                    raise ValueError("a text of variable length is longer than its heap")
                at += step


def _claimed_bytes(group: h5py.Group, name: str, elements: int) -> int:
    """The bytes of an attribute's texts of variable length, by the lengths beside the references to
    them. Raises ValueError if the object header does not hold the attribute.

    An attribute message: version, flags, sizes of name, type and space (2 bytes each), from version
    3 on the name's encoding; then these three, up to version 1 filled up to multiples of 8; then
    the references.
    """
    import h5py

    if group.file.id.get_create_plist().get_sizes() != (8, 8):
        raise ValueError("the file's addresses are not of 8 bytes")
    base, address = group.file.userblock_size, h5py.h5o.get_info(group.id).addr
    with (Path(group.file.filename).open("rb") as raw,
          mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as x):
        for kind, at in _messages(x, base, address):
            if kind != ATTRIBUTE:
                continue
            version, sizes = x[at], [_int(x, at + k, 2) for k in (2, 4, 6)]
            text_at = at + 8 + (version == 3)
            if x[text_at:text_at + sizes[0]].rstrip(b"\0") == name.encode():
                first = text_at + sum(-(-size // 8) * 8 if version == 1 else size
                                      for size in sizes)
                return sum(_int(x, first + k * REFERENCE_BYTES, 4) for k in range(elements))
    raise ValueError(f"{group.name}: its attribute {name} is not in its header")


def _messages(x: mmap.mmap, base: int, address: int) -> Iterator[tuple[int, int]]:
    """(type, position of the content) of the messages in the object header at this address, which
    counts from `base`.

    Version 1: version, 3 others, 4 bytes, 4 bytes size, 4 bytes of filling, messages; a message:
    type 2, size 2, flags 1, 3 of filling. Version 2: "OHDR", version, flags, which tell what
    follows: times (16 bytes), limits (4), and the width of the size; a message: type 1, size 2,
    flags 1, and its number (2), if the flags say so. A continuation names the position and size of
    more messages, in version 2 between "OCHK" and a checksum.
    """
    start = base + address
    old = x[start:start + 4] != b"OHDR"
    if old:
        blocks = [(start + 16, _int(x, start + 8, 4))]
        kind_bytes, head = 2, 8
    else:
        flags = _int(x, start + 5, 1)
        at = start + 6 + 16 * bool(flags & 32) + 4 * bool(flags & 16)
        width = 1 << (flags & 3)
        blocks = [(at + width, _int(x, at, width))]
        kind_bytes, head = 1, 4 + 2 * bool(flags & 4)
    messages_left = MAX_MESSAGES
    for at, size in blocks:
        end = min(at + size, len(x))
        while at + head <= end:
            kind, length = _int(x, at, kind_bytes), _int(x, at + kind_bytes, 2)
            if kind == CONTINUATION:
                more, more_size = base + _int(x, at + head, 8), _int(x, at + head + 8, 8)
                blocks.append((more, more_size) if old else (more + 4, more_size - 8))
            yield kind, at + head
            at += head + length
            messages_left -= 1
            if not messages_left:
                raise ValueError(f"the header of a group has more than {MAX_MESSAGES:,} parts")


def _int(x: mmap.mmap, at: int, width: int) -> int:
    """The number in these bytes; ValueError if they lie outside the file."""
    if not 0 <= at <= len(x) - width:
        raise ValueError("the header of a group leads outside the file")
    return int.from_bytes(x[at:at + width], "little")


def text(group: h5py.Group, name: str) -> str | None:
    """A text attribute, which is bytes or str depending on the file's age; None if it is absent."""
    value = attribute(group, name)
    return None if value is None else _decoded(value, name)


def strings(group: h5py.Group, name: str) -> list[str] | None:
    """A list-of-strings attribute, possibly split into name0, name1, …; None if it is absent."""
    names = [name] if name in group.attrs else list(takewhile(
        group.attrs.__contains__, (f"{name}{k}" for k in range(MAX_ENTRIES))))
    texts: list[str] = []
    for part in (attribute(group, key) for key in names):
        if len(texts) + len(part) > MAX_ENTRIES:
            raise ValueError(f"{group.name}: expected at most {MAX_ENTRIES:,} {name}, received "
                             f"more")
        texts += [_decoded(value, name) for value in part]  # [] comes back as float64 array
        if sum(map(len, texts)) > MAX_TEXT_BYTES:
            raise ValueError(f"{group.name}: expected at most {MAX_TEXT_BYTES:,} characters of "
                             f"{name}, received more")
    return texts if names else None


def _decoded(value: Any, name: str) -> str:
    value = value.decode() if isinstance(value, bytes) else value
    if not isinstance(value, str):
        raise ValueError(f"expected text as {name}, received {type(value).__name__}")
    return value


def count(group: h5py.Group, name: str) -> int:
    """A count in an attribute, 0 if it is absent."""
    value = attribute(group, name)
    if value is not None and not (is_int(value, 0) and value <= MAX_ENTRIES):
        raise ValueError(f"expected an int of at most {MAX_ENTRIES:,} as {name}, received "
                         f"{value!r}")
    return int(value or 0)
