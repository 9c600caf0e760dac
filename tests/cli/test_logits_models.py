"""Networks that end in logits, as in TensorFlow's tutorials: the advice of the error, followed."""

import csv
import io
import os
import re

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import pytest
from makers import assert_command_refused, random_pixels, run_command
from PIL import Image

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
L = keras.layers


def logistic(z):
    """Probabilities of the classes a and b, for one logit, that of b."""
    p = 1 / (1 + np.exp(-z[0]))
    return [1 - p, p]


@pytest.mark.parametrize("units, probabilities", [
    (2, lambda z: np.exp(z) / np.exp(z).sum()), (1, logistic)])
def test_the_advice_of_the_error_gives_a_model_that_predicts(tmp_path, capsys, monkeypatch, units,
                                                             probabilities):
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((12, 14, 3)), L.Rescaling(1 / 255), L.Conv2D(4, 3),
                              L.Flatten(), L.Dense(units)])
    model.save("m.keras")
    pixels = random_pixels(12, 14, 3)
    Image.fromarray(pixels).save("photo.png")
    words = ["photo.png", "--format", "csv", "--classes", "a,b"]
    refused = run_command(capsys, "predict", "m.keras", *words)
    assert_command_refused(refused, "ends in Sigmoid or Softmax", "from_logits=True")
    advice, = re.findall(r"keras\.Sequential\(.*\)\.save\('new\.keras'\)", refused[2])
    exec(advice, {"keras": keras, "model": model})
    code, out, err = run_command(capsys, "predict", "new.keras", *words)
    assert code == 0 and err == ""
    row, = csv.DictReader(io.StringIO(out))
    z = np.asarray(model.predict(pixels[None].astype(np.float32), verbose=0), np.float64)[0]
    np.testing.assert_allclose([float(row[c]) for c in "ab"], probabilities(z), rtol=1e-4,
                               atol=2e-6)
