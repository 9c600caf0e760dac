"""Flatten, Dense, ReLU, Sigmoid, Softmax: against loops, and at the edges of arithmetic."""

import math

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from reference import array, assert_close, assert_refused, assert_same, on_device

from minicnn.layers import ELU, Dense, Flatten, LeakyReLU, PReLU, ReLU, Sigmoid, Softmax, Tanh
from minicnn.ops import to_cpu

from .cases import built, run


@given(st.integers(1, 4), st.integers(1, 6), st.integers(1, 5))
def test_dense_matches_naive_loops(N, D, units):
    rng = np.random.default_rng(0)
    layer, x, dy = built(Dense(units), (N, D), rng), array(rng, N, D), array(rng, N, units)
    expected = reference.dense(x, layer.params["W"], layer.params["b"], dy)
    for a, b in zip(run(layer, x, dy), expected, strict=True):
        assert_close(a, b)


@pytest.mark.parametrize("layer, oracle", [
    (ReLU, reference.relu), (Sigmoid, reference.sigmoid), (Softmax, reference.softmax)])
@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(2, 6))
def test_activations_match_naive_loops(layer, oracle, shape, K):
    rng = np.random.default_rng(0)
    x, dy = 3 * array(rng, *shape, K), array(rng, *shape, K)
    for a, b in zip(run(layer(), x, dy), oracle(x, dy), strict=True):
        assert_close(a, b)


def piecewise(below, slope_below):
    """An oracle (x, dy) -> y, dx of an activation that is x above 0, from math's own functions."""
    def both(x, dy):
        y, dx = np.empty((2, *x.shape))
        for k in np.ndindex(x.shape):
            v, d = float(x[k]), float(dy[k])
            y[k], dx[k] = (v, d) if v > 0 else (below(v), d * slope_below(v))
        return y, dx
    return both


@pytest.mark.parametrize("layer, below, slope_below", [
    (lambda: ELU(0.5), lambda v: 0.5 * (math.exp(v) - 1), lambda v: 0.5 * math.exp(v)),
    (lambda: ELU(), lambda v: math.exp(v) - 1, math.exp),
    (lambda: ELU(0), lambda v: 0, lambda v: 0),
    (lambda: LeakyReLU(0.1), lambda v: 0.1 * v, lambda v: 0.1),
    (lambda: LeakyReLU(0), lambda v: 0, lambda v: 0),
    (lambda: PReLU(), lambda v: 0, lambda v: 0)])  # alpha begins at 0
def test_activations_that_differ_below_zero_match_their_formulas(layer, below, slope_below, rng):
    layer = layer()
    x, dy = to_cpu(3 * array(rng, 5, 4)), to_cpu(array(rng, 5, 4))
    x[0] = 0  # at 0 the derivative is that from below
    layer.build((4,), rng)
    layer.to(reference.DEVICE)
    got = run(layer, on_device(x), on_device(dy))[:2]
    for a, b in zip(got, piecewise(below, slope_below)(x, dy), strict=True):
        assert_close(a, b)


def test_tanh_matches_its_formula_and_never_overflows(rng):
    x, dy = to_cpu(3 * array(rng, 5, 4)), to_cpu(array(rng, 5, 4))
    x[0] = 1000, -1000, 50, -50
    y, dx = run(Tanh(), on_device(x), on_device(dy))
    expected = np.vectorize(math.tanh)(x)
    assert_close(y, expected)
    assert_close(dx, dy / np.cosh(np.clip(x, -300, 300)) ** 2)


@pytest.mark.cpu_only
@pytest.mark.parametrize("make, words", [
    (lambda: LeakyReLU(-0.1, "a"), "negative_slope"), (lambda: LeakyReLU(None, "a"), "None"),
    (lambda: ELU(-1, "a"), "alpha"), (lambda: ELU(np.inf, "a"), "alpha"),
    (lambda: PReLU(0, "a"), "shared_axes"), (lambda: PReLU([1, "2"], "a"), "shared_axes"),
    (lambda: PReLU(3, "a").output_shape((5, 4)), "shared axes")])
def test_arguments_of_activations_that_do_not_fit_are_refused(make, words):
    with assert_refused("a", words):
        make()


@pytest.mark.cpu_only
def test_prelu_refuses_an_image_of_another_size_unless_its_pixels_share_alpha(rng):
    layer = built(PReLU(name="p"), (1, 4, 5, 3), rng)
    with assert_refused("p", "(4, 5, 3)", "image size"):
        layer.forward(np.ones((1, 6, 5, 3)))
    shared = built(PReLU((1, 2)), (1, 4, 5, 3), rng)
    assert shared.forward(np.ones((1, 6, 5, 3))).shape == (1, 6, 5, 3)


@pytest.mark.parametrize("activation, oracle", [
    ("relu", reference.relu), ("sigmoid", reference.sigmoid), ("softmax", reference.softmax)])
def test_an_activation_inside_dense_is_the_chain_of_both(activation, oracle, rng):
    layer = built(Dense(4, activation=activation), (3, 5), rng)
    x, dy = array(rng, 3, 5), array(rng, 3, 4)
    W, b = layer.params["W"], layer.params["b"]
    z = reference.dense(x, W, b, dy)[0]
    y, dz = oracle(z, dy)
    expected = [y, *reference.dense(x, W, b, dz)[1:]]
    for a, e in zip(run(layer, x, dy), expected, strict=True):
        assert_close(a, e)


def test_flatten_puts_the_channel_last(rng):
    x = array(rng, 2, 3, 4, 5)
    layer = Flatten()
    y = layer.forward(x)
    assert y.shape == (2, 60)
    for n, h, w, c in np.ndindex(x.shape):
        assert y[n, (h * 4 + w) * 5 + c] == x[n, h, w, c]
    dy = array(rng, 2, 60)
    assert_same(layer.backward(dy), dy.reshape(x.shape))


def test_relu_at_zero_has_derivative_zero(rng):
    layer = ReLU()
    assert layer.forward(on_device([[-1.0, -0.0, 0.0, 2.0]])).tolist() == [[0, 0, 0, 2]]
    assert layer.backward(on_device([[3.0, 4.0, 5.0, 6.0]])).tolist() == [[0, 0, 0, 6]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_and_softmax_never_overflow(dtype):
    x = on_device(np.array([[-1000, -100, 0, 100, 1000]], dtype))
    y = Sigmoid().forward(x)
    assert y[0, 0] == 0 and y[0, 2] == 0.5 and (y[0, 3:] == 1).all()
    if reference.DEVICE != "cuda" or dtype is np.float64:  # CuPy compiles with -ftz=true: 0 there
        assert_close(y[0, 1], np.exp(dtype(-100)), rtol=1e-6)  # tiny, yet all digits are right
    assert Softmax().forward(x).tolist() == [[0, 0, 0, 0, 1]]
    assert Softmax().forward(-x).tolist() == [[1, 0, 0, 0, 0]]


def test_softmax_does_not_feel_a_shift(rng):
    x = array(rng, 3, 4)
    y = Softmax().forward(x)
    assert_close(y.sum(axis=1), np.ones(3), rtol=1e-15)
    assert_close(Softmax().forward(x + 1000), y, rtol=1e-11)


@pytest.mark.parametrize("x", [np.zeros((3, 1)), np.zeros((2, 4, 4, 1))])
def test_softmax_of_one_unit_is_refused_with_the_reason(x):
    with assert_refused("always 1", "Sigmoid"):
        Softmax().forward(on_device(x))


def test_softmax_of_an_array_without_N_is_refused():
    with assert_refused("softmax"):
        Softmax().forward(on_device(np.zeros(3)))


@pytest.mark.parametrize("shape, words", [
    ((2, 4), ["5 inputs", "(5, 3)", "4"]), ((2, 5, 5, 3), ["(N, D)", "Flatten"]),
    ((5,), ["(N, D)"])])
def test_dense_refuses_inputs_that_do_not_fit(shape, words, rng):
    layer = built(Dense(3, name="fc1"), (1, 5), rng)
    with assert_refused("fc1", *words):
        layer.forward(array(rng, *shape))
    assert layer.cache is None


@pytest.mark.cpu_only
@pytest.mark.parametrize("units", [0, -1, 2.5, "3", True, (3, 4)])
def test_dense_refuses_units_that_are_no_count(units):
    with assert_refused("fc1", "units", repr(units)):
        Dense(units, name="fc1")
