"""VGG16 and the course networks: shapes from the paper, numbers from real Keras."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

from pathlib import Path

import keras
import numpy as np
import pytest

import minicnn as mc
from minicnn import cli
from minicnn.models import SmallCNN, head, imagenet_classes, loss_for
from minicnn.utils.errors import ArgumentError, FileError, ShapeError
from minicnn.weights import pretrained

pytestmark = pytest.mark.filterwarnings(  # Keras on PyTorch, converting to NumPy 2
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
PHOTOS = Path(__file__).parents[2] / "minicnn" / "data" / "photos"


def photo(size):
    image = mc.data.read_image(PHOTOS / "chelsea.jpg")
    return mc.data.resize_and_crop(image, (size, size), 224 / 256)


def keras_activations(model, x):
    """Every layer's output, by name."""
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    outputs = keras.Model(model.input, [layer.output for layer in layers])(x)
    return {layer.name: keras.ops.convert_to_numpy(y) for layer, y in zip(layers, outputs,
                                                                         strict=True)}


def assert_same_activations(ours, theirs, x):
    expected = keras_activations(theirs, x)
    assert [layer.name for layer in ours.layers] == list(expected)
    found = ours.activations(x, list(expected))
    for name, y in expected.items():
        error = np.abs(found[name] - y).max() / np.abs(y).max()
        assert error < 1e-4, f"{name}: {error:.1e}"


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """Keras' whole VGG16 with random weights, and its file."""
    keras.utils.set_random_seed(0)
    model = keras.applications.VGG16(weights=None)
    rng = np.random.default_rng(0)
    for layer in model.layers:  # biases too, so that a lost bias is seen
        if layer.weights:
            layer.bias.assign(rng.normal(0, 0.1, layer.bias.shape).astype(np.float32))
    path = tmp_path_factory.mktemp("vgg16") / "full.weights.h5"
    model.save_weights(path)
    yield model, path
    path.unlink()


def test_the_base_equals_keras_at_every_layer():
    ours = mc.VGG16(include_top=False, weights="imagenet", input_shape=(96, 96, 3))
    theirs = keras.applications.VGG16(include_top=False, weights=None, input_shape=(96, 96, 3))
    for layer in ours.layers:
        if layer.params:
            theirs.get_layer(layer.name).set_weights([layer.params["W"], layer.params["b"]])
    assert_same_activations(ours, theirs, ours.preprocessing(photo(96)[None]))


def test_the_whole_network_equals_keras_at_every_layer(full):
    theirs, path = full
    ours = mc.VGG16(weights=path)
    assert "32 arrays, 138,357,544 parameters; skipped: none" in ours.weights_note
    assert_same_activations(ours, theirs, ours.preprocessing(photo(224)[None]))


def test_predict_vgg16_prints_the_five_best_classes(full, monkeypatch, capsys):
    theirs, path = full
    monkeypatch.setattr("minicnn.models.vgg16.vgg16_full", lambda progressbar: path)
    assert cli.main(["predict", "vgg16", str(PHOTOS / "chelsea.jpg")]) == 0
    x = keras.applications.vgg16.preprocess_input(photo(224)[None].astype(np.float32))
    best = np.argsort(-keras.ops.convert_to_numpy(theirs(x))[0])[:5]
    printed = capsys.readouterr().out.strip().split(": ")[1].split(" % ")[1:]
    assert [name.rsplit(",", 1)[0] for name in printed[:-1]] + printed[-1:] == [
        imagenet_classes()[k] for k in best]


def test_predict_vgg16_without_a_connection_says_what_to_put_where(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("MINICNN_CACHE", str(tmp_path))
    monkeypatch.setattr(pretrained, "FULL_URL", f"http://127.0.0.1:9/{pretrained.FULL}")
    assert cli.main(["predict", "vgg16", str(PHOTOS / "chelsea.jpg")]) == 2
    error = capsys.readouterr().err
    assert pretrained.FULL in error and str(tmp_path) in error and "553,467,096" in error
    assert list(tmp_path.iterdir()) == []


def test_preprocessing_equals_keras_and_leaves_the_pixels_alone():
    pixels = photo(64)[None]
    before = pixels.copy()
    x = mc.VGG16(include_top=False, weights=None, input_shape=(64, 64, 3)).preprocessing(pixels)
    expected = keras.applications.vgg16.preprocess_input(pixels.astype(np.float32))
    np.testing.assert_allclose(x, expected, atol=1e-4)
    np.testing.assert_array_equal(pixels, before)
    floats = pixels.astype(np.float32)
    mc.Preprocessing()(floats)
    np.testing.assert_array_equal(floats, before)


def test_the_built_in_base_holds_the_published_numbers():
    W = mc.VGG16(include_top=False, input_shape=(32, 32, 3))["block1_conv1"].params["W"]
    assert W.dtype == np.float32
    published = [[0.42947057, 0.11727387, 0.03401296], [0.55037946, 0.02087744, 0.09883115],
                 [0.4800154, -0.17269668, 0.03755771]]
    np.testing.assert_allclose(W[0, 0, :, :3], published, rtol=2**-10)  # rounded to float16


def test_architecture_counts_and_receptive_fields():
    model = mc.VGG16(weights=None, seed=None)
    assert sum(p.size for layer in model.layers for p in layer.params.values()) == 138_357_544
    assert model.shapes()[-4:] == [(25088,), (4096,), (4096,), (1000,)]
    assert model.preprocessing.crop_fraction == 224 / 256
    names = [layer.name for layer in model.layers]
    fields = dict(zip(names, model.receptive_fields(), strict=True))
    known = {"block1_conv1": 3, "block1_pool": 6, "block2_pool": 16, "block3_pool": 44,
             "block4_pool": 100, "block5_conv3": 196, "block5_pool": 212}
    assert {name: fields[name] for name in known} == {n: (r, r) for n, r in known.items()}
    assert fields["fc1"] is None


def test_a_base_that_is_cut_is_the_first_layers_of_the_whole_one():
    shape = (32, 32, 3)
    whole = mc.VGG16(include_top=False, input_shape=shape)
    cut = mc.VGG16(include_top=False, input_shape=shape, cut="block2_pool")
    assert [layer.name for layer in cut.layers] == [
        "block1_conv1", "block1_conv2", "block1_pool", "block2_conv1", "block2_conv2",
        "block2_pool"]
    x = np.random.default_rng(0).uniform(-100, 150, (2, *shape)).astype(np.float32)
    assert np.array_equal(cut.forward(x), whole.activations(x, ["block2_pool"])["block2_pool"])


def test_imagenet_class_names_are_complete_and_in_order():
    names = imagenet_classes()
    assert len(names) == 1000
    assert (names[0], names[281], names[657], names[999]) == ("tench", "tabby", "missile",
                                                              "toilet tissue")


@pytest.mark.parametrize("options, error, words", [
    (dict(input_shape=(64, 64, 3)), ArgumentError, ["(224, 224, 3)", "(64, 64, 3)", "include_top"]),
    (dict(include_top=False, weights=None, input_shape=(24, 24, 3)), ShapeError, ["block5_pool"]),
    (dict(include_top=False, weights="nowhere.h5", input_shape=(32, 32, 3)), FileError,
     ["nowhere.h5"]),
    (dict(cut="block4_pool"), ArgumentError, ["include_top", "block4_pool"]),
    (dict(include_top=False, cut="block4_pol"), ArgumentError, ["block4_pol", "block4_pool"]),
    (dict(include_top=False, cut="block4_pool", input_shape=(15, 16, 3)), ShapeError,
     ["block4_pool"]),
])
def test_vgg16_refuses_what_cannot_be(options, error, words):
    with pytest.raises(error) as caught:
        mc.VGG16(**options)
    assert all(word in str(caught.value) for word in words)


def test_the_weights_of_the_base_do_not_fill_the_whole_network():
    with pytest.raises(FileError, match="fc1"):
        mc.VGG16(weights=pretrained.vgg16_base())


@pytest.mark.parametrize("classes, units, last, loss", [
    (2, 1, "Sigmoid", "BinaryCrossEntropy"), (3, 3, "Softmax", "CategoricalCrossEntropy")])
def test_head_and_loss_follow_the_number_of_classes(classes, units, last, loss):
    dense, activation = head(classes)
    assert (dense.units, type(activation).__name__, type(loss_for(classes)).__name__) == (
        units, last, loss)
    assert SmallCNN(classes).shapes()[-1] == (units,)


def test_a_head_for_one_class_is_refused():
    with pytest.raises(ArgumentError, match="2 classes or more"):
        head(1)


def test_random_weights_follow_the_seed_and_he():
    """He et al. 2015: the variance of a kernel is 2 / fan_in."""
    a, b, c = (mc.VGG16(False, None, (32, 32, 3), seed)["block5_conv3"].params["W"]
               for seed in (0, 0, 1))
    assert np.array_equal(a, b) and not np.array_equal(a, c)
    assert a.var() == pytest.approx(2 / (3 * 3 * 512), rel=0.02)


def test_the_small_network_is_the_one_its_docstring_says():
    found = [(type(layer).__name__, getattr(layer, "activation_name", None))
             for layer in SmallCNN(10).layers]
    assert found == [("Conv2D", "relu"), ("MaxPool2D", None), ("Conv2D", "relu"),
                     ("MaxPool2D", None), ("Flatten", None), ("Dense", "relu"), ("Dense", None),
                     ("Softmax", None)]


@pytest.mark.parametrize("options", [
    dict(crop_fraction=0), dict(crop_fraction=1.5), dict(channel_order="GBR"), dict(mean=(1, 2)),
    dict(mean=(1, 2, np.nan)), dict(scale=np.inf)])
def test_recipes_that_make_no_sense_are_refused(options):
    with pytest.raises(ArgumentError, match="Preprocessing: expected"):
        mc.Preprocessing(**options)
