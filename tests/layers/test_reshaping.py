"""Layers that move numbers or scale pixels: what they give, and what they refuse."""

import numpy as np
import pytest
from reference import array, assert_close, assert_refused, assert_same, on_device

from minicnn.layers import (
    CenterCrop,
    Conv2D,
    Normalization,
    Permute,
    Rescaling,
    Reshape,
    Resizing,
    ZeroPadding2D,
)
from minicnn.ops import to_cpu

from .cases import built


def test_reshape_keeps_the_order_of_the_numbers():
    x = np.arange(24.0).reshape(2, 3, 4)
    for target, shape in (((2, 6), (2, 6)), ((-1,), (12,)), ((3, 2, -1), (3, 2, 2))):
        y = Reshape(target).forward(on_device(x))
        assert y.shape == (2, *shape)
        assert_same(y.reshape(-1), np.arange(24.0))


def test_permute_puts_axis_dims_k_at_k(rng):
    x = array(rng, 2, 3, 4, 5)
    layer = Permute((3, 1, 2))
    y, plain = to_cpu(layer.forward(x)), to_cpu(x)
    for n, h, w, c in np.ndindex(plain.shape):
        assert y[n, c, h, w] == plain[n, h, w, c]
    assert_same(layer.backward(on_device(y)), plain)


@pytest.mark.parametrize("padding", [0, 1, (1, 2), ((1, 0), (2, 3))])
def test_zero_padding_before_a_convolution_is_its_own_padding(padding, rng):
    x = array(rng, 2, 4, 5, 3)
    layer = ZeroPadding2D(padding)
    (top, bottom), (left, right) = layer.padding
    expected = np.zeros((2, top + 4 + bottom, left + 5 + right, 3))
    expected[:, top:top + 4, left:left + 5] = to_cpu(x)
    assert_same(layer.forward(x), expected)
    if top == bottom and left == right:
        valid, padded = (built(Conv2D(2, 3, padding=p), (2, 9, 9, 3), np.random.default_rng(1))
                         for p in ("valid", (top, left)))
        assert_close(valid.forward(layer.forward(x)), padded.forward(x), rtol=1e-13)


def test_the_gradient_of_zero_padding_is_the_part_that_held_x(rng):
    layer, dy = ZeroPadding2D(((1, 0), (2, 3))), array(rng, 2, 5, 10, 3)
    layer.forward(array(rng, 2, 4, 5, 3))
    assert_same(layer.backward(dy), to_cpu(dy)[:, 1:5, 2:7])


@pytest.mark.parametrize("size, rows, columns", [
    ((4, 6), slice(0, 4), slice(0, 6)), ((3, 3), slice(0, 3), slice(1, 4)),
    ((2, 1), slice(1, 3), slice(2, 3))])
def test_center_crop_takes_the_centre(size, rows, columns, rng):
    x = array(rng, 2, 4, 6, 3)
    assert_same(CenterCrop(*size).forward(x), to_cpu(x)[:, rows, columns])


@pytest.mark.cpu_only
def test_the_window_of_a_center_crop_is_its_corner():
    """Of 7 × 10 pixels the 4 × 5 from (1, 2) on: 2 rows and 3 columns are cut off behind it."""
    crop = CenterCrop(4, 5)
    for shape in (7, 10, 3), (2, 7, 10, 3):
        assert crop.corner(shape) == (1, 2)
        assert crop.window(shape) == ((1, 1), (1, 1), ((-1, -2), (-2, -3)), (7, 10))
        assert crop.window(shape).output_size == (4, 5)


def test_normalization_divides_by_the_root_of_the_variance_but_never_by_nothing():
    x = on_device([[1.0, 5.0]])
    assert_close(Normalization(-1, (0, 1), (4, 0.25)).forward(x), [[0.5, 8]])
    assert_close(Normalization(None, 1, 0).forward(x), [[0, 4e7]])
    assert_close(Rescaling((2, 3), -1).forward(x), [[1, 14]])


@pytest.mark.cpu_only
@pytest.mark.parametrize("call, words", [
    (lambda: Reshape((0, 3), "a"), "target_shape"), (lambda: Reshape((-1, -1), "a"), "-1"),
    (lambda: Reshape((2, 2, 2, 2), "a"), "one to three"), (lambda: Reshape("ab", "a"), "'ab'"),
    (lambda: Reshape((5, -1), "a").output_shape((4, 3)), "as many numbers"),
    (lambda: Reshape((5,), "a").output_shape((4,)), "as many numbers"),
    (lambda: Permute((2, 3), "a"), "dims"), (lambda: Permute((1, 1), "a"), "dims"),
    (lambda: Permute((2, 1), "a").output_shape((4, 5, 6)), "2 axes"),
    (lambda: ZeroPadding2D(-1, "a"), "padding"), (lambda: ZeroPadding2D((1, 2, 3), "a"), "padding"),
    (lambda: CenterCrop(0, 3, "a"), "height"), (lambda: CenterCrop(3, "3", "a"), "width"),
    (lambda: CenterCrop(3, 7, "a").output_shape((3, 6, 1)), "at least 3 × 7"),
    (lambda: Resizing(3, 7, name="a").output_shape((3, 6, 1)), "input_shape=(3, 7, 1)"),
    (lambda: Rescaling(np.inf, name="a"), "a: expected scale"),
    (lambda: Rescaling(1, "x", "a"), "a: expected offset"),
    (lambda: Rescaling((1, 2), name="a").output_shape((4, 4, 3)), "2 channels"),
    (lambda: Normalization(-1, 1, -1, "a"), "variance"),
    (lambda: Normalization(-1, 1, name="a"), "mean and variance"),
    (lambda: Normalization(name="a").build((3,), None), "mean and variance"),
    (lambda: Normalization(1, 1, 1, "a").output_shape((4, 4, 3)), "axis")])
def test_what_does_not_fit_is_refused(call, words):
    with assert_refused("a", words):
        call()
