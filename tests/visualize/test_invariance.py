"""Shifts, scales and turns against pictures built by hand; distances against norms written out."""

import math

import numpy as np
import pytest
from makers import random_pixels, two_convolutions
from reference import assert_close, assert_refused, assert_same

import minicnn as mc
from minicnn.data import Dataset
from minicnn.visualize import Unit
from minicnn.visualize.features import invariance
from minicnn.visualize.features.invariance import low_and_high, transform

SHAPE = 16, 12, 3  # of two_convolutions


def test_a_shift_moves_rows_down_and_repeats_the_border():
    image = random_pixels(1, *SHAPE)[0]
    down = transform(image, "shift", 3)
    assert_same(down[3:], image[:-3])
    assert_same(down[:3], np.repeat(image[:1], 3, axis=0))
    up = transform(image, "shift", -2)
    assert_same(up[:-2], image[2:])
    assert_same(up[-2:], np.repeat(image[-1:], 2, axis=0))


def test_a_square_turned_by_a_quarter_is_numpys_rot90():
    image = random_pixels(1, *SHAPE)[0][:12]
    for quarters in (1, 2, 3):
        assert_same(transform(image, "rotation", 90 * quarters), np.rot90(image, quarters))


def test_a_ramp_scaled_about_the_centre_becomes_that_much_flatter():
    rows = np.arange(16.0) * 10
    image = np.broadcast_to(rows[:, None, None], (16, 12, 3)).astype(np.uint8)
    expected = [round((i - 7.5) / 1.6 * 10 + 75) for i in range(16)]
    scaled = transform(image, "scale", 1.6)
    for i in range(16):
        assert abs(scaled[i, 4, 1].astype(int) - expected[i]) <= 1
    assert_same(transform(image, "scale", 1), image)
    assert_same(transform(image, "rotation", 0), image)


def test_distances_are_relative_norms_over_all_places_and_maps():
    model, images = two_convolutions(units=3), random_pixels(2, *SHAPE)
    result = invariance(model, images, layers=["conv1", "conv2"], batch_size=5)
    assert result.layers == ["conv1", "conv2"]
    for kind, amounts in result.amounts.items():
        assert result.distances[kind].shape == (2, 2, len(amounts))
        for n, image in enumerate(images):
            a = len(amounts) // 3
            moved = transform(image, kind, amounts[a])
            pair = model.activations(model.to_input(np.stack([image, moved])), ["conv1", "conv2"])
            for row, name in enumerate(["conv1", "conv2"]):
                still, other = pair[name].astype(float)
                up = math.sqrt(sum((x - y) ** 2 for x, y in zip(other.flat, still.flat,
                                                                strict=True)))
                assert result.distances[kind][row, n, a] == pytest.approx(
                    up / math.sqrt(sum(y * y for y in still.flat)), rel=1e-4)
    assert (result.distances["shift"][:, :, result.amounts["shift"] == 0] < 1e-6).all()


def test_p_is_that_of_the_photos_own_class_where_the_network_knows_it():
    model, images = two_convolutions(units=3), random_pixels(2, *SHAPE)
    data = Dataset(list(images), [2, 0], ["a", "b", "c"], ["x", "y"])
    result = invariance(model, data, batch_size=7)
    p = model.predict(model.to_input(images))
    still = result.amounts["scale"].tolist().index(1)
    assert result.measure == "p(class)" and result.targets == ["c", "a"]
    assert_close(result.values["scale"][:, still], np.array([p[0, 2], p[1, 0]]), 1e-5)
    strongest = invariance(model, images)
    assert_close(strongest.values["scale"][:, still], p.max(axis=1), 1e-5)
    asked = invariance(model, images, "b")
    assert_close(asked.values["scale"][:, still], p[:, 1], 1e-5)


@pytest.mark.parametrize("target", [0, 1])
def test_one_sigmoid_gives_the_probability_of_either_class(target):
    model, images = two_convolutions(units=1), random_pixels(2, *SHAPE)
    p = model.predict(model.to_input(images))[:, 0]
    result = invariance(model, images, target)
    still = result.amounts["rotation"].tolist().index(0)
    assert_close(result.values["rotation"][:, still], p if target else 1 - p, 1e-5)


def test_a_network_without_classes_and_a_unit_give_their_score():
    images = random_pixels(1, *SHAPE)
    base = two_convolutions(mc.Flatten(name="flat"))
    for model, target in ((base, None), (two_convolutions(units=3), Unit("conv2", 1))):
        result = invariance(model, images, target)
        assert result.measure == "score"
    y = model.activations(model.to_input(images), ["conv2"])["conv2"][0, ..., 1]
    still = result.amounts["shift"].tolist().index(0)
    assert result.values["shift"][0, still] == pytest.approx(float(y.sum()), rel=1e-5)


def test_layers_left_open_are_the_first_convolution_and_the_last_before_the_head():
    assert low_and_high(two_convolutions(units=3)) == ["conv1", "flat"]
    assert low_and_high(two_convolutions(mc.Flatten(name="flat"))) == ["conv1", "flat"]


def test_the_figure_and_the_text_name_layers_and_measure():
    result = invariance(two_convolutions(units=3), random_pixels(2, *SHAPE))
    figure = result.figure()
    assert [ax.get_ylabel() for ax in figure.axes][3:7:3] == ["relative distance of features",
                                                             "p(class)"]
    assert "conv1" in str(result) and "shift, pixels downward" in str(result)


def test_without_photos_the_four_that_ship_are_taken():
    names = [path.name for path in mc.data.photos().values()]
    assert invariance(two_convolutions(units=3)).photos == names


def test_bad_input_is_refused():
    model = two_convolutions(units=3)
    with assert_refused("at least one photo"):
        invariance(model, [])
    with assert_refused("'con1'", "conv1"):
        invariance(model, random_pixels(2, *SHAPE), layers=["con1"])
    with assert_refused("one layer or more"):
        invariance(model, random_pixels(2, *SHAPE), layers=[])
    with assert_refused("'twist'"):
        transform(random_pixels(2, *SHAPE)[0], "twist", 1)
    model["conv1"].params["W"][:] = 0
    with assert_refused("conv1", "all zero"):
        invariance(model, random_pixels(2, *SHAPE))


def test_features_that_are_not_finite_are_refused():
    model = two_convolutions(units=3)
    model["conv1"].params["b"][0] = np.nan
    with assert_refused("conv1", "finite", "nan"):
        invariance(model, random_pixels(1, *SHAPE))


def test_small_networks_have_shift_0_once():
    shifts = invariance(mc.SmallCNN(3), random_pixels(1, *SHAPE)).amounts["shift"].tolist()
    assert shifts == sorted(set(shifts)) and shifts.count(0) == 1 and 1 in shifts
