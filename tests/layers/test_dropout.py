"""Dropout: its own dice, the right odds, off where it should be."""

import numpy as np
import pytest
from reference import array, assert_close, assert_refused, assert_same, on_device

from minicnn.layers import Dropout
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
