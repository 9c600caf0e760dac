"""Starting values: the variance that Glorot & Bengio 2010 and He et al. 2015 ask for."""

import numpy as np
import pytest
import torch
from reference import array, assert_refused

from minicnn.initializers import fans, initialize
from minicnn.layers import Conv2D, Dense

SHAPE, FAN_IN, FAN_OUT = (3, 5, 40, 70), 3 * 5 * 40, 3 * 5 * 70
VARIANCES = {"glorot": 2 / (FAN_IN + FAN_OUT), "he": 2 / FAN_IN}


@pytest.mark.parametrize("family", VARIANCES)
@pytest.mark.parametrize("distribution", ["uniform", "normal"])
def test_mean_variance_and_shape_of_the_distribution(family, distribution, rng):
    W = initialize(f"{family}_{distribution}", SHAPE, rng)
    deviation = np.sqrt(VARIANCES[family])
    assert W.shape == SHAPE and W.dtype == np.float32
    assert abs(W.mean()) < 5 * deviation / np.sqrt(W.size)  # five sigma
    kurtosis = {"uniform": 1.8, "normal": 3.0}[distribution]
    assert abs(W.var() / deviation**2 - 1) < 5 * np.sqrt((kurtosis - 1) / W.size)
    assert abs((W**4).mean() / W.var() ** 2 / kurtosis - 1) < 0.1
    if distribution == "uniform":
        assert 0.99 * np.sqrt(3) < np.abs(W).max() / deviation <= np.sqrt(3) * (1 + 1e-6)


@pytest.mark.parametrize("shape", [(7, 5), (3, 2, 4, 6)])
def test_fans_are_pytorchs(shape):
    swapped = np.moveaxis(np.zeros(shape), (-1, -2), (0, 1)).copy()  # (F, C, KH, KW)
    assert fans(shape) == torch.nn.init._calculate_fan_in_and_fan_out(torch.tensor(swapped))


def test_glorot_keeps_the_variance_and_he_keeps_it_through_a_relu(rng):
    x = array(rng, 2000, 300)
    W = initialize("glorot_normal", (300, 300), rng)
    assert (x @ W).var() == pytest.approx(1, rel=0.05)
    W = initialize("he_uniform", (300, 300), rng)
    assert (np.maximum(x @ W, 0) ** 2).mean() == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("layer", [Conv2D(4, 3), Dense(4)])
def test_layers_start_with_glorot_uniform_and_no_bias(layer):
    shape = (5, 6, 2) if isinstance(layer, Conv2D) else (9,)
    layer.build(shape, np.random.default_rng(1))
    W = layer.params["W"]
    expected = initialize("glorot_uniform", W.shape, np.random.default_rng(1))
    np.testing.assert_array_equal(W, expected)
    assert W.any() and not layer.params["b"].any()


def test_without_a_generator_all_is_zero(rng):
    assert not initialize("he_normal", (3, 4), None).any()
    assert not initialize("zeros", (3, 4), rng).any()


def test_an_unknown_name_is_refused(rng):
    with assert_refused("initializer", "'he'", "he_normal"):
        initialize("he", (3, 4), rng)
    with assert_refused("'xavier'", "glorot_uniform"):
        Dense(3, kernel_initializer="xavier").build((4,), rng)
