"""What a layer's types promise: dx is an array, or its absence is an error that says where."""

import numpy as np
import pytest
from reference import assert_refused

import minicnn as mc
from minicnn.layers import BatchNormalization, Conv2D, Dense, Layer, ReLU
from minicnn.training.locate_nan import locate_nan
from minicnn.visualize.propagation import backward


class WithoutDx(Layer):
    """A layer whose backward forgets to return dx."""

    def forward(self, x, training=False, keep=True):
        return x

    def backward(self, dy):
        self.dy = dy


def network(*layers):
    model = mc.Sequential(layers, (4,))
    x = np.ones((2, 4), np.float32)
    return model, x, model.forward(x, training=True)


def test_a_layer_without_dx_is_named_where_a_layer_below_needs_it():
    model, _, y = network(Dense(4), WithoutDx(name="mine"), Dense(3))
    for input_gradient in (True, False):
        with assert_refused("mine", "dx", "needs_dx"):
            model.backward(y, input_gradient)


def test_a_layer_without_dx_may_be_the_lowest_of_a_training_step():
    model, _, y = network(WithoutDx(name="mine"), Dense(3))
    assert model.backward(y, input_gradient=False) is None
    with assert_refused("mine", "dx", "needs_dx"):
        model.backward(y)


def test_the_way_down_to_the_pixels_and_to_a_nan_name_it_too():
    model, x, y = network(WithoutDx(name="mine"), Dense(3))
    with assert_refused("mine", "dx", "needs_dx"):
        backward(model.layers, y)
    loss = mc.losses.MeanSquaredError()
    with assert_refused("mine", "dx", "needs_dx"):
        locate_nan(model, x, np.zeros((2, 3), np.float32), loss, training=True)


def test_an_activation_without_dx_is_named():
    dense = Dense(3, activation="sigmoid")
    dense.activation = WithoutDx(name="mine")
    dense.build((4,), np.random.default_rng(0))
    y = dense.forward(np.ones((2, 4)))
    with assert_refused("mine", "dx", "needs_dx"):
        dense.backward(y)


@pytest.mark.parametrize("layer, shape, expected", [
    (Dense(3), (4,), {"b": 0}),
    (Conv2D(3, 2), (4, 4, 2), {"b": 0}),
    (BatchNormalization(), (4, 4, 2),
     {"gamma": 1, "beta": 0, "moving_mean": 0, "moving_variance": 1}),
])
@pytest.mark.parametrize("seed", [0, None])
def test_vectors_begin_at_the_number_that_the_layer_names(layer, shape, expected, seed):
    layer.params = {}
    layer.build(shape, None if seed is None else np.random.default_rng(seed))
    for key, value in expected.items():
        assert layer.params[key].dtype == np.float32
        assert (layer.params[key] == value).all(), key
    if "W" in layer.params:
        assert layer.params["W"].any() == (seed is not None)


def test_a_layer_of_a_readers_own_names_the_start_of_its_scale():
    class Scale(ReLU):
        def param_shapes(self, input_shape):
            return {"scale": input_shape[-1:], "b": input_shape[-1:]}

        def initializer(self, key, shape):
            return "ones" if key == "scale" else super().initializer(key, shape)

    layer = Scale()
    layer.build((5, 3), np.random.default_rng(0))
    assert layer.params["scale"].tolist() == [1, 1, 1] and layer.params["b"].tolist() == [0, 0, 0]
