"""Photos brought to size as Keras' layer Resizing does it: against real Keras."""

import keras
import numpy as np
import pytest
from makers import random_pixels
from reference import assert_refused

import minicnn as mc
from minicnn.data.keras_resizing import resize_as_keras, visible_box

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
FITS = {"stretch": {}, "crop_to_aspect_ratio": {"crop_to_aspect_ratio": True},
        "pad_to_aspect_ratio": {"pad_to_aspect_ratio": True}}
SIZES = [((30, 45), (40, 30)), ((30, 45), (13, 13)), ((300, 401), (22, 18)), ((17, 13), (5, 29)),
         ((1, 1), (3, 4)), ((2000, 20), (33, 33)), ((8, 8), (8, 8)), ((9, 16), (31, 1))]


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("shape, size", SIZES)
def test_every_fit_gives_the_pixels_of_kerass_layer(shape, size, fit, interpolation):
    pixels = random_pixels(2, *shape, 3)
    layer = keras.layers.Resizing(*size, interpolation=interpolation, **FITS[fit])
    expected = np.asarray(layer(pixels.astype(np.float32)))
    recipe = mc.Preprocessing(fit=fit, interpolation=interpolation)
    for images in (pixels, pixels.astype(np.float32)):
        resized = resize_as_keras(images, size, recipe)
        assert resized.dtype == np.float32
        np.testing.assert_allclose(resized, expected, rtol=1e-6, atol=1e-4)  # of 255


def test_bilinear_weights_the_two_neighbours_by_their_nearness():
    row = np.array([0, 60, 240], np.float32).reshape(1, 1, 3, 1)
    wide = resize_as_keras(row, (1, 6), mc.Preprocessing("GREY", (0,), 1, fit="stretch"))
    np.testing.assert_allclose(wide[0, 0, :, 0], [0, 15, 45, 105, 195, 240])  # by hand


def test_a_colour_photo_of_a_grey_network_becomes_grey_before_it_is_resized():
    photo = random_pixels(1, 20, 30, 3)
    recipe = mc.Preprocessing("GREY", (0,), 1, fit="stretch")
    grey = recipe.as_seen(photo)[..., :1]  # whole pixels, as Pillow's
    expected = np.asarray(keras.layers.Resizing(7, 8)(grey.astype(np.float32)))
    for channel in range(3):
        np.testing.assert_allclose(resize_as_keras(photo, (7, 8), recipe)[..., channel],
                                   expected[..., 0], atol=1e-4)


def test_the_visible_part_of_a_photo_is_the_centre_only_if_it_is_cropped():
    assert visible_box((30, 45), (10, 10), "stretch") == (0, 0, 30, 45)
    assert visible_box((30, 45), (10, 10), "pad_to_aspect_ratio") == (0, 0, 30, 45)
    assert visible_box((30, 45), (10, 10), "crop_to_aspect_ratio") == (0, 7, 30, 37)
    assert visible_box((45, 30), (10, 20), "crop_to_aspect_ratio") == (15, 0, 30, 30)


def test_a_data_set_gives_the_pixels_as_the_recipe_says():
    photos = [random_pixels(30, 45, 3), random_pixels(20, 21)]
    data = mc.data.Dataset(photos, [0, 1], ["a", "b"], ["0", "1"])
    recipe = mc.Preprocessing(fit="stretch")
    layer = keras.layers.Resizing(12, 10)
    colour = [photos[0], np.repeat(photos[1][..., None], 3, -1)]
    expected = [np.asarray(layer(photo[None].astype(np.float32)))[0] for photo in colour]
    np.testing.assert_allclose(data.images([0, 1], (12, 10), 1.0, recipe), expected, atol=1e-4)
    (pixels, _, indices), = mc.data.batches(data, [1, 0], 2, (12, 10), recipe=recipe)
    np.testing.assert_allclose(pixels, expected[::-1], atol=1e-4)
    unreadable = mc.data.UnlabelledImages([photos[0], "no such photo.jpg"])
    pixels = unreadable.images([0, 1], (12, 10), 1.0, recipe)
    np.testing.assert_allclose(pixels[0], expected[0], atol=1e-4)
    assert not pixels[1].any() and list(unreadable.errors) == [1]
    still = mc.data.Augmented(data, mc.data.Augment(False, 0, 0, 0, 0), 1)
    np.testing.assert_array_equal(still.images([0], (12, 10), 1.0, recipe)[0],
                                  np.rint(expected[0]).astype(np.uint8))


@pytest.mark.parametrize("arguments, words", [
    ({"fit": "squash"}, ("fit", "'stretch'", "squash")),
    ({"fit": None}, ("fit", "None")),
    ({"fit": "stretch", "interpolation": "lanczos3"}, ("interpolation", "'nearest'", "lanczos3")),
    ({"interpolation": "nearest"}, ("interpolation", "'crop'", "nearest")),
    ({"fit": "stretch", "crop_fraction": 0.5}, ("crop_fraction", "0.5")),
    ({"channel_order": "grey"}, ("channel_order", "'GREY'", "'grey'"))])
def test_other_ways_to_fit_a_photo_are_refused(arguments, words):
    with assert_refused("Preprocessing", *words):
        mc.Preprocessing(**arguments)


def test_a_recipe_of_minicnns_own_fit_is_saved_as_older_versions_read_it():
    assert "fit" not in mc.Preprocessing().to_dict()
    recipe = mc.Preprocessing(fit="stretch", interpolation="nearest")
    assert mc.Preprocessing(**recipe.to_dict()) == recipe
