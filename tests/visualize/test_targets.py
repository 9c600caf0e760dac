"""Every kind of target, its sign, and what is refused."""

import numpy as np
import pytest
from reference import assert_close, assert_refused, assert_same
from visualize.twins import both, photo

import minicnn as mc
from minicnn.visualize.propagation import score_gradient
from minicnn.visualize.target import (
    Unit,
    as_rgb,
    check_unit,
    chosen_layers,
    has_classes,
    layer_index,
    maps_layer,
    photo_input,
    score_of,
    to_pixels,
)


def value_and_gradient(model, target):
    x = photo()[None]
    S, dx = score_gradient(score_of(model, x, target), x)
    return S[0], dx


def sigmoid_net(activation_inside):
    head = [mc.Dense(1, "sigmoid")] if activation_inside else [mc.Dense(1), mc.Sigmoid()]
    return mc.Sequential([mc.Conv2D(4, 3, activation="relu"), mc.Flatten(), *head], (12, 10, 3),
                         classes=["cirrus", "cumulus"])


@pytest.mark.parametrize("softmax", [False, True])
def test_a_class_is_the_logit_and_not_the_probability(softmax):
    model, net = both(softmax=softmax)
    logits = model.layers[:-1] if softmax else model.layers
    z = photo()[None]
    for layer in logits:
        z = layer.forward(z)
    for k in range(4):
        assert_close(np.array(value_and_gradient(model, k)[0]), z[0, k])
    assert score_of(model, photo()[None]).unit == z[0].argmax()


@pytest.mark.parametrize("inside", [False, True])
def test_one_sigmoid_output_has_two_classes_of_exactly_opposite_sign(inside):
    model = sigmoid_net(inside)
    zero, one = (value_and_gradient(model, k) for k in (0, 1))
    assert_same(zero[1], -one[1])
    p = float(model.forward(photo()[None])[0, 0])
    assert one[0] == pytest.approx(np.log(p / (1 - p)))
    assert zero[0] == -one[0] and np.abs(one[1]).max() > 0
    assert score_of(model, photo()[None]).unit == int(p > 0.5)
    assert score_of(model, photo()[None], "cirrus").unit == 0
    assert score_of(model, photo()[None], 1).name == "cumulus"


def test_a_unit_a_map_and_a_place_of_it_are_read_off_the_layer():
    model, _ = both()
    x = photo()[None]
    maps = model.activations(x, ["conv2", "dense"])
    assert_close(np.array(value_and_gradient(model, Unit("dense", 2))[0]), maps["dense"][0, 2])
    assert_close(np.array(value_and_gradient(model, Unit("conv2", 3))[0]),
                 maps["conv2"][0, :, :, 3].sum())
    assert_close(np.array(value_and_gradient(model, Unit("conv2", 3, (4, 1)))[0]),
                 maps["conv2"][0, 4, 1, 3])
    strongest = score_of(model, x, Unit())
    assert strongest.layer == "conv2"
    assert strongest.unit == maps["conv2"][0].sum(axis=(0, 1)).argmax()


def test_without_classes_the_strongest_map_is_the_target():
    model = mc.Sequential([mc.Conv2D(4, 3, activation="relu", name="c"), mc.MaxPool2D(2)],
                          (12, 10, 3))
    assert score_of(model, photo()[None]).layer == "c"
    with assert_refused("no classes", "1"):
        score_of(model, photo()[None], 1)


def test_what_does_not_exist_is_refused_with_the_range_and_the_nearest_names():
    model, _ = both()
    x = photo()[None]
    with assert_refused("'con1'", "conv1"):
        layer_index(model, "con1")
    with assert_refused("0 to 5", "6"):
        check_unit(model, "conv2", 6)
    for unit in (-1, 1.5, True):
        with assert_refused("0 to 5"):
            score_of(model, x, Unit("conv2", unit))
    for target in (4, -1, 1.0, True):
        with assert_refused("0 to 3", repr(target)):
            score_of(model, x, target)
    for place in ((6, 0), (0, 5), (-1, 0), (1,)):
        with assert_refused("(6, 5)", repr(place)):
            score_of(model, x, Unit("conv2", 0, place))
    with assert_refused("position"):
        score_of(model, x, Unit("dense", 0, (0, 0)))
    with assert_refused("'cumolus'", "Nearest: cumulus"):
        score_of(sigmoid_net(True), x, "cumolus")


def test_a_network_without_convolution_is_refused():
    model = mc.Sequential([mc.Flatten(), mc.Dense(2), mc.Softmax()], (12, 10, 3))
    with assert_refused("convolution", "Flatten, Dense, Softmax"):
        maps_layer(model)


@pytest.mark.parametrize("target", [None, 1, Unit("conv1"), Unit("conv2", 3, (0, 0))])
def test_looking_leaves_a_training_step_undisturbed(target):
    model, _ = both(softmax=True)
    model.backward(model.forward(np.random.default_rng(9).normal(size=(2, 12, 10, 3))))
    inner = [part for layer in model.layers
             for part in (layer, getattr(layer, "activation", None)) if part is not None]
    before = [(part.cache, dict(part.grads), dict(part.params)) for part in inner]
    value_and_gradient(model, target)
    for part, (cache, grads, params) in zip(inner, before, strict=True):
        assert part.cache is cache
        assert part.grads.keys() == grads.keys() and part.params.keys() == params.keys()
        assert all(part.grads[key] is grads[key] for key in grads)
        assert all(part.params[key] is params[key] for key in params)
    assert model.layers[-1].name.startswith("softmax")


def test_pixels_and_network_input_lead_back_to_each_other():
    model = mc.VGG16(include_top=False, weights=None, input_shape=(32, 32, 3))
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    shown, x = photo_input(model, pixels)
    assert_same(shown, pixels)
    assert_same(to_pixels(model, x[0]), pixels)
    assert_same(photo_input(model, x[0])[0], pixels)
    assert_same(as_rgb(model, x)[0, ..., 0], x[0, ..., 2])  # x is BGR
    assert photo_input(model, np.zeros((50, 70, 3), np.uint8))[0].shape == (32, 32, 3)


def test_a_photo_of_nan_and_one_of_another_size_are_refused():
    model, _ = both()
    bad = photo()
    bad[0, 0, 0] = np.nan
    with assert_refused("finite", "1 that"):
        photo_input(model, bad)
    with assert_refused("(1, 11, 10, 3)"):
        photo_input(model, photo()[1:])


@pytest.mark.parametrize("head, expected", [
    ([mc.GlobalAveragePool2D()], False), ([mc.GlobalAveragePool2D(), mc.Softmax()], True),
    ([mc.Flatten(), mc.Dense(3)], True), ([mc.Flatten(), mc.Dense(3), mc.Dropout(0.5)], True),
    ([mc.Flatten(), mc.Dense(3, activation="relu"), mc.Dropout(0.5)], False),
    ([mc.Flatten(), mc.Dense(3), mc.ReLU()], False),
    ([mc.Flatten(), mc.Dense(1, activation="sigmoid")], True), ([], False)])
def test_only_a_vector_of_logits_has_classes(head, expected):
    model = mc.Sequential([mc.Conv2D(3, 3, activation="relu"), *head], (6, 6, 3))
    assert has_classes(model) is expected
    named = mc.Sequential([mc.Conv2D(3, 3), mc.GlobalAveragePool2D()], (6, 6, 3), classes="abc")
    assert has_classes(named)


def test_a_relu_of_its_own_belongs_to_its_convolution():
    model = mc.Sequential([mc.Conv2D(3, 3, name="a"), mc.ReLU(name="r"), mc.MaxPool2D(2),
                           mc.Conv2D(3, 3, name="b"), mc.ReLU(name="s")], (12, 12, 3))
    assert maps_layer(model) == "s" and chosen_layers(model) == ["r", "s"]


@pytest.mark.parametrize("target, words", [(Unit(None, 0, 3), ["position", "3"]),
                                           (Unit(7, 0), ["name of a layer", "7"])])
def test_positions_and_layers_of_another_kind_are_refused(target, words):
    model = mc.Sequential([mc.Conv2D(3, 3)], (6, 6, 3))
    with assert_refused(*words):
        score_of(model, np.zeros((1, 6, 6, 3), np.float32), target)
