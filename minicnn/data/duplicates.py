"""Near-duplicate images: the same pixels, or a copy that was saved again, scaled or cropped.

A copy in both training and test set makes the test too easy; a copy in another class is a wrong
label. Barz & Denzler 2020 find 3 to 10 % of CIFAR's test images in its training set.

The difference hash of an image says where its brightness rises from left to right, in 64 bits.
Hashes that differ in few bits only give candidates: clothes on a plain background have nearly the
same hash. What decides is the correlation of the gradients of the two thumbnails, of which one may
be cropped a little.

Source: N. Krawetz, "Kind of Like That" (2013), the difference hash; C. Zauner, "Implementation and
Benchmarking of Perceptual Image Hash Functions" (2010); B. Barz, J. Denzler, "Do We Train on Test
Data? Purging CIFAR of Near-Duplicates" (2020).
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..ops.fast.threads import cores
from ..plotting import drawing
from ..utils.arrays import BoolArray, FloatArray, IntArray, Pixels
from ..utils.errors import ArgumentError, FileError
from .datasets import Dataset
from .images import image_size

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image as PillowImage

SIDE = 32  # of a thumbnail
CROPS = (0, 0.04, 0.08)  # fractions of a side that a copy may lack, at one end or at both
# Standard deviation of greys, 0 … 255. A thumbnail with less, beside an even slope, has no shapes
# that would tell it from another: two clear skies are no copies of each other.
MIN_CONTRAST = 4
# In a photo of one even colour, the pixels deviate by less than MIN_CONTRAST in each channel, as
# the noise of a camera does, and the regions of its thumbnail differ by at most this; those of a
# sky by more.
EVEN_RANGE = 3


@dataclass
class Fingerprints(drawing.HasFigure):
    """What near_duplicates needs of N images, each decoded once. Jupyter shows up to 60 thumbnails.

    hashes:     (N,) uint64, difference hashes.
    same:       (N,) int, the first image of exactly the same pixels, usually the image itself.
    thumbnails: (N, 32, 32) uint8, grey.
    sizes:      (N, 2) int, height and width in pixels, upright; of a very large photo those of the
                file, not the reduced ones of read_image.
    unread:     {index: why this image cannot be decoded}; the arrays hold zeros for these.
    even:       (N,) bool, images of one even colour: a blank page, a covered lens.
    """

    hashes: IntArray
    same: IntArray
    thumbnails: Pixels
    sizes: IntArray
    unread: dict[int, str]
    even: BoolArray

    @property
    def flat(self) -> BoolArray:
        """(N,) bool: images of one grey or of an even slope from one to another, or nearly, whose
        thumbnails look alike whatever they show.

        What counts is the variance that is left beside the plane of least squares: the two centred
        axes are orthogonal on the grid, so each takes slope² · mean(axis²) of it.
        """
        axis = np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2
        down, across = np.repeat(axis, SIDE), np.tile(axis, SIDE)  # (1024,) each
        greys = self.thumbnails.reshape(-1, SIDE * SIDE).astype(np.float32)
        slopes = greys @ np.stack([down, across], axis=1) / (down @ down)  # (N, 2)
        rest = greys.var(axis=1) - (slopes**2).sum(axis=1) * np.mean(axis**2)
        return rest < MIN_CONTRAST**2

    def figure(self) -> Figure:
        """Thumbnails with their numbers, copies of earlier images first."""
        is_copy = self.same != np.arange(len(self.same))
        figure = drawing.new_figure(10, 7)
        figure.suptitle(f"{len(is_copy)} photos: {is_copy.sum()} have the pixels of an earlier "
                        f"one, {self.even.sum()} of one even colour, {len(self.unread)} unread")
        shown = np.argsort(~is_copy, kind="stable")[:60]
        for ax, i in zip(figure.subplots(6, 10).flat, shown, strict=False):
            ax.imshow(self.thumbnails[i], cmap="gray", vmin=0, vmax=255)
            ax.set_title(f"{i} = {self.same[i]}" if is_copy[i] else f"{i}", fontsize=12)
        for ax in figure.axes:
            ax.axis("off")
        return figure


def perceptual_hashes(data: Dataset,
                      progress: Callable[[int, int], None] | None = None) -> Fingerprints:
    """The fingerprints of all images, each read once, in several threads; progress(done, total)."""
    from concurrent.futures import ThreadPoolExecutor  # here: `import minicnn` stays fast

    N = len(data)
    fingerprints = Fingerprints(np.zeros(N, np.uint64), np.arange(N),
                                np.zeros((N, SIDE, SIDE), np.uint8), np.zeros((N, 2), int), {},
                                np.zeros(N, bool))
    first: dict[bytes, int] = {}  # digest of the pixels -> the first image that has it
    pool = ThreadPoolExecutor(min(cores(), 8), thread_name_prefix="minicnn-decode")
    try:
        for i, result in enumerate(pool.map(lambda i: _fingerprint(data, i), range(N))):
            if isinstance(result, str):
                fingerprints.unread[i] = result
            else:
                fingerprints.hashes[i], fingerprints.thumbnails[i] = result[:2]
                fingerprints.sizes[i], fingerprints.even[i] = result[2:4]
                fingerprints.same[i] = first.setdefault(result[4], i)
            if progress:
                progress(i + 1, N)
    finally:
        pool.shutdown(cancel_futures=True)
    return fingerprints


def _fingerprint(data: Dataset, i: int
                 ) -> tuple[np.uint64, np.ndarray, tuple[int, ...], bool, bytes] | str:
    """Hash, thumbnail, size, whether it is one even colour, and a digest of the pixels; or why
    image i cannot be read."""
    from PIL import Image

    try:
        pixels, item = data.read(i), data.items[i]
        size = pixels.shape[:2] if isinstance(item, np.ndarray) else image_size(item)
    except FileError as error:
        return str(error)
    photo = Image.fromarray(pixels)
    grey = photo.convert("L")
    bilinear = Image.Resampling.BILINEAR
    small = np.asarray(grey.resize((9, 8), bilinear))
    bits = np.packbits(small[:, 1:] > small[:, :-1])  # (8, 8) -> 8 bytes
    digest = hashlib.blake2b(pixels.data, digest_size=16, key=str(pixels.shape).encode()).digest()
    return (bits.view(np.uint64)[0], np.asarray(grey.resize((SIDE, SIDE), bilinear)),
            size, _is_even(photo), digest)


def _is_even(photo: PillowImage) -> bool:
    """True for one colour all over. Two things are measured, on all pixels and in colour: how much
    these deviate, and how much the regions of the photo differ."""
    from PIL import Image, ImageStat

    thumbnail = photo.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return (max(ImageStat.Stat(photo).stddev) < MIN_CONTRAST
            and max(high - low for low, high in ImageStat.Stat(thumbnail).extrema) <= EVEN_RANGE)


def near_duplicates(data: Dataset, fingerprints: Fingerprints | None = None, distance: int = 16,
                    similarity: float = 0.97) -> IntArray:
    """(N,) int: a group number for each image, 0, 1, …. The images of a group are near duplicates,
    or near duplicates of each other's near duplicates (connected components).

    fingerprints: perceptual_hashes(data); None: computed here.
    distance:     number of bits, of 64, in which the hashes of a pair may differ; more only makes
                  it slower.
    similarity:   minimum correlation, up to 1, of the gradients (16 × 15 down and as many across)
                  of one thumbnail and of the other or a crop of it.
    Finds copies that were saved again, scaled, brightened, darkened, or cropped by up to 8 % of a
    side; not mirrored or rotated ones. Images without shapes (Fingerprints.flat) are in a group
    only if all their pixels are the same.
    Raises ArgumentError if the fingerprints are of other images.
    """
    prints = fingerprints or perceptual_hashes(data)
    if len(prints.hashes) != len(data):
        raise ArgumentError(f"near_duplicates: expected the fingerprints of {len(data)} photos, "
                            f"received those of {len(prints.hashes)}; compute them of this data.")
    groups, flat = prints.same.copy(), prints.flat
    uncropped = crop_matrices()[0]
    gradients = unit_gradients(uncropped @ prints.thumbnails @ uncropped.T)  # (N, 480)
    for i in np.flatnonzero(~flat & (prints.same == np.arange(len(data)))):
        bits = np.bitwise_count(prints.hashes ^ prints.hashes[i])
        others = np.flatnonzero((bits <= distance) & ~flat & (groups != groups[i]))
        if others.size:
            best = (cropped_gradients(prints.thumbnails[i]) @ gradients[others].T).max(axis=0)
            merged = np.isin(groups, groups[others[best >= similarity]])
            groups[merged] = groups[i]
    return np.unique(groups, return_inverse=True)[1]


@functools.cache
def crop_matrices() -> np.ndarray:
    """(V, 16, 32): matrices that crop a side of 32 pixels in V ways, the first not at all, and
    average it down to 16."""
    parts = [(begin, begin + 1 - crop) for crop in CROPS for begin in sorted({0, crop / 2, crop})]
    edges = np.stack([np.linspace(*part, SIDE // 2 + 1) * SIDE for part in parts])[..., None]
    pixel = np.arange(SIDE)
    overlap = np.minimum(edges[:, 1:], pixel + 1) - np.maximum(edges[:, :-1], pixel)
    return (overlap.clip(0) / np.diff(edges, axis=1)).astype(np.float32)


def cropped_gradients(thumbnail: Pixels) -> FloatArray:
    """(32, 32) -> (V · V, 480): the gradients of every crop of it, at all four sides."""
    rows = crop_matrices().reshape(-1, SIDE)  # (V · 16, 32)
    both = (rows @ thumbnail @ rows.T).reshape(len(crop_matrices()), SIDE // 2, -1, SIDE // 2)
    return unit_gradients(both.transpose(0, 2, 1, 3).reshape(-1, SIDE // 2, SIDE // 2))


def unit_gradients(thumbnails: Pixels) -> FloatArray:
    """(n, 16, 16) -> (n, 480): the differences of neighbouring pixels, down and across, each minus
    its mean, scaled to norm 1. Brightness, contrast and an even slope, such as that of a sky, thus
    do not count, and the dot product of two is their correlation."""
    halves = [np.diff(thumbnails, axis=axis).reshape(len(thumbnails), 240) for axis in (1, 2)]
    steps = np.concatenate([half - half.mean(axis=1, keepdims=True) for half in halves], axis=1)
    return steps / np.maximum(np.linalg.norm(steps, axis=1, keepdims=True), 1e-9)
