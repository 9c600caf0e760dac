"""All shards as one file of features (feature_file.py)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from .. import __version__
from ..data import Fingerprints, near_duplicates
from ..data.fingerprints import SIDE, same_pixels
from ..utils.arrays import FloatArray, IntArray
from ..utils.errors import FileError
from ..utils.files import atomic_write
from ..utils.mapped_arrays import MORE_SPACE, mapped_file, release_pages, storage
from ..utils.sparse_file import SparseFile, allocate
from .feature_file import FORMAT, weights_digest
from .feature_shards import OF_PHOTOS, FeaturePlan, read_shard, shard_file

if TYPE_CHECKING:  # functions import h5py when called: `import minicnn` stays fast
    import h5py

MEMORY_BUDGET = 1 << 28  # bytes of thumbnails


def merge_shards(plan: FeaturePlan, folder: Path, output: Path,
                 progress: Callable[[int, int], None] = lambda done, total: None
                 ) -> dict[int, str]:
    """Writes the file: all but the features, among it which photos are near copies, and then the
    features of one shard after the other. Returns why photos cannot be decoded, by index.

    Nothing has the name `output` until all is written. progress(done, total) counts photos. Raises
    FileError for a damaged shard, on a full disk, and if no photo can be decoded.
    """
    N, M = len(plan.data), len(plan.training)
    prints = fingerprints_of(plan, folder)
    groups = near_duplicates(plan.data, prints)
    readable = np.setdiff1d(np.arange(N), list(prints.unread))
    if not len(readable):
        raise FileError(f"{plan.folder}: expected photos that can be read, found none. "
                        f"{next(iter(prints.unread.values()))}")
    skeleton, offsets = make_skeleton(plan, folder, prints, readable, groups)
    with atomic_write(output) as partial, partial.open("wb", buffering=0) as file:
        allocate(file, skeleton.size)
        skeleton.write_to(file)
        first = 0
        for k, photos in enumerate(plan.shards):
            shard = shard_file(folder, k)
            rows, = read_shard(shard, ["features"])
            write_rows(file, offsets[0], first, rows)
            first += len(rows)
            if M:
                begin = int(np.searchsorted(plan.training, photos.start))
                for view, rows in enumerate(read_shard(shard, ["views"])[0]):
                    write_rows(file, offsets[1], view * M + begin, rows)
            progress(photos.stop, N)
    return prints.unread


def write_rows(file: BinaryIO, offset: int, first: int, rows: FloatArray) -> None:
    """Writes rows of numbers from row `first` on, counted from the offset. Raises OSError."""
    if not len(rows):
        return
    file.seek(offset + first * rows[0].nbytes)
    data = np.ascontiguousarray(rows, "<f4").reshape(-1).view(np.uint8)
    while len(data):
        data = data[file.write(data.data):]


def fingerprints_of(plan: FeaturePlan, folder: Path) -> Fingerprints:
    """Those of all photos, from the shards."""
    N = len(plan.data)
    arrays: dict[str, np.ndarray] = {
        "hashes": np.zeros(N, np.uint64), "digests": np.zeros((N, 16), np.uint8),
        "thumbnails": storage((N, SIDE, SIDE), np.dtype(np.uint8), MEMORY_BUDGET, MORE_SPACE),
        "sizes": np.zeros((N, 2), int), "even": np.zeros(N, bool), "rotated": np.zeros(N, bool)}
    unread: dict[int, str] = {}
    for k, photos in enumerate(plan.shards):
        *parts, reasons = read_shard(shard_file(folder, k), [*OF_PHOTOS, "unread"])
        for name, part in zip(OF_PHOTOS, parts, strict=True):
            arrays[name][photos.start:photos.stop] = part
        unread |= {photos.start + int(i): reason
                   for i, reason in json.loads(reasons.tobytes()).items()}
        if file := mapped_file(arrays["thumbnails"]):
            release_pages(file)
    return Fingerprints(arrays["hashes"], same_pixels(arrays["digests"], list(unread)),
                        arrays["thumbnails"], arrays["sizes"], unread, arrays["even"],
                        arrays["digests"], arrays["rotated"])


def make_skeleton(plan: FeaturePlan, folder: Path, prints: Fingerprints, readable: IntArray,
                  groups: IntArray) -> tuple[SparseFile, list[int]]:
    """(the file without the numbers of features and views, where these begin in it)."""
    import h5py

    parts = [read_shard(shard_file(folder, k), ["checksums"] + ["view_checksums"] * bool(
        plan.config.augment)) for k in range(len(plan.shards))]
    small = {
        "about": np.frombuffer(json.dumps(about(plan, prints)).encode(), np.uint8),
        "names": np.array([os.fsencode(plan.data.names[i]) for i in readable.tolist()], "S"),
        "labels": plan.data.labels[readable], "groups": groups[readable],
        "sizes": plan.file_sizes[readable],
        "parts": plan.parts[readable] if len(plan.parts) else plan.parts,
        "training": np.searchsorted(readable, plan.training),
        "checksums": np.concatenate([part[0] for part in parts]),
        "view_checksums": np.concatenate([part[1] for part in parts], axis=1).ravel()
        if plan.config.augment else np.empty(0, np.uint32)}
    skeleton = SparseFile()
    with h5py.File(skeleton, "w") as file:
        file.attrs["minicnn"] = (
            f"features of photos by the layers of VGG16 up to {plan.config.last_kept}, at "
            f"{plan.config.size} x {plan.config.size} pixels: features[i] are those of the photo "
            f"names[i] of the class labels[i]; made by minicnn {__version__}")
        file.attrs["classes"] = plan.data.classes
        for name, array in small.items():
            in_chunks = bool(array.size)  # with checksums, so that damage is noticed
            data = file.create_dataset(name, data=array, chunks=True if in_chunks else None,
                                       fletcher32=in_chunks)
            if name == "names" and array.size:
                data.attrs["encoding"] = "UTF-8"
        offsets = [empty_dataset(file, "features", len(readable), plan.row_shape)]
        if plan.config.augment:
            offsets.append(empty_dataset(file, "views", len(small["view_checksums"]),
                                         plan.row_shape))
    return skeleton, offsets


def empty_dataset(file: h5py.File, name: str, rows: int, shape: tuple[int, ...]) -> int:
    """A dataset of float32 in one piece, to be written later; -> where it begins in the file."""
    import h5py

    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_layout(h5py.h5d.CONTIGUOUS)
    settings.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    settings.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    settings.set_obj_track_times(False)  # the same photos give the same bytes
    space = h5py.h5s.create_simple((rows, *shape))
    return h5py.h5d.create(file.id, name.encode(), h5py.h5t.IEEE_F32LE, space,
                           settings).get_offset()


def about(plan: FeaturePlan, prints: Fingerprints) -> dict:
    """What the file says of the network and the photos: see feature_file.FeatureFile."""
    config, data = plan.config, plan.data
    unread = [[i, data.names[i], int(data.labels[i]), reason,
               int(plan.parts[i]) if len(plan.parts) else -1, int(plan.file_sizes[i])]
              for i, reason in sorted(prints.unread.items())]
    return {"format": FORMAT, "minicnn": __version__, "network": "vgg16",
            "weights": weights_digest(plan.base), "cut": config.last_kept, "size": config.size,
            "classes": data.classes, "folder": str(plan.folder), "part_names": plan.part_names,
            "unread": unread, "others": [
                [str(other.path), other.name, other.reason,
                 None if other.kind is None else other.kind.singular] for other in plan.others],
            "augment": config.augment, "views": config.views if config.augment else 1,
            "seed": config.seed}
