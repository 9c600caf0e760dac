"""What only large numbers, one sample, small channels, float32 or another order of calls show."""

import copy

import numpy as np
import pytest
from makers import Function

import minicnn as mc
from minicnn.gradcheck.check import gradcheck
from minicnn.gradcheck.explain import explain
from minicnn.gradcheck.extremes import extreme_points
from minicnn.gradcheck.noise import rounding_of_outputs
from minicnn.gradcheck.point import Point, make_points
from minicnn.gradcheck.suite import check_user_layer

from . import in_torch
from .mistakes_at_extremes import MISTAKES, SHAPES
from .mutants import computed, layer_class, parameters, right_class

OWN_REMARKS = {
    "float32_dense": ["forward computes in float32: checked with a step of 8e-03 and a bound of "
                      "1e-03 (float64: 1e-06 and 1e-06)."],
    "standardise": ["Not checked: x of one sample (N = 1); y is not finite or overflows there."]}


@pytest.mark.parametrize("name", SHAPES)
def test_a_right_layer_computes_what_pytorch_does(name, rng):
    layer = right_class(name)()
    rounding = 1e-5 if name == "float32_dense" else 1e-9
    for training in (True, False):
        x = 3 * rng.normal(size=SHAPES[name])
        parameters(layer, x, rng)
        before = copy.deepcopy(layer)
        y = layer.forward(x.copy(), training=training)
        dy = rng.normal(size=y.shape)
        got = {"y": y, "dx": layer.backward(dy.copy()),
               **{f"d{key}": layer.grads[key] for key in layer.params}}
        expected = in_torch.gradients(name, before, x, dy, training)
        assert got.keys() == expected.keys()
        for key, value in expected.items():
            np.testing.assert_allclose(got[key], value, rounding, rounding, err_msg=key)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", SHAPES)
def test_a_right_layer_passes(name, seed):
    result = check_user_layer(right_class(name)(), SHAPES[name], seed=seed)
    assert result.ok, str(result)
    if name not in ("mirror_max", "relu6", "hard_swish", "float32_dense"):  # kinks here and there
        assert result.remarks == OWN_REMARKS.get(name, [])
    elif name in OWN_REMARKS:
        assert result.remarks[0] == OWN_REMARKS[name][0]


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_a_mistake_is_refused_and_named(mistake, full):
    shape, wrong = SHAPES[mistake.layer], layer_class(mistake.text())
    right, got = computed(right_class(mistake.layer)(), shape), computed(wrong(), shape)
    assert [u["y"].tolist() for u in right] == [v["y"].tolist() for v in got], (
        "the forward is another one")
    for seed in range(4 if full else 1):
        result = check_user_layer(wrong(), shape, seed=seed)
        assert not result.ok, str(result)
        sentences = [*explain(result), *(f"{row.name} {row.note}" for row in result.rows)]
        assert any(mistake.hint in sentence for sentence in sentences), sentences


def test_most_mistakes_are_named():
    assert len(MISTAKES) >= 30 and len({str(m) for m in MISTAKES}) == len(MISTAKES)
    assert sum(bool(m.hint) for m in MISTAKES) >= 2 / 3 * len(MISTAKES)


# The points --------------------------------------------------------------------------------------


def points_of(layer, x):
    points = make_points(layer, x)
    return {point.label: point for point in [*points, *extreme_points(points, 0)[0]]}


def test_the_large_point_is_4_to_10_times_as_large_and_the_single_has_one_sample(rng):
    x = rng.normal(size=(5, 6, 7, 3))
    points = points_of(mc.ReLU(), x)
    assert {"large", "one sample"} <= points.keys()
    ratio = np.sort(np.abs(points["large"].x).reshape(-1)).mean() / np.abs(x).mean()
    assert 4 * 0.7 < ratio < 10 * 0.95
    assert np.abs(points["large"].dy).mean() > 3
    assert points["one sample"].x.shape == points["one sample"].dy.shape == (1, 6, 7, 3)


def test_probabilities_are_not_made_large(rng):
    assert "large" not in points_of(mc.ReLU(), rng.random((3, 4)))


def test_a_layer_that_overflows_for_large_x_passes_with_a_remark(rng):
    def steep(x):
        with np.errstate(over="ignore"):
            return np.exp(40 * x)

    x = rng.uniform(-2, 2, size=(3, 4))
    result = gradcheck(Function(steep, lambda x: 40 * steep(x)), x)
    assert result.ok and result.remarks == [
        "Not checked: x 4 to 10 times as large; y is not finite or overflows there."]


def naive_softplus(x):
    return np.log(1 + np.exp(x))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("f, slope", [
    (naive_softplus, lambda x: 1 / (1 + np.exp(-x))),  # its small y are coarsely rounded
    (np.tanh, lambda x: 1 - np.tanh(x)**2), (lambda x: x - np.tanh(x), lambda x: np.tanh(x)**2),
    (lambda x: x**3, lambda x: 3 * x**2), (lambda x: 1e-9 * np.sin(x), lambda x: 1e-9 * np.cos(x)),
    (lambda x: 1e9 + np.sin(x), np.cos)], ids="softplus tanh x-tanh cube tiny offset".split())
def test_functions_that_saturate_or_round_coarsely_pass(f, slope, seed):
    x = np.random.default_rng(seed).normal(size=(5, 40))
    assert gradcheck(Function(f, slope), x, seed=seed).ok


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", [(2, 4, 5, 3), (5, 12, 11, 3)])  # each element, and directions
def test_a_wrong_small_channel_is_seen_beside_one_1e7_larger(shape, seed):
    sizes = np.array([1.0, 1e7, 1e-3])
    x = np.random.default_rng(seed).normal(size=shape)
    for factor, is_right in ((np.ones(3), True), (np.array([1.001, 1, 1]), False)):
        layer = Function(lambda x: sizes * np.tanh(x),
                         lambda x, factor=factor: factor * sizes * (1 - np.tanh(x)**2))
        assert gradcheck(layer, x, seed=seed).ok == is_right


def test_the_rounding_of_what_is_computed_before_y_is_measured(rng):
    x = rng.normal(size=(4, 5))
    for f, size in ((lambda x: x, 1), (lambda x: (x + 1e3) - 1e3, 1e3)):
        point = Point("first", Function(f, np.ones_like), x.copy(), rng)
        sigma = rounding_of_outputs(point, point.output(), 2.0**-52)
        assert 0.1 * size < (sigma / 2.0**-52).max() < 10 * size


def test_batch_normalization_of_one_row_is_no_mistake(rng):
    result = gradcheck(mc.BatchNormalization(), rng.normal(size=(6, 4)))
    assert result.ok and result.remarks == []


def test_a_standard_deviation_of_one_sample_is_a_remark(rng):
    class Spread(mc.Layer):
        def forward(self, x, training=False, keep=True):
            self.z = x - x.mean(axis=0)
            self.s = np.sqrt((self.z**2).mean(axis=0))
            return np.broadcast_to(self.s, x.shape).copy()

        def backward(self, dy):
            return self.z / self.s * dy.sum(axis=0) / len(dy)

    with np.errstate(invalid="ignore"):
        result = gradcheck(Spread(), rng.normal(size=(6, 4)))
    assert result.ok and "a standard deviation over N, which is 0?" in str(result)


def test_a_mask_for_each_of_n_samples_is_a_remark(rng):
    mask = rng.random((6, 4)) > 0.4
    result = gradcheck(Function(lambda x: x * mask, lambda x: mask), rng.normal(size=(6, 4)))
    assert result.ok and result.remarks == [
        "Not checked: x of one sample (N = 1); y has 6 samples, whatever N is."]
