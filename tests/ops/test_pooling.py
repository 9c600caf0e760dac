"""Pooling by hand: ties, switches, and the edges of arithmetic."""

import numpy as np
import pytest
from hypothesis import given
from reference import array, assert_close, geometries

from minicnn import ops


def image(rows):
    """A list of rows -> x (1, H, Wd, 1)."""
    return np.array(rows, np.float64)[None, :, :, None]


def test_switches_are_the_places_of_the_maxima_by_hand():
    x = image([[1, 5, 2, 0],
               [3, 4, 7, 6]])
    y, switches = ops.max_pool(x, (2, 2), (1, 1))
    assert y.ravel().tolist() == [5, 7, 7]
    assert switches.ravel().tolist() == [1, 3, 2]  # place p·2 + q in each window
    dx = ops.max_pool_backward(image([[10, 20, 40]]), switches, np.zeros(x.shape), (2, 2), (1, 1))
    assert dx[0, :, :, 0].tolist() == [[0, 10, 0, 0], [0, 0, 60, 0]]  # one 7 wins twice: 20 + 40


def test_first_of_equal_maxima_wins_by_hand():
    x = image([[2, 2, 1, 3],
               [2, 2, 3, 3]])
    y, switches = ops.max_pool(x, (2, 2), (2, 2))
    assert y.ravel().tolist() == [2, 3]
    assert switches.ravel().tolist() == [0, 1]


def test_no_switches_unless_asked_for(rng):
    x = array(rng, 2, 5, 5, 3)
    y, switches = ops.max_pool(x, (3, 2), (2, 1), with_switches=False)
    assert switches is None
    np.testing.assert_array_equal(y, ops.max_pool(x, (3, 2), (2, 1))[0])


def test_windows_of_more_than_256_places_have_switches_too(rng):
    x = array(rng, 1, 17, 18, 2)
    y, switches = ops.max_pool(x, (17, 18), (1, 1))
    assert switches.ravel().tolist() == [x[0, :, :, c].argmax() for c in (0, 1)]
    dx = ops.max_pool_backward(y, switches, np.zeros(x.shape), (17, 18), (1, 1))
    assert np.count_nonzero(dx) == 2 and dx.max() == x.max()


@pytest.mark.parametrize("place", range(4))
def test_nan_comes_through_max_pooling(place):
    x = image([[1, 2], [3, 4]])
    x.flat[place] = np.nan
    y, switches = ops.max_pool(x, (2, 2), (2, 2))
    assert np.isnan(y).all() and 0 <= switches.item() < 4
    assert np.isnan(ops.max_pool(x, (2, 2), (2, 2), with_switches=False)[0]).all()


@given(geometries())
def test_average_pool_backward_is_the_adjoint_of_average_pool(geometry):
    shape, kernel, strides, _ = geometry
    rng = np.random.default_rng(0)
    x = array(rng, shape[0], shape[1] + 4, shape[2] + 4, shape[3])
    OH, OW = ops.output_size(x.shape[1:3], kernel, strides)
    counts = rng.integers(1, 9, (OH, OW, 1)).astype(float)
    y = ops.average_pool(x, counts, kernel, strides)
    dy = array(rng, *y.shape)
    dx = ops.average_pool_backward(dy, counts, np.zeros(x.shape), kernel, strides)
    assert_close((y * dy).sum(), (x * dx).sum(), rtol=1e-11)


@given(geometries())
def test_max_pool_backward_is_the_adjoint_of_gathering_at_the_switches(geometry):
    shape, kernel, strides, _ = geometry
    rng = np.random.default_rng(0)
    x = array(rng, shape[0], shape[1] + 4, shape[2] + 4, shape[3])
    y, switches = ops.max_pool(x, kernel, strides)
    dy, z = array(rng, *y.shape), array(rng, *x.shape)
    dx = ops.max_pool_backward(dy, switches, np.zeros(x.shape), kernel, strides)
    gathered = sum(dy[k] * z[k[0], k[1] * strides[0] + switches[k] // kernel[1],
                             k[2] * strides[1] + switches[k] % kernel[1], k[3]]
                   for k in np.ndindex(y.shape))
    assert_close((dx * z).sum(), gathered, rtol=1e-11)
