"""Keras' descriptions of networks: what is read, what is refused and in which words."""

import copy
import json
import re

import keras
import numpy as np
import pytest

from minicnn.layers import (
    AveragePool2D,
    Conv2D,
    Dense,
    Layer,
    LeakyReLU,
    MaxPool2D,
    Sigmoid,
    Softmax,
)
from minicnn.utils.errors import FileError
from minicnn.weights.config import config_from_layers, layers_from_config, layers_left_out

L = keras.layers


def read(model):
    """A Keras model's description, as it stands in its file."""
    config = {"class_name": type(model).__name__, "config": json.loads(model.to_json())["config"]}
    return layers_from_config(config, "m.h5")


def every_layer():
    return [L.Conv2D(4, (3, 2), strides=(2, 1), padding="same", activation="relu", name="a"),
            L.ZeroPadding2D((1, 2)), L.Conv2D(5, 3, name="b", trainable=False), L.ReLU(name="r"),
            L.MaxPooling2D((2, 1), name="m"), L.AveragePooling2D(2, 1, "same", name="v"),
            L.Activation("linear"), L.Activation("sigmoid", name="s"), L.Flatten(name="f"),
            L.Dropout(0.25, name="d"), L.Dense(3, activation="softmax", name="e"),
            L.Softmax(name="x")]


EXPECTED = ("[Conv2D(filters=4, kernel_size=(3, 2), strides=(2, 1), padding='same', "
            "activation='relu', use_bias=True, kernel_initializer='glorot_uniform', "
            "name='a'), "
            "Conv2D(filters=5, kernel_size=(3, 3), strides=(1, 1), padding=(1, 2), "
            "activation=None, use_bias=True, kernel_initializer='glorot_uniform', name='b'), "
            "ReLU(name='r'), "
            "MaxPool2D(pool_size=(2, 1), strides=(2, 1), padding='valid', name='m'), "
            "AveragePool2D(pool_size=(2, 2), strides=(1, 1), padding='same', name='v'), "
            "Sigmoid(name='s'), Flatten(name='f'), Dropout(rate=0.25, seed=0, name='d'), "
            "Dense(units=3, activation='softmax', use_bias=True, "
            "kernel_initializer='glorot_uniform', name='e'), "
            "Softmax(name='x')]")


def test_every_layer_of_a_sequential_is_read():
    layers, shape = read(keras.Sequential([keras.Input((9, 8, 3)), *every_layer()]))
    assert repr(layers) == EXPECTED and shape == (9, 8, 3)
    assert [layer.name for layer in layers if not layer.trainable] == ["b"]


def test_every_layer_of_a_functional_network_is_read():
    x = y = keras.Input((9, 8, 3))
    for layer in every_layer():
        y = layer(y)
    layers, shape = read(keras.Model(x, y))
    assert repr(layers) == EXPECTED and shape == (9, 8, 3)


def test_a_model_inside_a_model_is_flattened_and_frozen_with_it():
    x = keras.Input((9, 8, 3))
    base = keras.Model(x, L.MaxPooling2D(name="p")(L.Conv2D(4, 3, name="c")(x)), name="base")
    base.trainable = False
    layers, shape = read(keras.Sequential([base, L.GlobalAveragePooling2D(name="g"),
                                           L.Dense(1, name="h")]))
    assert [(layer.name, layer.trainable) for layer in layers] == [
        ("c", False), ("p", False), ("g", True), ("h", True)]
    assert shape == (9, 8, 3)


def test_a_frozen_model_inside_freezes_even_what_its_layers_say_is_trainable():
    base = keras.Sequential([keras.Input((4,)), L.Dense(2, name="in")], name="base")
    base.trainable = False
    base.layers[0].trainable = True
    layers, _ = read(keras.Sequential([base, L.Dense(1, name="head")]))
    assert [layer.trainable for layer in layers] == [False, True]


def test_leaky_relus_of_every_age_are_read():
    """Keras 3; Keras 2, also with an array of NumPy's; ReLU with a slope; an Activation by name."""
    layers = [entry("LeakyReLU", "a", negative_slope=0.1), entry("LeakyReLU", "b", alpha=0.1),
              entry("LeakyReLU", "c", alpha={"type": "ndarray", "value": 0.1}),
              entry("LeakyReLU", "d"), entry("ReLU", "e", negative_slope=0.1, max_value=None),
              entry("Activation", "f", activation="leaky_relu")]
    read_layers, _ = layers_from_config(
        {"class_name": "Sequential", "config": {"layers": layers}}, "m.h5")
    assert repr(read_layers) == str([LeakyReLU(slope, name) for name, slope in zip(
        "abcdef", (0.1, 0.1, 0.1, 0.3, 0.1, 0.2), strict=True)])


def test_open_sizes_and_missing_shapes_come_out_as_none():
    model = keras.Sequential([keras.Input((None, None, 3)), L.Conv2D(2, 3)])
    assert read(model)[1] == (None, None, 3)
    assert read(keras.Sequential([L.Conv2D(2, 3)]))[1] is None
    built = keras.Sequential([L.Conv2D(2, 3)])
    built.build((None, 5, 6, 3))
    assert read(built)[1] == (5, 6, 3)


# Keras 2, written by hand

def conv2(name, **changes):
    return {"class_name": "Conv2D", "name": name, "config": {
        "name": name, "trainable": True, "filters": 2, "kernel_size": [3, 3], "strides": [1, 1],
        "padding": "valid", "data_format": "channels_last", "dilation_rate": [1, 1],
        "activation": "linear", "use_bias": True, "kernel_regularizer": None} | changes}


def entry(kind, name, **config):
    return {"class_name": kind, "name": name, "config": {"name": name} | config}


def functional2(**links):
    """Keras 2's Functional: in, a, b and whatever links says they take; the last is the output."""
    layers = [entry("InputLayer", "in", batch_input_shape=[None, 9, 8, 3]) | {"inbound_nodes": []}]
    for name, nodes in links.items():
        calls = [[[source, 0, 0, {}] for source in node] for node in nodes]
        layers.append(conv2(name) | {"inbound_nodes": calls})
    return {"class_name": "Model", "config": {
        "name": "old", "layers": layers, "input_layers": [["in", 0, 0]],
        "output_layers": [[list(links)[-1], 0, 0]]}}


def names(config):
    return [layer.name for layer in layers_from_config(config, "m.h5")[0]]


def test_keras_2_sequential_of_both_ages_is_read():
    entries = [conv2("a", batch_input_shape=[None, 9, 8, 3]), conv2("b")]
    for config in (entries, {"name": "s", "layers": entries}):
        layers, shape = layers_from_config({"class_name": "Sequential", "config": config}, "m.h5")
        assert [layer.name for layer in layers] == ["a", "b"] and shape == (9, 8, 3)


def test_keras_2_functional_is_read_in_the_order_of_its_links():
    assert names(functional2(a=[["in"]], b=[["a"]])) == ["a", "b"]
    config = functional2(b=[["a"]], a=[["in"]])
    config["config"]["output_layers"] = [["b", 0, 0]]
    assert names(config) == ["a", "b"]


@pytest.mark.parametrize("links, sentence", [
    ({"a": [["in"]], "b": [["in"]]}, "layer 'b' is at a branch"),
    ({"a": [["in"]], "b": [["a", "in"]]}, r"layer 'b' is at a branch \(inputs: a, in\)"),
    ({"a": [["in"], ["b"]], "b": [["a"]]}, r"layer 'a' is used more than once \(2 times, on the "
     r"outputs of in, b\)"),
    ({"a": [["in"]], "b": [["c"]], "c": [["b"]]}, "one line of layers from the input to one out"),
    ({"b": [["c"]], "c": [["b"]], "a": [["in"]]}, "one line of layers from the input to one out"),
    ({"a": [["in"]], "b": [[]]}, r"layer 'b' is at a branch \(inputs: none\)")])
def test_anything_but_one_line_is_refused(links, sentence):
    with pytest.raises(FileError, match=sentence):
        layers_from_config(functional2(**links), "m.h5")


def test_several_inputs_or_outputs_are_refused():
    config = functional2(a=[["in"]], b=[["a"]])
    config["config"]["output_layers"] = [["a", 0, 0], ["b", 0, 0]]
    with pytest.raises(FileError, match="received outputs a, b"):
        layers_from_config(config, "m.h5")
    config = functional2(a=[["in"]])
    config["config"]["layers"].append(entry("InputLayer", "in2") | {"inbound_nodes": []})
    with pytest.raises(FileError, match="expected one input, received 2"):
        layers_from_config(config, "m.h5")
    x, z = keras.Input((4,)), keras.Input((4,))
    with pytest.raises(FileError, match="branch|one input"):
        read(keras.Model([x, z], L.Dense(2)(L.Add()([x, z]))))


def test_a_network_that_branches_is_refused_in_words_for_who_has_such_a_file():
    """MobileNetV2 inside a Sequential: what Teachable Machine exports."""
    base = keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, include_top=False, weights=None)
    model = keras.Sequential([keras.Sequential([base, L.GlobalAveragePooling2D()]),
                              keras.Sequential([L.Dense(2, activation="softmax")])])
    with pytest.raises(FileError, match="layer 'block_2_add' is at a branch .*MobileNet.*Teachable "
                                        "Machine exports.*VGG16"):
        read(model)


def test_a_shared_layer_of_keras_3_is_refused():
    x = keras.Input((4,))
    shared = L.Dense(4, name="shared")
    with pytest.raises(FileError, match=r"layer 'shared' is used more than once \(2 times, on the "
                                        "outputs of input.*, shared\\)"):
        read(keras.Model(x, shared(shared(x))))


def test_a_layer_without_weights_that_is_used_twice_is_not_called_a_branch():
    x, relu = keras.Input((8, 8, 3)), L.ReLU(name="act")
    y = relu(L.Conv2D(2, 3, name="b")(relu(L.Conv2D(2, 3, name="a")(x))))
    with pytest.raises(FileError, match=r"layer 'act' is used more than once \(2 times, on the "
                                        r"outputs of a, b\)") as refusal:
        read(keras.Model(x, L.Flatten()(y)))
    assert "branch" not in str(refusal.value)


@pytest.mark.parametrize("arithmetic, layer", [
    (lambda x: x / 255.0, r"It is x / 255: use keras.layers.Rescaling\(1 / 255\) in its place"),
    (lambda x: keras.ops.divide(x, 127.5), r"x / 127.5: use keras.layers.Rescaling\(1 / 127.5\)"),
    (lambda x: x * 2, r"x \* 2: use keras.layers.Rescaling\(2\) in"),
    (lambda x: x * (1 / 255), r"use keras.layers.Rescaling\(0.00392156862745098\) in"),
    (lambda x: x - 123.4567891, r"use keras.layers.Rescaling\(1, offset=-123.4567891\) in"),
    (lambda x: 0.5 * x, r"0.5 \* x: use keras.layers.Rescaling\(0.5\) in"),
    (lambda x: x + 1.5, r"x \+ 1.5: use keras.layers.Rescaling\(1, offset=1.5\) in"),
    (lambda x: 1 + x, r"1 \+ x: use keras.layers.Rescaling\(1, offset=1\) in"),
    (lambda x: x - 0.5, r"x - 0.5: use keras.layers.Rescaling\(1, offset=-0.5\) in"),
    (lambda x: 1 - x, r"1 - x: use keras.layers.Rescaling\(-1, offset=1\) in"),
    (lambda x: x - np.float32([1, 2, 3]), "with an array, as keras.layers.Normalization"),
    (lambda x: 1 / x, "which minicnn lacks; use this file in Keras"),
    (lambda x: x ** 2, "which minicnn lacks; use this file in Keras")])
def test_arithmetic_in_a_functional_model_is_told_the_layer_to_write_instead(arithmetic, layer):
    x = keras.Input((8, 8, 3))
    with pytest.raises(FileError, match=layer):
        read(keras.Model(x, L.Conv2D(2, 3)(arithmetic(x))))
    written = re.search(r"keras\.layers\.(Rescaling\(.*?\)) in its place", layer.replace("\\", ""))
    if written:  # the layer computes the same
        values = np.random.default_rng(0).normal(size=(1, 8, 8, 3)).astype(np.float32)
        expected = arithmetic(keras.ops.convert_to_tensor(values)).numpy()
        assert np.allclose(eval(written[1], {"Rescaling": L.Rescaling})(values).numpy(), expected,
                           1e-6, 1e-6)


# Refused by name

REFUSED = [
    (conv2("c", dilation_rate=[2, 2]),
     r"'c' \(Conv2D\): expected dilation_rate 1 .* received \[2, 2\]"),
    (conv2("c", groups=2), "'c' .*groups 1, received 2"),
    (conv2("c", data_format="channels_first"), "'c' .*data_format channels_last .* channels_fir"),
    (conv2("c", use_bias=3), "'c' .*use_bias True or False, received 3"),
    (conv2("c", activation="mish"),
     "'c' .*activation linear or relu or .* or tanh or .*, received mish"),
    (conv2("c", activation={"class_name": "function", "config": "f"}), "'c' .*activation linear"),
    (entry("Activation", "s", activation="mish"), "'s' .*activation .* mish"),
    (entry("ReLU", "r", max_value=4.0, negative_slope=0.0, threshold=0.0), "'r' .*max_value Non"),
    (entry("LeakyReLU", "r", negative_slope=-0.1), "reading stopped at ArgumentError: r, negative"),
    (entry("PReLU", "p", shared_axes=[0]), "reading stopped at ArgumentError: p: .*shared_axes"),
    (entry("ReLU", "r", threshold=1.0), "'r' .*threshold"),
    (entry("Softmax", "x", axis=1), "'x' .*axis -1, received 1"),
    (entry("GlobalAveragePooling2D", "g", keepdims=True), "'g' .*keepdims False"),
    (entry("Dropout", "o", rate=0.5, noise_shape=[1, 2]), "'o' .*noise_shape"),
    (entry("Flatten", "f", data_format="channels_first"), "'f' .*data_format"),
    (entry("BatchNormalization", "bn1", momentum=2), "reading stopped at ArgumentError: bn1, mom"),
    (entry("BatchNormalization", "bn1", axis=[1, 2]), "reading stopped at ArgumentError: bn1: exp"),
    (entry("BatchNormalization", "bn1", mode=1), r"'bn1' .*expected mode 0, received 1"),
    (entry("BatchNormalization", "bn1", renorm=True), "'bn1' .*renorm False"),
    (entry("LayerNormalization", "ln1"), "'ln1' is a LayerNormalization, which minicnn lacks"),
    (entry("Conv2DTranspose", "t"), "'t' is a Conv2DTranspose, which minicnn lacks"),
    (entry("TFOpLambda", "op"), "'op' is a TFOpLambda, which minicnn lacks"),
    (entry("Lambda", "code", function=["4wEA", None, None]), "'code' is a Lambda, which holds"),
    (entry("Lambda", "code") | {"module": "keras.layers"}, "'code' is a Lambda, which holds"),
    (entry("My>Conv2D", "own"), "'own' has the custom class"),
    (conv2("own") | {"module": "evil", "registered_name": "Conv2D"}, "custom class evil.Conv2D"),
    (conv2("own") | {"registered_name": "pack>Conv2D"}, "'own' has the custom class"),
    (conv2("own") | {"module": "kerasevil.layers"}, "'own' has the custom class"),
    (entry("ZeroPadding2D", "z", padding=[[0, -1], [0, 1]]), "stopped at ArgumentError: z, padd"),
    (entry("Reshape", "s", target_shape=[2, 2, 2, 2]), "stopped at ArgumentError: s: .*target_sha"),
    (entry("Permute", "p", dims=[1, 3]), "stopped at ArgumentError: p: expected dims"),
    (entry("Rescaling", "r", scale=float("inf")), "stopped at ArgumentError: r: expected scale"),
    (entry("Rescaling", "r", scale=1, offset=[1, None]), "stopped at ArgumentError: r: .* offset"),
    (entry("Normalization", "n", mean=[1], variance=[-1]), "ArgumentError: n: expected variance"),
    (entry("Normalization", "n", mean=[1]), "ArgumentError: n: expected mean and variance"),
    (entry("Normalization", "n", invert=True), "'n' .*invert False, received True"),
    (entry("Normalization", "n", axis=[1, 2]), "ArgumentError: n: expected an axis"),
    (entry("RandomFlip", "f") | {"registered_name": "my>RandomFlip"}, "'f' has the custom class"),
    (entry("RandomFlip", "f") | {"module": "mine"}, "'f' has the custom class mine.RandomFlip"),
    (entry("RandomCrop", "c"), "'c' is a RandomCrop, which minicnn lacks"),
    (conv2("c", filters=-1), "reading stopped at ArgumentError: c, filters"),
    (conv2("c", filters="4"), "reading stopped at ArgumentError"),
    (conv2("c", padding="causal"), "reading stopped at ArgumentError"),
    (entry("Conv2D", "c"), "reading stopped at KeyError"),
    ({"class_name": "Conv2D", "config": None}, "a text as name, .* a Conv2D of name None"),
    ("Conv2D", "reading stopped at"),
]


@pytest.mark.parametrize("layer, sentence", REFUSED)
def test_what_minicnn_lacks_is_refused_by_name(layer, sentence):
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": [
        conv2("first", batch_input_shape=[None, 9, 8, 3]), layer]}}
    before = copy.deepcopy(config)
    with pytest.raises(FileError, match=rf"^m\.h5: .*{sentence}"):
        layers_from_config(config, "m.h5")
    assert config == before


@pytest.mark.parametrize("padding, after", [
    ([[1, 1], [1, 1]], conv2("c", padding="same")), ([[1, 1], [1, 1]], entry("Flatten", "c")),
    ([[0, 1], [0, 1]], conv2("c")), ([[1, 1], [0, 1]], conv2("c")),
    ([[1, 1], [1, 1]], entry("MaxPooling2D", "c", pool_size=2, strides=2, padding="valid"))])
def test_zero_padding_before_anything_but_a_valid_convolution_is_a_layer(padding, after):
    layers = [entry("ZeroPadding2D", "z", padding=padding), after]
    assert names({"class_name": "Sequential", "config": {"layers": layers}}) == ["z", "c"]


def test_two_zero_paddings_before_a_convolution_are_one_layer_and_its_own():
    layers = [entry("ZeroPadding2D", "y", padding=[[1, 1], [1, 1]]),
              entry("ZeroPadding2D", "z", padding=[[2, 2], [0, 0]]), conv2("c")]
    read_layers, _ = layers_from_config(
        {"class_name": "Sequential", "config": {"layers": layers}}, "m.h5")
    assert [layer.name for layer in read_layers] == ["y", "c"]
    assert read_layers[1].padding == (2, 0)


def test_what_only_training_uses_is_left_out_and_named():
    layers = [entry("RandomFlip", "f") | {"module": "keras.layers"},
              entry("RandomRotation", "r") | {"module": "keras.layers.experimental.preprocessing"},
              conv2("c"), entry("RandomZoom", "g"), entry("AlphaDropout", "d", rate=0.5)]
    config = {"class_name": "Sequential", "config": {"layers": layers}}
    assert names(config) == ["c"]
    assert [settings["name"] for _, settings in layers_left_out(config, "m.h5")] == [
        "f", "r", "g", "d"]


def test_numbers_of_numpys_arrays_are_read():
    array = {"class_name": "__numpy__", "config": {"value": [1.0, 2.0], "dtype": "float32"}}
    layers = [entry("Rescaling", "r", scale=array, offset={"type": "ndarray", "value": 3.0})]
    read_layers, _ = layers_from_config(
        {"class_name": "Sequential", "config": {"layers": layers}}, "m.h5")
    assert read_layers[0].scale == (1.0, 2.0) and read_layers[0].offset == 3.0


@pytest.mark.parametrize("config", [5, None, [], {}, {"class_name": "Sequential"},
                                    {"class_name": "Functional", "config": {}},
                                    {"class_name": "Sequential", "config": {"layers": 3}}])
def test_what_is_no_description_is_refused(config):
    with pytest.raises(FileError, match="m.h5: expected Keras' description of a network"):
        layers_from_config(config, "m.h5")


def test_a_model_class_of_somebodys_own_is_refused():
    with pytest.raises(FileError, match="a Sequential or Functional network, received a MyNet"):
        layers_from_config({"class_name": "MyNet", "config": {}}, "m.h5")


# And back

def test_our_description_read_again_gives_the_same_layers():
    layers = [Conv2D(4, 3, padding=(1, 2), name="a"), Conv2D(4, 3, padding=0, name="b"),
              MaxPool2D((2, 1), padding="same", name="c"), AveragePool2D(2, padding=0, name="d"),
              Sigmoid("e"), Dense(3, name="f"), Softmax("g")]
    layers[1].trainable = False
    config = json.loads(json.dumps(config_from_layers(layers, (9, 8, 3), "net")))
    again, shape = layers_from_config(config, "m.h5")
    assert repr(again) == repr(layers).replace("(0, 0)", "'valid'") and shape == (9, 8, 3)
    assert [layer.trainable for layer in again] == [True, False, True, True, True, True, True]


class Own(Layer):
    pass


@pytest.mark.parametrize("layers, sentence", [
    ([Own(name="own")], "layer 'own' is a Own, which Keras lacks"),
    ([MaxPool2D(3, padding=1, name="p")], r"layer 'p': Keras' pooling .* not \(1, 1\)"),
    ([Dense(2, name="a/b")], "a name of its own, without /, .* received 'a/b'"),
    ([Dense(2, name="a"), Dense(2, name="a")], "received 'a'")])
def test_what_keras_lacks_is_refused_on_the_way_out(layers, sentence):
    with pytest.raises(FileError, match=sentence):
        config_from_layers(layers, (4, 4, 3), "net")
