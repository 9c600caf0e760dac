"""Recipes: grey ones too, that fit their network; and floats that are pixels after all."""

import warnings

import numpy as np
import pytest
from makers import classifier, random_pixels
from PIL import Image
from reference import assert_refused

import minicnn as mc
from minicnn.data import Dataset
from minicnn.visualize.target import photo_input, to_pixels
from minicnn.weights import write_model

GREY = mc.Preprocessing("GREY", (30,), 1 / 50)


def grey_network(recipe=GREY):
    return classifier(shape=(8, 8, 1), preprocessing=recipe)


# ---- grey
def test_colours_become_the_grey_that_pillow_and_so_keras_makes_of_them(rng):
    every = np.stack(np.meshgrid(*[np.arange(0, 256, 5)] * 3), axis=-1).astype(np.uint8)
    pixels = every.reshape(-1, 52, 3)
    expected = np.asarray(Image.fromarray(pixels).convert("L"), np.float32)
    received = mc.Preprocessing("GREY", (0,), 1)(pixels[None])
    assert received.shape == (1, *expected.shape, 1) and received.dtype == np.float32
    assert (received[0, ..., 0] == expected).all()


def test_grey_photos_stay_as_they_are_and_the_caller_keeps_its_pixels():
    grey = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    before = grey.copy()
    expected = (grey.astype(np.float32) - 30) * np.float32(1 / 50)
    assert (GREY(grey) == expected).all()
    assert (GREY(np.repeat(grey, 3, axis=-1)) == expected).all()
    np.testing.assert_allclose(GREY(np.repeat(grey.astype(float), 3, axis=-1)), expected,
                               rtol=1e-6)
    assert (grey == before).all()


def test_a_grey_network_takes_colour_photos_and_grey_ones():
    model, photos = grey_network(), random_pixels(3, 8, 8, 3)
    grey = np.stack([np.asarray(Image.fromarray(p).convert("L"))[..., None] for p in photos])
    x = (grey.astype(np.float32) - 30) * np.float32(1 / 50)
    expected = model.predict(x)
    assert (model.predict(photos) == expected).all()
    assert (model.predict(grey) == expected).all()
    conv = model.layers[0].name
    assert (model.activations(photos, [conv])[conv] == model.activations(x, [conv])[conv]).all()


def test_only_pixels_of_a_recipe_may_have_other_channels():
    photos = random_pixels(2, 8, 8, 3)
    for model, images in ((grey_network(), photos.astype(np.float32)), (grey_network(None), photos),
                          (classifier(), photos[..., :1])):
        with pytest.raises(mc.MiniCNNError, match="expected x of shape"):
            model.predict(images)
    with assert_refused("(N, H, W, 1) if they are grey", "(1, 8, 8, 2)"):
        GREY(photos[:1, ..., :2])


def test_a_grey_network_trains_on_colour_photos_and_keeps_its_recipe(tmp_path):
    data = Dataset.from_arrays(random_pixels(8, 8, 8, 3), [0, 1] * 4, ["a", "b"])
    model = classifier(2, (8, 8, 1), preprocessing=GREY, names=["a", "b"])
    history = mc.fit(model, data, mc.losses.CategoricalCrossEntropy(), mc.optimizers.Adam(0.01),
                     epochs=8)
    assert history["loss"][-1] < history["loss"][0]
    model.save(tmp_path / "m.h5")
    again = mc.load(tmp_path / "m.h5")
    assert again.preprocessing == GREY
    photos = random_pixels(2, 8, 8, 3)
    assert (again.predict(photos) == model.predict(photos)).all()


def test_pictures_of_what_a_grey_network_sees_are_grey():
    model, photo = grey_network(), random_pixels(8, 8, 3)
    pixels, x = photo_input(model, photo)
    expected = np.asarray(Image.fromarray(photo).convert("L"))
    assert (pixels == expected[..., None]).all() and pixels.shape == (8, 8, 3)
    assert (to_pixels(model, x[0]) == pixels).all()


@pytest.mark.parametrize("order", ["RGB", "BGR", "GREY"])
def test_the_inverse_gives_the_pixels_back(order):
    recipe = mc.Preprocessing(order, (20, 90, 200) if order != "GREY" else (20,), 0.3)
    pixels = random_pixels(2, 4, 5, 3)
    expected = pixels if order != "GREY" else np.stack(
        [np.asarray(Image.fromarray(p).convert("L").convert("RGB")) for p in pixels])
    np.testing.assert_allclose(recipe.inverse(recipe(pixels).astype(float)), expected, atol=1e-3)


def test_one_mean_stands_for_all_channels():
    assert mc.Preprocessing().mean == (127.5,) * 3 == mc.Preprocessing(mean=(127.5,)).mean
    assert mc.Preprocessing("GREY").mean == (127.5,)
    for order, mean in (("GREY", (1, 2, 3)), ("RGB", (1, 2)), ("RGB", ()), ("BGR", (1, np.nan, 2))):
        with assert_refused("mean", order):
            mc.Preprocessing(order, mean)
    with assert_refused("channel_order", "'GRAY'"):
        mc.Preprocessing("GRAY")


# ---- the recipe and its network
@pytest.mark.parametrize("shape, order, advice", [
    ((8, 8, 1), "RGB", "'GREY'"), ((8, 8, 3), "GREY", "'RGB' or 'BGR'"),
    ((8, 8, 4), "BGR", "Leave it out"), ((12,), "RGB", "Leave it out")])
def test_a_recipe_that_does_not_fit_is_refused_when_it_is_set(shape, order, advice):
    recipe = mc.Preprocessing(order, (0,))
    model = mc.Sequential([mc.Flatten(), mc.Dense(2)], shape)
    with assert_refused(str(shape), order, advice):
        model.preprocessing = recipe
    assert model.preprocessing is None
    with assert_refused(str(shape), order):
        mc.Sequential([mc.Flatten(), mc.Dense(2)], shape, preprocessing=recipe)


def test_a_small_cnn_of_one_channel_has_a_grey_recipe():
    assert mc.SmallCNN(2, (28, 28, 1)).preprocessing == mc.Preprocessing("GREY")
    assert mc.SmallCNN(2, (28, 28, 3)).preprocessing == mc.Preprocessing()
    assert mc.SmallCNN(2, (28, 28, 2)).preprocessing is None


@pytest.mark.parametrize("recipe, expected", [
    (mc.Preprocessing("RGB", (9,), 0.5), mc.Preprocessing("GREY", (9,), 0.5)),
    (mc.Preprocessing("RGB", (1, 2, 3)), None)])
def test_a_file_of_before_whose_recipe_did_not_fit_opens(tmp_path, recipe, expected):
    """Sequential took any recipe until 0.2, and so do the files of then."""
    model = mc.Sequential([mc.Flatten(), mc.Dense(2)], (4, 4, 1))
    write_model(tmp_path / "m.h5", model.layers, model.input_shape, "m",
                {"preprocessing": recipe.to_dict()})
    assert mc.load(tmp_path / "m.h5").preprocessing == expected


# ---- what people give to predict
@pytest.mark.parametrize("recipe, convert, words", [
    (mc.Preprocessing(), lambda p: p / 255, "from 0 to 1"),
    (mc.Preprocessing("BGR", (103.9, 116.8, 123.7), 1.0), lambda p: p / 255, "-124 to 151"),
    (mc.Preprocessing("BGR", (103.9, 116.8, 123.7), 1.0), lambda p: p / 127.5 - 1, "from -1 to 1"),
    (mc.Preprocessing(), lambda p: p.astype(float), "from 0 to 255"),
    (mc.Preprocessing(mean=(0,), scale=1 / 255), lambda p: p.astype(np.float32), "0 to 255")])
def test_floats_that_look_like_pixels_are_warned_about_once(recipe, convert, words):
    model, photos = classifier(preprocessing=recipe), random_pixels(40, 8, 8, 3)
    photos[0, 0, 0] = 0, 255, 9
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for first in range(3):  # batches whose smallest and largest numbers differ
            photos[0, 0, 0] = first, 255 - first, 9
            model.predict(convert(photos), batch_size=8)
    assert len(caught) == 1 and caught[0].filename == __file__
    text = str(caught[0].message)
    assert words in text and "uint8" in text and model.name in text


@pytest.mark.parametrize("recipe", [
    mc.Preprocessing(), mc.Preprocessing(mean=(0,), scale=1 / 255), mc.Preprocessing(scale=1.0),
    mc.Preprocessing(mean=(0,), scale=1.0), mc.Preprocessing("BGR", (103.9, 116.8, 123.7), 1.0)])
def test_network_input_is_taken_without_a_word(recipe):
    """The recipe's own numbers of photos, dark, bright, even; noise; nothing; without a recipe."""
    model, photos = classifier(preprocessing=recipe), random_pixels(4, 8, 8, 3)
    rng = np.random.default_rng(0)
    for images in (photos, photos // 4, 255 - photos // 4, photos * 0, photos * 0 + 128,
                   photos * 0 + 255):
        model.predict(recipe(images))
        model.predict(images)
    model.predict(rng.normal(size=photos.shape))
    model.predict(np.zeros((0, 8, 8, 3)))
    classifier(preprocessing=None).predict(photos / 255)


@pytest.mark.parametrize("shape, received, way_out", [
    ((8, 8, 3), (8, 8, 3), "x[None]"), ((8, 8, 3), (20, 30, 3), "x[None]"),
    ((8, 8, 1), (8, 8, 1), "x[None]"), ((8, 8, 1), (5, 8, 8), "x[..., None]"),
    ((8, 8, 3), (2, 9, 8, 3), "resize_and_crop"), ((5,), (5,), "x[None]")])
def test_a_missing_axis_is_named(shape, received, way_out):
    model = mc.Sequential([mc.Flatten(), mc.Dense(2)], shape)
    for call in (model.predict, model.forward, lambda x: model.activations(x, [])):
        with assert_refused(str(received), way_out):
            call(np.zeros(received, np.float32))


@pytest.mark.on_devices("cpu", "cuda-sim", "cuda (stand-in)")
@pytest.mark.parametrize("recipe", [GREY, mc.Preprocessing("BGR", (1, 2, 3), 0.5)])
def test_a_recipe_gives_the_same_numbers_on_every_device(device, recipe):
    photos = random_pixels(2, 8, 8, 3)
    expected = recipe(photos)
    assert (mc.to_cpu(recipe(mc.to_device(photos, device))) == expected).all()
    model = classifier(shape=(8, 8, recipe.channels), preprocessing=recipe)
    y = model.predict(photos)
    np.testing.assert_allclose(model.to(device).predict(photos), y, rtol=1e-4, atol=1e-6)
