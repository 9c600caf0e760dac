"""Networks that scale their pixels themselves, as TensorFlow's own tutorials build them."""

import keras
import numpy as np
import pytest
from makers import random_pixels
from reference import assert_refused

import minicnn as mc
from minicnn.weights import read_model

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
L = keras.layers


def tutorial(*front, size=(16, 18), channels=3):
    return keras.Sequential([
        keras.Input((*size, channels)), *front, L.Conv2D(4, 3, activation="relu"),
        L.MaxPooling2D(), L.Flatten(), L.Dense(3, activation="softmax")])


def adapted():
    layer = L.Normalization()
    layer.adapt(random_pixels(20, 16, 18, 3).astype(np.float32))
    return layer


FRONTS = {
    "rescaling": lambda: [L.Rescaling(1 / 255)],
    "to -1 ... 1": lambda: [L.Rescaling(1 / 127.5, offset=-1)],
    "augmented": lambda: [L.RandomFlip("horizontal"), L.RandomRotation(0.2), L.RandomZoom(0.2),
                          L.RandomTranslation(0.1, 0.1), L.RandomContrast(0.2),
                          L.RandomBrightness(0.2), L.Rescaling(1 / 255)],
    "resized, cropped": lambda: [L.Resizing(16, 18), L.CenterCrop(12, 14), L.Rescaling(1 / 255)],
    "adapted": lambda: [adapted()],
    "normalized": lambda: [L.Rescaling(1 / 255),
                           L.Normalization(mean=[0.5, 0.4, 0.3], variance=[0.1, 0.2, 0.3])]}


@pytest.mark.parametrize("front, ending", [
    (front, ending) for front in FRONTS for ending in (".keras", ".h5")
    if (front, ending) != ("augmented", ".h5")])  # Keras fails to write it
def test_uint8_images_and_the_same_pixels_as_floats_give_kerass_numbers(tmp_path, front, ending):
    twin = tutorial(*FRONTS[front]())
    twin.save(tmp_path / f"m{ending}")
    model = mc.load(tmp_path / f"m{ending}")
    pixels = random_pixels(5, 16, 18, 3)
    expected = np.asarray(twin.predict(pixels.astype(np.float32), verbose=0))
    assert np.ptp(expected) > 1e-3
    np.testing.assert_allclose(model.predict(pixels), expected, rtol=1e-5)
    np.testing.assert_allclose(model.predict(pixels.astype(np.float32)), expected, rtol=1e-5)
    assert ("left out, since only training uses them: random_flip" in model.weights_note) == (
        front == "augmented")
    model.save(tmp_path / "again.h5")
    again = keras.models.load_model(tmp_path / "again.h5", compile=False)
    np.testing.assert_allclose(np.asarray(again.predict(pixels.astype(np.float32), verbose=0)),
                               expected, rtol=1e-5)
    np.testing.assert_array_equal(mc.load(tmp_path / "again.h5").predict(pixels),
                                  model.predict(pixels))


def test_an_augmentation_in_a_model_of_its_own_is_left_out_too(tmp_path):
    augmentation = keras.Sequential([L.RandomFlip(), L.RandomRotation(0.1)], name="augmentation")
    inputs = keras.Input((16, 18, 3))
    y = L.Conv2D(4, 3)(L.Rescaling(1 / 255)(augmentation(inputs)))
    twin = keras.Model(inputs, L.GlobalMaxPooling2D()(y))
    twin.save(tmp_path / "m.keras")
    model = mc.load(tmp_path / "m.keras")
    pixels = random_pixels(3, 16, 18, 3)
    np.testing.assert_allclose(
        model.predict(pixels), np.asarray(twin.predict(pixels.astype(np.float32), verbose=0)),
        rtol=1e-5, atol=1e-6)


def test_grey_pixels_and_colour_photos_of_a_grey_network_give_kerass_numbers(tmp_path):
    twin = tutorial(L.Rescaling(1 / 255), channels=1)
    twin.save(tmp_path / "m.keras")
    model, pixels = mc.load(tmp_path / "m.keras"), random_pixels(4, 16, 18, 1)
    expected = np.asarray(twin.predict(pixels.astype(np.float32), verbose=0))
    np.testing.assert_allclose(model.predict(pixels), expected, rtol=1e-5)
    np.testing.assert_allclose(model.predict(pixels.astype(np.float32)), expected, rtol=1e-5)
    assert model.preprocessing == mc.Preprocessing("GREY", (0.0,), 1.0)


def test_only_pixels_scaled_before_the_first_weights_get_a_recipe(tmp_path):
    for name, twin in (("plain", tutorial()), ("two", tutorial(L.Rescaling(1 / 255), channels=2)),
                       ("late", keras.Sequential([keras.Input((16, 18, 3)), L.Conv2D(4, 3),
                                                  L.Rescaling(2.0)]))):
        twin.save(tmp_path / f"{name}.keras")
        assert mc.load(tmp_path / f"{name}.keras").preprocessing is None


def test_a_recipe_in_the_file_is_kept(tmp_path):
    model = mc.Sequential([mc.Rescaling(2.0), mc.Conv2D(2, 3)], (5, 5, 3),
                          preprocessing=mc.Preprocessing("BGR", (1, 2, 3), 0.5))
    model.save(tmp_path / "m.h5")
    assert mc.load(tmp_path / "m.h5").preprocessing == model.preprocessing


@pytest.mark.parametrize("front", [[L.Resizing(12, 14), L.Rescaling(1 / 255)],
                                   [L.Rescaling(1 / 255), L.Resizing(12, 14)]])
def test_an_open_size_is_that_of_the_resizing_at_the_beginning(tmp_path, front):
    twin = keras.Sequential([keras.Input((None, None, 3)), *front, L.Conv2D(4, 3),
                             L.GlobalMaxPooling2D()])
    twin.save(tmp_path / "m.keras")
    model = mc.load(tmp_path / "m.keras")
    assert model.input_shape == (12, 14, 3)
    pixels = random_pixels(3, 12, 14, 3)
    np.testing.assert_allclose(
        model.predict(pixels), np.asarray(twin.predict(pixels.astype(np.float32), verbose=0)),
        rtol=1e-5, atol=1e-6)


def test_a_rescaling_that_is_not_finite_is_refused(tmp_path):
    for word, layer in (("Infinity", L.Rescaling(float("inf"))),
                        ("NaN", L.Rescaling(1.0, offset=float("nan")))):
        tutorial(layer).save(tmp_path / "m.keras")
        with assert_refused("m.keras", "finite numbers", word, "Rescaling"):
            mc.load(tmp_path / "m.keras")


def test_pixels_train_as_they_are_and_are_not_copied_as_features(tmp_path):
    tutorial(L.Rescaling(1 / 255)).save(tmp_path / "m.keras")
    model = mc.load(tmp_path / "m.keras")
    frozen, rest = model.split()
    assert frozen.layers == [] and rest.layers == model.layers
    pixels, labels = random_pixels(24, 16, 18, 3), np.arange(24) % 3
    history = mc.fit(model, (pixels, labels), mc.losses.CategoricalCrossEntropy(),
                     mc.optimizers.Adam(0.01), epochs=8, batch_size=8)
    assert history["loss"][-1] < 0.9 * history["loss"][0]


def test_the_arrays_of_an_adapted_normalization_become_its_settings(tmp_path):
    twin = tutorial(adapted())
    twin.save(tmp_path / "m.keras")
    layers = read_model(tmp_path / "m.keras")[0]
    assert layers[0].params == {}
    np.testing.assert_allclose(layers[0].mean, np.asarray(twin.layers[0].mean).reshape(3), 1e-6)
    assert "set 6 arrays" in mc.load(tmp_path / "m.keras").weights_note


@pytest.mark.parametrize("front", [
    lambda: L.Rescaling(2.0, offset=-1),
    lambda: L.Normalization(mean=[0.5, 0.4, 0.3], variance=[0.05, 0.05, 0.05])])
def test_a_network_that_scales_numbers_from_0_to_1_is_given_no_recipe_for_pixels(front, tmp_path):
    theirs = tutorial(front())
    theirs.save(tmp_path / "m.keras")
    ours = mc.load(tmp_path / "m.keras")
    assert ours.preprocessing is None
    with assert_refused("no preprocessing"):
        ours.predict(random_pixels(2, 16, 18, 3))


def test_that_keras_resizes_in_a_way_that_minicnn_lacks_is_in_the_note(tmp_path):
    for setting, stays_silent in (({}, True), ({"interpolation": "bicubic"}, False),
                                  ({"antialias": True}, False),
                                  ({"crop_to_aspect_ratio": True}, True)):
        tutorial(L.Resizing(16, 18, **setting), L.Rescaling(1 / 255)).save(tmp_path / "m.keras")
        model = mc.load(tmp_path / "m.keras")
        assert ("which minicnn lacks" not in model.weights_note) == stays_silent
        assert (model.preprocessing.fit != "crop") == stays_silent
