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
from collections.abc import Iterator

import numpy as np

from ..ops.fast.threads import cores
from ..utils.arrays import FloatArray, IntArray, Pixels
from ..utils.errors import ArgumentError
from ..utils.mapped_arrays import MORE_SPACE, mapped_file, release_pages, storage
from .datasets import Dataset
from .fingerprints import (
    MEMORY_BUDGET,
    SIDE,
    Fingerprints,
    blocks,
    map_ahead,
    perceptual_hashes,
)

CROPS = (0, 0.04, 0.08)  # fractions of a side that a copy may lack, at one end or at both
GRADIENTS = 2 * (SIDE // 2) * (SIDE // 2 - 1)  # of a thumbnail, down and across
ROWS, COLUMNS = 64, 2048  # hashes that are compared at once


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
    from concurrent.futures import ThreadPoolExecutor

    # The images that are compared: those of the same pixels are in a group already.
    rows = np.flatnonzero(~prints.flat & (prints.same == np.arange(len(data))))
    gradients = storage((len(rows), GRADIENTS), np.dtype(np.float32), MEMORY_BUDGET, MORE_SPACE)
    uncropped = crop_matrices()[0]
    for part in blocks(len(rows)):
        gradients[part] = unit_gradients(uncropped @ prints.thumbnails[rows[part]] @ uncropped.T)
        prints.release()
        if file := mapped_file(gradients):
            release_pages(file)
    hashes, parent = prints.hashes[rows], prints.same.copy()

    def copies(some_rows: slice) -> list[tuple[int, IntArray]]:
        return [(i, others) for i, candidates in _candidates(hashes, some_rows, distance)
                if len(others := candidates[(
                    cropped_gradients(prints.thumbnails[rows[i]]) @ gradients[candidates].T
                    ).max(axis=0) >= similarity])]

    pool = ThreadPoolExecutor(cores(), thread_name_prefix="minicnn-copies")
    try:
        for block_copies in map_ahead(pool, copies, blocks(len(rows), ROWS)):
            for i, others in block_copies:
                for j in others:
                    _unite(parent, rows[i], rows[j])
    finally:
        pool.shutdown(cancel_futures=True)
    while (parent != parent[parent]).any():
        parent = parent[parent]
    return np.unique(parent, return_inverse=True)[1]


def _candidates(hashes: IntArray, rows: slice, distance: int
                ) -> Iterator[tuple[int, IntArray]]:
    """(i, the images whose hashes differ from that of image i in at most `distance` bits, without
    itself) for each i of the rows that has any. COLUMNS at once, which the processor's cache holds.
    """
    own, near = hashes[rows, None], []
    # the same arrays for each block: new ones of a megabyte cost more than the arithmetic
    xor = np.empty((len(own), COLUMNS), np.uint64)
    bits = np.empty((len(own), COLUMNS), np.uint8)
    for columns in blocks(len(hashes), COLUMNS):
        n = columns.stop - columns.start
        np.bitwise_xor(own, hashes[columns], out=xor[:, :n])
        np.bitwise_count(xor[:, :n], out=bits[:, :n])
        row, column = np.divmod(np.flatnonzero(bits[:, :n] <= distance), n)
        near.append(np.stack([row + rows.start, column + columns.start], axis=1))
    pairs = np.concatenate(near)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    for i in np.unique(pairs[:, 0]):
        yield int(i), pairs[pairs[:, 0] == i, 1]


def _unite(parent: IntArray, i: int, j: int) -> None:
    """Makes one group of those of images i and j. parent: (N,) towards the first of each group."""
    roots = []
    for node in (i, j):
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        roots.append(node)
    parent[max(roots)] = min(roots)


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
