"""Keras' Resizing in front of a network without Rescaling: --scale and --mean leave it as it is."""

import csv
import io
import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import pytest
from makers import random_pixels, run_command
from PIL import Image

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
L = keras.layers


@pytest.mark.parametrize("options, convert", [
    (["--scale", "1/255"], lambda p: p / 255),
    (["--scale", "1/127.5", "--mean", "127.5"], lambda p: p / 127.5 - 1),
    (["--mean", "10,20,30", "--channels", "bgr"], lambda p: p[..., ::-1] - [30, 20, 10])])
@pytest.mark.parametrize("settings", [{}, {"interpolation": "nearest"},
                                      {"crop_to_aspect_ratio": True}],
                         ids=["stretched", "nearest", "cropped"])
def test_numbers_of_the_command_line_leave_the_resizing(tmp_path, capsys, settings, options,
                                                        convert):
    keras.utils.set_random_seed(3)
    twin = keras.Sequential([keras.Input((None, None, 3)), L.Resizing(12, 14, **settings),
                             L.Conv2D(4, 3, activation="relu"), L.GlobalMaxPooling2D(),
                             L.Dense(2, activation="softmax")])
    twin.save(tmp_path / "m.keras")
    pixels = random_pixels(61, 40, 3)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    code, out, err = run_command(capsys, "predict", tmp_path / "m.keras", tmp_path / "photo.png",
                                 "--format", "csv", "--classes", "a,b", *options)
    assert code == 0 and err == ""
    row, = csv.DictReader(io.StringIO(out))
    expected = np.asarray(twin.predict(convert(pixels.astype(np.float64))[None].astype(np.float32),
                                       verbose=0))[0]
    np.testing.assert_allclose([float(row[c]) for c in "ab"], expected, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("settings, words", [
    ({"interpolation": "bicubic"}, "to 12 × 14 pixels by bicubic interpolation"),
    ({"antialias": True}, "to 12 × 14 pixels by antialiased bilinear interpolation")])
@pytest.mark.parametrize("command", [["predict"], ["evaluate"], ["look", "gradient"]], ids=" ".join)
def test_a_resizing_that_minicnn_lacks_is_told(tmp_path, capsys, monkeypatch, settings, words,
                                               command):
    monkeypatch.chdir(tmp_path)
    keras.Sequential([keras.Input((30, 30, 3)), L.Resizing(12, 14, **settings),
                      L.Rescaling(1 / 255), L.Conv2D(4, 3), L.GlobalMaxPooling2D(),
                      L.Dense(2, activation="softmax")]).save("m.keras")
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.fromarray(random_pixels(61, 40, 3)).save(tmp_path / "photos" / name / "1.png")
    photos = "photos" if command[0] != "look" else "photos/a/1.png"
    code, _, err = run_command(capsys, *command, "m.keras", photos, "--classes", "a,b")
    assert code == 0
    assert f"resizes photos {words}, which minicnn lacks: it crops photos, so those" in err
