"""The one function that cuts photos to size: by its formula, in every shape, never squashing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minicnn.data import resize_and_crop
from minicnn.utils.errors import ArgumentError, ShapeError


def noise(*shape):
    return np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)


def resampled(image, first, length, n, axis):
    """`length` pixels of an axis from `first` on become n: the triangle filter, by its formula."""
    image = np.moveaxis(image.astype(float), axis, 0)
    step = length / n
    centre = first + (np.arange(n)[:, None] + 0.5) * step
    distance = np.abs(np.arange(len(image)) + 0.5 - centre)
    weights = np.maximum(0, 1 - distance / max(step, 1))
    weights /= weights.sum(axis=1, keepdims=True)
    return np.moveaxis(np.tensordot(weights, image, 1), 0, axis)


@pytest.mark.parametrize("shape, size, covered", [
    ((37, 53, 3), (16, 24), (20, 30)),   # shrunk; the width decides: 30/53 > 20/37
    ((53, 37, 3), (16, 24), (20, 30)),
    ((9, 7, 3), (24, 16), (30, 20)),     # enlarged
    ((40, 11, 3), (16, 16), (20, 20)),   # enlarged, cut above and below
    ((64, 64, 3), (4, 4), (5, 5)),
])
def test_resize_matches_the_triangle_filter_on_the_scaled_and_cropped_photo(shape, size, covered):
    image = noise(*shape)
    scale = max(covered[0] / shape[0], covered[1] / shape[1])
    expected = image
    for axis in (0, 1):
        length = size[axis] / scale
        expected = resampled(expected, (shape[axis] - length) / 2, length, size[axis], axis)
    got = resize_and_crop(image, size, crop_fraction=0.8)
    assert got.shape == (*size, 3) and got.dtype == np.uint8
    assert np.abs(got - expected).max() < 1.01  # Pillow rounds after each of its two passes


def test_photo_of_the_right_size_keeps_its_pixels():
    image = noise(20, 30, 3)
    assert np.array_equal(resize_and_crop(image, (20, 30)), image)


def test_vgg16_test_crop_is_the_centre_224_of_shortest_side_256():
    image = noise(256, 320, 3)
    got = resize_and_crop(image, (224, 224), crop_fraction=224 / 256)
    assert np.array_equal(got, image[16:240, 48:272])  # (256 − 224) / 2, (320 − 224) / 2


def test_covered_size_is_whole_pixels():
    image = noise(13, 13, 3)  # 9 / 0.7 = 12.86: the photo covers 13 × 13, as it is
    assert np.array_equal(resize_and_crop(image, (9, 3), 0.7), image[2:11, 5:8])
    assert np.array_equal(resize_and_crop(image, (3, 9), 0.7), image[5:8, 2:11])


def test_sizes_whose_quotients_round_up_still_fit():
    unlucky = [(h, H) for h in range(1, 60) for H in range(1, 60) if h / (h / H) > H]
    assert len(unlucky) > 50
    for h, H in unlucky:
        assert (resize_and_crop(np.full((H, H), 5, np.uint8), (h, h)) == 5).all()


def test_without_crop_the_whole_shortest_side_is_kept():
    image = noise(24, 40, 3)
    assert np.array_equal(resize_and_crop(image, (24, 24)), image[:, 8:32])
    assert np.array_equal(resize_and_crop(image.swapaxes(0, 1), (24, 24)),
                          image.swapaxes(0, 1)[8:32])


def test_proportions_are_kept_so_a_square_stays_a_square():
    image = np.zeros((100, 300, 3), np.uint8)
    image[30:70, 130:170] = 255
    seen = resize_and_crop(image, (50, 50))[..., 0] > 127
    assert seen.sum(0).max() == seen.sum(1).max() == 20
    assert seen[15:35, 15:35].all()


@pytest.mark.parametrize("upright", [False, True])
def test_extreme_shape_is_cut_before_it_is_scaled(upright):
    image = np.full((1, 60000, 3), 9, np.uint8)
    image[0, 29999], image[0, 30000] = 0, 224  # the centre: one pixel wide, from half to half
    got = resize_and_crop(image.swapaxes(0, 1) if upright else image, (224, 224))
    ramp = np.arange(224) + 0.5  # from the middle of one pixel to the middle of the next
    ramp = ramp[:, None, None] if upright else ramp[None, :, None]
    assert got.shape == (224, 224, 3)
    assert np.abs(got - ramp).max() <= 1


def test_extreme_target_shape_is_reached():
    image = np.full((3, 2, 3), 200, np.uint8)
    assert (resize_and_crop(image, (1, 500)) == np.full((1, 500, 3), 200)).all()


@settings(max_examples=60, deadline=None)
@given(st.tuples(st.integers(1, 300), st.integers(1, 300)),
       st.tuples(st.integers(1, 40), st.integers(1, 40)), st.floats(0.05, 1))
def test_even_photo_stays_even_whatever_the_shapes(shape, size, crop_fraction):
    got = resize_and_crop(np.full(shape, 123, np.uint8), size, crop_fraction)
    assert got.shape == (*size, 3)
    assert (got == 123).all()


def test_grey_photo_comes_out_in_three_equal_channels():
    image = noise(9, 13)
    got = resize_and_crop(image, (9, 9))
    assert np.array_equal(got, np.stack([image[:, 2:11]] * 3, axis=-1))


def test_input_stays_as_it_is_and_the_output_is_new():
    for size in ((8, 8), (4, 4)):
        image = noise(8, 8, 3)
        before = image.copy()
        image.flags.writeable = False
        got = resize_and_crop(image, size)
        got[:] = 0
        assert np.array_equal(image, before)


def test_strided_photo_is_read_in_its_own_order():
    image = noise(8, 8, 3)
    assert np.array_equal(resize_and_crop(image[::-1, ::2], (8, 4)), image[::-1, ::2])


@pytest.mark.parametrize("image, error, words", [
    (np.zeros((4, 4, 3), np.float32), ArgumentError, "expected uint8 pixels, received float32"),
    (np.zeros((4, 4, 3), np.int64), ArgumentError, "received int64"),
    (np.zeros((4, 4, 4), np.uint8), ShapeError, r"received \(4, 4, 4\)"),
    (np.zeros((4, 4, 1), np.uint8), ShapeError, r"received \(4, 4, 1\)"),
    (np.zeros((1, 4, 4, 3), np.uint8), ShapeError, r"received \(1, 4, 4, 3\)"),
    (np.zeros(4, np.uint8), ShapeError, r"received \(4,\)"),
    (np.zeros((0, 4, 3), np.uint8), ShapeError, r"received \(0, 4, 3\)"),
])
def test_array_that_is_no_photo_is_refused(image, error, words):
    with pytest.raises(error, match=words):
        resize_and_crop(image, (2, 2))


@pytest.mark.parametrize("size", [224, (224,), (0, 4), (4, -1), (4.0, 4), (4, 4, 3), None])
def test_size_that_is_none_is_refused(size):
    with pytest.raises(ArgumentError, match=r"expected size=\(height, width\)"):
        resize_and_crop(np.zeros((4, 4), np.uint8), size)


@pytest.mark.parametrize("crop_fraction", [0, -0.5, 1.01, float("nan")])
def test_crop_fraction_outside_0_to_1_is_refused(crop_fraction):
    with pytest.raises(ArgumentError, match="expected a crop_fraction above 0 and at most 1"):
        resize_and_crop(np.zeros((4, 4), np.uint8), (2, 2), crop_fraction)
