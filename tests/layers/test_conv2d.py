"""Conv2D: by hand, by naive loops, by PyTorch, over all its geometries."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import (
    LAYOUTS,
    array,
    assert_close,
    assert_refused,
    blocks_of,
    by_torch,
    geometries,
    laid_out,
    on_device,
    output_shape,
    pads_of,
)
from reference import conv2d as by_loops

from minicnn.layers import Conv2D

from .cases import built, run


def drawn(geometry, F, dtype=np.float64, layout="contiguous"):
    """(layer, x, dy, pads) for a drawn geometry."""
    shape, kernel, strides, padding = geometry
    rng = np.random.default_rng(0)
    layer = built(Conv2D(F, kernel, strides, padding), shape, rng, dtype)
    pads = pads_of(padding, shape[1:3], kernel, strides)
    dy = array(rng, *output_shape(shape, kernel, strides, pads)[:3], F, dtype=dtype)
    return layer, laid_out(array(rng, *shape, dtype=dtype), layout), dy, pads


@given(geometries(), st.integers(1, 3), st.sampled_from(LAYOUTS), st.sampled_from([1, 30, 1 << 19]))
def test_conv_matches_pytorch_on_any_geometry(geometry, F, layout, budget):
    layer, x, dy, pads = drawn(geometry, F, layout=layout)
    with blocks_of(budget):
        got = run(layer, x, dy)
    expected = by_torch(x, layer.params["W"], layer.params["b"], dy, layer.strides, pads)
    for a, b in zip(got, expected, strict=True):
        assert_close(a, b)


@given(geometries(), st.integers(1, 3))
def test_conv_matches_pytorch_in_float32(geometry, F):
    layer, x, dy, pads = drawn(geometry, F, np.float32)
    expected = by_torch(x, layer.params["W"], layer.params["b"], dy, layer.strides, pads)
    for a, b in zip(run(layer, x, dy), expected, strict=True):
        assert a.dtype == np.float32
        assert_close(a, b, rtol=1e-5)


@given(geometries(), st.integers(1, 2))
def test_conv_matches_naive_loops(geometry, F):
    layer, x, dy, pads = drawn(geometry, F)
    expected = by_loops(x, layer.params["W"], layer.params["b"], dy, layer.strides, pads)
    for a, b in zip(run(layer, x, dy), expected, strict=True):
        assert_close(a, b)


def test_conv_by_hand():
    layer = Conv2D(1, (1, 2), strides=(1, 2), padding=(0, 1))
    layer.params = {"W": on_device([[[[2.0]], [[-1.0]]]]), "b": on_device([10.0])}
    x = on_device([[1.0, 2, 3], [4, 5, 6]])[None, :, :, None]
    y = layer.forward(x)  # windows 0 1 | 2 3 and 0 4 | 5 6; the last zero is not reached
    assert y[0, :, :, 0].tolist() == [[10 - 1, 10 + 4 - 3], [10 - 4, 10 + 10 - 6]]
    dx = layer.backward(on_device([[1.0, 10], [100, 1000]])[None, :, :, None])
    assert dx[0, :, :, 0].tolist() == [[-1, 20, -10], [-100, 2000, -1000]]
    assert layer.grads["W"].ravel().tolist() == [2 * 10 + 5 * 1000, 1 + 3 * 10 + 4 * 100 + 6 * 1000]
    assert layer.grads["b"].tolist() == [1111]


def test_the_kernel_is_not_flipped():
    layer = Conv2D(1, 3)
    layer.params = {"W": on_device(np.arange(9.0).reshape(3, 3, 1, 1)), "b": on_device([0.0])}
    x = np.zeros((1, 3, 3, 1))
    x[0, 0, 2] = 1  # top right meets W[0, 2]
    assert layer.forward(on_device(x)).item() == 2


@given(geometries())
def test_conv_is_linear_and_input_gradient_its_adjoint(geometry):
    layer, x, dy, _ = drawn(geometry, 2)
    layer.params["b"] *= 0
    y = layer.forward(x)
    assert_close((y * dy).sum(), (x * layer.backward(dy)).sum(), rtol=1e-9)
    assert_close((y * dy).sum(), (layer.params["W"] * layer.grads["W"]).sum(), rtol=1e-9)


@pytest.mark.parametrize("budget", [1, 50, 300, 1000])
def test_blocks_change_no_result(budget, rng):
    layer = built(Conv2D(5, (3, 2), strides=(2, 1), padding="same"), (5, 9, 8, 3), rng)
    x = array(rng, 5, 9, 8, 3)
    dy = array(rng, 5, 5, 8, 5)
    whole = run(layer, x, dy)
    with blocks_of(budget):
        for a, b in zip(run(layer, x, dy), whole, strict=True):
            assert_close(a, b, rtol=1e-13)


def test_an_empty_batch_comes_through(rng):
    layer = built(Conv2D(2, 3), (1, 4, 4, 3), rng)
    y, dx, dW, db = run(layer, array(rng, 0, 4, 4, 3), array(rng, 0, 2, 2, 2))
    assert y.shape == (0, 2, 2, 2) and dx.shape == (0, 4, 4, 3)
    assert not dW.any() and not db.any()


@pytest.mark.cpu_only
@pytest.mark.parametrize("arguments, words", [
    (dict(dilation_rate=2), ["dilation_rate", "2"]),
    (dict(dilation_rate=(1, 3)), ["dilation_rate", "(1, 3)"]),
    (dict(groups=3), ["groups", "3"]),
    (dict(padding="SAME"), ["'SAME'", '"same"']),
    (dict(padding=-1), ["padding", "-1"]),
    (dict(padding=1.5), ["padding", "1.5"]),
    (dict(kernel_size=0), ["kernel_size", "0"]),
    (dict(kernel_size=(3, 3, 3)), ["kernel_size", "(3, 3, 3)"]),
    (dict(strides=(0, 1)), ["strides", "(0, 1)"]),
    (dict(strides=True), ["strides", "True"]),
    (dict(filters=0), ["filters", "0"]),
    (dict(filters=(3, 4)), ["filters", "(3, 4)"]),
    (dict(activation="gelu"), ["activation", "'gelu'", "relu"])], ids=str)
def test_arguments_that_do_not_fit_are_refused(arguments, words):
    with assert_refused("conv1", *words):
        Conv2D(**{"filters": 2, "kernel_size": 3, "name": "conv1", **arguments})


@pytest.mark.parametrize("shape, words", [
    ((8, 9, 9, 3), ["64", "(3, 3, 64, 2)", "3)"]),  # the design's example: did you skip a layer?
    ((8, 2, 9, 64), ["(3, 3)", "2, 9"]),
    ((8, 9, 64), ["(N, H, W, C)"])])
def test_inputs_that_do_not_fit_are_refused(shape, words, rng):
    layer = built(Conv2D(2, 3, name="block2_conv1"), (1, 9, 9, 64), rng)
    with assert_refused("block2_conv1", *words):
        layer.forward(array(rng, *shape))
    assert layer.cache is None and layer.grads == {}
