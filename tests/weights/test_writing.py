"""What minicnn writes, Keras opens and computes the same with; and the other way round."""

import json

import h5py
import keras
import numpy as np
import pytest
from reference import assert_predicts_like, assert_refused

from minicnn.layers import (
    ELU,
    SELU,
    AveragePool2D,
    BatchNormalization,
    CenterCrop,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GaussianDropout,
    GaussianNoise,
    GlobalAveragePool2D,
    GlobalMaxPool2D,
    HardSigmoid,
    Layer,
    LeakyReLU,
    MaxPool2D,
    Normalization,
    Permute,
    PReLU,
    ReLU,
    ReLU6,
    Rescaling,
    Reshape,
    Resizing,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    SpatialDropout2D,
    Tanh,
    ZeroPadding2D,
)
from minicnn.model import Sequential
from minicnn.utils.errors import FileError
from minicnn.weights import read_model, read_weights, write_model, write_weights

# Keras on PyTorch, about itself.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")

NETWORKS = {
    "dense only": ((7,), [lambda: Dense(5, "relu"), lambda: Dense(3, "softmax")]),
    "one convolution": ((9, 8, 3), [lambda: Conv2D(4, 3)]),
    "same padding, odd sizes, strides": ((9, 8, 3), [
        lambda: Conv2D(4, (3, 2), (2, 3), "same", "relu"), lambda: Conv2D(5, 4, 1, "same"),
        lambda: Flatten(), lambda: Dense(2, "sigmoid")]),
    "padding in numbers": ((6, 7, 2), [
        lambda: Conv2D(4, 3, padding=1, activation="relu"), lambda: Conv2D(3, 3, 2, (0, 2)),
        lambda: Conv2D(3, 1, padding=0), lambda: GlobalAveragePool2D(), lambda: Dense(1),
        lambda: Sigmoid()]),
    "pooling": ((11, 9, 2), [
        lambda: Conv2D(3, 2), lambda: MaxPool2D(3, 2, "same"), lambda: AveragePool2D(2, 1, "same"),
        lambda: AveragePool2D((2, 1)), lambda: MaxPool2D(2, padding=0), lambda: Flatten(),
        lambda: Dense(4), lambda: Softmax()]),
    "many of a kind": ((8, 8, 1), [
        *(lambda: Conv2D(2, 3, padding="same", activation="sigmoid") for _ in range(12)),
        lambda: ReLU(), lambda: Dropout(0.4, seed=3), lambda: MaxPool2D(), lambda: Flatten(),
        lambda: Dense(6, "relu"), lambda: Dropout(0.4), lambda: Dense(2), lambda: Softmax()]),
    "normalized, without biases": ((9, 8, 3), [
        lambda: Conv2D(4, 3, use_bias=False), lambda: BatchNormalization(epsilon=0.01),
        lambda: ReLU(), lambda: Conv2D(5, 3, use_bias=False),
        lambda: BatchNormalization(center=False), lambda: BatchNormalization(scale=False),
        lambda: BatchNormalization(3, center=False, scale=False), lambda: Flatten(),
        lambda: Dense(6, use_bias=False), lambda: BatchNormalization(1, 0.5), lambda: Dense(2)]),
    "activations": ((7, 8, 3), [
        lambda: Conv2D(4, 2, activation="tanh"), lambda: PReLU((1, 2)),
        lambda: Conv2D(4, 2, activation="elu"), lambda: PReLU(),
        lambda: Conv2D(4, 2, activation="leaky_relu"), lambda: LeakyReLU(0.1), lambda: ELU(0.5),
        lambda: Tanh(), lambda: PReLU([1]), lambda: GlobalMaxPool2D(), lambda: PReLU(),
        lambda: Dense(5, "tanh"), lambda: BatchNormalization(), lambda: Dense(3, "elu")]),
    "other activations": ((7, 8, 3), [
        lambda: Conv2D(4, 2, activation="relu6"), lambda: Conv2D(4, 2, activation="silu"),
        lambda: ReLU6(), lambda: Conv2D(4, 2, activation="hard_sigmoid"), lambda: HardSigmoid(),
        lambda: SpatialDropout2D(0.3, 2), lambda: Conv2D(4, 1, activation="selu"), lambda: SiLU(),
        lambda: GaussianNoise(0.1), lambda: SELU(), lambda: Softplus(), lambda: Flatten(),
        lambda: GaussianDropout(0.2), lambda: Dense(4, "softplus")]),
    "shapes and pixels": ((9, 10, 3), [
        lambda: Resizing(9, 10, "nearest", True), lambda: Rescaling(1 / 127.5, -1),
        lambda: Normalization(-1, (0.1, 0.2, 0.3), (1.5, 2, 3)), lambda: CenterCrop(8, 7),
        lambda: ZeroPadding2D(((0, 1), (2, 0))), lambda: Conv2D(4, 3, 2),
        lambda: ZeroPadding2D(1), lambda: MaxPool2D(2), lambda: ZeroPadding2D((1, 2)),
        lambda: Conv2D(3, 2, padding="same"), lambda: Permute((2, 1, 3)),
        lambda: Reshape((7, -1)), lambda: Reshape((5, -1, 3)), lambda: Conv2D(2, 1),
        lambda: Normalization(None, 0.5, 0.2), lambda: Rescaling((2, 3), (0, 1)),
        lambda: Reshape((-1,)), lambda: Dense(3)]),
    "one channel, one pixel": ((1, 1, 1), [
        lambda: Conv2D(1, 1), lambda: Flatten(), lambda: Dense(1)]),
}


def build(which, seed=3):
    shape, makers = NETWORKS[which]
    model = Sequential([make() for make in makers], shape, seed=seed, name="net")
    rng = np.random.default_rng(seed)
    for layer in model.layers:  # zero biases would hide a bias that is lost
        for key, p in layer.params.items():
            if key != "W":
                layer.params[key] = rng.uniform(0.5, 2, p.shape).astype(np.float32)
    return model


def images(model):
    return np.random.default_rng(0).normal(size=(3, *model.input_shape)).astype(np.float32)


def assert_same_params(a, b):
    for one, two in zip(a.layers, b.layers, strict=True):
        assert one.params.keys() == two.params.keys()
        for key in one.params:
            assert one.params[key].tobytes() == two.params[key].tobytes()


def as_sequential(path, input_shape=None):
    layers, shape, name, _, _ = read_model(path, input_shape)
    return Sequential(layers, shape, None, name)


@pytest.mark.parametrize("which", NETWORKS)
def test_keras_opens_our_model_and_predicts_the_same_and_back(tmp_path, which):
    model = build(which)
    ours = tmp_path / "ours.h5"
    write_model(ours, model.layers, model.input_shape, model.name, {})
    twin = keras.models.load_model(ours, compile=False)
    assert twin.name == "net"
    assert_predicts_like(twin, model)
    assert_same_params(as_sequential(ours), model)
    for ending in (".h5", ".keras"):
        theirs = tmp_path / f"theirs{ending}"
        twin.save(theirs)
        again = as_sequential(theirs)
        assert_same_params(again, model)
        assert_predicts_like(twin, again)


@pytest.mark.parametrize("which", NETWORKS)
def test_weight_files_go_both_ways(tmp_path, which):
    model = build(which)
    write_model(tmp_path / "m.h5", model.layers, model.input_shape, model.name, {})
    twin = keras.models.load_model(tmp_path / "m.h5", compile=False)
    for weight in twin.weights:
        weight.assign(weight * 0)
    write_weights(tmp_path / "ours.weights.h5", model.layers)
    assert sorted(name for name, _ in read_weights(tmp_path / "ours.weights.h5")) == sorted(
        layer.name for layer in model.layers if layer.params)
    twin.load_weights(tmp_path / "ours.weights.h5")
    assert_predicts_like(twin, model)
    twin.save_weights(tmp_path / "theirs.weights.h5")
    other = build(which, seed=4)
    assert "skipped: none" in other.load_weights(tmp_path / "theirs.weights.h5")
    assert_same_params(other, model)


def test_weight_files_go_into_a_functional_twin_too(tmp_path):
    model = build("pooling")
    x = y = keras.Input(model.input_shape)
    L = keras.layers
    for layer in (L.Conv2D(3, 2), L.MaxPooling2D(3, 2, "same"), L.AveragePooling2D(2, 1, "same"),
                  L.AveragePooling2D((2, 1)), L.MaxPooling2D(2), L.Flatten(), L.Dense(4),
                  L.Softmax()):
        y = layer(y)
    twin = keras.Model(x, y)
    write_weights(tmp_path / "ours.weights.h5", model.layers)
    twin.load_weights(tmp_path / "ours.weights.h5")
    assert_predicts_like(twin, model)


def test_a_keras_transfer_learning_file_opens_and_predicts_the_same(tmp_path):
    x = keras.Input((8, 9, 3))
    y = keras.layers.Conv2D(4, 3, activation="relu", name="c1")(x)
    base = keras.Model(x, keras.layers.Conv2D(4, 3, name="c2")(y), name="base")
    base.get_layer("c1").trainable = False
    twin = keras.Sequential([base, keras.layers.GlobalAveragePooling2D(),
                             keras.layers.Dense(1, activation="sigmoid", name="head")])
    for ending in (".h5", ".keras"):
        twin.save(tmp_path / f"x{ending}")
        model = as_sequential(tmp_path / f"x{ending}")
        assert_predicts_like(twin, model)
        assert [layer.trainable for layer in model.layers] == [False, True, True, True]


def test_frozen_layers_stay_frozen_in_keras_and_back(tmp_path):
    model = build("same padding, odd sizes, strides")
    model.freeze(until=model.layers[1].name)
    write_model(tmp_path / "m.h5", model.layers, model.input_shape, "net", {})
    twin = keras.models.load_model(tmp_path / "m.h5", compile=False)
    assert [layer.trainable for layer in twin.layers] == [False, False, True, True]
    assert [layer.trainable for layer in read_model(tmp_path / "m.h5")[0]] == [
        False, False, True, True]


def test_metadata_name_and_sentence_ride_along(tmp_path):
    model = build("dense only")
    metadata = {"classes": ["Cirrus ☁", "Cumulus"] * 3000, "preprocessing": {"scale": 1 / 255}}
    write_model(tmp_path / "m.h5", model.layers, model.input_shape, "net", metadata)
    _, shape, name, received, sentence = read_model(tmp_path / "m.h5")
    assert (shape, name, received) == ((7,), "net", metadata)
    assert sentence == "m.h5: set 4 arrays, 58 parameters; skipped: none; layers matched by name"
    keras.models.load_model(tmp_path / "m.h5", compile=False)


def test_a_weights_file_is_no_model(tmp_path):
    model = build("dense only")
    write_weights(tmp_path / "m.weights.h5", model.layers)
    with pytest.raises(FileError, match="holds weights but no architecture; build the network and "
                                        "call load_weights"):
        read_model(tmp_path / "m.weights.h5")


def test_an_open_size_asks_for_input_shape_and_takes_it(tmp_path):
    twin = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3),
                             keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)])
    twin.save(tmp_path / "m.h5")
    with pytest.raises(FileError, match=r"leaves the input's size open \(\(None, None, 3\)\); give "
                                        r"input_shape=\(height, width, channels\)"):
        read_model(tmp_path / "m.h5")
    assert_predicts_like(twin, as_sequential(tmp_path / "m.h5", (6, 9, 3)))


@pytest.mark.parametrize("attribute, value", [
    ("model_config", "{"), ("model_config", "[[[" * 99999), ("model_config", 5), ("minicnn", "{"),
    ("minicnn", "[]")])
def test_damaged_attributes_are_refused(tmp_path, attribute, value):
    model = build("dense only")
    write_model(tmp_path / "m.h5", model.layers, model.input_shape, "net", {})
    with h5py.File(tmp_path / "m.h5", "a") as file:
        file.attrs[attribute] = value
    with pytest.raises(FileError, match="m.h5"):
        read_model(tmp_path / "m.h5")


def test_the_description_in_the_file_is_plain_json_without_code(tmp_path):
    model = build("many of a kind")
    write_model(tmp_path / "m.h5", model.layers, model.input_shape, "net", {})
    with h5py.File(tmp_path / "m.h5") as file:
        config = json.loads(file.attrs["model_config"])
        assert file["model_weights/conv2d_10/conv2d_10/kernel"].dtype == np.float32
    assert "Lambda" not in json.dumps(config)


# Complete, or not at all

class Broken(Layer):
    """A layer whose arrays cannot be written."""

    def __init__(self):
        super().__init__("broken")
        self.params = {"W": np.array(["no number"])}


class Own(Layer):
    """A layer of somebody's own, with parameters."""

    def __init__(self):
        super().__init__("own")
        self.params = {"W": np.ones((2, 2), np.float32)}


@pytest.mark.parametrize("exists", [True, False])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, exists):
    path = tmp_path / "m.weights.h5"
    if exists:
        path.write_bytes(b"the old file")
    with pytest.raises(ValueError):
        write_weights(path, [*build("dense only").layers, Broken()])
    assert [path.name for path in tmp_path.iterdir()] == (["m.weights.h5"] if exists else [])
    assert not exists or path.read_bytes() == b"the old file"


def test_a_network_that_keras_cannot_express_is_refused_before_writing(tmp_path):
    path = tmp_path / "m.h5"
    path.write_bytes(b"the old file")
    with pytest.raises(FileError, match=r"m\.h5: layer 'own' is a Own, which Keras lacks"):
        write_model(path, [Own()], (2,), "net", {})
    assert [path.name for path in tmp_path.iterdir()] == ["m.h5"]
    assert path.read_bytes() == b"the old file"


def test_a_folder_that_is_missing_or_is_a_file_is_refused(tmp_path):
    layers = build("dense only").layers
    with pytest.raises(FileError, match="can be written"):
        write_weights(tmp_path / "none" / "m.weights.h5", layers)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FileError, match="can be written"):
        write_weights(tmp_path / "file" / "m.weights.h5", layers)


def test_an_older_file_is_replaced_and_nothing_else_is_left(tmp_path):
    for which in ("pooling", "dense only"):
        model = build(which)
        write_model(tmp_path / "m.h5", model.layers, model.input_shape, "net", {})
    assert [path.name for path in tmp_path.iterdir()] == ["m.h5"]
    assert_same_params(as_sequential(tmp_path / "m.h5"), model)


def test_a_layer_of_somebodys_own_is_kept_in_a_weights_file(tmp_path):
    write_weights(tmp_path / "x.weights.h5", [Own()])
    with h5py.File(tmp_path / "x.weights.h5") as file:
        assert file["layers/own/vars/0"][()].tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize("name", ["m", "m.keras", "m.h5.txt"])
def test_a_name_of_another_kind_of_file_is_refused(name, tmp_path):
    with assert_refused("save", ".weights.h5", name):
        build("dense only").save(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == []


def test_classes_that_could_not_be_read_back_are_not_written(tmp_path):
    model = Sequential([Dense(2), Softmax()], (4,), 0, classes=["a", "b\n"])
    with assert_refused("expected printable names of classes, received 'b\\n'"):
        model.save(tmp_path / "x.h5")
    assert not any(tmp_path.iterdir())
