"""hard_sigmoid: clip(x / 5 + 1/2) in files of Keras 1 and 2, clip(x / 6 + 1/2) in those of Keras 3.

Files of Keras 2 are written by hand from h5_formats.md's layouts D and F′; the numbers expected of
them are computed here, by Keras 2.15's formula (backend.py: x * 0.2 + 0.5, clipped).
"""

import io
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest

import minicnn as mc

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
L = keras.layers
RNG = np.random.default_rng(3)
KERNEL, BIAS = RNG.normal(size=(3, 2, 3, 4)).astype(np.float32), np.float32([-1, 0, 1, 0.5])
X = RNG.normal(size=(2, 6, 5, 3)).astype(np.float32)
OLD, NEW = 1 / 5, 1 / 6


def expected(slope):
    """A convolution and its hard_sigmoid, then another one."""
    windows = np.lib.stride_tricks.sliding_window_view(X, (3, 2), (1, 2))  # (N, 4, 4, C, 3, 2)
    z = np.einsum("nijcpq,pqcf->nijf", windows, KERNEL) + BIAS
    y = np.clip(z * slope + 0.5, 0, 1)
    return np.clip(y * slope + 0.5, 0, 1)


def description(**more):
    entries = [("Conv2D", {"name": "conv", "batch_input_shape": [None, 6, 5, 3], "filters": 4,
                           "kernel_size": [3, 2], "strides": [1, 1], "padding": "valid",
                           "activation": "hard_sigmoid", "use_bias": True, "trainable": True}),
               ("Activation", {"name": "own", "activation": "hard_sigmoid", "trainable": False})]
    return {"class_name": "Sequential", **more, "config": {"name": "net", "layers": [
        {"class_name": kind, "config": config} for kind, config in entries]}}


def hdf5(path, version=None):
    """Layout D: Keras 2's model.save; without version, as before Keras wrote one."""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(description()).encode()
        if version:
            file.attrs["keras_version"] = version.encode()
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = np.array(["conv", "own"], "S")
        weights.create_group("own").attrs["weight_names"] = np.empty(0)
        group = weights.create_group("conv")
        group.attrs["weight_names"] = np.array(["conv/kernel:0", "conv/bias:0"], "S")
        group["conv/kernel:0"], group["conv/bias:0"] = KERNEL, BIAS
    return mc.load(path)


def archive(path, version):
    """Layout F′: a .keras."""
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file["layers/conv2d/vars/0"], file["layers/conv2d/vars/1"] = KERNEL, BIAS
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("metadata.json", json.dumps({"keras_version": version}))
        file.writestr("config.json", json.dumps(description(module="keras")))
        file.writestr("model.weights.h5", content.getvalue())
    return mc.load(path)


def json_and_weights(path, **more):
    """model.to_json(), with the weights of another file."""
    hdf5(path, "2.15.0")
    path.with_name("m.json").write_text(json.dumps(description(**more)))
    return mc.load(path.with_name("m.json"), weights=path)


@pytest.mark.parametrize("read, slope", [
    (lambda path: hdf5(path), OLD), (lambda path: hdf5(path, "1.2.2"), OLD),
    (lambda path: hdf5(path, "2.15.0"), OLD), (lambda path: hdf5(path, "2.3.0-tf"), OLD),
    (lambda path: hdf5(path, "3.15.1"), NEW), (lambda path: archive(path, "2.13.1"), OLD),
    (lambda path: archive(path, "3.4.0"), NEW),
    (lambda path: json_and_weights(path, keras_version="2.15.0"), OLD),
    (lambda path: json_and_weights(path, module="keras"), NEW)])
def test_the_slope_is_that_of_the_keras_that_wrote_the_file(tmp_path, read, slope):
    model = read(tmp_path / "m.h5")
    np.testing.assert_allclose(model.predict(X), expected(slope), rtol=1e-5, atol=1e-6)
    assert (abs(expected(OLD) - expected(NEW)) > 1e-3).any()
    assert [layer.trainable for layer in model.layers] == [True] * (len(model.layers) - 1) + [False]


def test_an_old_slope_is_written_for_keras_3_as_the_same_function(tmp_path):
    model = hdf5(tmp_path / "old.h5", "2.15.0")
    model.save(tmp_path / "new.h5")
    again = mc.load(tmp_path / "new.h5")
    twin = keras.models.load_model(tmp_path / "new.h5", compile=False)
    for predicted in (again.predict(X), np.asarray(twin.predict(X, verbose=0))):
        np.testing.assert_allclose(predicted, expected(OLD), rtol=1e-5, atol=1e-6)


def test_a_slope_of_a_sixth_is_written_as_it_is(tmp_path):
    mc.Sequential([mc.HardSigmoid(name="own")], (4, 4, 3)).save(tmp_path / "m.h5")
    twin = keras.models.load_model(tmp_path / "m.h5", compile=False)
    assert [type(layer) for layer in twin.layers] == [L.Activation]
    x = np.linspace(-4, 4, 48, dtype=np.float32).reshape(1, 4, 4, 3)
    np.testing.assert_allclose(np.asarray(twin.predict(x, verbose=0)),
                               np.clip(x / 6 + 0.5, 0, 1), rtol=1e-5, atol=1e-6)


def test_a_frozen_layer_of_noise_stays_frozen_in_a_file_and_in_keras(tmp_path):
    layers = [mc.SpatialDropout2D(0.25, 7, "frozen"), mc.SpatialDropout2D(0.25, name="free"),
              mc.Dropout(0.5, name="frozen too"), mc.GaussianNoise(1, name="noise")]
    for layer in (layers[0], layers[2]):
        layer.trainable = False
    mc.Sequential(layers, (4, 4, 3)).save(tmp_path / "m.h5")
    again = mc.load(tmp_path / "m.h5")
    assert [repr(layer) for layer in again.layers] == [repr(layer) for layer in layers]
    assert [layer.trainable for layer in again.layers] == [False, True, False, True]
    twin = keras.models.load_model(tmp_path / "m.h5", compile=False)
    assert [layer.trainable for layer in twin.layers] == [False, True, False, True]
    y = np.asarray(twin.layers[0](np.ones((200, 4, 4, 3), np.float32), training=True))
    assert (y == y[:, :1, :1]).all() and 0 < (y == 0).mean() < 0.5  # whole channels


def test_a_dropout_of_whole_channels_in_keras_is_read_as_such(tmp_path):
    twin = keras.Sequential([keras.Input((4, 4, 3)), L.Dropout(0.25, (None, 1, 1, None))])
    twin.save(tmp_path / "m.keras")
    assert type(mc.load(tmp_path / "m.keras").layers[0]) is mc.SpatialDropout2D
