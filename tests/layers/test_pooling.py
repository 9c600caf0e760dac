"""Pooling layers: by hand, by naive loops, by PyTorch, over all their geometries."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import (
    LAYOUTS,
    array,
    assert_close,
    assert_refused,
    assert_same,
    geometries,
    laid_out,
    on_device,
    output_shape,
    pads_of,
    pool2d,
)

from minicnn.layers import AveragePool2D, GlobalAveragePool2D, GlobalMaxPool2D, MaxPool2D
from minicnn.ops import to_cpu

from .cases import run

KINDS = {"max": MaxPool2D, "average": AveragePool2D}
every_kind = pytest.mark.parametrize("kind", KINDS)
drawn = given(geometries(pooling=True), st.sampled_from(LAYOUTS), st.booleans())


def prepared(kind, geometry, layout, ties=False, dtype=np.float64):
    """(layer, x, dy, pads); with ties x holds few different numbers."""
    shape, kernel, strides, padding = geometry
    rng = np.random.default_rng(0)
    pads = pads_of(padding, shape[1:3], kernel, strides)
    x = (on_device(rng.integers(-2, 2, shape).astype(dtype)) if ties
         else array(rng, *shape, dtype=dtype))
    dy = array(rng, *output_shape(shape, kernel, strides, pads), dtype=dtype)
    return KINDS[kind](kernel, strides, padding), laid_out(x, layout), dy, pads


def torch_pool(kind, x, dy, kernel, strides, pads):
    """y, dx by PyTorch, padded by hand: with −inf, or with zeros that are not counted."""
    (top, bottom), (left, right) = pads
    x = torch.tensor(np.ascontiguousarray(to_cpu(x))).requires_grad_()

    def padded(a, value):
        a = a.permute(0, 3, 1, 2).contiguous()
        return torch.nn.functional.pad(a, (left, right, top, bottom), value=value)

    if kind == "max":
        y = torch.nn.functional.max_pool2d(padded(x, -np.inf), kernel, strides)
    else:
        real = padded(torch.ones_like(x), 0)
        y = (torch.nn.functional.avg_pool2d(padded(x, 0), kernel, strides)
             / torch.nn.functional.avg_pool2d(real, kernel, strides))
    y = y.permute(0, 2, 3, 1)
    y.backward(torch.tensor(to_cpu(dy)))
    return y.detach().numpy(), x.grad.numpy()


@every_kind
@drawn
def test_pooling_matches_naive_loops_ties_too(kind, geometry, layout, ties):
    layer, x, dy, pads = prepared(kind, geometry, layout, ties)
    for a, b in zip(run(layer, x, dy), pool2d(kind, x, dy, *geometry[1:3], pads), strict=True):
        assert_close(a, b)


@every_kind
@drawn
def test_pooling_matches_pytorch_ties_too(kind, geometry, layout, ties):
    layer, x, dy, pads = prepared(kind, geometry, layout, ties)
    for a, b in zip(run(layer, x, dy), torch_pool(kind, x, dy, *geometry[1:3], pads), strict=True):
        assert_close(a, b)


@every_kind
@given(geometries(pooling=True))
def test_pooling_matches_pytorch_in_float32(kind, geometry):
    layer, x, dy, pads = prepared(kind, geometry, "contiguous", dtype=np.float32)
    for a, b in zip(run(layer, x, dy), torch_pool(kind, x, dy, *geometry[1:3], pads), strict=True):
        assert a.dtype == np.float32
        assert_close(a, b, rtol=1e-5)


def test_padding_never_wins_a_maximum_nor_counts_in_a_mean():
    x = on_device(np.full((1, 2, 2, 1), -7.0))
    for kind in KINDS.values():
        y = kind(2, strides=2, padding=1).forward(x)
        assert (y == -7).all() and y.shape == (1, 2, 2, 1)


def test_the_first_of_equal_minus_infinities_gets_the_gradient(rng):
    padding = "valid"
    x = on_device(np.full((2, 5, 5, 1), -np.inf))
    pads = pads_of(padding, (5, 5), (3, 3), (2, 2))
    dy = array(rng, *output_shape(x.shape, (3, 3), (2, 2), pads))
    y, dx = run(MaxPool2D(3, 2, padding), x, dy)
    assert (y == -np.inf).all()
    assert_close(dx, pool2d("max", x, dy, (3, 3), (2, 2), pads)[1])


def test_nan_comes_through_pooling_as_in_pytorch(rng):
    x = array(rng, 2, 5, 6, 2)
    x[0, 2, 2, 1] = np.nan
    for kind, layer in KINDS.items():
        y, dx = run(layer(3, 2, "same"), x, dy := array(rng, 2, 3, 3, 2))
        pads = pads_of("same", (5, 6), (3, 3), (2, 2))
        assert_same(np.isnan(y), np.isnan(torch_pool(kind, x, dy, (3, 3), (2, 2), pads)[0]))
        assert np.isnan(y).any() and not np.isnan(dx).any()


def test_max_pool_keeps_the_shape_and_its_switches_only(rng):
    layer = MaxPool2D((2, 3))
    layer.forward(array(rng, 2, 4, 6, 3))
    shape, switches = layer.cache
    assert shape == (2, 4, 6, 3) and switches.shape == (2, 2, 2, 3) and switches.dtype == np.uint8


def test_padding_on_one_side_does_not_count_in_a_mean():
    """Windows of three over 1 2 3 6 with steps of two: 1 2 3 and 3 6, of which the padding on the
    right makes no third; 1 pixel of x is in the first only, 3 in both."""
    x = on_device([[[[1.0], [2], [3], [6]]]])
    layer = AveragePool2D((1, 3), (1, 2), "same")
    assert_close(layer.forward(x), [[[[2], [4.5]]]], 1e-15)
    dx = layer.backward(on_device([[[[6.0], [10]]]]))
    assert_close(dx, [[[[2], [2], [7], [5]]]], 1e-15)


def test_global_average_pool_is_the_mean_of_each_channel(rng):
    x, dy = array(rng, 2, 3, 5, 4), array(rng, 2, 4)
    y, dx = run(GlobalAveragePool2D(), x, dy)
    one_window = pool2d("average", x, dy[:, None, None], (3, 5), (1, 1), ((0, 0), (0, 0)))
    assert_close(y, one_window[0][:, 0, 0])
    assert_close(dx, one_window[1])


def test_global_max_pool_is_the_first_largest_of_each_channel(rng):
    x, dy = array(rng, 2, 3, 5, 4), array(rng, 2, 4)
    x[0, 0, 4, 1] = x[0, 2, 0, 1] = 7  # the upper one wins
    y, dx = run(GlobalMaxPool2D(), x, dy)
    one_window = pool2d("max", x, dy[:, None, None], (3, 5), (1, 1), ((0, 0), (0, 0)))
    assert_close(y, one_window[0][:, 0, 0])
    assert_close(dx, one_window[1])
    assert_same(GlobalMaxPool2D().forward(x, keep=False), y)


@pytest.mark.parametrize("arguments, words", [
    (dict(padding=2), ["padding smaller than the window", "2"]),
    (dict(padding=(0, 3), pool_size=(4, 3)), ["padding smaller than the window", "(0, 3)"]),
    (dict(padding=(4, 0), pool_size=(4, 3)), ["padding smaller than the window", "(4, 0)"]),
    (dict(padding="full"), ["'full'"]), (dict(padding=-1), ["-1"]),
    (dict(pool_size=0), ["pool_size", "0"]), (dict(pool_size=2.0), ["pool_size", "2.0"]),
    (dict(strides=0), ["strides", "0"])], ids=str)
@every_kind
@pytest.mark.cpu_only
def test_arguments_that_do_not_fit_are_refused(kind, arguments, words):
    with assert_refused("pool1", *words):
        KINDS[kind](name="pool1", **arguments)


@every_kind
def test_an_image_smaller_than_the_window_is_refused(kind, rng):
    layer = KINDS[kind](3, name="pool1")
    with assert_refused("pool1", "(3, 3)", "2, 9"):
        layer.forward(array(rng, 1, 2, 9, 1))
    assert layer.cache is None
