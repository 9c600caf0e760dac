"""Networks of Keras 1, written by hand from its sources (1.2.2): other names, the same numbers."""

import json

import h5py
import keras
import numpy as np
import pytest

import minicnn as mc
from minicnn.utils.errors import FileError
from minicnn.weights.config import layers_from_config

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
L = keras.layers


def entry(kind, name, **config):
    return {"class_name": kind, "config": {"name": name, "trainable": True, **config}}


def convolution(name, filters, rows, columns, **changes):
    return entry("Convolution2D", name, **{
        "nb_filter": filters, "nb_row": rows, "nb_col": columns, "init": "glorot_uniform",
        "activation": "linear", "border_mode": "valid", "subsample": [1, 1],
        "dim_ordering": "tf", "W_regularizer": None, "b_regularizer": None,
        "activity_regularizer": None, "W_constraint": None, "b_constraint": None, "bias": True,
        **changes})


def pooling(kind, name, size, strides, border_mode="valid"):
    return entry(kind, name, pool_size=size, strides=strides, border_mode=border_mode,
                 dim_ordering="tf")


def dense(name, units, activation, bias=True):
    return entry("Dense", name, output_dim=units, init="glorot_uniform", activation=activation,
                 bias=bias, input_dim=None)


ENTRIES = [
    convolution("convolution2d_1", 4, 3, 2, batch_input_shape=[None, 12, 11, 3],
                input_dtype="float32", activation="relu", subsample=[1, 2]),
    entry("BatchNormalization", "batchnormalization_1", epsilon=1e-5, mode=0, axis=3,
          momentum=0.99, gamma_regularizer=None, beta_regularizer=None),
    entry("ZeroPadding2D", "zeropadding2d_1", padding=[1, 2], dim_ordering="tf"),
    convolution("convolution2d_2", 5, 3, 3, border_mode="same", bias=False),
    entry("LeakyReLU", "leakyrelu_1", alpha=0.1),
    entry("ZeroPadding2D", "zeropadding2d_2", padding=[0, 1, 1, 0], dim_ordering="tf"),
    pooling("MaxPooling2D", "maxpooling2d_1", [2, 2], [2, 2]),
    pooling("AveragePooling2D", "averagepooling2d_1", [2, 2], [1, 1], "same"),
    entry("Dropout", "dropout_1", p=0.25),
    entry("Flatten", "flatten_1"),
    dense("dense_1", 6, "tanh", bias=False),
    entry("ELU", "elu_1", alpha=0.5),
    dense("dense_2", 3, "linear"),
    entry("Activation", "activation_1", activation="softmax")]


def twin():
    """The same network in today's Keras, its numbers drawn."""
    model = keras.Sequential([
        keras.Input((12, 11, 3)), L.Conv2D(4, (3, 2), (1, 2), activation="relu"),
        L.BatchNormalization(epsilon=1e-5), L.ZeroPadding2D((1, 2)),
        L.Conv2D(5, 3, padding="same", use_bias=False), L.LeakyReLU(0.1),
        L.ZeroPadding2D(((0, 1), (1, 0))), L.MaxPooling2D(2), L.AveragePooling2D(2, 1, "same"),
        L.Dropout(0.25), L.Flatten(), L.Dense(6, "tanh", use_bias=False), L.ELU(0.5), L.Dense(3),
        L.Softmax()])
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape) if weight.ndim > 1 else
                      rng.uniform(0.5, 2, weight.shape))
    return model


def write(path, model, entries=ENTRIES):
    """Keras 1's model.save: arrays W, b, …, directly in the group of their layer."""
    keys = {1: "W", 2: "Wb", 4: ("gamma", "beta", "running_mean", "running_std")}
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = b"1.2.2"
        file.attrs["model_config"] = json.dumps(
            {"class_name": "Sequential", "config": entries}).encode()
        root = file.create_group("model_weights")
        names = [layer["config"]["name"] for layer in entries]
        root.attrs["layer_names"] = np.array(names, "S")
        for name, layer in zip(names, model.layers, strict=True):
            group = root.create_group(name)
            arrays = [np.asarray(w) for w in (layer.weights if layer.count_params() else [])]
            weights = [f"{name}_{key}:0" for key in keys.get(len(arrays), ())]
            group.attrs["weight_names"] = np.array(weights, "S") if weights else np.empty(0)
            for key, array in zip(weights, arrays, strict=True):
                group[key] = array


def test_a_network_of_keras_1_predicts_what_todays_keras_predicts(tmp_path):
    model = twin()
    write(tmp_path / "old.h5", model)
    ours = mc.load(tmp_path / "old.h5")
    x = np.random.default_rng(1).normal(size=(4, 12, 11, 3)).astype(np.float32)
    expected = np.asarray(model.predict(x, verbose=0))
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(ours.predict(x), expected, rtol=1e-5, atol=1e-6)
    ours.save(tmp_path / "new.h5")
    again = keras.models.load_model(tmp_path / "new.h5", compile=False)
    np.testing.assert_allclose(np.asarray(again.predict(x, verbose=0)), expected, rtol=1e-5,
                               atol=1e-6)


def functional(entries):
    """The same layers as Keras 1's Model, each called on the one before it."""
    before, layers = "input_1", [
        {**entry("InputLayer", "input_1", batch_input_shape=[None, 12, 11, 3],
                 input_dtype="float32", sparse=False), "name": "input_1", "inbound_nodes": []}]
    for layer in entries:
        name = layer["config"]["name"]
        layers.append({**layer, "name": name, "inbound_nodes": [[[before, 0, 0]]]})
        before = name
    return {"class_name": "Model", "config": {
        "name": "model_1", "layers": layers, "input_layers": [["input_1", 0, 0]],
        "output_layers": [[before, 0, 0]]}}


def test_a_model_of_keras_1_has_the_same_layers_as_its_sequential():
    layers, shape = layers_from_config({"class_name": "Sequential", "config": ENTRIES}, "m.h5")
    again, same_shape = layers_from_config(functional(ENTRIES), "m.h5")
    assert repr(again) == repr(layers) and shape == same_shape == (12, 11, 3)


@pytest.mark.parametrize("layer, sentence", [
    (convolution("c", 4, 3, 3, dim_ordering="th"),
     "'c' .*Conv2D.*expected data_format channels_last .* received channels_first"),
    (convolution("c", 4, 3, 3, border_mode="full"), "at ArgumentError: c: expected padding"),
    (entry("AtrousConvolution2D", "c"), "'c' is a AtrousConvolution2D, which minicnn lacks"),
    (entry("Merge", "m"), "'m' is a Merge, which minicnn lacks"),
    (entry("BatchNormalization", "b", mode=2, axis=-1), "'b' .*mode 0, received 2")])
def test_what_minicnn_lacks_of_keras_1_is_refused_by_name(layer, sentence):
    with pytest.raises(FileError, match=sentence):
        layers_from_config({"class_name": "Sequential", "config": [layer]}, "m.h5")
