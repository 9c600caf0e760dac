"""Activations and their gradients, on every backend, against the formulas of single numbers."""

import itertools
import math

import numpy as np
import pytest
from reference import array, assert_close, assert_same, on_device, running_ops

from minicnn.ops import to_cpu

DTYPES = pytest.mark.parametrize("dtype, rtol", [(np.float64, 1e-14), (np.float32, 1e-6)])
POINTS = (-700.0, -30.0, -4.0, -2.5, -1.0, -1e-4, 0.0, 1e-4, 0.5, 1.0, 2.5, 6.0, 30.0, 700.0)


def sigma(x):
    return 1 / (1 + math.exp(-x))


ACTIVATIONS = {  # (more arguments, f(x), f'(x)); at a kink the slope that is taken
    "relu": ((), lambda x: max(x, 0), lambda x: float(x > 0)),
    "sigmoid": ((), sigma, lambda x: sigma(x) * sigma(-x)),
    "tanh": ((), math.tanh, lambda x: 1 - math.tanh(x)**2),
    "elu": ((0.7,), lambda x: x if x > 0 else 0.7 * math.expm1(x),
            lambda x: 1.0 if x > 0 else 0.7 * math.exp(x)),
    "leaky_relu": ((0.2,), lambda x: x if x > 0 else 0.2 * x, lambda x: 1.0 if x > 0 else 0.2),
    "clipped_line": ((0.4, 1.0, 2.0), lambda x: min(max(0.4 * x + 1, 0), 2),
                     lambda x: 0.4 if 0 < 0.4 * x + 1 < 2 else 0.0),  # kinks at −2.5 and 2.5
    "silu": ((), lambda x: x * sigma(x), lambda x: sigma(x) * (1 + x * sigma(-x))),
    "softplus": ((), lambda x: max(x, 0) + math.log1p(math.exp(-abs(x))), sigma),
}
OF_THE_INPUT = ("silu", "softplus")  # the gradients that want x; the others want y


@pytest.mark.parametrize("name", ACTIVATIONS)
@DTYPES
def test_an_activation_and_its_gradient_are_the_formulas_of_single_numbers(name, dtype, rtol, rng):
    more, function, derivative = ACTIVATIONS[name]
    x = np.array([*POINTS, *rng.normal(scale=2, size=300)]).astype(dtype).reshape(2, -1)
    dy = rng.normal(size=x.shape).astype(dtype)
    ops, there = running_ops(), on_device(x)
    y = getattr(ops, name)(there, *more)
    before = there if name in OF_THE_INPUT else y
    if name == "clipped_line":
        more = (more[0], more[2])  # slope and limit
    dx = getattr(ops, f"{name}_grad")(on_device(dy), before, *more)
    assert y.shape == dx.shape == x.shape and y.dtype == dx.dtype == dtype
    for got, expected in ((y, [function(float(v)) for v in x.flat]),
                          (dx, [float(d) * derivative(float(v))
                                for d, v in zip(dy.flat, x.flat, strict=True)])):
        got, expected = to_cpu(got).ravel().astype(float), np.array(expected)
        got, expected = (np.where(abs(a) < 1e-30, 0, a) for a in (got, expected))  # float32: 0
        # Near 700 and −700 by themselves: beside them everything else would look like 0.
        for part in abs(x.ravel()) > 100, abs(x.ravel()) <= 100:
            assert_close(got[part], expected[part], rtol)


@pytest.mark.parametrize("shape", [(5,), (1,), (3, 4, 5), (1, 1, 5), (3, 1, 5), (1, 4, 1)])
@DTYPES
def test_prelu_has_an_alpha_for_whatever_shares_one(shape, dtype, rtol, rng):
    N, feature = 6, {(5,): (5,), (1,): (7,)}.get(shape, (3, 4, 5))
    x, dy = array(rng, N, *feature, dtype=dtype), array(rng, N, *feature, dtype=dtype)
    alpha = array(rng, *shape, dtype=dtype)
    ops = running_ops()
    y, (dx, dalpha) = ops.prelu(x, alpha), ops.prelu_grad(dy, x, alpha)
    x, dy, alpha = (to_cpu(a).astype(float) for a in (x, dy, alpha))
    shared = np.broadcast_to(alpha, feature)
    terms = {place: [] for place in np.ndindex(shape)}
    expected_y, expected_dx = np.empty_like(x), np.empty_like(x)
    for place in itertools.product(range(N), *map(range, feature)):
        right, slope = x[place] > 0, shared[place[1:]]
        expected_y[place] = x[place] if right else slope * x[place]
        expected_dx[place] = dy[place] if right else slope * dy[place]
        own = tuple(i if size > 1 else 0 for i, size in zip(place[1:], shape, strict=True))
        terms[own].append(0 if right else dy[place] * x[place])
    assert_close(y, expected_y, rtol)
    assert_close(dx, expected_dx, rtol)
    assert dalpha.shape == shape
    assert_close(dalpha, np.array([math.fsum(t) for t in terms.values()]).reshape(shape), 20 * rtol)


def test_a_softmax_of_large_numbers_does_not_overflow_and_a_constant_changes_nothing():
    x = np.array([[1000.0, 1001.0, 999.0], [-1000.0, -999.0, -1001.0]])
    e = [math.exp(v) for v in (0, 1, -1)]
    expected = [[v / math.fsum(e) for v in e]] * 2
    assert_close(running_ops().softmax(on_device(x)), expected, rtol=1e-14)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nan_comes_through(name):
    more = ACTIVATIONS[name][0]
    with np.errstate(invalid="ignore"):
        y = to_cpu(getattr(running_ops(), name)(on_device([1.0, np.nan, -1.0]), *more))
    assert_same(np.isnan(y), [False, True, False])
