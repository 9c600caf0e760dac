"""The features of a folder of photos, computed in shards: files of a few hundred photos each, so
that a process that is killed loses the shard it was at, and several ranks share the work.

Which photos a shard holds depends on the photos and options alone, not on the number of ranks: what
one call has begun, another goes on with, with more ranks or fewer.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..data import Dataset, perceptual_hashes, resize_and_crop
from ..data.listing import OtherFile
from ..model import Sequential
from ..models import VGG16, image_size
from ..ops import to_cpu
from ..preprocessing import crop_fraction_of
from ..utils.arrays import FloatArray, IntArray, Pixels
from ..utils.errors import FileError
from ..utils.files import write_text
from ..utils.ranks import ALONE, current_ranks, working_with
from ..weights import new_h5
from ..weights.hdf5 import member, numbers, validate_sizes
from ..weights.opening import DAMAGE
from .batches import ArrayDataset, forward_batches
from .feature_file import FORMAT, weights_digest
from .transfer_config import TransferConfig

SHARD_BYTES = 32_000_000  # of features, at most
MIN_SHARDS = 16  # of a small folder, if each then has a batch of photos
PLAN = "plan.json"
DIGESTS = ("weights", "names and sizes")  # of the plan: what they were, nobody could read
# What a shard holds of its photos, beside their features: see data.Fingerprints.
OF_PHOTOS = ("hashes", "digests", "thumbnails", "sizes", "even", "rotated")


@dataclass
class FeaturePlan:
    """What is to be computed.

    data:   all photos. folder: where they are. others: files of the folder that are no photos.
    config: size, cut, augmentation, batch size, memory budget.
    parts:  (N,) indices into part_names, of a split that is fixed; else empty.
    """

    folder: Path
    data: Dataset
    others: list[OtherFile]
    config: TransferConfig
    device: str = "cpu"
    part_names: list[str] = field(default_factory=list)
    parts: IntArray = field(default_factory=lambda: np.empty(0, np.int8))

    @cached_property
    def base(self) -> Sequential:
        """The frozen layers."""
        size = self.config.size
        return VGG16(include_top=False, input_shape=(size, size, 3),
                     cut=self.config.last_kept).to(self.device)

    @cached_property
    def file_sizes(self) -> IntArray:
        """(N,) bytes. Raises FileError if a photo is gone."""
        try:
            return np.fromiter((path.stat().st_size for path in self.data.items), np.int64,
                               len(self.data))
        except OSError as error:
            raise FileError(f"{error.filename}: expected a photo, received: {error.strerror}. Put "
                            f"it back, and begin again.") from error

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Of the features of a photo."""
        return self.base.shapes()[-1]

    @cached_property
    def training(self) -> IntArray:
        """(M,) the photos of which views are computed: those of training, if there is an
        augmentation."""
        if not self.config.augment:
            return np.empty(0, int)
        return np.flatnonzero(self.parts == self.part_names.index("train"))

    @property
    def bytes_of_features(self) -> int:
        """Of all photos and views."""
        rows = len(self.data) + len(self.training) * self.config.views
        return 4 * rows * math.prod(self.row_shape)

    @property
    def shard_rows(self) -> int:
        """Photos of a shard."""
        views = self.config.views + 1 if self.config.augment else 1
        by_memory = SHARD_BYTES // (4 * views * math.prod(self.row_shape))
        by_number = max(-(-len(self.data) // MIN_SHARDS), self.config.batch_size)
        return max(1, min(by_memory, by_number))

    @property
    def shards(self) -> list[range]:
        """The photos of each shard."""
        step, N = self.shard_rows, len(self.data)
        return [range(start, min(start + step, N)) for start in range(0, N, step)]

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What shards must have in common, in words for errors."""
        digest = hashlib.blake2b(self.file_sizes.tobytes() + self.data.labels.tobytes()
                                 + self.parts.tobytes(), digest_size=16)
        for name in self.data.names:
            digest.update(os.fsencode(name) + b"\0")
        config = self.config
        return {"format": FORMAT, "minicnn": __version__, "network": "vgg16",
                "cut": config.last_kept, "size": config.size,
                "weights": weights_digest(self.base), "augment": config.augment,
                "views": config.views if config.augment else 1,
                "seed": config.seed if config.augment else 0, "photos": len(self.data),
                "classes": self.data.classes, "names and sizes": digest.hexdigest(),
                "photos of a shard": self.shard_rows}


def begin_shards(plan: FeaturePlan, folder: Path) -> list[int]:
    """Makes the folder of the shards, or goes on with the one that is there; -> the numbers of the
    shards that are missing. Raises FileError if its shards are of other photos or options."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{folder}: expected a folder that can be written, received: "
                        f"{error.strerror}. Choose another --output.") from error
    file = folder / PLAN
    expected = json.loads(json.dumps(plan.identity))
    if file.exists():
        try:
            begun = json.loads(file.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise FileError(f"{file}: expected the plan of the shards beside it, received: "
                            f"{error}. Remove the folder {folder} to begin anew.") from error
        for key, value in expected.items():
            if begun.get(key) != value:
                change = (f"the {key} have changed" if key in DIGESTS else
                          f"{key} {begun.get(key)!r}, now {value!r}")
                raise FileError(f"{folder}: expected features that were begun with these photos "
                                f"and options, received others: {change}. Remove that folder to "
                                f"begin anew, or choose another --output.")
    else:
        write_text(file, json.dumps(expected, indent=1))
    return missing_shards(plan, folder)


def missing_shards(plan: FeaturePlan, folder: Path) -> list[int]:
    """The numbers of the shards that are not in the folder."""
    present = {path.name for path in folder.iterdir()}
    return [k for k in range(len(plan.shards)) if shard_file(folder, k).name not in present]


def shard_file(folder: Path, number: int) -> Path:
    """The file of a shard."""
    return folder / f"shard-{number:06}.h5"


def compute_shards(plan: FeaturePlan, folder: Path, missing: list[int],
                   progress: Callable[[int, int], None]) -> None:
    """Computes the missing shards, of several ranks each its part, and writes them. progress(done,
    total), in photos, counts those of this rank times the ranks. Raises FileError."""
    ranks, shards = current_ranks(), plan.shards
    total = len(plan.data)
    done = total - sum(len(shards[k]) for k in missing)
    progress(done, total)
    for k in missing[ranks.rank::ranks.size]:
        write_shard(plan, shards[k], shard_file(folder, k))
        done += len(shards[k]) * ranks.size
        progress(min(done, total - 1), total)


def write_shard(plan: FeaturePlan, photos: range, path: Path) -> None:
    """Computes and writes a shard. A photo that cannot be decoded has no features, but the reason.

    Raises FileError if a photo is gone, if one of the training cannot be decoded, or if the disk is
    full.
    """
    part = plan.data.subset(np.arange(photos.start, photos.stop))
    data = CroppedOnce(part, plan.base)
    with working_with(ALONE):  # each rank reads the photos of its own shards
        prints = perceptual_hashes(data)
    for i, reason in prints.unread.items():
        if not os.path.exists(data.items[i]):
            raise FileError(reason)
        if photos.start + i in plan.training:
            raise FileError(f"{data.names[i]}: expected training photos that can be read, of which "
                            f"views are drawn, received: {reason} Make the split again with "
                            f"minicnn data.")
    readable = np.array([i for i in range(len(data)) if i not in prints.unread], int)
    content = {name: getattr(prints, name) for name in OF_PHOTOS}
    cropped = ArrayDataset(data.cropped, data.labels)
    content["features"] = features_of(plan, cropped, readable)
    content["unread"] = np.frombuffer(json.dumps(
        {int(i): reason for i, reason in prints.unread.items()}).encode(), np.uint8)
    content["checksums"] = checksums(content["features"])
    if plan.config.augment:
        content["views"] = views_of(plan, photos)
        content["view_checksums"] = np.stack([checksums(view) for view in content["views"]])
    with new_h5(path) as file:
        for name, array in content.items():  # with checksums, so that damage is noticed
            file.create_dataset(name, data=array, fletcher32=bool(array.size),
                                chunks=True if array.size else None)


class CroppedOnce(Dataset):
    """Photos that are also cropped for the network when they are read for their fingerprints: each
    is decoded once. cropped: (N, h, w, 3) uint8."""

    def __init__(self, data: Dataset, base: Sequential) -> None:
        super().__init__(data.items, data.labels, data.classes, data.names)
        self.size, self.crop_fraction = image_size(base), crop_fraction_of(base.preprocessing)
        self.cropped = np.zeros((len(data), *self.size, 3), np.uint8)

    def read(self, i: int) -> Pixels:
        """As any dataset's."""
        pixels = super().read(i)
        self.cropped[i] = resize_and_crop(pixels, self.size, self.crop_fraction)
        return pixels


def features_of(plan: FeaturePlan, data: Dataset | ArrayDataset, order: IntArray) -> FloatArray:
    """(n, …): the features of the photos of `order`."""
    outputs = [to_cpu(y) for y, _ in forward_batches(plan.base, data, order,
                                                     plan.config.batch_size)]
    return np.concatenate([np.empty((0, *plan.row_shape), np.float32), *outputs])


def views_of(plan: FeaturePlan, photos: range) -> FloatArray:
    """(V, n, …): the features of the views of those of the photos that are of the training."""
    augmented = plan.config.augmented(plan.data.subset(plan.training))
    M = len(plan.training)
    own = np.arange(*np.searchsorted(plan.training, (photos.start, photos.stop)))
    return np.stack([features_of(plan, augmented, view * M + own)
                     for view in range(augmented.views)])


def checksums(rows: FloatArray) -> IntArray:
    """(n,) of the bytes of each row."""
    return np.array([zlib.crc32(row.data) for row in rows], np.uint32)


def read_shard(path: Path, names: Sequence[str]) -> list[np.ndarray]:
    """These parts of a shard. Raises FileError if it is damaged; then it is removed, to be computed
    again."""
    import h5py

    try:
        with h5py.File(path, "r", rdcc_nbytes=0) as file:
            parts = [member(file, name, path) for name in names]
            validate_sizes(parts, path)
            return [numbers(data) for data in parts]
    except (*DAMAGE, FileError) as error:
        path.unlink(missing_ok=True)
        raise FileError(f"{path}: expected a complete shard, received a damaged one ({error}). It "
                        f"is removed: run the same command again, and it is computed anew."
                        ) from error


def remove_shards(folder: Path) -> None:
    """Removes the folder, once all is in the one file."""
    shutil.rmtree(folder, ignore_errors=True)
