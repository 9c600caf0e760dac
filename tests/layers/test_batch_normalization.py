"""BatchNormalization: its moments, its averages, and when it uses which; against Keras, too."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import array, assert_close, assert_refused, assert_same, on_device, running_ops

from minicnn.layers import BatchNormalization
from minicnn.ops import to_cpu

from .cases import built, run


def naive(x, dy, gamma, beta, epsilon):
    """y, mean, variance, dx, dgamma, dbeta, channel by channel, by the chain rule's full matrix."""
    X, dY = (to_cpu(a).reshape(-1, a.shape[-1]) for a in (x, dy))
    M, C = X.shape
    y, dx = np.empty((2, M, C))
    mean, variance, dgamma, dbeta = np.empty((4, C))
    for c in range(C):
        mean[c] = sum(X[:, c]) / M
        variance[c] = sum((v - mean[c]) ** 2 for v in X[:, c]) / M
        std = np.sqrt(variance[c] + epsilon)
        hat = (X[:, c] - mean[c]) / std
        y[:, c] = gamma[c] * hat + beta[c]
        jacobian = (np.eye(M) - 1 / M - np.outer(hat, hat) / M) / std  # dhat_j / dx_k
        dx[:, c] = gamma[c] * dY[:, c] @ jacobian
        dgamma[c], dbeta[c] = dY[:, c] @ hat, sum(dY[:, c])
    return y.reshape(x.shape), mean, variance, dx.reshape(x.shape), dgamma, dbeta


@given(st.integers(2, 4), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.booleans())
def test_a_training_step_is_the_formula_channel_by_channel(N, H, Wd, C, rows):
    rng = np.random.default_rng(0)
    shape = (N * H, C) if rows else (N, H, Wd, C)
    layer = built(BatchNormalization(momentum=0.7, epsilon=0.01), shape, rng)
    x, dy = 5 + array(rng, *shape), array(rng, *shape)
    before = {key: to_cpu(p).copy() for key, p in layer.params.items()}
    y, mean, variance, *grads = naive(x, dy, before["gamma"], before["beta"], 0.01)
    got_y, *got = run(layer, x, dy)
    assert_close(got_y, y, rtol=1e-10)
    for a, b in zip(got, grads, strict=True):
        assert_close(a, b, rtol=1e-8)
    assert_close(layer.params["moving_mean"], 0.7 * before["moving_mean"] + 0.3 * mean)
    assert_close(layer.params["moving_variance"], 0.7 * before["moving_variance"] + 0.3 * variance)


@pytest.mark.parametrize("training, trainable", [(False, True), (True, False), (False, False)])
def test_outside_a_training_step_and_frozen_it_takes_the_moving_averages(training, trainable, rng):
    layer = built(BatchNormalization(epsilon=0.5), (3, 2, 2, 4), rng)
    layer.trainable = trainable
    before = {key: to_cpu(p).copy() for key, p in layer.params.items()}
    x, dy = array(rng, 3, 2, 2, 4), array(rng, 3, 2, 2, 4)
    y = layer.forward(x, training=training)
    std = np.sqrt(before["moving_variance"] + 0.5)
    hat = (to_cpu(x) - before["moving_mean"]) / std
    assert_close(y, before["gamma"] * hat + before["beta"])
    assert_close(layer.backward(dy), to_cpu(dy) * before["gamma"] / std)
    for key, p in layer.params.items():
        assert_same(p, before[key])
    assert set(layer.grads) == ({"gamma", "beta"} if trainable else set())
    if trainable:
        assert_close(layer.grads["gamma"], (to_cpu(dy) * hat).sum((0, 1, 2)))
        assert_close(layer.grads["beta"], to_cpu(dy).sum((0, 1, 2)))


@pytest.mark.parametrize("dtype, rtol", [(np.float64, 1e-9), (np.float32, 1e-4)])
def test_a_mean_that_is_large_beside_the_spread_leaves_the_variance_its_digits(dtype, rtol, rng):
    x = 1000 + rng.normal(size=(4, 9, 8, 3))
    got = running_ops().batch_moments(on_device(x.astype(dtype)))
    rounded = x.astype(dtype).astype(float)
    assert_close(got[0], rounded.mean((0, 1, 2)), rtol)
    assert_close(got[1], rounded.var((0, 1, 2)), rtol)


def test_frozen_between_forward_and_backward_dx_is_still_that_of_the_forward(rng):
    x, dy = array(rng, 4, 3, 2, 5), array(rng, 4, 3, 2, 5)
    layer = built(BatchNormalization(), x.shape, rng)
    expected = naive(x, dy, *(to_cpu(layer.params[key]).copy() for key in ("gamma", "beta")),
                     layer.epsilon)[3]
    layer.forward(x, training=True)
    layer.grads, layer.trainable = {}, False
    assert_close(layer.backward(dy), expected, 1e-10)
    assert layer.grads == {}


@pytest.mark.cpu_only
def test_more_channels_than_a_block_of_rows_has_numbers(rng):
    C = 2**14 + 5
    x = rng.normal(size=(3, C))
    layer = built(BatchNormalization(center=False, scale=False), x.shape, rng)
    y = layer.forward(x, training=True)
    assert_close(y, (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + layer.epsilon), rtol=1e-12)


def test_the_moments_are_the_same_to_the_last_bit_every_time(rng):
    x = array(rng, 3000, 5, dtype=np.float32)
    for a, b in zip(running_ops().batch_moments(x), running_ops().batch_moments(x), strict=True):
        assert_same(a, b)


@pytest.mark.parametrize("center, scale", [(True, True), (False, True), (True, False),
                                           (False, False)])
def test_a_new_layer_changes_nothing_but_by_epsilon_and_has_kerass_parameters(center, scale, rng):
    layer = BatchNormalization(epsilon=0, center=center, scale=scale)
    layer.build((2, 3, 4), rng)
    assert list(layer.params) == [*["gamma"] * scale, *["beta"] * center, "moving_mean",
                                  "moving_variance"]
    x = np.random.default_rng(1).normal(size=(2, 2, 3, 4))
    assert_same(layer.forward(x), x)


def test_no_variance_at_all_is_no_division_by_zero(rng):
    layer = built(BatchNormalization(), (3, 2), rng)
    x = on_device(np.full((3, 2), 7.0))
    assert_close(layer.forward(x, training=True), on_device(np.ones((3, 1))) * layer.params["beta"])
    assert np.isfinite(to_cpu(layer.backward(x))).all()


@pytest.mark.cpu_only
@pytest.mark.parametrize("options, words", [
    (dict(axis=1.5), "axis"), (dict(axis=[1, 2]), "axis"), (dict(momentum=1.2), "momentum"),
    (dict(momentum=-0.1), "momentum"), (dict(epsilon=-1e-3), "epsilon"),
    (dict(epsilon=np.nan), "epsilon"), (dict(epsilon="x"), "epsilon")])
def test_arguments_that_do_not_fit_are_refused(options, words):
    with assert_refused("bn1", words):
        BatchNormalization(name="bn1", **options)


@pytest.mark.cpu_only
def test_only_the_last_axis_holds_channels(rng):
    for axis, shape in ((-1, (4, 5, 3)), (3, (4, 5, 3)), ([3], (4, 5, 3)), (1, (6,))):
        assert BatchNormalization(axis).output_shape(shape) == shape
    for axis, shape in ((1, (4, 5, 3)), (2, (6,)), (0, (6,))):
        with assert_refused("batchnormalization", "axis -1", "last"):
            BatchNormalization(axis).output_shape(shape)
    layer = built(BatchNormalization(), (2, 3), rng)
    with assert_refused("batchnormalization", "3 channels"):
        layer.forward(np.ones((2, 4)))
