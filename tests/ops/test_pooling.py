"""Pooling by hand: ties, switches, and the edges of arithmetic."""

import numpy as np
import pytest
import reference
from hypothesis import given
from reference import (
    array,
    assert_close,
    assert_same,
    geometries,
    on_device,
    running_ops,
    window_of,
)

from minicnn.ops import Window, to_cpu


def image(rows):
    """A list of rows -> x (1, H, Wd, 1)."""
    return on_device(np.array(rows, np.float64)[None, :, :, None])


def window_on(x, kernel, strides):
    return Window.on_image(x.shape[1:3], kernel, strides)


def test_switches_are_the_places_of_the_maxima_by_hand():
    x = image([[1, 5, 2, 0],
                       [3, 4, 7, 6]])
    window = window_on(x, (2, 2), (1, 1))
    y, switches = running_ops().max_pool2d(x, window)
    assert y.ravel().tolist() == [5, 7, 7]
    assert switches.ravel().tolist() == [1, 3, 2]  # place p·2 + q in each window
    dx = running_ops().max_unpool2d(image([[10, 20, 40]]), switches, x.shape, window)
    assert dx[0, :, :, 0].tolist() == [[0, 10, 0, 0], [0, 0, 60, 0]]  # one 7 wins twice: 20 + 40


def test_first_of_equal_maxima_wins_by_hand():
    x = image([[2, 2, 1, 3],
               [2, 2, 3, 3]])
    y, switches = running_ops().max_pool2d(x, window_on(x, (2, 2), (2, 2)))
    assert y.ravel().tolist() == [2, 3]
    assert switches.ravel().tolist() == [0, 1]


def test_no_switches_unless_asked_for(rng):
    x = array(rng, 2, 5, 5, 3)
    window = window_on(x, (3, 2), (2, 1))
    y, switches = running_ops().max_pool2d(x, window, with_switches=False)
    assert switches is None
    assert_same(y, running_ops().max_pool2d(x, window)[0])


def test_windows_of_more_than_256_places_have_switches_too(rng):
    x = array(rng, 1, 17, 18, 2)
    window = window_on(x, (17, 18), (1, 1))
    x[0, 16, 16, 1] = 9
    y, switches = running_ops().max_pool2d(x, window)
    assert switches.ravel().tolist() == [int(x[0, :, :, 0].argmax()), 16 * 18 + 16]
    dx = to_cpu(running_ops().max_unpool2d(y, switches, x.shape, window))
    assert np.count_nonzero(dx) == 2 and dx[0, 16, 16, 1] == 9


@pytest.mark.parametrize("place", range(4))
def test_nan_comes_through_max_pooling(place):
    numbers = np.array([[1.0, 2], [3, 4]])
    numbers.flat[place] = np.nan
    x = image(numbers)
    window = window_on(x, (2, 2), (2, 2))
    y, switches = running_ops().max_pool2d(x, window)
    assert np.isnan(y).all() and 0 <= switches.item() < 4
    assert np.isnan(running_ops().max_pool2d(x, window, with_switches=False)[0]).all()


def test_a_window_of_padding_only_has_no_maximum_and_unpools_to_nothing(rng):
    x, window = array(rng, 1, 2, 3, 1), Window((1, 1), (1, 1), ((2, 0), (0, 1)), (2, 3))
    y, switches = running_ops().max_pool2d(x, window)
    assert not switches.any()
    y = to_cpu(y)
    assert (y[0, :2] == -np.inf).all() and (y[0, :, 3] == -np.inf).all()
    assert_same(y[0, 2:, :3], x[0])
    assert_same(running_ops().max_unpool2d(on_device(y), switches, x.shape, window), x)


@given(geometries(pooling=True))
def test_unpooling_puts_every_maximum_back_in_its_place_and_zeros_elsewhere(geometry):
    """Zeiler & Fergus 2014, figure 1, for any window, windows that overlap included."""
    rng, window, shape = np.random.default_rng(0), window_of(geometry), geometry[0]
    x = array(rng, *shape)
    y, switches = running_ops().max_pool2d(x, window)
    values = array(rng, *y.shape)
    expected = reference.unpool(values, switches, shape, *window[:3])
    assert_close(running_ops().max_unpool2d(values, switches, shape, window), expected)
    back = to_cpu(running_ops().max_unpool2d(y, switches, shape, window))
    meet = reference.unpool(on_device(np.ones(y.shape)), switches, shape, *window[:3])
    assert_close(back, meet * to_cpu(x), rtol=1e-13)  # as often as windows chose this pixel
    assert (back == 0).sum() == (meet == 0).sum()


@given(geometries(pooling=True))
def test_average_pool2d_grad_is_the_adjoint_of_average_pool2d(geometry):
    rng, window = np.random.default_rng(0), window_of(geometry)
    x = array(rng, *geometry[0])
    y = running_ops().average_pool2d(x, window)
    dy = array(rng, *y.shape)
    dx = running_ops().average_pool2d_grad(dy, x.shape, window)
    scale = float(abs(y * dy).sum())
    assert_close(((y * dy).sum() - (x * dx).sum()) / scale + 1, 1.0, rtol=1e-13)


@given(geometries(pooling=True))
def test_unpool_is_the_adjoint_of_gathering_at_the_switches(geometry):
    rng, window = np.random.default_rng(0), window_of(geometry)
    x = array(rng, *geometry[0])
    y, switches = running_ops().max_pool2d(x, window)
    dy, z = array(rng, *y.shape), array(rng, *x.shape)
    dx = to_cpu(running_ops().max_unpool2d(dy, switches, x.shape, window))
    dy, z, switches = to_cpu(dy), to_cpu(z), to_cpu(switches).astype(int)
    terms = []
    for n, i, j, c in np.ndindex(y.shape):
        p, q = divmod(switches[n, i, j, c], window.kernel[1])
        h, w = reference.seen(i, j, p, q, window.strides, window.pads)
        terms.append(dy[n, i, j, c] * z[n, h, w, c])
    scale = np.abs(terms).sum()
    assert_close(((dx * z).sum() - sum(terms)) / scale + 1, 1.0, rtol=1e-13)
