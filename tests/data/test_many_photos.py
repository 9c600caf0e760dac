"""What is computed in blocks for a million photos is what plain loops compute for a few."""

import numpy as np
import pytest
from makers import random_pixels
from reference import assert_same

from minicnn.data import (
    Dataset,
    duplicates,
    fingerprints,
    near_duplicates,
    perceptual_hashes,
    read_split,
    split_parts,
    write_split,
)
from minicnn.data.duplicates import crop_matrices, cropped_gradients, unit_gradients
from minicnn.data.fingerprints import same_pixels
from minicnn.data.split_csv import NameIndex
from minicnn.utils.errors import ArgumentError
from minicnn.utils.mapped_arrays import mapped_file


def naive_groups(data, groups, seed):
    """The images of each group, in the random order of the classes, large groups first."""
    members = {}
    for indices in data.shuffled(seed).values():
        for i in indices.tolist():
            members.setdefault(groups[i], []).append(i)
    return sorted(members.values(), key=len, reverse=True)


def naive_split(data, shares, groups, seed):
    """split_parts group by group: to the part where a class would stay without any, else to the one
    with most space for groups, or for single images to the first with any."""
    parts, queue = list(shares), naive_groups(data, groups, seed)
    K = len(data.classes)
    free = np.array([_sizes(n, list(shares.values())) for n in data.counts.values()]).T
    left = [sum(any(data.labels[i] == k for i in group) for group in queue) for k in range(K)]
    empty, part = np.ones((len(parts), K), bool), {}
    for group in queue:
        count = np.bincount(data.labels[group], minlength=K)
        kinds = np.flatnonzero(count)
        keys = []
        for p in range(len(parts)):
            urgent = sum(empty[p, k] and left[k] <= empty[:, k].sum() for k in kinds)
            space = min(free[p, k] - count[k] for k in kinds)
            keys.append((urgent, space >= 0 if len(group) == 1 else space, -p))
        p = keys.index(max(keys))
        part.update((i, parts[p]) for i in group)
        free[p] -= count
        for k in kinds:
            empty[p, k] = False
            left[k] -= 1
    return [part[i] for i in range(len(data))], empty.any()


def _sizes(n, shares):
    ends = [0]
    for k, share in enumerate(np.cumsum(shares)):
        ends.append(min(max(int(share * n + 0.5), ends[-1] + 1), n - (len(shares) - 1 - k)))
    return np.diff(ends)


@pytest.mark.parametrize("seed", range(30))
def test_groups_are_split_as_by_a_loop_over_them(seed):
    rng = np.random.default_rng(seed)
    n, K = int(rng.integers(12, 60)), int(rng.integers(2, 4))
    labels = np.sort(rng.integers(0, K, n))
    data = Dataset.from_arrays(np.zeros((n, 1, 1), np.uint8), labels, list("abc"[:K]))
    groups = rng.integers(0, max(3, int(n * (0.5, 0.9, 4)[seed % 3])), n)
    shares = {"train": 0.6, "validation": 0.15, "test": 0.25}
    assert data.grouped(groups, seed) == naive_groups(data, groups, seed)
    try:
        parts = split_parts(data, shares, groups, seed)
    except ArgumentError:
        assert naive_split(data, shares, groups, seed)[1] or min(
            len(set(groups[labels == k])) for k in range(K)) < 3
    else:
        assert parts == naive_split(data, shares, groups, seed)[0]


def test_copies_across_blocks_are_those_of_all_pairs(monkeypatch, rng):
    monkeypatch.setattr(duplicates, "ROWS", 3)
    monkeypatch.setattr(duplicates, "COLUMNS", 4)
    originals = [np.repeat(np.repeat(random_pixels(6, 6, seed=k), 8, 0), 8, 1) for k in range(9)]
    brighter = [np.clip(photo.astype(int) + 12, 0, 255).astype(np.uint8) for photo in originals[:6]]
    photos = [*originals, *brighter, originals[0], originals[7]]
    order = rng.permutation(len(photos))
    data = Dataset([photos[i] for i in order], [0] * len(photos), ["x"],
                   [str(i) for i in range(len(photos))])
    prints = perceptual_hashes(data)
    thumbnails = prints.thumbnails
    small = unit_gradients(crop_matrices()[0] @ thumbnails @ crop_matrices()[0].T)
    component = list(range(len(photos)))
    for i in range(len(photos)):
        for j in range(len(photos)):
            bits = bin(int(prints.hashes[i] ^ prints.hashes[j])).count("1")
            if bits <= 16 and (cropped_gradients(thumbnails[i]) @ small[j]).max() >= 0.97:
                component = [component[i] if k == component[j] else k for k in component]
    groups = near_duplicates(data, prints)
    assert len(set(component)) == 9
    assert all((groups[i] == groups[j]) == (component[i] == component[j])
               for i in range(len(photos)) for j in range(len(photos)))


def test_thumbnails_beyond_the_budget_lie_in_a_file_and_are_the_same(monkeypatch):
    photos = random_pixels(9, 20, 20, 3)
    data = Dataset.from_arrays(photos, [0] * 9, ["x"])
    inside = perceptual_hashes(data)
    monkeypatch.setattr(fingerprints, "MEMORY_BUDGET", 4000)
    monkeypatch.setattr(duplicates, "MEMORY_BUDGET", 4000)
    monkeypatch.setattr(fingerprints, "BLOCK", 2)
    outside = perceptual_hashes(data)
    assert mapped_file(outside.thumbnails) and not mapped_file(inside.thumbnails)
    assert_same(np.asarray(outside.thumbnails), inside.thumbnails)
    assert_same(outside.flat, inside.flat)
    assert_same(near_duplicates(data, outside), near_duplicates(data, inside))


def test_the_same_digest_is_of_the_first_image_and_unread_ones_are_alone():
    digests = np.zeros((6, 16), np.uint8)
    digests[[1, 4], 3] = 7
    digests[[2, 5], 15] = 7
    assert same_pixels(digests, [0, 3]).tolist() == [0, 1, 2, 3, 1, 2]
    assert same_pixels(digests, []).tolist() == [0, 1, 2, 0, 1, 2]
    assert same_pixels(digests[:0], []).tolist() == []


def test_names_with_equal_hashes_are_told_apart(monkeypatch):
    class Name(str):
        def __hash__(self):
            return 5

    index = NameIndex([Name("a"), Name("b"), Name("a")])
    assert index.of(Name("b")) == [1] and index.of(Name("a")) == [0, 2]
    assert index.of(Name("c")) == []


def test_a_large_table_in_any_order_gives_every_photo_its_part(tmp_path, rng):
    n = 3000
    data = Dataset(range(n), np.arange(n) % 3, list("abc"), [f"{k % 3}/{k}.jpg" for k in range(n)])
    code = rng.integers(0, 3, n)
    parts = {name: data.subset(rng.permutation(np.flatnonzero(code == k)))
             for k, name in enumerate(("test", "mine", "train"))}
    write_split(tmp_path / "split.csv", parts)
    again = read_split(tmp_path / "split.csv", data)
    assert list(again) == ["train", "test", "mine"]
    for name, part in again.items():
        assert part.items == sorted(parts[name].items)
