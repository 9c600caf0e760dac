"""Winograd's convolution on a GPU, in the simulator and through the stand-in for CuPy."""

import re
from unittest import mock

import numpy as np
import pytest
import standin
from hypothesis import given
from hypothesis import strategies as st
from reference import array, assert_close, assert_same, by_torch, on_device, running_ops

from minicnn import ops
from minicnn.ops import Window
from minicnn.ops.algorithms import use_algorithm
from minicnn.ops.cuda import conv, im2col_blocks, launch
from minicnn.ops.cuda.winograd import conv2d_winograd, weight_grad_winograd

pytestmark = pytest.mark.on_devices("cuda-sim", standin.NAME)
SHAPES = st.tuples(st.integers(1, 3), st.integers(3, 14), st.integers(3, 14), st.integers(1, 6))
PADS = st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * 2)


def drawn(shape, F, pads=((1, 1), (1, 1)), dtype=np.float64):
    """x, W, b, dz, window."""
    rng, window = np.random.default_rng(0), Window((3, 3), (1, 1), pads, shape[1:3])
    x, W = array(rng, *shape, dtype=dtype), array(rng, 3, 3, shape[3], F, dtype=dtype)
    b, dz = array(rng, F, dtype=dtype), array(rng, shape[0], *window.output_size, F, dtype=dtype)
    return x, W, b, dz, window


@given(SHAPES, st.integers(1, 6), PADS, st.booleans(), st.sampled_from([1, 3000, 1 << 21]))
def test_any_geometry_in_blocks_of_any_size_is_pytorchs(shape, F, pads, relu, block):
    x, W, b, dz, window = drawn(shape, F, pads)
    y = by_torch(x, W, b, dz, (1, 1), pads)[0]
    with mock.patch.object(im2col_blocks, "BLOCK_ELEMENTS", block):
        got = conv2d_winograd(x, W, b, window, relu)
    assert_close(got, np.maximum(y, 0) if relu else y, rtol=1e-12)


@given(SHAPES, st.integers(1, 6), PADS)
def test_the_gradient_for_x_is_pytorchs_and_the_adjoint(shape, F, pads):
    x, W, b, dz, window = drawn(shape, F, pads)
    dx = by_torch(x, W, b, dz, (1, 1), pads)[1]
    beyond = max(max(side) for side in pads) > 2  # then dX_col and col2im compute it
    with use_algorithm("winograd"), mock.patch.object(conv, "conv2d_winograd",
                                                      wraps=conv2d_winograd) as called:
        got = running_ops().conv2d_input_grad(dz, W, x.shape, window)
    assert called.call_count == (0 if beyond else 1)
    assert_close(got, dx, rtol=1e-12)
    y = conv2d_winograd(x, W, None, window)
    scale = float(abs(y * dz).sum())  # <conv(x), dz> = <x, dx>, sums that may nearly cancel
    assert abs(float((y * dz).sum()) - float((x * got).sum())) <= 1e-12 * scale


@given(SHAPES, st.integers(1, 6), PADS, st.sampled_from([1, 3000, 1 << 21]))
def test_the_gradient_for_the_weights_in_blocks_of_any_size_is_pytorchs(shape, F, pads, block):
    x, W, b, dz, window = drawn(shape, F, pads)
    dW = by_torch(x, W, b, dz, (1, 1), pads)[2]
    with mock.patch.object(im2col_blocks, "BLOCK_ELEMENTS", block):
        assert_close(weight_grad_winograd(x, dz, window), dW, rtol=1e-12)


@given(SHAPES, st.integers(1, 6), PADS, st.booleans(), st.sampled_from([1, 3000]))
def test_with_pooling_it_gives_the_largest_of_each_2_by_2_to_the_last_bit(shape, F, pads, relu,
                                                                         block):
    x, W, b, _, window = drawn(shape, F, pads, np.float32)
    x = on_device(np.round(ops.to_cpu(x)))  # equal maxima, too
    x[0, 1, 2] = np.nan
    pool_window = Window.on_image(window.output_size, (2, 2), (2, 2))
    if min(window.output_size) < 2:
        return
    with mock.patch.object(im2col_blocks, "BLOCK_ELEMENTS", block), use_algorithm("winograd"):
        pooled = running_ops().conv2d_max_pool(x, W, b, window, pool_window, relu)
        y = running_ops().conv2d(x, W, b, window, relu)
    assert_same(pooled, running_ops().max_pool2d(y, pool_window)[0])


@pytest.mark.parametrize("pool_window", [((3, 3), (2, 2)), ((2, 2), (1, 1)), ((2, 3), (2, 2))])
def test_other_poolings_come_after_it(pool_window):
    x, W, b, _, window = drawn((1, 9, 8, 2), 3)
    pool = Window.on_image(window.output_size, *pool_window)
    with use_algorithm("winograd"):
        y = running_ops().conv2d_max_pool(x, W, b, window, pool)
        expected, _ = running_ops().max_pool2d(running_ops().conv2d(x, W, b, window), pool)
    assert_same(y, expected)


def test_in_float32_it_errs_by_a_few_1e_5_of_the_largest_output():
    x, W, b, dz, window = drawn((1, 28, 28, 64), 64, dtype=np.float32)
    exact = by_torch(*(ops.to_cpu(a).astype(float) for a in (x, W, b, dz)), (1, 1), window.pads)[0]
    error = np.abs(ops.to_cpu(conv2d_winograd(x, W, b, window)) - exact).max() / np.abs(exact).max()
    assert 1e-7 < error < 3e-5


def test_two_runs_agree_to_the_last_bit():
    x, W, b, dz, window = drawn((2, 13, 11, 33), 34, dtype=np.float32)
    with use_algorithm("winograd"):
        runs = [(running_ops().conv2d(x, W, b, window, relu=True),
                 running_ops().conv2d_input_grad(dz, W, x.shape, window)) for _ in range(2)]
    for a, b in zip(*runs, strict=True):
        assert_same(a, b)


def test_its_memory_is_that_of_a_block():
    x, W, b, _, window = drawn((3, 30, 34, 5), 7)
    sizes = {}

    def note(name, grid, *values, **options):
        if name != "winograd_kernels":
            array = values[1 if name == "winograd_tiles" else 0]
            sizes.setdefault(name, []).append(array.size)
        launch.launch(name, grid, *values, **options)
    with mock.patch.object(im2col_blocks, "BLOCK_ELEMENTS", 20_000), \
            mock.patch("minicnn.ops.cuda.winograd.launch", note):
        conv2d_winograd(x, W, b, window)
    for V, M in zip(sizes["winograd_tiles"], sizes["winograd_outputs"], strict=True):
        assert V + M <= 20_000
    assert sum(sizes["winograd_tiles"]) == 36 * 3 * 8 * 9 * 5  # every tile once


@pytest.mark.parametrize("N, size, C, F, kernel, expected", [
    (1, 224, 64, 64, 3, "winograd"), (1, 28, 512, 512, 3, "winograd"),
    (1, 14, 512, 512, 3, "im2col"),  # 16 tiles are few beside the transform of the kernels
    (4, 14, 512, 512, 3, "winograd"), (1, 224, 3, 64, 3, "im2col"), (1, 224, 64, 31, 3, "im2col"),
    (1, 224, 64, 64, 5, "im2col"), (1, 56, 64, 64, 1, "im2col")])
def test_it_is_selected_where_it_saves_half_the_multiplications(N, size, C, F, kernel, expected):
    window = Window.on_image((size, size), (kernel, kernel), (1, 1), "same")
    assert conv.select_algorithm(N, C, F, window) == expected


@pytest.mark.parametrize("name, matrix", [
    ("B_T", ops.winograd.B_T), ("G_24", 24 * ops.winograd.G), ("A_T", ops.winograd.A_T),
    ("A", ops.winograd.A_T.T), ("G_T_24", 24 * ops.winograd.G.T)])
def test_the_kernels_matrices_are_those_of_the_derivation(name, matrix):
    text = (launch.KERNELS / "winograd.h").read_text("utf-8").replace("\\\n", "")
    rows = re.search(rf"const int {name}\[\d\]\[\d\] = \{{(.*)\}}", text)[1]
    numbers = [[float(n) for n in row.split(",")] for row in re.findall(r"\{(.*?)\}", rows)]
    np.testing.assert_allclose(numbers, matrix, rtol=1e-14)
