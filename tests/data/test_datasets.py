"""Photos with labels: arrays, subsets, splits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import grey_images as arrays
from makers import grey_values

from minicnn.data import Dataset, resize_and_crop
from minicnn.utils.errors import ArgumentError, ShapeError


# ---- arrays
@pytest.mark.parametrize("channels", [(), (3,)])
def test_arrays_are_read_as_rgb_copies(channels):
    images = np.random.default_rng(0).integers(0, 256, (3, 4, 5, *channels), dtype=np.uint8)
    before = images.copy()
    data = Dataset.from_arrays(images, [0, 1, 0])
    for i in range(3):
        pixels = data.read(i)
        assert pixels.shape == (4, 5, 3)
        for c in range(3):
            assert np.array_equal(pixels[..., c], before[i, ..., c] if channels else before[i])
        pixels[:] = 0
    assert np.array_equal(images, before)


def test_names_are_made_up_where_none_are_given():
    data = Dataset.from_arrays(np.zeros((3, 2, 2), np.uint8), [2, 0, 2])
    assert data.classes == ["0", "1", "2"]
    assert data.names == ["image 0", "image 1", "image 2"]
    assert data.counts == {"0": 1, "1": 0, "2": 2}
    named = Dataset.from_arrays(np.zeros((1, 2, 2), np.uint8), [1], ["cat", "dog"], ["p.jpg"])
    assert (named.classes, named.names) == (["cat", "dog"], ["p.jpg"])


def test_later_changes_to_the_arguments_do_not_reach_the_dataset():
    labels, classes, names = np.array([0, 1]), ["a", "b"], ["one", "two"]
    items = [np.zeros((2, 2), np.uint8), np.ones((3, 3), np.uint8)]
    data = Dataset(items, labels, classes, names)
    labels[:] = 7
    for argument in (items, classes, names):
        argument.reverse()
    assert data.labels.tolist() == [0, 1]
    assert (data.classes, data.names, grey_values(data)) == (["a", "b"], ["one", "two"], [0, 1])


def test_empty_dataset_is_empty():
    data = Dataset.from_arrays(np.zeros((0, 2, 2), np.uint8), [])
    assert (len(data), data.classes, data.labels.dtype) == (0, [], np.int64)
    assert data.images([], (5, 6)).shape == (0, 5, 6, 3)


ZEROS = np.zeros((2, 4, 4), np.uint8)


@pytest.mark.parametrize("images, labels, classes, error, words", [
    (ZEROS / 1, [0, 1], None, ArgumentError, "expected uint8 pixels 0…255, received float64"),
    (ZEROS[0], [0, 1], None, ShapeError, r"received \(4, 4\)"),
    (ZEROS[..., None], [0, 1], None, ShapeError, r"received \(2, 4, 4, 1\)"),
    (ZEROS, [0], None, ShapeError, r"each of 2 photos, received labels of shape \(1,\)"),
    (ZEROS, [[0, 1], [1, 0]], None, ShapeError, r"received labels of shape \(2, 2\)"),
    (ZEROS, [0.0, 1.0], None, ArgumentError, "ints as labels, received float64"),
    (ZEROS, ["cat", "dog"], None, ArgumentError, "ints as labels, received <U3"),
    (ZEROS, [True, False], None, ArgumentError, "ints as labels, received bool"),
    (ZEROS, [0, 2], ["a", "b"], ArgumentError, "from 0 to 1 for 2 classes, received 0 to 2"),
    (ZEROS, [-1, 0], ["a", "b"], ArgumentError, "from 0 to 1 for 2 classes, received -1 to 0"),
    (ZEROS, [0, 1], ["a", "a"], ArgumentError, r"different class names, received \['a', 'a'\]"),
    (ZEROS, [0, 1], "ab", ArgumentError, "different class names, received 'ab'"),
])
def test_arrays_that_do_not_fit_are_refused(images, labels, classes, error, words):
    with pytest.raises(error, match=words):
        Dataset.from_arrays(images, labels, classes)


def test_names_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="received labels of shape .* and 1 names"):
        Dataset.from_arrays(ZEROS, [0, 1], names=["one"])


# ---- images, subset
def test_images_are_cut_as_resize_and_crop_cuts_them():
    images = np.random.default_rng(0).integers(0, 256, (4, 9, 12, 3), dtype=np.uint8)
    data = Dataset.from_arrays(images, [0, 1, 0, 1])
    got = data.images([3, 0, 3], (6, 5), 0.8)
    assert got.shape == (3, 6, 5, 3) and got.dtype == np.uint8
    for k, i in enumerate([3, 0, 3]):
        assert np.array_equal(got[k], resize_and_crop(images[i], (6, 5), 0.8))
    with pytest.raises(ArgumentError, match="expected size"):
        data.images([0], 224)


def test_subset_follows_the_order_of_its_indices():
    data = arrays(3, 3)
    part = data.subset([4, 1, -1])
    assert grey_values(part) == [4, 1, 5]
    assert part.labels.tolist() == [1, 0, 1]
    assert part.names == ["image 4", "image 1", "image 5"]
    assert part.classes == data.classes
    assert grey_values(data.subset(data.labels == 1)) == [3, 4, 5]
    assert len(data) == 6


@pytest.mark.parametrize("indices", [[6], [-7], [0.5], ["a"], [[0, 1]], 3, [True]])
def test_indices_that_do_not_fit_are_refused(indices):
    data = arrays(3, 3)
    for use in (data.subset, lambda wrong: data.images(wrong, (2, 2))):
        with pytest.raises(ArgumentError, match="expected indices of 6 photos"):
            use(indices)


# ---- split, take
@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(2, 40), min_size=1, max_size=5), st.floats(0.01, 0.99),
       st.integers(0, 2**63))
def test_split_is_disjoint_complete_and_stratified(counts, fraction, seed):
    data = arrays(*counts)
    first, second = data.split(fraction, seed)
    assert sorted(grey_values(first) + grey_values(second)) == list(range(len(data)))
    for part in (first, second):
        assert grey_values(part) == sorted(grey_values(part))
        assert part.classes == data.classes
    for name, count in data.counts.items():
        kept, left = first.counts[name], second.counts[name]
        assert kept >= 1 and left >= 1
        assert abs(kept - fraction * count) <= 0.5 + 1e-9 or min(kept, left) == 1


def test_split_rounds_and_leaves_at_least_one_photo_in_each_part():
    data = arrays(10, 7, 2)
    assert data.split(0.8)[0].counts == {"a": 8, "b": 6, "c": 1}     # 5.6 -> 6, 1.6 -> 2 -> 1
    assert data.split(0.01)[0].counts == {"a": 1, "b": 1, "c": 1}
    assert data.split(0.99)[1].counts == {"a": 1, "b": 1, "c": 1}


def test_split_keeps_labels_and_names_with_their_photos():
    data = arrays(5, 9)
    for part in data.split(0.6, seed=3):
        for value, label, name in zip(grey_values(part), part.labels, part.names, strict=True):
            assert label == (value >= 5) and name == f"image {value}"


def test_same_seed_gives_the_same_split_and_another_seed_another():
    data = arrays(30, 30)
    assert grey_values(data.split(0.5, 4)[0]) == grey_values(data.split(0.5, 4)[0])
    assert grey_values(data.split(0.5, 4)[0]) != grey_values(data.split(0.5, 5)[0])
    assert grey_values(data.split(0.5)[0]) == grey_values(data.split(0.5, 0)[0])


def test_split_is_the_same_on_every_machine():
    # From PCG64([0, label]).random_raw: in each class the three photos with the smallest keys.
    first, _ = arrays(6, 5).split(0.5, seed=0)
    assert grey_values(first) == [1, 2, 3, 7, 8, 10]


def test_split_of_one_class_does_not_depend_on_the_others():
    small, large = arrays(20, 4).split(0.5, 1), arrays(20, 90).split(0.5, 1)
    of_a, again = ([v for v in grey_values(part) if v < 20] for part in (small[0], large[0]))
    assert of_a == again


def test_classes_are_split_by_different_draws():
    first = grey_values(arrays(40, 40).split(0.5)[0])
    assert [v for v in first if v < 40] != [v - 40 for v in first if v >= 40]


def test_every_photo_may_fall_in_either_part():
    data = arrays(6, 6)
    seen = [set(grey_values(data.split(0.5, seed)[0])) for seed in range(30)]
    assert set.union(*seen) == set(range(12)) and not set.intersection(*seen)


@pytest.mark.parametrize("fraction", [0, 1, -0.2, 80, float("nan")])
def test_fraction_outside_0_to_1_is_refused(fraction):
    with pytest.raises(ArgumentError, match="expected a fraction between 0 and 1"):
        arrays(4, 4).split(fraction)


@pytest.mark.parametrize("seed", [-1, 0.5, None, "a"])
def test_seed_that_is_no_whole_number_is_refused(seed):
    for draw in (lambda: arrays(4, 4).split(0.5, seed), lambda: arrays(4, 4).take(2, seed)):
        with pytest.raises(ArgumentError, match="seed: expected an int of at least 0"):
            draw()


def test_take_draws_so_many_of_each_class():
    data = arrays(20, 30)
    part = data.take(5, seed=2)
    assert part.counts == {"a": 5, "b": 5}
    values = grey_values(part)
    assert len(set(values)) == 10 and values == sorted(values)
    assert values == grey_values(data.take(5, seed=2)) != grey_values(data.take(5, seed=3))
    assert grey_values(arrays(3, 3).take(3)) == list(range(6))


def test_take_of_more_photos_than_a_class_has_is_refused_by_name():
    with pytest.raises(ArgumentError, match="expected 4 photos of each class, received 3 of 'b'"):
        arrays(9, 3).take(4)
    for wrong in (0, -1, 2.5):
        with pytest.raises(ArgumentError, match=rf"per_class: expected .* received {wrong}"):
            arrays(9, 3).take(wrong)
