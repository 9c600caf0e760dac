"""Conv2D: by hand, by naive loops, by PyTorch, over all its geometries."""

import functools

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
    blocks_of,
    geometries,
    laid_out,
    on_device,
    output_shape,
    pads_of,
)
from reference import conv2d as by_loops

from minicnn import ops
from minicnn.layers import Conv2D, conv2d
from minicnn.ops.devices import to_cpu

from .cases import built, run

algorithms = st.sampled_from(["im2col", "implicit_gemm"])


def drawn(geometry, F, dtype=np.float64, layout="contiguous", algorithm="im2col"):
    """(layer, x, dy, pads) for a drawn geometry."""
    shape, kernel, strides, padding = geometry
    rng = np.random.default_rng(0)
    layer = built(Conv2D(F, kernel, strides, padding, algorithm=algorithm), shape, rng, dtype)
    pads = pads_of(padding, shape[1:3], kernel, strides)
    dy = array(rng, *output_shape(shape, kernel, strides, pads)[:3], F, dtype=dtype)
    return layer, laid_out(array(rng, *shape, dtype=dtype), layout), dy, pads


def torch_conv(x, W, b, dy, strides, pads):
    """y, dx, dW, db by PyTorch, padded by hand."""
    x, W, b, dy = (torch.tensor(np.ascontiguousarray(to_cpu(a))) for a in (x, W, b, dy))
    for leaf in (x, W, b):
        leaf.requires_grad_()
    (top, bottom), (left, right) = pads
    padded = torch.nn.functional.pad(x.permute(0, 3, 1, 2), (left, right, top, bottom))
    kernel = W.permute(3, 2, 0, 1).contiguous()  # (F, C, KH, KW)
    y = torch.nn.functional.conv2d(padded.contiguous(), kernel, b, strides).permute(0, 2, 3, 1)
    y.backward(dy)
    return [a.detach().numpy() for a in (y, x.grad, W.grad, b.grad)]


@given(geometries(), st.integers(1, 3), st.sampled_from(LAYOUTS), st.sampled_from([1, 30, 1 << 19]),
       algorithms)
def test_conv_matches_pytorch_on_any_geometry(geometry, F, layout, budget, algorithm):
    layer, x, dy, pads = drawn(geometry, F, layout=layout, algorithm=algorithm)
    with blocks_of(budget):
        got = run(layer, x, dy)
    expected = torch_conv(x, layer.params["W"], layer.params["b"], dy, layer.strides, pads)
    for a, b in zip(got, expected, strict=True):
        assert_close(a, b)


@given(geometries(), st.integers(1, 3), algorithms)
def test_conv_matches_pytorch_in_float32(geometry, F, algorithm):
    layer, x, dy, pads = drawn(geometry, F, np.float32, algorithm=algorithm)
    expected = torch_conv(x, layer.params["W"], layer.params["b"], dy, layer.strides, pads)
    for a, b in zip(run(layer, x, dy), expected, strict=True):
        assert a.dtype == np.float32
        assert_close(a, b, rtol=1e-5)


@given(geometries(), st.integers(1, 2), algorithms)
def test_conv_matches_naive_loops(geometry, F, algorithm):
    layer, x, dy, pads = drawn(geometry, F, algorithm=algorithm)
    expected = by_loops(x, layer.params["W"], layer.params["b"], dy, layer.strides, pads)
    for a, b in zip(run(layer, x, dy), expected, strict=True):
        assert_close(a, b)


@given(geometries(), st.integers(1, 3), st.sampled_from(LAYOUTS))
def test_both_algorithms_compute_the_same(geometry, F, layout):
    layer, x, dy, _ = drawn(geometry, F, layout=layout)
    expected = run(layer, x, dy)
    layer.algorithm = "implicit_gemm"
    for a, b in zip(run(layer, x, dy), expected, strict=True):
        assert_close(a, b, rtol=1e-13)


@pytest.mark.parametrize("geometry, F", [
    (((3, 7, 8, 17), (3, 3), (1, 1), "same"), 65),  # more than 64 pixels, 64 filters and
    (((1, 9, 9, 5), (5, 5), (1, 1), (4, 4)), 3),  # 16 columns, by a little and by more
    (((2, 8, 8, 16), (1, 1), (1, 1), "valid"), 64),  # tiles that fit to the last element
    (((1, 3, 1, 1), (2, 1), (1, 1), "valid"), 1)])
@pytest.mark.parametrize("dtype, rtol", [(np.float64, 1e-13), (np.float32, 1e-5)])
def test_implicit_gemm_of_images_beyond_one_tile_is_pytorchs(geometry, F, dtype, rtol):
    layer, x, dy, pads = drawn(geometry, F, dtype, algorithm="implicit_gemm")
    expected = torch_conv(x, layer.params["W"], layer.params["b"], dy, layer.strides, pads)
    for a, b in zip(run(layer, x, dy), expected, strict=True):
        assert_close(a, b, rtol)


def test_implicit_gemm_never_writes_the_column_matrix(rng, monkeypatch):
    layer = built(Conv2D(2, 3, algorithm="implicit_gemm"), (2, 5, 5, 3), rng)
    monkeypatch.setattr("minicnn.ops.im2col_gemm", None)  # calling it would raise
    x = array(rng, 2, 5, 5, 3)
    y = layer.forward(x)
    expected = torch_conv(x, *layer.params.values(), y, (1, 1), ((0, 0), (0, 0)))[0]
    assert_close(y, expected)


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


@given(geometries(), algorithms)
def test_conv_is_linear_and_input_gradient_its_adjoint(geometry, algorithm):
    layer, x, dy, _ = drawn(geometry, 2, algorithm=algorithm)
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


@pytest.mark.cpu_only
@pytest.mark.parametrize("algorithm", ["im2col", "implicit_gemm", "winograd"])
def test_the_algorithm_that_is_named_computes_y_and_dx(algorithm, rng, monkeypatch):
    called = []

    def recorded(name, function, *arguments):
        called.append(name)
        return function(*arguments)

    for place, name in (ops, "im2col_gemm"), (ops, "implicit_gemm"), (conv2d, "winograd"):
        monkeypatch.setattr(place, name, functools.partial(recorded, name, getattr(place, name)))
    layer = built(Conv2D(2, 3, algorithm=algorithm), (1, 6, 7, 3), rng)
    run(layer, array(rng, 1, 6, 7, 3), array(rng, 1, 4, 5, 2))
    assert called == [algorithm.replace("im2col", "im2col_gemm")] * 2


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
    (dict(algorithm="fft"), ["algorithm", "'fft'", "implicit_gemm", "winograd"]),
    (dict(algorithm="winograd", strides=2), ["'winograd'", "(2, 2)", "auto"]),
    (dict(algorithm="winograd", kernel_size=(3, 1)), ["'winograd'", "(3, 1)", "auto"]),
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
