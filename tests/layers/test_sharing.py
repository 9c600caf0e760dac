"""Copies that share parameters, and the activation at the end of a network."""

import numpy as np
import pytest
from reference import array, assert_same

from minicnn.layers import Dense, ReLU, Sigmoid, Softmax
from minicnn.layers.sharing import (
    copy_layer,
    copy_layers,
    last_activation,
    without_last_activation,
)
from minicnn.ops import to_cpu

from .cases import built


@pytest.mark.parametrize("activation", [None, "relu"])
def test_a_copy_has_the_same_parameters_and_a_cache_and_gradients_of_its_own(activation, rng):
    layer = built(Dense(4, activation=activation), (3, 5), rng)
    x, dy = array(rng, 3, 5), array(rng, 3, 4)
    y = layer.forward(x)
    (copied,) = copy_layers([layer])
    assert copied is not layer and copied.cache is None and copied.grads == {}
    assert all(copied.params[key] is value for key, value in layer.params.items())
    assert (copied.activation is None) == (activation is None)
    assert copied.activation is not layer.activation or activation is None
    copied.forward(-x)
    copied.backward(dy)
    dx = layer.backward(dy)  # of x, though the copy has seen −x
    again = copy_layer(layer)
    assert_same(again.forward(x), to_cpu(y))
    assert_same(again.backward(dy), to_cpu(dx))
    assert_same(again.grads["W"], to_cpu(layer.grads["W"]))


SOFTMAX, SIGMOID = Softmax(), Sigmoid()


@pytest.mark.cpu_only
@pytest.mark.parametrize("layers, kind, left", [
    ([Dense(3), SOFTMAX], Softmax, 1), ([Dense(1), SIGMOID], Sigmoid, 1),
    ([Dense(3, activation="softmax")], Softmax, 1), ([Dense(1, activation="sigmoid")], Sigmoid, 1),
    ([Dense(3)], None, 1), ([Dense(3, activation="relu")], None, 1), ([Dense(3), ReLU()], None, 2),
    ([SOFTMAX, Dense(3)], None, 2), ([], None, 0)], ids=str)
def test_the_last_activation_is_a_sigmoid_or_softmax_at_the_end(layers, kind, left):
    found = last_activation(layers)
    assert found is None if kind is None else isinstance(found, kind)
    logits = without_last_activation(layers)
    assert len(logits) == left and last_activation(logits) is None
    assert [type(layer) for layer in logits] == [type(layer) for layer in layers[:left]]


def test_without_the_last_activation_the_layers_give_logits_of_the_same_parameters(rng):
    layer = built(Dense(3, activation="softmax"), (4, 5), rng)
    x = array(rng, 4, 5)
    (logits,) = without_last_activation([layer])
    assert logits.params["W"] is layer.params["W"] and layer.activation is not None
    z = to_cpu(logits.forward(x))
    e = np.exp(z)
    np.testing.assert_allclose(to_cpu(layer.forward(x)), e / e.sum(axis=1, keepdims=True), 1e-10)
