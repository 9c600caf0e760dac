"""One activation down to the pixels; the receptive field against the gradient's support."""

import itertools

import numpy as np
import pytest
from reference import assert_close, assert_refused
from visualize.twins import both, photo

import minicnn as mc
from minicnn.visualize import Unit, receptive_box
from minicnn.visualize.features import deconvnet
from minicnn.visualize.propagation import score_gradient
from minicnn.visualize.target import score_of


def test_a_linear_stage_projects_the_kernel_times_the_activation(rng):
    model = mc.Sequential([mc.Conv2D(2, 3, 2, name="c")], (7, 7, 3))
    W = model["c"].params["W"] = rng.normal(size=(3, 3, 3, 2))
    x = rng.normal(size=(7, 7, 3))
    a = (x[2:5, 4:7] * W[..., 1]).sum()  # place (1, 2): rows from 1 · 2, columns from 2 · 2
    result = deconvnet(model, x, "c", 1, (1, 2))
    expected = np.zeros((7, 7, 3))
    expected[2:5, 4:7] = a * W[..., 1]
    assert_close(result.projection, expected)
    assert result.activation == pytest.approx(a)
    assert result.box == (2, 4, 5, 7)


def test_what_is_left_open_is_the_strongest_map_of_the_last_convolution_at_its_maximum():
    model, _ = both()
    maps = model.activations(photo()[None], ["conv2"])["conv2"][0]
    unit = int(maps.sum(axis=(0, 1)).argmax())
    result = deconvnet(model, photo())
    assert (result.layer, result.unit) == ("conv2", unit)
    assert result.activation == maps[..., unit].max() == maps[(*result.position, unit)]
    assert "conv2" in str(result)
    assert len(result.figure().axes) >= 3


def test_below_a_pooling_the_signal_takes_the_switches_and_the_relu_rule(rng):
    model = mc.Sequential([mc.Conv2D(2, 1, activation="relu", name="c"), mc.MaxPool2D(2),
                           mc.Conv2D(1, 1, name="d")], (4, 4, 1))
    model["c"].params["W"] = np.array([1.0, -1]).reshape(1, 1, 1, 2)
    model["d"].params["W"] = np.array([2.0, -3]).reshape(1, 1, 2, 1)
    x = rng.permutation(np.arange(1.0, 17)).reshape(4, 4, 1)
    top = x[:2, :2, 0].max()
    expected = np.where((x == top), 2 * top * 2, 0)  # a = 2 · top; the map with W < 0 is cut off
    assert_close(deconvnet(model, x, "d", 0, (0, 0)).projection, expected)


NETWORKS = {
    "same, strides 1 and 2": [mc.Conv2D(4, 3, padding="same"), mc.Conv2D(4, 3, 2, "same")],
    "odd strides": [mc.Conv2D(4, (3, 2), (3, 1)), mc.Conv2D(4, 2, (1, 3))],
    "overlapping average pooling": [mc.Conv2D(4, 3), mc.AveragePool2D(3, 2, "same"),
                                    mc.Conv2D(3, 2)],
    "padding by numbers": [mc.Conv2D(4, 5, 2, (2, 1)), mc.AveragePool2D(2, 1),
                           mc.Conv2D(4, (1, 3), padding="same")],
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_box_is_the_support_of_the_gradient(name, rng):
    shape = (17, 14, 2)
    model = mc.Sequential(NETWORKS[name], shape)
    x = rng.normal(size=(1, *shape))
    for depth, layer in enumerate(model.layers):
        layer.params = {key: np.abs(rng.normal(size=p.shape)) + 0.1  # no terms that cancel
                        for key, p in layer.params.items()}
        H, Wd, _ = model.shapes()[depth + 1]
        rows, columns = {0, H // 2, H - 1}, {0, Wd // 2, Wd - 1}
        for place in itertools.product(rows, columns):
            _, dx = score_gradient(score_of(model, x, Unit(layer.name, 0, place)), x)
            seen = np.argwhere(dx[0].any(axis=-1))
            expected = (*seen.min(axis=0), *(seen.max(axis=0) + 1))
            assert receptive_box(model, layer.name, place) == expected


def test_overlapping_max_pooling_sees_what_any_photo_can_send_through_it(rng):
    model = mc.Sequential([mc.Conv2D(3, 3, padding="same"), mc.MaxPool2D(3, 2), mc.Conv2D(2, 2)],
                          (13, 11, 2))
    name = model.layers[-1].name
    for place in [(0, 0), (2, 1), (4, 3)]:
        support = np.zeros((13, 11), bool)
        for _ in range(60):  # a photo each: its switches choose one way out of many
            x = rng.normal(size=(1, 13, 11, 2))
            _, dx = score_gradient(score_of(model, x, Unit(name, 0, place)), x)
            support |= dx[0].any(axis=-1)
        seen = np.argwhere(support)
        assert receptive_box(model, name, place) == (*seen.min(axis=0), *(seen.max(axis=0) + 1))


def test_what_sees_the_whole_photo_has_the_photo_as_its_box():
    model = mc.Sequential([mc.Conv2D(4, 3), mc.GlobalAveragePool2D(name="mean")], (12, 10, 3))
    assert receptive_box(model, "mean", (0, 0)) == (0, 0, 12, 10)


def test_bad_input_is_refused():
    model, _ = both()
    for arguments, words in [(("con2",), ("'con2'", "conv2")), (("conv2", 6), ("0 to 5",)),
                             (("conv2", 0, (6, 0)), ("(6, 5)", "(6, 0)")),
                             (("dense",), ("feature maps",))]:
        with assert_refused(*words):
            deconvnet(model, photo(), *arguments)
    flat = mc.Sequential([mc.Flatten(), mc.Dense(2)], (12, 10, 3))
    with assert_refused("convolution"):
        deconvnet(flat, photo())
