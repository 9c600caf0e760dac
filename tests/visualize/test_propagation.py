"""The three rules against Captum, the transposed convolution against its definition."""

import captum.attr as captum
import numpy as np
import pytest
from reference import assert_close, assert_refused, assert_same, unpool
from visualize.twins import both, nchw, nhwc, photo

import minicnn as mc
from minicnn.layers import Conv2D, MaxPool2D, ReLU
from minicnn.layers.activations import ACTIVATIONS
from minicnn.visualize.propagation import backward, score_gradient, through_relu
from minicnn.visualize.target import score_of

pytestmark = pytest.mark.filterwarnings("ignore:Setting (forward|backward|full)")


@pytest.mark.parametrize("rule, theirs, options", [
    ("gradient", captum.Saliency, {"abs": False}), ("deconvnet", captum.Deconvolution, {}),
    ("guided", captum.GuidedBackprop, {})])
@pytest.mark.parametrize("target", range(4))
def test_each_rule_equals_captums(rule, theirs, options, target):
    model, net = both(softmax=True)
    x = photo()[None]
    _, dx = score_gradient(score_of(model, x, target), x, rule)
    expected = nhwc(theirs(net).attribute(nchw(photo()), target=target, **options))
    assert np.abs(expected).max() > 0
    assert_close(dx[0], expected)


def test_the_three_rules_of_a_relu_by_hand():
    relu = ReLU()
    relu.forward(np.array([[-1.0, -1, 2, 2, 0]]))
    dy = np.array([[-3.0, 4, -5, 6, 7]])
    assert through_relu(dy, relu, "gradient").tolist() == [[0, 0, -5, 6, 0]]
    assert through_relu(dy, relu, "deconvnet").tolist() == [[0, 4, 0, 6, 7]]
    assert through_relu(dy, relu, "guided").tolist() == [[0, 0, 0, 6, 0]]
    assert dy.tolist() == [[-3, 4, -5, 6, 7]]


@pytest.mark.parametrize("kernel, strides, padding", [
    (3, 1, "same"), ((2, 3), (3, 2), "valid"), (5, 2, "same"), ((4, 1), (1, 3), (2, 0))])
def test_transposed_convolution_is_the_adjoint_to_1e_12(kernel, strides, padding, rng):
    model = mc.Sequential([Conv2D(6, kernel, strides, padding)], (11, 9, 4))
    conv = model.layers[0]
    conv.params["b"] += 5  # a bias has no part in it
    x = rng.normal(size=(2, 11, 9, 4))
    y = rng.normal(size=(2, *model.shapes()[-1]))
    conv_x = conv.forward(x) - 5
    left, right = np.vdot(conv_x, y), np.vdot(x, backward([conv], y, "deconvnet"))
    assert abs(left - right) <= 1e-12 * np.linalg.norm(conv_x) * np.linalg.norm(y)


@pytest.mark.parametrize("kernel, strides, padding", [
    (2, 2, "valid"), (3, 2, "same"), ((2, 3), (1, 2), "valid")])
def test_unpooling_returns_each_maximum_to_its_place(kernel, strides, padding, rng):
    pool = MaxPool2D(kernel, strides, padding)
    x = rng.permutation(np.arange(1.0, 2 * 7 * 6 * 3 + 1)).reshape(2, 7, 6, 3)  # no ties
    y = pool.forward(x)
    down = backward([pool], y, "deconvnet")
    assert set(x[down != 0]) == set(y.ravel())
    window = pool.window(x.shape)
    assert_same(down, unpool(y, pool.cache[1], x.shape, *window[:3]))


def test_unpooling_by_hand():
    pool = MaxPool2D(2)
    pool.forward(np.array([[1.0, 2, 0, 0], [4, 3, 0, 9]])[None, :, :, None])
    down = backward([pool], np.array([[[[7.0], [8]]]]))
    assert down[0, :, :, 0].tolist() == [[0, 0, 0, 0], [7, 0, 0, 8]]


def test_no_gradient_of_a_parameter_is_computed():
    model, _ = both()
    score = score_of(model, photo()[None], 0)
    score_gradient(score, photo()[None])
    assert [layer.grads for layer in [*score.layers, *model.layers] if layer.grads] == []


def test_another_rule_is_refused():
    with assert_refused("gradient, deconvnet, guided", "'lrp'"):
        backward([], np.zeros((1, 2)), "lrp")


@pytest.mark.parametrize("rule", ["gradient", "deconvnet", "guided"])
def test_an_activation_within_a_layer_counts_as_one_behind_it(rule, rng):
    x, dy = rng.normal(size=(2, 5)), rng.normal(size=(2, 3))
    for kind in ("relu", "sigmoid", "softmax"):
        apart = mc.Sequential([mc.Dense(3), ACTIVATIONS[kind]()], (5,)).layers
        within = mc.Sequential([mc.Dense(3, activation=kind)], (5,)).layers
        for layers in (apart, within):
            y = x
            for layer in layers:
                y = layer.forward(y)
        assert_same(backward(within, dy, rule), backward(apart, dy, rule))
