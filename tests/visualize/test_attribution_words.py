"""What an attribution says of itself: which score, which values, which pixels, which warning."""

import numpy as np
import pytest
from makers import random_pixels

import minicnn as mc
from minicnn.visualize import grad_cam, gradient, guided_backprop
from minicnn.visualize.attribution import cam
from minicnn.visualize.target import Unit


def network(head):
    return mc.SmallCNN(10).replace_head(head)


@pytest.fixture
def photo():
    return random_pixels(1, 28, 28, 3)[0]


@pytest.mark.parametrize("head, target, words", [
    ([mc.Dense(3), mc.Softmax()], 1, "(logit, before softmax)"),
    ([mc.Dense(1), mc.Sigmoid()], 0, "(logit, before sigmoid)"),
    ([mc.Dense(3, activation="softmax")], 2, "(logit, before softmax)"),
    ([mc.Dense(3)], 1, ""), ([mc.Dense(3), mc.Softmax()], Unit(None, 2), "")])
def test_the_score_of_a_class_is_called_a_logit_if_an_activation_was_left_out(head, target, words,
                                                                              photo):
    model = network(head)
    for method in (gradient, guided_backprop):
        result = method(model, photo, target)
        line = str(result).split("\n")[0]
        assert (words in line) if words else ("logit" not in line)
    title = gradient(model, photo, target).figure().get_suptitle()
    assert title.endswith(words) if words else "logit" not in title


def test_the_strongest_pixel_is_one_of_what_the_network_sees(photo):
    large = np.repeat(np.repeat(photo, 4, axis=0), 4, axis=1)
    result = gradient(network([mc.Dense(2), mc.Softmax()]), large, 0, sign="both")
    i, j = np.unravel_index(np.abs(result.heat()).argmax(), (28, 28))
    assert f"strongest at row {i}, column {j} of the 28 × 28 pixels that the network" in str(result)
    assert "; values from " in str(result)


def test_a_warning_is_apart_from_what_was_computed_and_stands_in_the_figure(photo):
    model = network([mc.Flatten(), mc.Dense(2), mc.Softmax()])
    layer = model.layers[[type(one).__name__ for one in model.layers].index("Conv2D")].name
    result = grad_cam(model, photo, 0, layer=layer)
    assert result.note == f"layer {layer}" and result.warning == cam.MEAN_WARNING
    assert {result.note, *result.warning.split("\n")} <= set(str(result).split("\n"))
    assert result.figure().get_supxlabel() == f"{result.note}\n{result.warning}"
    assert not gradient(model, photo, 0).warning
