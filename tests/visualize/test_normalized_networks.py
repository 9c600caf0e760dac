"""The views into a network with batch normalization, other activations and global max pooling."""

import numpy as np
import pytest
from makers import in_float64
from reference import assert_close, numeric_gradient

import minicnn as mc
from minicnn import visualize
from minicnn.visualize.propagation import backward, score_gradient
from minicnn.visualize.target import chosen_layers, maps_layer, score_of


def normalized(*between):
    """Two convolutions, normalized, with numbers of their own."""
    model = mc.Sequential([
        mc.Conv2D(4, 3, use_bias=False, name="c1"), mc.BatchNormalization(name="n1"),
        mc.ReLU(name="r1"), mc.MaxPool2D(2), *between, mc.Conv2D(5, 3, name="c2"),
        mc.BatchNormalization(name="n2"), mc.ReLU(name="r2"), mc.GlobalMaxPool2D(),
        mc.Dense(3), mc.Softmax()], (12, 14, 3), classes=["a", "b", "c"],
        preprocessing=mc.Preprocessing())
    rng = np.random.default_rng(0)
    for layer in model.layers:
        for key, p in layer.params.items():
            if key != "W":
                layer.params[key] = rng.uniform(0.3, 1, p.shape).astype(np.float32)
    return model


def test_maps_are_those_after_the_relu_that_follows_the_normalization():
    assert maps_layer(normalized()) == "r2" and chosen_layers(normalized()) == ["r1", "r2"]
    plain = mc.Sequential([mc.Conv2D(4, 3, name="c"), mc.BatchNormalization(name="n")], (5, 5, 3))
    assert maps_layer(plain) == "c"


@pytest.mark.parametrize("between", [
    (), (mc.PReLU((1, 2)),), (mc.PReLU(),), (mc.LeakyReLU(0.2),), (mc.ELU(),), (mc.Tanh(),)],
    ids=str)
def test_a_gradient_of_a_score_is_the_numeric_one_and_no_parameter_gets_any(between, rng):
    model = in_float64(normalized(*between))
    x = rng.normal(size=(1, 12, 14, 3))
    _, dx = score_gradient(score_of(model, x, 1), x)
    assert_close(dx, numeric_gradient(lambda: float(score_gradient(
        score_of(model, x, 1), x)[0][0]), x), rtol=1e-6)
    layers = model.layers
    model.forward(x)
    backward(layers, np.ones((1, 3)))
    assert all(layer.grads == {} for layer in layers)
    assert set(model["n1"].params) == {"gamma", "beta", "moving_mean", "moving_variance"}


def test_a_normalization_passes_a_deconvnet_as_part_of_its_convolution(rng):
    model = in_float64(normalized())
    norm = model["n1"]
    norm.forward(rng.normal(size=(1, 2, 3, 4)))
    dy = rng.normal(size=(1, 2, 3, 4))
    scale = norm.params["gamma"] / np.sqrt(norm.params["moving_variance"] + norm.epsilon)
    for rule in ("gradient", "deconvnet", "guided"):
        assert_close(backward([norm], dy, rule), dy * scale)


def test_analyses_run_and_leave_the_network_as_it_was(rng):
    model = normalized()
    before = {layer.name: {key: p.copy() for key, p in layer.params.items()}
              for layer in model.layers}
    photo = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    assert np.isfinite(visualize.deconvnet(model, photo).projection).all()
    assert np.isfinite(visualize.grad_cam(model, photo, target=1).values).all()
    assert visualize.feature_maps(model, photo)
    for layer in model.layers:
        assert layer.cache is None
        for key, p in layer.params.items():
            np.testing.assert_array_equal(p, before[layer.name][key])
