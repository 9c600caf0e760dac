"""The convolution's operations: every backend and every algorithm against PyTorch and loops."""

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from reference import (
    LAYOUTS,
    array,
    assert_close,
    assert_same,
    blocks_of,
    by_torch,
    geometries,
    laid_out,
    on_device,
    running_ops,
    window_of,
)

from minicnn import ops
from minicnn.ops import Window
from minicnn.ops.algorithms import use_algorithm
from minicnn.ops.cuda import conv as on_cuda
from minicnn.ops.fast import conv as on_cpu


def algorithms():
    """The functions of the running test's backend that compute conv2d on any geometry. (Winograd's,
    for windows of 3×3 with strides 1, are in test_winograd.py and test_winograd_on_gpus.py.)"""
    if reference.DEVICE != "cpu":
        return [on_cuda.conv2d, on_cuda.conv2d_im2col, on_cuda.conv2d_implicit_gemm]
    if running_ops() is ops.reference:
        return [ops.reference.conv2d]
    return [on_cpu.conv2d, on_cpu.conv2d_im2col, on_cpu.conv2d_implicit_gemm]


def drawn(geometry, F, dtype=np.float64, layout="contiguous"):
    """x, W, b, dz, window of a drawn geometry."""
    rng, window, C = np.random.default_rng(0), window_of(geometry), geometry[0][3]
    x = laid_out(array(rng, *geometry[0], dtype=dtype), layout)
    W, b = array(rng, *window.kernel, C, F, dtype=dtype), array(rng, F, dtype=dtype)
    return x, W, b, array(rng, len(x), *window.output_size, F, dtype=dtype), window


@pytest.mark.parametrize("dtype, rtol", [(np.float64, 1e-12), (np.float32, 1e-5)])
@given(geometries(), st.integers(1, 3), st.sampled_from(LAYOUTS), st.sampled_from([1, 30, 1 << 19]))
def test_conv2d_is_pytorchs_by_every_algorithm(dtype, rtol, geometry, F, layout, budget):
    x, W, b, dz, window = drawn(geometry, F, dtype, layout)
    y = by_torch(x, W, b, dz, window.strides, window.pads)[0]
    for conv2d in algorithms():
        with blocks_of(budget):
            got = conv2d(x, W, b, window)
            rectified = conv2d(x, W, b, window, relu=True)
        assert got.dtype == rectified.dtype == dtype
        assert_close(got, y, rtol)
        # cancelling terms may leave the sign of a sum near 0 to rounding
        assert_close(rectified, np.maximum(y, 0), rtol)


@pytest.mark.parametrize("dtype, rtol", [(np.float64, 1e-12), (np.float32, 1e-5)])
@given(geometries(), st.integers(1, 3), st.sampled_from(LAYOUTS), st.sampled_from([1, 30, 1 << 19]))
def test_the_gradients_are_pytorchs(dtype, rtol, geometry, F, layout, budget):
    x, W, b, dz, window = drawn(geometry, F, dtype, layout)
    expected = by_torch(x, W, b, dz, window.strides, window.pads)[1:]
    ops = running_ops()
    with blocks_of(budget):
        got = [ops.conv2d_input_grad(dz, W, x.shape, window),
               ops.conv2d_weight_grad(x, dz, window), ops.bias_grad(dz)]
    for a, e in zip(got, expected, strict=True):
        assert a.dtype == dtype
        assert_close(a, e, rtol)


@given(geometries(), st.integers(1, 2))
def test_conv2d_and_its_gradients_are_the_naive_loops(geometry, F):
    x, W, b, dz, window = drawn(geometry, F)
    y, dx, dW, db = reference.conv2d(x, W, b, dz, window.strides, window.pads)
    ops = running_ops()
    for conv2d in algorithms():
        assert_close(conv2d(x, W, b, window), y)
    assert_close(ops.conv2d_input_grad(dz, W, x.shape, window), dx)
    assert_close(ops.conv2d_weight_grad(x, dz, window), dW)
    assert_close(ops.bias_grad(dz), db)


@pytest.mark.parametrize("geometry, F", [
    (((3, 7, 8, 17), (3, 3), (1, 1), "same"), 65),  # more than 64 pixels, 64 filters and
    (((1, 9, 9, 5), (5, 5), (1, 1), (4, 4)), 3),  # 16 columns, by a little and by more
    (((2, 8, 8, 16), (1, 1), (1, 1), "valid"), 64),  # tiles that fit to the last element
    (((1, 3, 1, 1), (2, 1), (1, 1), "valid"), 1)])
@pytest.mark.parametrize("dtype, rtol", [(np.float64, 1e-13), (np.float32, 1e-5)])
def test_images_beyond_one_tile_are_pytorchs(geometry, F, dtype, rtol):
    x, W, b, dz, window = drawn(geometry, F, dtype)
    y, dx, dW, _ = by_torch(x, W, b, dz, window.strides, window.pads)
    for conv2d in algorithms():
        assert_close(conv2d(x, W, b, window), y, rtol)
    assert_close(running_ops().conv2d_input_grad(dz, W, x.shape, window), dx, rtol)
    assert_close(running_ops().conv2d_weight_grad(x, dz, window), dW, rtol)


@given(geometries(), geometries(pooling=True), st.booleans())
def test_conv2d_max_pool_is_the_one_after_the_other(geometry, pooling, relu):
    x, W, b, _, window = drawn(geometry, 3)
    _, kernel, strides, padding = pooling
    size = window.output_size
    if padding == "valid" and (size[0] < kernel[0] or size[1] < kernel[1]):
        padding = "same"
    pool_window = Window.on_image(size, kernel, strides,
                                  padding if not isinstance(padding, int) else (padding, padding))
    if min(pool_window.output_size) < 1:
        pool_window = Window.on_image(size, (1, 1), strides)
    ops = running_ops()
    y, _ = ops.max_pool2d(ops.conv2d(x, W, b, window, relu), pool_window)
    assert_same(ops.conv2d_max_pool(x, W, b, window, pool_window, relu), y)


def recorder(name, function, called):
    """The function, which notes in `called` that it was called."""
    def recorded(*arguments, **options):
        called.append(name)
        return function(*arguments, **options)
    return recorded


def test_the_algorithm_that_is_named_computes_y_and_dx_and_writes_no_columns(rng, monkeypatch):
    if running_ops() is ops.reference:
        return  # it has one algorithm
    module = on_cpu if reference.DEVICE == "cpu" else on_cuda
    window = Window.on_image((9, 10), (3, 3), (1, 1), "same")
    x, W, b = array(rng, 2, 9, 10, 3), array(rng, 3, 3, 3, 4), array(rng, 4)
    dz, called = array(rng, 2, 9, 10, 4), []
    for name in ("conv2d_im2col", "conv2d_implicit_gemm", "conv2d_winograd"):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, recorder(name, getattr(module, name), called))
    expected = by_torch(x, W, b, dz, window.strides, window.pads)
    for algorithm in ("im2col", "implicit_gemm"):
        called.clear()
        with use_algorithm(algorithm):
            assert_close(module.conv2d(x, W, b, window), expected[0])
            assert called == [f"conv2d_{algorithm}"]
            assert_close(module.conv2d_input_grad(dz, W, x.shape, window), expected[1])
        assert set(called) == {f"conv2d_{algorithm}"}


def test_an_empty_batch_comes_through(rng):
    window = Window.on_image((4, 4), (3, 3), (1, 1))
    x, W, b = array(rng, 0, 4, 4, 3), array(rng, 3, 3, 3, 2), array(rng, 2)
    dz = array(rng, 0, 2, 2, 2)
    for conv2d in algorithms():
        assert conv2d(x, W, b, window).shape == (0, 2, 2, 2)
    assert running_ops().conv2d_input_grad(dz, W, x.shape, window).shape == x.shape
    dW = running_ops().conv2d_weight_grad(x, dz, window)
    assert dW.shape == W.shape and not dW.any() and not running_ops().bias_grad(dz).any()


def test_nothing_but_the_result_is_written(rng):
    window = Window.on_image((6, 7), (3, 3), (1, 1), "same")
    arrays = [array(rng, 2, 6, 7, 3), array(rng, 3, 3, 3, 4), array(rng, 4)]
    x, W, b = arrays
    before = [a.copy() for a in arrays]
    for conv2d in algorithms():
        conv2d(x, W, b, window, relu=True)
    running_ops().conv2d_input_grad(array(rng, 2, 6, 7, 4), W, x.shape, window)
    for a, same in zip(arrays, before, strict=True):
        assert_same(a, same)


def test_nan_comes_through_the_bias_and_the_relu():
    x = on_device(np.array([[np.nan, -1.0, 2.0], [0.0, np.nan, -np.inf]]).reshape(1, 2, 3, 1))
    W, b = on_device(np.ones((1, 1, 1, 1))), on_device([1.0])
    window = Window.on_image((2, 3), (1, 1), (1, 1))
    for conv2d in algorithms():
        y = conv2d(x, W, b, window, relu=True)
        assert_same(y.reshape(2, 3), [[np.nan, 0, 3], [1, np.nan, 0]])
