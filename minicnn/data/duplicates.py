"""Photos that are there twice: the same pixels, or a copy that was saved again, scaled or cut.

A copy on the other side of a split is a test question that was in the lesson; a copy in another
class is a wrong label. Barz & Denzler 2020 find 3 to 10 % of CIFAR's test photos in its training
part.

A photo's difference hash says where its brightness rises from left to right, in 64 bits. Hashes
that differ in few bits are only candidates: clothes on a plain ground have nearly the same one. The
judge is the correlation of the slopes of the two thumbnails, of which one may be cut a little.

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
from ..utils.errors import ArgumentError, FileError
from .datasets import Dataset

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE = 32  # of a thumbnail
CUTS = (0, 0.04, 0.08)  # shares of a side that a copy may lack, at one end or at both
FLAT = 4  # a thumbnail whose greys, 0 … 255, have a smaller standard deviation shows nothing


@dataclass
class Fingerprints(drawing.HasFigure):
    """What is kept of N photos, each decoded once. In Jupyter it shows up to 60 thumbnails.

    hashes:     (N,) uint64, difference hashes.
    same:       (N,) int, the first photo of exactly the same pixels, often the photo itself.
    thumbnails: (N, 32, 32) uint8, grey.
    sizes:      (N, 2) int, height and width in pixels.
    unread:     the photos that cannot be decoded, with the reason; the arrays hold zeros for them.
    """

    hashes: np.ndarray
    same: np.ndarray
    thumbnails: np.ndarray
    sizes: np.ndarray
    unread: dict[int, str]

    @property
    def flat(self) -> np.ndarray:
        """(N,) bool: photos of one even grey, or nearly, which look alike whatever they show."""
        return self.thumbnails.std(axis=(1, 2)) < FLAT

    def figure(self) -> Figure:
        """Thumbnails with their numbers, those first that show what a photo before them shows."""
        again = self.same != np.arange(len(self.same))
        figure = drawing.new_figure(10, 7)
        figure.suptitle(f"{len(again)} photos: {again.sum()} have the pixels of one before them, "
                        f"{self.flat.sum()} show nothing, {len(self.unread)} unread")
        shown = np.argsort(~again, kind="stable")[:60]
        for ax, i in zip(figure.subplots(6, 10).flat, shown, strict=False):
            ax.imshow(self.thumbnails[i], cmap="gray", vmin=0, vmax=255)
            ax.set_title(f"{i} = {self.same[i]}" if again[i] else f"{i}", fontsize=12)
        for ax in figure.axes:
            ax.axis("off")
        return figure


def perceptual_hashes(data: Dataset,
                      progress: Callable[[int, int], None] | None = None) -> Fingerprints:
    """Reads every photo of `data` once, several at a time; progress(done, total)."""
    from concurrent.futures import ThreadPoolExecutor  # here: `import minicnn` stays fast

    N = len(data)
    found = Fingerprints(np.zeros(N, np.uint64), np.arange(N), np.zeros((N, SIDE, SIDE), np.uint8),
                         np.zeros((N, 2), int), {})
    first: dict[bytes, int] = {}
    pool = ThreadPoolExecutor(min(cores(), 8), thread_name_prefix="minicnn-decode")
    try:
        for i, one in enumerate(pool.map(lambda i: _fingerprint(data, i), range(N))):
            if isinstance(one, str):
                found.unread[i] = one
            else:
                found.hashes[i], found.thumbnails[i], found.sizes[i], pixels = one
                found.same[i] = first.setdefault(pixels, i)
            if progress:
                progress(i + 1, N)
    finally:
        pool.shutdown(cancel_futures=True)
    return found


def _fingerprint(data: Dataset, i: int) -> tuple | str:
    """Hash, thumbnail, size and a digest of the pixels; or why photo i cannot be read."""
    from PIL import Image

    try:
        pixels = data.read(i)
    except FileError as problem:
        return str(problem)
    grey = Image.fromarray(pixels).convert("L")
    bilinear = Image.Resampling.BILINEAR
    small = np.asarray(grey.resize((9, 8), bilinear))
    bits = np.packbits(small[:, 1:] > small[:, :-1])  # (8, 8) -> 8 bytes
    digest = hashlib.blake2b(pixels, digest_size=16, key=str(pixels.shape).encode()).digest()
    return (bits.view(np.uint64)[0], np.asarray(grey.resize((SIDE, SIDE), bilinear)),
            pixels.shape[:2], digest)


def near_duplicates(data: Dataset, found: Fingerprints | None = None, distance: int = 16,
                    likeness: float = 0.97) -> np.ndarray:
    """(N,) int: a number for each photo, 0, 1, …; photos of the same number are near duplicates, or
    near duplicates of one another's near duplicates (connected components).

    found:    what perceptual_hashes(data) gave; None: computed here.
    distance: bits of 64 in which the hashes of a pair may differ; more only makes it slower.
    likeness: least correlation, up to 1, of the slopes (16 × 15 down and as many across) of one
              thumbnail and of the other or a cut of it.
    Finds copies that are saved again, scaled, brighter, darker, or cut by up to 8 % of a side; not
    mirrored or turned ones. Photos without content (Fingerprints.flat) are grouped only where every
    pixel is the same.
    Raises ArgumentError where `found` is of other photos.
    """
    found = found or perceptual_hashes(data)
    if len(found.hashes) != len(data):
        raise ArgumentError(f"near_duplicates: expected the fingerprints of {len(data)} photos, "
                            f"received those of {len(found.hashes)}; compute them of this data.")
    groups, flat = found.same.copy(), found.flat
    whole = _slopes(_cuts()[0] @ found.thumbnails @ _cuts()[0].T)  # (N, 480)
    for i in np.flatnonzero(~flat & (found.same == np.arange(len(data)))):
        bits = np.bitwise_count(found.hashes ^ found.hashes[i])
        others = np.flatnonzero((bits <= distance) & ~flat & (groups != groups[i]))
        if others.size:
            best = (_views(found.thumbnails[i]) @ whole[others].T).max(axis=0)
            like = np.isin(groups, groups[others[best >= likeness]])
            groups[like] = groups[i]
    return np.unique(groups, return_inverse=True)[1]


@functools.cache
def _cuts() -> np.ndarray:
    """(V, 16, 32): matrices that take V parts of a side of 32 pixels, the whole first, and average
    them down to 16."""
    parts = [(begin, begin + 1 - cut) for cut in CUTS for begin in sorted({0, cut / 2, cut})]
    edges = np.stack([np.linspace(*part, SIDE // 2 + 1) * SIDE for part in parts])[..., None]
    pixel = np.arange(SIDE)
    overlap = np.minimum(edges[:, 1:], pixel + 1) - np.maximum(edges[:, :-1], pixel)
    return (overlap.clip(0) / np.diff(edges, axis=1)).astype(np.float32)


def _views(thumbnail: np.ndarray) -> np.ndarray:
    """(32, 32) -> (V · V, 480): the slopes of every part of it, cut at all four sides."""
    rows = _cuts().reshape(-1, SIDE)  # (V · 16, 32)
    both = (rows @ thumbnail @ rows.T).reshape(len(_cuts()), SIDE // 2, -1, SIDE // 2)
    return _slopes(both.transpose(0, 2, 1, 3).reshape(-1, SIDE // 2, SIDE // 2))


def _slopes(pictures: np.ndarray) -> np.ndarray:
    """(n, 16, 16) -> (n, 480): the steps from pixel to pixel, their mean taken off, of length 1, so
    that brightness and contrast do not count, and a product of two is their correlation."""
    steps = np.concatenate([np.diff(pictures, axis=axis).reshape(len(pictures), 240)
                            for axis in (1, 2)], axis=1)
    steps -= steps.mean(axis=1, keepdims=True)
    return steps / np.maximum(np.linalg.norm(steps, axis=1, keepdims=True), 1e-9)
