"""A network in JSON and its weights in another file: model.to_json() and save_weights."""

import json
import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import h5py
import keras
import numpy as np
import pytest
from reference import assert_predicts_like, assert_refused

import minicnn as mc
from minicnn.utils.errors import FileError
from minicnn.weights.config import layers_from_config

from .layouts import write_c

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
L = keras.layers


def keras_model():
    return keras.Sequential([keras.Input((8, 9, 3)), L.Conv2D(4, (3, 2), activation="relu"),
                             L.MaxPooling2D(), L.Dropout(0.5), L.Flatten(),
                             L.Dense(3, activation="softmax")])


@pytest.fixture
def pair(tmp_path):
    """(Keras' model, its JSON, its weights), the second model of a session."""
    keras_model()
    model = keras_model()
    (tmp_path / "model.json").write_text(model.to_json())
    model.save_weights(tmp_path / "model.weights.h5")
    return model, tmp_path / "model.json", tmp_path / "model.weights.h5"


def test_json_and_weights_of_keras_3_make_the_network(pair):
    theirs, architecture, weights = pair
    model = mc.load(architecture, weights=weights)
    assert_predicts_like(theirs, model)
    assert model.weights_note.startswith("model.weights.h5: set 4 arrays")
    assert model.name == theirs.name


def test_a_functional_model_in_json(tmp_path):
    x = keras.Input((8, 9, 3))
    y = L.Dense(2)(L.GlobalAveragePooling2D()(L.Conv2D(4, 3, activation="relu")(x)))
    theirs = keras.Model(x, y)
    (tmp_path / "m.json").write_text(theirs.to_json())
    theirs.save_weights(tmp_path / "w.weights.h5")
    assert_predicts_like(theirs, mc.load(tmp_path / "m.json", weights=tmp_path / "w.weights.h5"))


@pytest.mark.parametrize("how", ["BOM", "JSON in JSON", "indented"])
def test_json_as_people_write_it(pair, how):
    theirs, architecture, weights = pair
    text = architecture.read_text()
    architecture.write_bytes({"BOM": b"\xef\xbb\xbf" + text.encode(),
                              "JSON in JSON": json.dumps(text).encode(),
                              "indented": b"\n  " + json.dumps(json.loads(text), indent=2).encode()
                              }[how])
    assert_predicts_like(theirs, mc.load(architecture, weights=weights))


def keras2_json(as_list=False):
    """What Keras 2.2 writes, by hand: a Sequential's config was a list before 2.2.3."""
    common = {"trainable": True, "dtype": "float32"}
    initializer = {"class_name": "VarianceScaling", "config": {"scale": 1.0, "mode": "fan_avg"}}
    layers = [
        {"class_name": "Conv2D", "config": common | {
            "name": "conv2d_1", "batch_input_shape": [None, 6, 6, 1], "filters": 2,
            "kernel_size": [3, 3], "strides": [1, 1], "padding": "valid",
            "data_format": "channels_last", "dilation_rate": [1, 1], "activation": "relu",
            "use_bias": True, "kernel_initializer": initializer, "kernel_regularizer": None}},
        {"class_name": "Flatten", "config": {"name": "flatten_1", "trainable": True,
                                             "data_format": "channels_last"}},
        {"class_name": "Dense", "config": {"name": "dense_1", "trainable": True, "units": 2,
                                           "activation": "sigmoid", "use_bias": True}}]
    config = layers if as_list else {"name": "sequential_1", "layers": layers}
    return json.dumps({"class_name": "Sequential", "config": config, "keras_version": "2.2.4",
                       "backend": "tensorflow"})


@pytest.mark.parametrize("as_list", [False, True])
def test_json_of_keras_2_with_its_weights(tmp_path, rng, as_list):
    W, b = rng.normal(size=(3, 3, 1, 2)), rng.normal(size=2)
    W2, b2 = rng.normal(size=(32, 2)), rng.normal(size=2)
    (tmp_path / "m.json").write_text(keras2_json(as_list))
    with h5py.File(tmp_path / "w.h5", "w") as file:
        write_c(file, [("conv2d_1", [W, b]), ("dense_1", [W2, b2])])
    model = mc.load(tmp_path / "m.json", weights=tmp_path / "w.h5")
    x = rng.normal(size=(1, 6, 6, 1))
    z = np.array([[[(x[0, i:i + 3, j:j + 3] * W[..., f]).sum() + b[f] for f in range(2)]
                   for j in range(4)] for i in range(4)])
    p = 1 / (1 + np.exp(-(np.maximum(z, 0).reshape(-1) @ W2 + b2)))
    np.testing.assert_allclose(model.predict(x.astype(np.float32))[0], p, rtol=1e-4)


def test_weights_replace_those_of_a_whole_model(tmp_path):
    first, second = keras_model(), keras_model()
    first.save(tmp_path / "first.keras")
    second.save_weights(tmp_path / "second.weights.h5")
    model = mc.load(tmp_path / "first.keras", weights=tmp_path / "second.weights.h5")
    assert_predicts_like(second, model)


def test_half_of_the_pair_is_refused_and_the_other_half_is_named(pair):
    _, architecture, weights = pair
    with pytest.raises(FileError, match=r"model\.json: describes a network, without its weights.*"
                                        r"load\('model.json', weights="):
        mc.load(architecture)
    with pytest.raises(FileError, match="holds weights but no architecture.*to_json"):
        mc.load(weights)
    with pytest.raises(FileError, match="holds weights but no architecture"):
        mc.load(weights, weights=architecture)
    with pytest.raises(FileError, match="received JSON"):
        mc.load(architecture, weights=architecture)


@pytest.mark.parametrize("kind", ["Lambda", "custom"])
def test_json_with_code_is_refused(pair, kind):
    _, architecture, weights = pair
    network = json.loads(architecture.read_text())
    layer = network["config"]["layers"][1]
    if kind == "Lambda":
        layer["class_name"] = "Lambda"
        layer["config"] |= {"function": ["4wEAAAAAAAAA", None, None], "function_type": "lambda"}
    else:
        layer |= {"module": "my.layers", "class_name": "Mine", "registered_name": "my>Mine"}
    architecture.write_text(json.dumps(network))
    with pytest.raises(FileError, match="never runs code"):
        mc.load(architecture, weights=weights)


@pytest.mark.parametrize("text", ["{}", '{"a": 1}', '{"class_name": "Sequential"}', '"{}"', '"{',
                                  "{" * 50_000, '{"class_name": 3, "config": {}}',
                                  '{"class_name": "Sequential", "config": {"layers": [NaN]}}',
                                  '{"class_name": "Sequential", "config": []}'])
def test_json_that_describes_no_network_is_refused(pair, text):
    _, architecture, weights = pair
    architecture.write_text(text)
    with pytest.raises(FileError, match=r"model\.json: "):
        mc.load(architecture, weights=weights)


def test_a_large_text_is_not_read(pair):
    _, architecture, weights = pair
    architecture.write_bytes(b'{"a": "' + b"x" * 5_000_000 + b'"}')
    with pytest.raises(FileError, match="at most 4,000,000 bytes"):
        mc.load(architecture, weights=weights)


LAMBDA = {"class_name": "Lambda", "config": {"function": ["4wEA", None, None]}}


@pytest.mark.parametrize("layer", [
    LAMBDA, {"class_name": "Lambda"}, {"class_name": "Lambda", "config": None},
    LAMBDA | {"config": {"name": 3}},
    {"class_name": "TimeDistributed", "config": {"name": "t", "layer": LAMBDA}},
    {"class_name": "Dense", "config": {"name": "d", "units": 2, "activation": {
        "class_name": "__lambda__", "config": {"value": "4wEA"}}}}])
@pytest.mark.parametrize("network", ["Sequential", "Functional"])
def test_code_is_refused_with_its_reason_also_in_a_layer_without_a_name(layer, network):
    config = {"name": "s", "layers": [layer], "input_layers": [], "output_layers": []}
    with assert_refused("m.json", "a Lambda", "never runs code", "Rebuild the network"):
        layers_from_config({"class_name": network, "config": config}, "m.json")


@pytest.mark.parametrize("layer", [{"class_name": "Dense", "config": {"units": 3}},
                                   {"class_name": "Dense"}])
def test_a_layer_without_a_name_is_refused_with_a_sentence(layer):
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": [layer]}}
    with assert_refused("m.json", "a text as name", "Dense"):
        layers_from_config(config, "m.json")
