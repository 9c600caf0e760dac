"""Keras' first networks for MNIST take images as (28, 28), without an axis of channels: on the
command line they are grey networks."""

import csv
import io
import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import pytest
from makers import assert_command_refused, random_pixels, run_command
from PIL import Image

import minicnn as mc

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
L = keras.layers
HEAD = [lambda: L.Dense(8, activation="relu"), lambda: L.Dense(2, activation="softmax")]
FRONTS = {  # name: (layers, options, what the options do with pixels)
    "flattened": (lambda: [L.Flatten()], ["--scale", "1/255"], 1 / 255),
    "scaled": (lambda: [L.Rescaling(1 / 255), L.Flatten()], [], 1),
    "reshaped": (lambda: [L.Rescaling(1 / 255), L.Reshape((14, 12, 1)), L.Conv2D(3, 3),
                          L.Flatten()], [], 1)}


@pytest.fixture(params=FRONTS)
def network(request, tmp_path):
    layers, options, scale = FRONTS[request.param]
    keras.utils.set_random_seed(3)
    twin = keras.Sequential([keras.Input((14, 12)), *layers(), *(make() for make in HEAD)])
    twin.save(tmp_path / "m.keras")
    for k, label in enumerate("ab"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        Image.fromarray(random_pixels(14, 12, 3) // (k + 1)).save(
            tmp_path / "photos" / label / f"{k}.png")
    return tmp_path, twin, ["--classes", "a,b", *options], scale


def test_photos_are_predicted_as_keras_does(network, capsys):
    folder, twin, options, scale = network
    code, out, err = run_command(capsys, "predict", folder / "m.keras", folder / "photos",
                                 "--format", "csv", *options)
    assert code == 0 and err == ""
    rows = list(csv.DictReader(io.StringIO(out)))
    paths = sorted((folder / "photos").rglob("*.png"))
    for row, path in zip(rows, paths, strict=True):
        grey = np.asarray(Image.open(path).convert("L"), np.float32)
        expected = np.asarray(twin.predict(grey[None] * np.float32(scale), verbose=0))[0]
        np.testing.assert_allclose([float(row[c]) for c in "ab"], expected, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("words", [
    ["evaluate", "MODEL", "FOLDER"], ["export", "MODEL", "OUT.onnx"],
    ["look", "gradient", "MODEL", "PHOTO", "-o", "OUT.png"],
    ["atlas", "MODEL", "FOLDER", "-o", "OUT.html"]], ids=lambda words: words[0])
def test_every_command_takes_such_a_model(network, capsys, words):
    """The atlas, which shows feature maps, only one with a convolution."""
    folder, _, options, _ = network
    names = {"MODEL": folder / "m.keras", "FOLDER": folder / "photos",
             "PHOTO": folder / "photos" / "a" / "0.png"}
    names |= {f"OUT.{kind}": folder / f"out.{kind}" for kind in ("onnx", "png", "html")}
    result = run_command(capsys, *[names.get(word, word) for word in words], *options)
    has_maps = any(isinstance(layer, L.Conv2D) for layer in network[1].layers)
    if words[0] == "atlas" and not has_maps:
        assert_command_refused(result, "expected a network with a convolution")
    else:
        assert result[0] == 0


def test_in_python_the_shape_stays_that_of_the_file(network):
    folder, twin, _, _ = network
    x = random_pixels(3, 14, 12).astype(np.float32) / 255
    model = mc.load(folder / "m.keras")
    assert model.input_shape == (14, 12)
    np.testing.assert_allclose(model.predict(x), np.asarray(twin.predict(x, verbose=0)), rtol=1e-5)


def test_columns_with_numbers_of_their_own_are_no_images(tmp_path, capsys):
    twin = keras.Sequential([keras.Input((14, 12)), L.Rescaling([1.0] * 11 + [0.5]),
                             L.Flatten(), L.Dense(2, activation="softmax")])
    twin.save(tmp_path / "m.keras")
    Image.fromarray(random_pixels(14, 12, 3)).save(tmp_path / "a.png")
    result = run_command(capsys, "predict", tmp_path / "m.keras", tmp_path / "a.png", "--classes",
                         "a,b", "--scale", "1")
    assert_command_refused(result, "a model of photos", "(14, 12)")
