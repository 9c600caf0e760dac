"""A file of features (`minicnn features`): what VGG16's frozen layers give for every photo of a
folder, with all that a training needs to know of the photos. HDF5, so that other programs read it:

    features  (N, …) float32       labels  (N,)          names    (N,) the photos, as cats/1.jpg
    groups    (N,) near copies     sizes   (N,) bytes of the photos' files
    checksums (N,) zlib.crc32 of the rows of features
    views     (V · M, …) float32   of the M training photos, if there is an augmentation
    about     a text in JSON: format, versions, network, cut, size, classes, …

The rows of features lie in one piece, and are read without HDF5: so many as are needed, with their
checksums. The file is complete or not there at all.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..model import Sequential
from ..ops import to_cpu
from ..utils.arrays import IntArray
from ..utils.errors import FileError
from ..utils.mapped_arrays import mapped_file, release_pages, storage
from ..utils.ranks import current_ranks
from ..utils.suggest import suggest_path
from ..weights.hdf5 import member, numbers, validate_sizes
from ..weights.opening import DAMAGE
from .batches import ArrayDataset

if TYPE_CHECKING:  # functions import h5py when called: `import minicnn` stays fast
    import h5py

FORMAT = 1
ROWS = 64  # of features that are read at once
AGAIN = "Make it again with minicnn features."


@dataclass
class Rows:
    """Rows of numbers in the file: where they begin, shape (n, …), and their checksums (n,)."""

    offset: int
    shape: tuple[int, ...]
    checksums: IntArray


@dataclass
class FeatureFile:
    """What the file holds. The features themselves stay in it until rows() reads some.

    about:  of the network: "network", "weights" (weights_digest), "cut", "size"; of the photos:
            "folder", "classes", "unread" ([position among all, name, label, reason, part, bytes]
            of photos that cannot be decoded), "others" (files that are no photos), "part_names";
            "augment", "views", "seed".
    labels, groups, sizes, parts, names: (N,); parts are indices into part_names, if the split is
            fixed, and otherwise empty. training: (M,) the photos that there are views of.
    """

    path: Path
    about: dict[str, Any]
    labels: IntArray
    groups: IntArray
    sizes: IntArray
    parts: IntArray
    names: np.ndarray
    features: Rows
    views: Rows | None = None
    training: IntArray = field(default_factory=lambda: np.empty(0, int))

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, indices: IntArray, memory_budget: int,
             progress: Callable[[int, int], None] = lambda done, total: None) -> ArrayDataset:
        """The features (n, F) of these photos, each as one row, which a head takes, with their
        labels; above memory_budget bytes in a temporary file. Raises FileError if their checksums
        do not fit."""
        return self.read(self.features, indices, self.labels[indices], 1, memory_budget, progress)

    def views_of_training(self, memory_budget: int,
                          progress: Callable[[int, int], None] = lambda done, total: None
                          ) -> ArrayDataset:
        """As rows: the views of the training photos, first all in their first view."""
        if self.views is None:
            raise FileError(f"{self.path}: expected features of random views, found none. Make "
                            f"them with minicnn features --augment.")
        count = int(self.about["views"])
        return self.read(self.views, np.arange(self.views.shape[0]),
                         np.tile(self.labels[self.training], count), count, memory_budget, progress)

    def read(self, rows: Rows, indices: IntArray, labels: IntArray, views: int,
             memory_budget: int, progress: Callable[[int, int], None]) -> ArrayDataset:
        """Some of the rows as a data set, of several ranks each reads its part."""
        shape, ranks = rows.shape[1:], current_ranks()
        first, stop = ranks.part_of(len(indices))
        own = indices[first:stop]
        x = storage((len(own), *shape), np.dtype(np.float32), memory_budget)
        if len(own):
            mapped = np.memmap(self.path, np.dtype("<f4"), "r", rows.offset, rows.shape)
        for start in range(0, len(own), ROWS):
            part = own[start:start + ROWS]
            x[start:start + ROWS] = mapped[part]
            for k, i in enumerate(part.tolist(), start):
                if zlib.crc32(x[k].data) != rows.checksums[i]:
                    raise self.damaged(f"the features of photo {i} of {rows.shape[0]} differ from "
                                       f"their checksum")
            for file in (mapped_file(mapped), mapped_file(x)):
                if file is not None:
                    release_pages(file)
            done = min(start + ROWS, len(own))
            progress(len(indices) if done == len(own) else done * ranks.size, len(indices))
        x = ranks.assemble(x, len(indices), memory_budget)
        x = x.reshape(len(x), -1)  # Flatten
        return ArrayDataset(x, labels, views, mapped_file(x))

    def damaged(self, what: str) -> FileError:
        """The error for a damaged file."""
        return FileError(f"{self.path}: expected a complete file of features, received a damaged "
                         f"one: {what}. {AGAIN}")

    def check_network(self, base: Sequential) -> None:
        """Raises FileError if the features are those of other weights."""
        if self.about["weights"] != weights_digest(base):
            raise FileError(f"{self.path}: expected features of the VGG16 of this minicnn, "
                            f"received those of other weights (minicnn {self.about['minicnn']}). "
                            f"{AGAIN}")


def weights_digest(base: Sequential) -> str:
    """What tells the frozen layers from others: their names, recipe, input and weights."""
    digest = hashlib.blake2b(repr((base.preprocessing, base.input_shape)).encode(), digest_size=16)
    for layer in base.layers:
        digest.update(layer.name.encode())
        for key, value in sorted(layer.params.items()):
            digest.update(key.encode())
            digest.update(np.ascontiguousarray(to_cpu(value), "<f4").data)
    return digest.hexdigest()


def open_features(path: str | PathLike) -> FeatureFile:
    """Opens a file of features. Raises FileError if it is none, truncated, or damaged in what it
    says of the photos; damaged features are noticed when they are read."""
    import h5py

    path = Path(path)
    with refusing_damaged_features(path):
        size = path.stat().st_size
        if not h5py.is_hdf5(path):
            raise FileError(f"{path}: expected a file of features, as minicnn features writes, "
                            f"received another file. Check the name.")
        with h5py.File(path, "r", rdcc_nbytes=0) as file:
            if "about" not in file or "features" not in file:
                raise FileError(f"{path}: expected a file of features, as minicnn features writes, "
                                f"received another HDF5 file. A model belongs behind predict or "
                                f"evaluate.")
            small = {name: member(file, name, path) for name in (
                "about", "labels", "names", "groups", "sizes", "parts", "training", "checksums",
                "view_checksums")}
            validate_sizes(list(small.values()), path)
            values = {name: numbers(data) for name, data in small.items()}
            about = json.loads(values["about"].tobytes())
            if about.get("format") != FORMAT:
                raise FileError(f"{path}: expected features of format {FORMAT}, received format "
                                f"{about.get('format')} of minicnn {about.get('minicnn')}. Use "
                                f"that version, or make them again.")
            features = rows_of_dataset(file["features"], values["checksums"], size)
            views = (rows_of_dataset(file["views"], values["view_checksums"], size)
                     if "views" in file else None)
        if {len(values[name]) for name in ("names", "groups", "sizes", "checksums")} != {
                len(values["labels"])} or features.shape[0] != len(values["labels"]):
            raise ValueError("its parts are of different lengths")
    return FeatureFile(path, about, values["labels"], values["groups"], values["sizes"],
                       values["parts"], values["names"], features, views, values["training"])


def rows_of_dataset(data: h5py.Dataset, checksums: IntArray, size: int) -> Rows:
    """Where the numbers of a dataset lie. size: of the file. Raises ValueError."""
    offset = data.id.get_offset()
    if data.dtype != np.dtype("<f4") or offset is None or len(checksums) != len(data):
        raise ValueError(f"{data.name} does not lie in one piece")
    if offset + 4 * data.size > size:
        raise ValueError(f"it ends after {size:,} bytes of {offset + 4 * data.size:,}")
    return Rows(offset, data.shape, checksums)


@contextmanager
def refusing_damaged_features(path: Path) -> Iterator[None]:
    """Turns whatever a missing, protected or damaged file raises into a FileError."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileError(f"{path}: expected a file of features, found none; check the name."
                        f"{suggest_path(path)}") from error
    except (PermissionError, IsADirectoryError) as error:
        raise FileError(f"{path}: expected a file of features that may be read, received: "
                        f"{error.strerror}; check the name and the permissions.") from error
    except DAMAGE as error:
        raise FileError(f"{path}: expected a complete file of features, but reading stopped at: "
                        f"{error}; it may be truncated or damaged. {AGAIN}") from error
