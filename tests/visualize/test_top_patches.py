"""The strongest patches of a unit against a search of every place of every photo, one by one."""

import numpy as np
import pytest
from makers import random_pixels, two_convolutions
from reference import assert_close, assert_refused, assert_same

import minicnn as mc
from minicnn.preprocessing import Preprocessing
from minicnn.visualize.features import deconvnet
from minicnn.visualize.features.top_patches import mosaic, top_patches

SHAPE = 26, 22, 3
RECIPE = Preprocessing("BGR", (100.0, 110.0, 120.0), 1.0)


def zero_sum(model):
    """With kernels that each sum to 0, so that every map has both signs before its ReLU."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if layer.params:
            W = rng.normal(size=layer.params["W"].shape).astype(np.float32)
            layer.params["W"] = W - W.mean(axis=tuple(range(W.ndim - 1)))
    return model


def with_logits():
    return zero_sum(two_convolutions(units=4, filters=(5, 6), shape=SHAPE, preprocessing=RECIPE))


def of_layers(name, shape=SHAPE):
    return zero_sum(mc.Sequential(NETWORKS[name], shape, preprocessing=RECIPE))


def strongest(model, pictures, layer, unit, n):
    """[(activation, photo, row, column)], by looking at every place."""
    best = []
    for m, pixels in enumerate(pictures):
        y = model.activations(model.to_input(pixels[None]), [layer])[layer][0, ..., unit]
        places = [(float(y[i, j]), m, i, j) for i, j in np.ndindex(y.shape)]
        best.append(max(places, key=lambda place: place[0]))
    return sorted((b for b in best if b[0] > 0), key=lambda b: -b[0])[:n]


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_the_strongest_places_are_those_of_a_search_everywhere(batch_size):
    model, pictures = with_logits(), random_pixels(7, *SHAPE)
    result = top_patches(model, pictures, "conv2", [4, 0], n=3, batch_size=batch_size)
    assert result.units.tolist() == [4, 0]
    for u, unit in enumerate([4, 0]):
        expected = strongest(model, pictures, "conv2", unit, 3)
        assert len(expected) == 3
        assert result.photos[u].tolist() == [m for _, m, _, _ in expected]
        assert result.positions[u].tolist() == [[i, j] for _, _, i, j in expected]
        assert_close(result.activations[u], np.array([a for a, *_ in expected]), 1e-5)


NETWORKS = {
    "same and pooling": [mc.Conv2D(4, 3, padding="same", activation="relu"), mc.MaxPool2D(2),
                         mc.Conv2D(5, 3, padding="same", activation="relu", name="last")],
    "strides that leave a rest": [mc.Conv2D(4, 3, 2, "same", "relu"),
                                  mc.Conv2D(5, (3, 2), (2, 3), "same", "relu", name="last")],
    "padding by numbers, two poolings": [
        mc.Conv2D(4, 3, 1, (2, 1), "relu"), mc.MaxPool2D(3, 2), mc.Conv2D(4, 2, activation="relu"),
        mc.AveragePool2D(2, 1, "same"), mc.Conv2D(5, 1, name="last"), mc.ReLU(name="relu")],
    "seen as a whole": [mc.Conv2D(4, 3, 2, "same", "relu"), mc.MaxPool2D(2),
                        mc.Conv2D(4, 3, padding="same", activation="relu"), mc.MaxPool2D(2),
                        mc.Conv2D(5, 3, padding="same", activation="relu", name="last")],
}


def hidden(first, last, size, side):
    """How many rows of a patch of `side` lie above the photo, when it shows [first, last)."""
    if side == size:
        return first  # the photo itself
    return side - (last - first) if first == 0 and last < side else 0


@pytest.mark.parametrize("name", NETWORKS)
def test_each_projection_is_the_deconvnet_of_that_place_in_the_whole_photo(name):
    """top_patches cuts its photos to what the unit sees; deconvnet takes them whole."""
    model, pictures = of_layers(name), random_pixels(12, *SHAPE)
    layer = model.layers[-1].name
    result = top_patches(model, pictures, layer, maps=5, n=9)
    assert (result.photos >= 0).sum() > 20
    h, w = result.patches.shape[2:4]
    for u, r in np.argwhere(result.photos >= 0):
        picture, position = pictures[result.photos[u, r]], tuple(result.positions[u, r])
        alone = deconvnet(model, picture, layer, int(result.units[u]), position)
        top, left, bottom, right = alone.box
        assert result.boxes[u, r].tolist() == [top, left, bottom, right]
        row = hidden(top, bottom, 26, h)
        column = hidden(left, right, 22, w)
        inside = np.s_[row:row + bottom - top, column:column + right - left]
        assert_same(result.patches[u, r][inside], picture[top:bottom, left:right])
        assert_close(result.projections[u, r][inside],
                     alone.projection[top:bottom, left:right], 1e-4)
        outside = np.ones((h, w), bool)
        outside[inside] = False
        assert (result.patches[u, r][outside] == 128).all()
        assert (result.projections[u, r][outside] == 0).all()


def test_a_spot_gives_the_patch_around_it_and_grey_beyond_the_border():
    model = mc.Sequential([mc.Conv2D(2, 3, padding="same", activation="relu", name="c")], (8, 9, 3))
    W = np.zeros((3, 3, 3, 2), np.float32)
    W[1, 1, 0, 0] = 1  # map 0: the red of the place itself; map 1: nothing
    model["c"].params["W"] = W
    model.preprocessing = Preprocessing("RGB", (0, 0, 0), 1.0)
    pictures = np.zeros((3, 8, 9, 3), np.uint8)
    pictures[0, 4, 5, 0], pictures[1, 0, 8, 0] = 50, 200
    result = top_patches(model, pictures, units=[0, 1], n=3)
    assert result.photos.tolist() == [[1, 0, -1], [-1, -1, -1]]
    assert result.activations[0].tolist() == [200, 50, 0]
    assert result.boxes[0, :2].tolist() == [[0, 7, 2, 9], [3, 4, 6, 7]]
    expected = np.full((2, 3, 3, 3), 128)
    expected[0, 1:, :2], expected[1] = 0, 0
    expected[0, 1, 1], expected[1, 1, 1] = (200, 0, 0), (50, 0, 0)
    assert_same(result.patches[0, :2], expected)
    for r, value in enumerate([200, 50]):
        spot = np.zeros((3, 3, 3))
        spot[1, 1, 0] = value
        assert_same(result.projections[0, r], spot)
    assert (result.patches[:, 2] == 128).all() and not result.projections[:, 2].any()
    assert "map 1: zero" in str(result)
    assert "map 0: photo 1 (200), photo 0 (50)" in str(result)
    titles = [part.get_suptitle() for part in result.figure().subfigs]
    assert "zero" in titles[1] and "zero" not in titles[0]


def test_units_left_open_are_those_of_the_largest_mean_of_their_n_strongest():
    model, pictures = with_logits(), random_pixels(7, *SHAPE)
    means = [sum(a for a, *_ in strongest(model, pictures, "conv2", k, 2)) / 2 for k in range(6)]
    expected = sorted(range(6), key=lambda k: -means[k])
    assert top_patches(model, pictures, n=2, maps=3).units.tolist() == expected[:3]
    assert top_patches(model, pictures, n=2, maps=99).units.tolist() == expected


def test_a_unit_of_a_dense_layer_is_its_logit_and_sees_the_whole_photo():
    model, pictures = with_logits(), random_pixels(7, *SHAPE)
    result = top_patches(model, pictures, "logits", [2], n=2)
    logits = model.activations(model.to_input(pictures), ["logits"])["logits"][:, 2]
    order = np.argsort(-logits)[:(logits > 0).sum()][:2]
    assert len(order) > 0
    assert result.photos[0].tolist()[:len(order)] == order.tolist()
    assert_same(result.patches[0, 0], pictures[order[0]])
    assert result.boxes[0, 0].tolist() == [0, 0, 26, 22]
    assert "sees the whole photo" in str(result)


def test_a_photo_smaller_than_the_receptive_field_works_and_the_text_says_so():
    model = of_layers("seen as a whole", (12, 10, 3))
    result = top_patches(model, random_pixels(4, 12, 10, 3), n=2)
    assert result.patches.shape[2:4] == (12, 10)
    assert "sees the whole photo" in str(result) and "12 × 10" in str(result)
    partly = top_patches(with_logits(), random_pixels(7, *SHAPE), "conv1", n=2)
    assert "whole" not in str(partly) and "3 × 3" in str(partly)


def test_progress_counts_photos_then_patches_and_the_model_is_left_as_it_was():
    model, pictures = with_logits(), random_pixels(7, *SHAPE)
    y = model.forward(model.to_input(pictures[:2]))
    dx = model.backward(np.ones_like(y))
    model.forward(model.to_input(pictures[:2]))
    before, calls = pictures.copy(), []
    top_patches(model, pictures, "conv2", [0], n=3, batch_size=2,
                progress=lambda done, total: calls.append((done, total)))
    assert_same(model.backward(np.ones_like(y)), dx)
    assert_same(pictures, before)
    assert calls[0] == (2, 10) and calls[-1] == (10, 10)
    assert calls == sorted(calls)


def test_without_projections_there_are_none_and_the_numbers_are_the_same():
    model, pictures = with_logits(), random_pixels(7, *SHAPE)
    result, full = (top_patches(model, pictures, n=4, projections=p) for p in (False, True))
    assert result.projections is None
    assert_same(result.patches, full.patches)
    assert_same(result.activations, full.activations)
    assert all(len(part.axes) == 1 for part in result.figure().subfigs)
    assert "projections" not in result.numbers() and "patches" in result.numbers()


def test_a_mosaic_keeps_each_picture_and_parts_them_by_white():
    sheet = mosaic(np.arange(3, dtype=np.uint8).repeat(2 * 4 * 3).reshape(3, 2, 4, 3), 2)
    rows = ["0000w1111", "0000w1111", "wwwwwwwww", "2222wwwww", "2222wwwww"]
    expected = [[255 if sign == "w" else int(sign) for sign in row] for row in rows]
    assert_same(sheet, np.repeat(np.array(expected)[..., None], 3, axis=-1))


def test_bad_input_is_refused():
    model, pictures = with_logits(), random_pixels(7, *SHAPE)
    for keywords, words in [
            ({"layer": "conv9"}, ("'conv9'", "conv2")), ({"units": [6]}, ("0 to 5", "6")),
            ({"units": []}, ("at least one unit",)), ({"n": 0}, ("n", "at least 1")),
            ({"maps": 0}, ("maps",))]:
        with assert_refused(*words):
            top_patches(model, pictures, **keywords)
    with assert_refused("at least one photo"):
        top_patches(model, [])
    flat = mc.Sequential([mc.Flatten(), mc.Dense(2)], (26, 22, 3), preprocessing=RECIPE)
    with assert_refused("convolution"):
        top_patches(flat, pictures)
    model["conv1"].params["b"][1] = np.nan
    with assert_refused("finite activations", "conv2"):
        top_patches(model, pictures)
