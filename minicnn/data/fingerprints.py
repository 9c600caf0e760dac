"""Fingerprints of images: a hash, a thumbnail and a digest of each, by which copies are recognised.

Source: N. Krawetz, "Kind of Like That" (2013), the difference hash; C. Zauner, "Implementation and
Benchmarking of Perceptual Image Hash Functions" (2010).
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ..ops.fast.threads import cores
from ..plotting import drawing
from ..utils.arrays import BoolArray, IntArray, Pixels
from ..utils.errors import FileError
from ..utils.mapped_arrays import MORE_SPACE, mapped_file, release_pages, storage
from ..utils.ranks import current_ranks
from .datasets import Dataset
from .images import read_header

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from matplotlib.figure import Figure
    from PIL.Image import Image as PillowImage

T = TypeVar("T")
R = TypeVar("R")
SIDE = 32  # of a thumbnail
# Standard deviation of greys, 0 … 255. A thumbnail with less, beside an even slope, has no shapes
# that would tell it from another: two clear skies are no copies of each other.
MIN_CONTRAST = 4
# In a photo of one even colour, the pixels deviate by less than MIN_CONTRAST in each channel, as
# the noise of a camera does, and the regions of its thumbnail differ by at most this; those of a
# sky by more.
EVEN_RANGE = 3
MEMORY_BUDGET = 1 << 28  # bytes of thumbnails, and of their gradients
BLOCK = 4096  # thumbnails at once
AHEAD = 64  # tasks that wait for a thread
ARRAYS = ("hashes", "thumbnails", "sizes", "even", "digests", "rotated")  # a row for each image


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
    digests:    (N, 16) uint8, of all pixels; images with the same are in `same`.
    rotated:    (N,) bool, images that read_image rotates or mirrors.

    Thumbnails of more than MEMORY_BUDGET bytes lie in a temporary file.
    """

    hashes: IntArray
    same: IntArray
    thumbnails: Pixels
    sizes: IntArray
    unread: dict[int, str]
    even: BoolArray
    digests: Pixels
    rotated: BoolArray

    @property
    def flat(self) -> BoolArray:
        """(N,) bool: images of one grey or of an even slope from one to another, or nearly, whose
        thumbnails look alike whatever they show.

        What counts is the variance that is left beside the plane of least squares: the two centred
        axes are orthogonal on the grid, so each takes slope² · mean(axis²) of it.
        """
        axis = np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2
        down, across = np.repeat(axis, SIDE), np.tile(axis, SIDE)  # (1024,) each
        flat = np.empty(len(self.hashes), bool)
        for rows in blocks(len(flat)):
            greys = self.thumbnails[rows].reshape(-1, SIDE * SIDE).astype(np.float32)
            slopes = greys @ np.stack([down, across], axis=1) / (down @ down)  # (n, 2)
            rest = greys.var(axis=1) - (slopes**2).sum(axis=1) * np.mean(axis**2)
            flat[rows] = rest < MIN_CONTRAST**2
            self.release()
        return flat

    def release(self) -> None:
        """Lets thumbnails that lie in a file leave the memory."""
        if file := mapped_file(self.thumbnails):
            release_pages(file)

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
    """The fingerprints of all images, each read once, in several threads; progress(done, total).

    Several ranks read a part each, and all get all of them. Raises ArgumentError on all ranks if
    they have other images.
    """
    N, ranks = len(data), current_ranks()
    check_same_images(data)
    start, stop = ranks.part_of(N)  # all of them, unless several ranks share them
    prints = _fingerprints_of_part(data, start, stop, lambda done: progress and progress(
        N if done == stop - start else done * ranks.size, N))
    if ranks.size > 1:
        for name in ARRAYS:
            setattr(prints, name, ranks.assemble(getattr(prints, name), N, MEMORY_BUDGET))
        prints.unread = {i: text for part in ranks.gather(prints.unread)
                         for i, text in part.items()}
    prints.same = same_pixels(prints.digests, list(prints.unread))
    return prints


def check_same_images(data: Dataset) -> None:
    """Raises ArgumentError on all ranks unless they have the same number of images, names and
    labels."""
    ranks = current_ranks()
    if ranks.size > 1:
        ranks.check_same("photos", {"number": len(data),
                                    "names and labels (by their hash)": digest(data)})


def digest(data: Dataset) -> str:
    """A hash of the names and labels of the images."""
    content = hashlib.sha256()
    for name in data.names:
        content.update(f"{name}\0".encode("utf-8", "surrogateescape"))
    content.update(np.ascontiguousarray(data.labels).tobytes())
    return content.hexdigest()[:16]


def _fingerprints_of_part(data: Dataset, start: int, stop: int,
                          progress: Callable[[int], None]) -> Fingerprints:
    """Those of the images start … stop − 1, but for `same`; the keys of `unread` are their numbers
    in the data."""
    from concurrent.futures import ThreadPoolExecutor  # here: `import minicnn` stays fast

    N = stop - start
    fingerprints = Fingerprints(
        np.zeros(N, np.uint64), np.arange(N),
        storage((N, SIDE, SIDE), np.dtype(np.uint8), MEMORY_BUDGET, MORE_SPACE),
        np.zeros((N, 2), int), {}, np.zeros(N, bool), np.zeros((N, 16), np.uint8),
        np.zeros(N, bool))
    pool = ThreadPoolExecutor(min(cores(), 8), thread_name_prefix="minicnn-decode")
    try:
        for i, result in enumerate(map_ahead(pool, lambda i: _fingerprint(data, i),
                                             range(start, stop))):
            fingerprints.thumbnails[i] = 0
            if isinstance(result, str):
                fingerprints.unread[start + i] = result
            else:
                fingerprints.hashes[i], fingerprints.thumbnails[i] = result[:2]
                fingerprints.sizes[i], fingerprints.even[i], fingerprints.rotated[i] = result[2:5]
                fingerprints.digests[i] = np.frombuffer(result[5], np.uint8)
            if i % BLOCK == BLOCK - 1:
                fingerprints.release()
            progress(i + 1)
    finally:
        pool.shutdown(cancel_futures=True)
    return fingerprints


def map_ahead(pool: Executor, function: Callable[[T], R], values: Iterable[T]) -> Iterator[R]:
    """As pool.map, which would submit all values at once: a kilobyte for each."""
    tasks = (pool.submit(function, value) for value in values)
    ahead = deque(islice(tasks, AHEAD))
    while ahead:
        yield ahead.popleft().result()
        ahead.extend(islice(tasks, 1))


def same_pixels(digests: Pixels, unread: Sequence[int]) -> IntArray:
    """(N,): the first image of the same digest, which for unread ones is the image itself."""
    halves = np.ascontiguousarray(digests).view(np.uint64)  # (N, 2)
    order = np.lexsort(halves.T)  # stable: the first image stands first
    is_first = np.ones(len(order), bool)
    is_first[1:] = (halves[order[1:]] != halves[order[:-1]]).any(axis=1)
    same = np.empty(len(order), int)
    same[order] = order[is_first][np.cumsum(is_first) - 1]
    same[list(unread)] = unread
    return same


def _fingerprint(data: Dataset, i: int
                 ) -> tuple[np.uint64, np.ndarray, tuple[int, ...], bool, bool, bytes] | str:
    """Hash, thumbnail, size, whether it is one even colour, whether it is rotated, and a digest of
    the pixels; or why image i cannot be read."""
    from PIL import Image

    try:
        pixels, item = data.read(i), data.items[i]
        size, rotated = ((pixels.shape[:2], False) if isinstance(item, np.ndarray)
                         else read_header(item))
    except FileError as error:
        return str(error)
    photo = Image.fromarray(pixels)
    grey = photo.convert("L")
    bilinear = Image.Resampling.BILINEAR
    small = np.asarray(grey.resize((9, 8), bilinear))
    bits = np.packbits(small[:, 1:] > small[:, :-1])  # (8, 8) -> 8 bytes
    digest = hashlib.blake2b(pixels.data, digest_size=16, key=str(pixels.shape).encode()).digest()
    return (bits.view(np.uint64)[0], np.asarray(grey.resize((SIDE, SIDE), bilinear)),
            size, _is_even(photo), rotated, digest)


def _is_even(photo: PillowImage) -> bool:
    """True for one colour all over. Two things are measured, on all pixels and in colour: how much
    these deviate, and how much the regions of the photo differ."""
    from PIL import Image, ImageStat

    thumbnail = photo.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return (max(high - low for low, high in ImageStat.Stat(thumbnail).extrema) <= EVEN_RANGE
            and max(ImageStat.Stat(photo).stddev) < MIN_CONTRAST)


def blocks(n: int, size: int = BLOCK) -> list[slice]:
    """0 … n in pieces of so many."""
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]
