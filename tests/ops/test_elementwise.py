"""Dense, ReLU, sums of rows, cross-entropies and the optimizers' steps, on every backend."""

import math

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from reference import array, assert_close, assert_same, on_device, running_ops

from minicnn.ops import to_cpu
from minicnn.ops.fast.elementwise import where_mask

DTYPES = pytest.mark.parametrize("dtype, rtol", [(np.float64, 1e-13), (np.float32, 1e-6)])


def test_nan_comes_through_relu():
    x = np.array([[np.nan, -1.0, 2.0], [0.0, np.nan, -np.inf]])
    assert_same(running_ops().relu(on_device(x)), [[np.nan, 0, 2], [0, np.nan, 0]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_all_finite_sees_one_number_in_any_of_the_arrays(dtype, bad):
    arrays = [np.ones((2, 3)), np.full(1000, np.finfo(dtype).max), np.zeros((0, 3)), -np.ones(1)]
    arrays = [x.astype(dtype) for x in arrays]
    assert running_ops().all_finite([on_device(x) for x in arrays])  # one sum overflows
    for x in arrays:
        for place in range(0, x.size, 333):
            wrong = [a.copy() for a in arrays]
            next(a for a, b in zip(wrong, arrays, strict=True) if b is x).flat[place] = bad
            assert not running_ops().all_finite([on_device(a) for a in wrong])
    assert running_ops().all_finite([])


@DTYPES
@given(st.integers(1, 9), st.integers(1, 20), st.integers(1, 40), st.booleans())
def test_dense_and_its_gradients_are_the_naive_loops(dtype, rtol, N, D, units, relu):
    rng = np.random.default_rng(0)
    x, W, b = (array(rng, *shape, dtype=dtype) for shape in ((N, D), (D, units), (units,)))
    dz = array(rng, N, units, dtype=dtype)
    y, dx, dW, db = reference.dense(x, W, b, dz)
    ops = running_ops()
    got_y = ops.dense(x, W, b, relu=relu)
    assert_close(got_y, np.maximum(y, 0) if relu else y, 10 * rtol)
    for got, expected in ((ops.dense_input_grad(dz, W), dx), (ops.dense_weight_grad(x, dz), dW),
                          (ops.bias_grad(dz), db)):
        assert got.dtype == dtype
        assert_close(got, expected, 10 * rtol)


def test_relu_backward_is_zero_where_y_is_whatever_comes_from_above():
    dy = on_device([np.inf, np.nan, -np.inf, 5.0, np.inf])
    dx = running_ops().relu_grad(dy, on_device([0.0, 0.0, 0.0, 2.0, 1.0]))
    assert_same(dx, [0, 0, 0, 5, np.inf])


@pytest.mark.cpu_only
@pytest.mark.parametrize("x", [np.float32(3), np.arange(-2, 3), np.float16([1, -1, np.nan]),
                               np.float32([[1, np.nan]]), np.float64([np.inf, -0.0])], ids=repr)
def test_where_mask_is_where_for_every_kind_of_number(x):
    for mask in np.ones_like(x, bool), np.zeros_like(x, bool), np.asarray(x > 0):
        expected = np.where(mask, x, 0)
        np.testing.assert_array_equal(where_mask(mask, np.asarray(x)), expected)


@pytest.mark.parametrize("F", [1, 31, 32, 33, 64, 70])
@pytest.mark.parametrize("rows", [1, 7, 8, 9, 63, 64, 65, 700])
@DTYPES
def test_bias_grad_adds_up_all_but_the_last_axis(rows, F, dtype, rtol, rng):
    x = array(rng, rows, 3, F, dtype=dtype)
    plain = to_cpu(x)
    expected = [math.fsum(float(v) for v in plain[..., f].ravel()) for f in range(F)]
    sums = running_ops().bias_grad(x)
    assert sums.shape == (F,) and sums.dtype == dtype
    scale = np.abs(plain).sum(axis=(0, 1)).max()
    assert_close(np.append(to_cpu(sums), scale), np.append(expected, scale), rtol)


def test_bias_grad_of_more_rows_than_all_block_rows_take_at_first(rng):
    rows = 64 * 1024 + 1000
    x = rng.integers(-9, 9, (rows, 3)).astype(float)  # so that the sums are exact
    assert_same(running_ops().bias_grad(on_device(x)), x.sum(axis=0))


def test_bias_grad_of_no_rows_are_zeros():
    assert_same(running_ops().bias_grad(on_device(np.zeros((0, 4, 5)))), np.zeros(5))


def test_bias_grad_are_the_same_to_the_last_bit_every_time(rng):
    x = array(rng, 3000, 5, dtype=np.float32)
    assert_same(running_ops().bias_grad(x), running_ops().bias_grad(x))


@DTYPES
@given(st.integers(1, 40), st.integers(1, 12))
def test_sigmoid_cross_entropy_is_minus_the_logarithm_of_the_right_probability(dtype, rtol, N, K):
    rng = np.random.default_rng(0)
    z, t = array(rng, N, K, dtype=dtype), on_device(rng.random((N, K)).astype(dtype))
    l, dz = running_ops().sigmoid_cross_entropy(z, t)  # noqa: E741
    p = reference.sigmoid(z, z)[0]
    plain = to_cpu(t)
    expected = [-u * math.log(q) - (1 - u) * math.log(1 - q)
                for q, u in zip(p.ravel(), plain.ravel().astype(float), strict=True)]
    assert l.dtype == dz.dtype == dtype
    assert_close(l.ravel(), expected, rtol)
    assert_close(dz, p - plain, rtol)


@DTYPES
@given(st.integers(1, 40), st.integers(2, 12))
def test_softmax_cross_entropy_is_minus_the_logarithm_of_the_right_probability(dtype, rtol, N, K):
    rng = np.random.default_rng(0)
    z, t = array(rng, N, K, dtype=dtype), rng.random((N, K))
    t = on_device((t / t.sum(axis=1, keepdims=True)).astype(dtype))
    l, dz = running_ops().softmax_cross_entropy(z, t)  # noqa: E741
    p, plain = reference.softmax(z, z)[0], to_cpu(t)
    expected = [math.fsum(-plain[n, k] * math.log(p[n, k]) for k in range(K)) for n in range(N)]
    assert l.shape == (N,) and l.dtype == dz.dtype == dtype
    assert_close(l, expected, rtol)
    assert_close(dz, p - plain, rtol)


@pytest.mark.parametrize("K", [2, 255, 256, 257, 1000, 2001])
def test_softmax_of_rows_longer_and_shorter_than_a_block(K, rng):
    x, dy = array(rng, 3, K), array(rng, 3, K)
    e = np.exp(to_cpu(x))
    p = e / e.sum(axis=1, keepdims=True)
    assert_close(running_ops().softmax(x), p, rtol=1e-13)
    expected = p * (to_cpu(dy) - (to_cpu(dy) * p).sum(axis=1, keepdims=True))
    assert_close(running_ops().softmax_grad(dy, on_device(p)), expected, rtol=1e-13)
    t = on_device(np.eye(K)[[0, K - 1, K // 2]])
    l, dz = running_ops().softmax_cross_entropy(x, t)  # noqa: E741
    assert_close(l, -np.log(p[[0, 1, 2], [0, K - 1, K // 2]]), rtol=1e-13)
    assert_close(dz, p - to_cpu(t), rtol=1e-13)


def test_nan_makes_its_row_of_a_softmax_nan_and_no_other(rng):
    x = rng.normal(size=(3, 5))
    x[1, 2] = np.nan
    with np.errstate(invalid="ignore"):
        y = to_cpu(running_ops().softmax(on_device(x)))
    assert np.isnan(y[1]).all() and np.isfinite(y[[0, 2]]).all()


# Steps: the formulas of the papers once more, element by element


def expected_step(kind, p, g, state, **a):
    """(p, v or s or m and s) after one step of one element."""
    if kind == "sgd":
        return p - a["lr"] * g, state
    if kind in ("momentum", "nesterov"):
        v = a["momentum"] * state[0] + g
        return p - a["lr"] * (g + a["momentum"] * v if kind == "nesterov" else v), (v,)
    if kind.startswith("rmsprop"):
        s = a["alpha"] * state[0] + (1 - a["alpha"]) * g**2
        scaled = g / (math.sqrt(s) + a["eps"])
        if kind == "rmsprop":
            return p - a["lr"] * scaled, (s,)
        v = a["momentum"] * state[1] + scaled
        return p - a["lr"] * v, (s, v)
    m = a["beta1"] * state[0] + (1 - a["beta1"]) * g
    s = a["beta2"] * state[1] + (1 - a["beta2"]) * g**2
    m_hat, s_hat = m / (1 - a["beta1"] ** a["t"]), s / (1 - a["beta2"] ** a["t"])
    return p - a["lr"] * m_hat / (math.sqrt(s_hat) + a["eps"]), (m, s)


STEPS = {  # name: (number of state arrays, options, the step)
    "sgd": (0, dict(lr=0.3), lambda ops, p, g, lr: ops.sgd_step(p, g, lr)),
    "momentum": (1, dict(lr=0.3, momentum=0.7), lambda ops, p, g, v, **options:
                 ops.momentum_step(p, g, v, **options)),
    "nesterov": (1, dict(lr=0.3, momentum=0.7), lambda ops, p, g, v, **options:
                 ops.momentum_step(p, g, v, nesterov=True, **options)),
    "rmsprop": (1, dict(lr=0.3, alpha=0.9, eps=1e-3), lambda ops, p, g, s, **options:
                ops.rmsprop_step(p, g, s, None, **options)),
    "rmsprop with momentum": (2, dict(lr=0.3, alpha=0.9, eps=1e-3, momentum=0.7),
                              lambda ops, p, g, s, v, **options:
                              ops.rmsprop_step(p, g, s, v, **options)),
    "adam": (2, dict(t=3, lr=0.3, beta1=0.8, beta2=0.95, eps=1e-3),
             lambda ops, p, g, m, s, **options: ops.adam_step(p, g, m, s, **options)),
}


@pytest.mark.parametrize("kind", STEPS)
@DTYPES
@given(st.integers(1, 300))
def test_a_step_is_the_papers_formula_element_by_element_and_in_place(kind, dtype, rtol, size):
    rng = np.random.default_rng(0)
    states, options, step = STEPS[kind]
    p, g = array(rng, size, dtype=dtype), array(rng, size, dtype=dtype)
    state = [abs(array(rng, size, dtype=dtype)) for _ in range(states)]
    given_numbers = [to_cpu(a.copy()).astype(float).tolist() for a in (p, g, *state)]
    expected = [expected_step(kind, p, g, state, **options)
                for p, g, *state in zip(*given_numbers, strict=True)]
    step(running_ops(), p, g, *state, **options)
    assert_same(g, given_numbers[1])
    assert_close(p, [e[0] for e in expected], 4 * rtol)
    for k, s in enumerate(state):
        assert s.dtype == dtype
        assert_close(s, [e[1][k] for e in expected], rtol)
