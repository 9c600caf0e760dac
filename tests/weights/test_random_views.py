"""The note on Keras' augmentation: amounts of Augment by hand, layers by real Keras."""

import keras
import numpy as np
import pytest

import minicnn as mc
from minicnn.data import Augment
from minicnn.weights.random_views import suggestion

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
L = keras.layers


def note(tmp_path, ending, *layers):
    network = keras.Sequential([keras.Input((8, 8, 3)), *layers, L.Conv2D(2, 3)])
    network.save(tmp_path / f"m{ending}")
    return mc.load(tmp_path / f"m{ending}").weights_note


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("layers, views, nothing_for", [
    (lambda: [L.RandomFlip("horizontal")], "flip", ""),
    (lambda: [L.RandomRotation(0.05), L.RandomFlip("horizontal")], "rotate=18,flip", ""),
    (lambda: [L.RandomRotation((-0.1, 0.1)), L.RandomZoom(0.2)], "rotate=36,zoom=0.2", ""),
    (lambda: [L.RandomTranslation(0.1, 0.1), L.RandomContrast(0.2, name="c")], "shift=0.1", "c"),
    (lambda: [L.RandomFlip("horizontal"), L.RandomFlip("vertical", name="v"),
              L.RandomRotation((0, 0.1), name="r"), L.RandomTranslation(0.1, 0.2, name="t"),
              L.RandomZoom(0.1, 0.2, name="z"), L.RandomContrast(0.1, name="b")],
     "flip", "v, r, t, z, b"),
    (lambda: [L.RandomRotation(0.1, "constant", name="r"), L.RandomZoom(0.2)], "zoom=0.2", "r"),
    (lambda: [L.RandomRotation(0.1), L.RandomRotation(0.2, name="r")], "rotate=36", "r"),
    (lambda: [L.RandomRotation(0.6, name="r"), L.RandomFlip("horizontal")], "flip", "r")])
def test_the_note_names_the_views_that_minicnn_has(tmp_path, ending, layers, views, nothing_for):
    text = note(tmp_path, ending, *layers())
    assert f"Augment.parse('{views}')" in text
    assert ("nothing for " + nothing_for + ")" in text) if nothing_for else "nothing" not in text
    assert ("zoom nearly" in text) == ("zoom" in views)
    Augment.parse(views)  # minicnn takes it


@pytest.mark.parametrize("layer", [
    lambda: L.RandomFlip(), lambda: L.RandomContrast(0.2), lambda: L.RandomBrightness(0.2)])
def test_without_an_equal_nothing_is_suggested(tmp_path, layer):
    text = note(tmp_path, ".keras", layer())
    assert "left out, since only training uses them: random_" in text and "Augment" not in text


@pytest.mark.parametrize("factor", [None, "0.1", [0.1], [[], []], [None, 0.1], {}, 0, -0.1, 1e400,
                                    [float("nan"), float("nan")], 10**400])
def test_settings_that_are_no_numbers_suggest_nothing(factor):
    layers = [("RandomRotation", {"name": "r", "factor": factor}),
              ("RandomTranslation", {"name": "t", "height_factor": factor, "width_factor": factor}),
              ("RandomZoom", {"name": "z", "height_factor": factor})]
    assert suggestion(layers) == ""


def view(layer, image):
    return np.asarray(layer(image[None], training=True))[0]


def test_keras_counts_rotation_in_turns_and_mirrors_beyond_the_edges_as_augment_does():
    """A quarter of a turn is 90 degrees; an image moved by a row repeats the row at its edge."""
    image = np.arange(48, dtype=np.float32).reshape(4, 4, 3)
    turned = view(L.RandomRotation((0.25, 0.25)), image)
    assert any(np.allclose(turned, np.rot90(image, k), atol=1e-3) for k in (1, 3))
    moved = view(L.RandomTranslation((0.25, 0.25), 0.0), image)
    assert any(np.allclose(moved, image[rows], atol=1e-3)
               for rows in ([0, 0, 1, 2], [1, 2, 3, 3]))
