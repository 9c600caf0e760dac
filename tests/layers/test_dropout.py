"""Dropout: its own dice, the right odds, off where it should be."""

import numpy as np
import pytest
from reference import array, assert_close, assert_refused, assert_same, on_device

from minicnn.layers import Dropout, GaussianDropout, GaussianNoise, SpatialDropout2D
from minicnn.ops import to_cpu


def mask(layer, shape=(50, 40)):
    return to_cpu(layer.forward(on_device(np.ones(shape)), training=True))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_drops_that_share_and_keeps_the_expected_value(rate):
    y = mask(Dropout(rate), (400, 500))
    assert set(np.unique(y)) == {0, 1 / (1 - rate)}
    assert abs((y == 0).mean() - rate) < 5 * np.sqrt(rate * (1 - rate) / y.size)  # five sigma
    assert abs(y.mean() - 1) < 5 * np.sqrt(rate / (1 - rate) / y.size)


def test_dropout_lets_the_gradient_through_where_it_let_the_input_through(rng):
    layer, x, dy = Dropout(0.4), array(rng, 6, 7), array(rng, 6, 7)
    factor = layer.forward(x, training=True) / x
    assert 0 < float((factor == 0).mean()) < 1
    assert_close(layer.backward(dy), dy * factor)


def test_without_a_seed_it_is_0():
    np.testing.assert_array_equal(mask(Dropout(0.5)), mask(Dropout(0.5, seed=0)))
    assert (mask(Dropout(0.5)) != mask(Dropout(0.5, seed=1))).any()


def test_same_seed_same_masks_and_every_step_another():
    a, b, other = Dropout(0.5, seed=3), Dropout(0.5, seed=3), Dropout(0.5, seed=4)
    first, second = mask(a), mask(a)
    np.testing.assert_array_equal(mask(b), first)
    np.testing.assert_array_equal(mask(b), second)
    assert (first != second).any() and (mask(other) != first).any()


def test_dropout_neither_reads_nor_moves_numpys_global_generator():
    np.random.seed(0)
    first = mask(Dropout(0.5))
    drawn = np.random.random()
    np.random.seed(1)
    np.testing.assert_array_equal(mask(Dropout(0.5)), first)
    np.random.seed(0)
    assert np.random.random() == drawn


@pytest.mark.parametrize("training, trainable, rate", [
    (False, True, 0.5), (True, False, 0.5), (False, False, 0.5), (True, True, 0.0)])
def test_dropout_is_off_in_inference_when_frozen_and_at_rate_0(training, trainable, rate, rng):
    layer, x, dy = Dropout(rate), array(rng, 6, 7), array(rng, 6, 7)
    layer.trainable = trainable
    assert_same(layer.forward(x, training), x)
    assert_same(layer.backward(dy), dy)
    if rate:  # no dice were thrown: the next mask is the first one
        layer.trainable = True
        np.testing.assert_array_equal(mask(layer), mask(Dropout(rate)))


@pytest.mark.cpu_only
@pytest.mark.parametrize("rate", [1, 1.5, -0.1, np.nan])
def test_rates_outside_0_to_1_are_refused(rate):
    with assert_refused("drop1", repr(rate)):
        Dropout(rate, name="drop1")


def test_spatial_dropout_drops_whole_channels_of_an_image():
    y = mask(SpatialDropout2D(0.4), (60, 3, 5, 50))
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :1, :1], y.shape))
    assert set(np.unique(y)) == {0, 1 / 0.6}
    assert abs((y[:, 0, 0] == 0).mean() - 0.4) < 5 * np.sqrt(0.24 / 3000)  # five sigma


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_gaussian_dropout_has_dropouts_mean_and_variance(rate):
    y = mask(GaussianDropout(rate), (400, 500))
    variance = rate / (1 - rate)
    assert abs(y.mean() - 1) < 5 * np.sqrt(variance / y.size)  # five sigma
    assert abs(y.var() - variance) < 5 * variance * np.sqrt(2 / y.size)


def test_gaussian_noise_is_added_with_its_standard_deviation(rng):
    layer, x, dy = GaussianNoise(0.3), array(rng, 400, 500), array(rng, 400, 500)
    noise = to_cpu(layer.forward(x, training=True)) - to_cpu(x)
    assert abs(noise.mean()) < 5 * 0.3 / np.sqrt(noise.size)
    assert abs(noise.std() - 0.3) < 5 * 0.3 / np.sqrt(2 * noise.size)
    assert_same(layer.backward(dy), dy)


@pytest.mark.parametrize("make", [lambda: SpatialDropout2D(0.5), lambda: GaussianDropout(0.5),
                                  lambda: GaussianNoise(0.5)])
@pytest.mark.parametrize("training, trainable", [(False, True), (True, False)])
def test_noise_is_off_in_inference_and_when_frozen(make, training, trainable, rng):
    layer, x, dy = make(), array(rng, 2, 3, 4, 5), array(rng, 2, 3, 4, 5)
    layer.trainable = trainable
    assert_same(layer.forward(x, training), x)
    assert_same(layer.backward(dy), dy)


def test_each_layer_of_noise_has_its_own_seed():
    for kind in (SpatialDropout2D, GaussianDropout, GaussianNoise):
        a, b, other = kind(0.5, seed=3), kind(0.5, seed=3), kind(0.5, seed=4)
        shape = (6, 2, 3, 20)
        first = mask(a, shape)
        np.testing.assert_array_equal(mask(b, shape), first)
        assert (mask(other, shape) != first).any() and (mask(a, shape) != first).any()


@pytest.mark.cpu_only
@pytest.mark.parametrize("stddev", [-0.1, np.nan, np.inf, "1", None])
def test_a_standard_deviation_that_is_none_is_refused(stddev):
    with assert_refused("noise1, stddev", repr(stddev)):
        GaussianNoise(stddev, name="noise1")
