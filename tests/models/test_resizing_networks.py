"""Networks of Keras' that begin with Resizing: their photos are resized as Keras does it, by every
command and analysis alike."""

import csv
import io
import json

import keras
import numpy as np
import pytest
from makers import random_pixels
from PIL import Image
from reference import assert_refused

import minicnn as mc
from minicnn.cli import main
from minicnn.models import crop_images, image_batches
from minicnn.visualize.photos import crop_photo, photo_batches
from minicnn.weights.onnx import onnx_model

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
L = keras.layers


def saved(tmp_path, *front, size=(None, None), channels=3):
    keras.utils.set_random_seed(3)
    twin = keras.Sequential([
        keras.Input((*size, channels)), *front, L.Conv2D(4, 3, activation="relu"),
        L.MaxPooling2D(), L.Flatten(), L.Dense(3, activation="softmax")])
    twin.save(tmp_path / "m.keras")
    return twin, mc.load(tmp_path / "m.keras")


def asked(twin, pixels):
    return np.asarray(twin.predict(pixels.astype(np.float32), verbose=0))


FRONTS = {
    "stretched": lambda: [L.Resizing(12, 14), L.Rescaling(1 / 255)],
    "scaled first": lambda: [L.Rescaling(1 / 255), L.Resizing(12, 14)],
    "nearest": lambda: [L.Resizing(12, 14, "nearest"), L.Rescaling(1 / 255)],
    "cropped": lambda: [L.Resizing(12, 14, crop_to_aspect_ratio=True), L.Rescaling(1 / 255)],
    "padded": lambda: [L.Resizing(12, 14, pad_to_aspect_ratio=True), L.Rescaling(1 / 255)]}


@pytest.mark.parametrize("size", [(None, None), (33, 50)])
@pytest.mark.parametrize("front", FRONTS)
def test_photos_of_any_size_give_kerass_numbers(tmp_path, front, size):
    twin, model = saved(tmp_path, *FRONTS[front](), size=size)
    assert model.input_shape == (12, 14, 3)
    pixels = random_pixels(3, 33, 50, 3)
    expected = asked(twin, pixels)
    assert np.ptp(expected) > 1e-3
    data = mc.data.Dataset(list(pixels), [0] * 3, ["a"], ["0", "1", "2"])
    (_, images), = image_batches(model, data, 3)
    for x in (pixels, pixels.astype(np.float32), images):
        np.testing.assert_allclose(model.predict(x), expected, rtol=1e-5)
    last = model.layers[-1].name
    np.testing.assert_allclose(model.activations(pixels, [last])[last], expected, rtol=1e-5)
    model.save(tmp_path / "again.h5")
    again = mc.load(tmp_path / "again.h5")
    assert again.preprocessing == model.preprocessing
    np.testing.assert_array_equal(again.predict(pixels), model.predict(pixels))


def test_a_grey_network_sees_colour_photos_as_keras_loads_them(tmp_path):
    twin, model = saved(tmp_path, L.Resizing(12, 14), L.Rescaling(1 / 255), channels=1)
    photos = random_pixels(2, 30, 50, 3)
    grey = model.preprocessing.as_seen(photos)[..., :1]
    expected = asked(twin, grey)
    np.testing.assert_allclose(model.predict(grey), expected, rtol=1e-5)
    np.testing.assert_allclose(model.predict(photos), expected, rtol=1e-5)
    data = mc.data.Dataset(list(photos), [0, 0], ["a"], ["0", "1"])
    (_, images), = image_batches(model, data, 2)
    np.testing.assert_allclose(model.predict(images), expected, rtol=1e-5)
    assert crop_photo(model, photos[0]).shape == (12, 14, 3)


def test_the_commands_answer_what_keras_answers(tmp_path, capsys):
    twin, _ = saved(tmp_path, L.Resizing(12, 14), L.Rescaling(1 / 255))
    folder = tmp_path / "photos"
    expected = {}
    for k, label in enumerate(("a", "b", "c")):
        (folder / label).mkdir(parents=True)
        photo = random_pixels(40 + k, 61, 3)
        Image.fromarray(photo).save(folder / label / f"{k}.png")
        expected[f"{k}.png"] = asked(twin, photo[None])[0]
    options = ["--classes", "a,b,c"]
    assert main(["predict", str(tmp_path / "m.keras"), str(folder), "--format", "csv",
                 *options]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 3
    for row in rows:
        name, = (name for name in expected if any(str(cell).endswith(name)
                                                  for cell in row.values()))
        np.testing.assert_allclose([float(row[c]) for c in "abc"], expected[name], atol=2e-6)
    assert main(["evaluate", str(tmp_path / "m.keras"), str(folder), *options]) == 0
    correct = sum(int(p.argmax() == k) for k, p in enumerate(expected.values()))
    assert f"{correct} of 3" in capsys.readouterr().out


def test_a_recipe_of_the_command_line_keeps_the_networks_own_resizing(tmp_path, capsys):
    twin, model = saved(tmp_path, L.Resizing(12, 14))
    assert model.preprocessing is None  # what its pixels are scaled to, nobody knows
    from minicnn.models.load import base_recipe
    assert base_recipe(model).fit == "stretch"
    photo = random_pixels(40, 61, 3)
    model.preprocessing = mc.Preprocessing("RGB", (0,), 1 / 255, fit="stretch")
    np.testing.assert_allclose(model.predict(photo[None]), asked(twin, photo[None] / 255),
                               rtol=1e-5)


def test_what_is_shown_and_explained_is_stretched_too(tmp_path):
    _, model = saved(tmp_path, L.Resizing(12, 14), L.Rescaling(1 / 255))
    photo = random_pixels(40, 61, 3)
    expected = np.asarray(L.Resizing(12, 14)(photo[None].astype(np.float32)))
    whole = np.rint(expected).astype(np.uint8)
    data = mc.data.Dataset([photo], [0], ["a"], ["0"])
    np.testing.assert_array_equal(crop_photo(model, photo), whole[0])
    np.testing.assert_array_equal(crop_images(model, data, [0]), whole)
    (_, pixels, x), = photo_batches(model, data, 1)
    np.testing.assert_array_equal(pixels, whole)
    np.testing.assert_allclose(x, expected, atol=1e-4)
    larger = np.asarray(L.Resizing(24, 28)(photo[None].astype(np.float32)))
    np.testing.assert_array_equal(crop_photo(model, photo, 2), np.rint(larger)[0])


def test_a_training_gets_the_pixels_that_keras_trains_on(tmp_path):
    _, model = saved(tmp_path, L.Resizing(12, 14), L.Rescaling(1 / 255))
    pixels, labels = random_pixels(12, 20, 30, 3), np.arange(12) % 3
    stretched = np.asarray(L.Resizing(12, 14)(pixels.astype(np.float32)))
    histories = []
    for data in (mc.data.Dataset(list(pixels), labels, ["a", "b", "c"], list(map(str, labels))),
                 (pixels, labels), (stretched, labels)):
        network = mc.load(tmp_path / "m.keras")
        histories.append(mc.fit(network, data, mc.losses.CategoricalCrossEntropy(),
                                mc.optimizers.SGD(0.01), epochs=2, batch_size=4)["loss"])
    np.testing.assert_allclose(histories[0], histories[2], rtol=1e-4)
    np.testing.assert_allclose(histories[1], histories[2], rtol=1e-4)


def test_an_exported_graph_says_how_photos_are_fitted(tmp_path):
    pytest.importorskip("onnx")
    for front, words in ((L.Resizing(12, 14), "Stretch it to image_size, bilinear"),
                         (L.Resizing(12, 14, "nearest", pad_to_aspect_ratio=True),
                          "Pad the photo with zeros to its aspect ratio. Stretch it to image_size, "
                          "nearest")):
        _, model = saved(tmp_path, front, L.Rescaling(1 / 255))
        proto = onnx_model(model)
        assert words in proto.doc_string
        metadata = {entry.key: json.loads(entry.value) for entry in proto.metadata_props}
        assert metadata["preprocessing"]["fit"] == model.preprocessing.fit


def test_pixels_of_another_size_are_refused_if_the_interpolation_is_not_kerass(tmp_path):
    _, model = saved(tmp_path, L.Resizing(12, 14, "bicubic"), L.Rescaling(1 / 255))
    assert "bicubic interpolation, which minicnn lacks" in model.weights_note
    with assert_refused("12, 14, 3)", "(1, 40, 61, 3)"):
        model.predict(random_pixels(1, 40, 61, 3))


def test_a_fill_that_is_not_black_is_refused(tmp_path):
    with pytest.raises(mc.MiniCNNError, match="fill_value"):
        saved(tmp_path, L.Resizing(12, 14, pad_to_aspect_ratio=True, fill_value=9.0))
