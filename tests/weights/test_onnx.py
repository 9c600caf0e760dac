"""ONNX files predict in onnxruntime what the model predicts here, from the same pixels."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from reference import assert_close, assert_refused, assert_same

import minicnn as mc
from minicnn.cli import main
from minicnn.weights import onnx as exported
from minicnn.weights.onnx import onnx_model, write_onnx

ERROR = 1e-5


def randomised(model, seed=0):
    """The model with biases too, so that none of them can be lost unseen."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        for key, p in layer.params.items():
            if key != "W":
                p[...] = rng.uniform(0.5, 2, p.shape)
    return model


def session(content):
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


def outputs_of(content, x):
    """y by onnxruntime from a file's bytes or path."""
    run = session(content)
    return run.run(None, {run.get_inputs()[0].name: np.asarray(x, np.float32)})[0]


def assert_predicts_the_same(model, x):
    """Checked by ONNX's own checker, shapes included, and run for one and for several x."""
    proto = onnx_model(model)
    onnx.checker.check_model(proto, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(proto, strict_mode=True).graph.output[0]
    assert [d.dim_value for d in inferred.type.tensor_type.shape.dim][1:] == list(
        model.shapes()[-1])
    for few in (x, x[:1]):
        y = model.predict(few)
        assert np.ptp(y) > 0.01 * np.abs(y).max()  # numbers that a mistake would move
        assert_close(outputs_of(proto.SerializeToString(), few), y, ERROR)


def pixels(rng, *shape):
    return rng.integers(0, 256, shape, dtype=np.uint8)


def test_the_small_network_predicts_the_same(rng):
    model = randomised(mc.SmallCNN(5, (28, 36, 3)))
    assert_predicts_the_same(model, pixels(rng, 4, 28, 36, 3))


@pytest.fixture(scope="module")
def vgg16():
    """The true base at 64 pixels with a head of three classes."""
    model = mc.VGG16(include_top=False, input_shape=(64, 64, 3))
    return model.replace_head([mc.Dropout(0.5), mc.Flatten(), mc.Dense(3), mc.Softmax()],
                              classes=["a", "b", "c"])


def test_vgg16_with_a_head_predicts_the_same_from_pixels(vgg16, rng):
    vgg16["dense"].params["W"][...] *= 0.05  # probabilities that are not all 0 or 1
    assert_predicts_the_same(vgg16, pixels(rng, 3, 64, 64, 3))


def test_logits_of_vgg16_agree_relative_to_their_size(vgg16, rng):
    base = vgg16.view(vgg16.layers[:-1], vgg16.input_shape, vgg16.preprocessing)
    assert_predicts_the_same(base, pixels(rng, 3, 64, 64, 3))


def test_every_kind_of_layer_predicts_the_same(rng):
    model = mc.Sequential([
        mc.Conv2D(6, (3, 5), strides=(2, 1), padding="same"), mc.ReLU(),
        mc.MaxPool2D((3, 2), strides=(1, 2), padding=(1, 0)),
        mc.Conv2D(4, 4, padding=(2, 3), activation="sigmoid"),
        mc.AveragePool2D(3, strides=2, padding="same"),
        mc.Dropout(0.5),
        mc.Conv2D(5, 1, activation="softmax"),
        mc.Flatten(),
        mc.Dense(7, activation="sigmoid"), mc.Dense(6), mc.Sigmoid(),
        mc.Dense(4), mc.Softmax()], (13, 17, 3), preprocessing=mc.Preprocessing())
    assert_predicts_the_same(randomised(model), pixels(rng, 3, 13, 17, 3))


@pytest.mark.parametrize("padding", ["same", "valid", 1, (2, 1)])
@pytest.mark.parametrize("strides", [1, (2, 3)])
@pytest.mark.parametrize("layer", [
    lambda **where: mc.Conv2D(4, (3, 4), **where), lambda **where: mc.MaxPool2D((3, 4), **where),
    lambda **where: mc.AveragePool2D((3, 4), **where)], ids=["conv", "max", "average"])
def test_windows_lie_where_they_lie_here(layer, strides, padding, rng):
    model = mc.Sequential([layer(strides=strides, padding=padding)], (11, 14, 2))
    assert_predicts_the_same(randomised(model), rng.normal(size=(2, 11, 14, 2)).astype(np.float32))


@pytest.mark.parametrize("layers, shape", [
    ([mc.GlobalAveragePool2D()], (5, 6, 3)),
    ([mc.Conv2D(4, 3), mc.GlobalAveragePool2D(), mc.Dense(2)], (5, 6, 3)),
    ([mc.Conv2D(4, 3), mc.Softmax()], (5, 6, 2)),
    ([mc.Softmax()], (5, 6, 4)),
    ([mc.Flatten(), mc.Softmax()], (3, 2, 2)),
    ([mc.BatchNormalization()], (5, 6, 3)),
    ([mc.Rescaling(0.5, (1, 2, 3)), mc.Normalization(-1, (1, 2, 3), (4, 5, 6))], (5, 6, 3)),
    ([mc.Conv2D(4, 3), mc.Rescaling((1, 2, 3, 4)), mc.Normalization(-1, (1, 2, 3, 4), 5),
      mc.Normalization(None, 0.5, 2), mc.CenterCrop(2, 2), mc.Conv2D(3, 2)], (5, 6, 3)),
    ([mc.Conv2D(4, 2), mc.ZeroPadding2D(((1, 0), (2, 3))), mc.Permute((2, 3, 1)),
      mc.Reshape((-1, 5)), mc.Permute((2, 1)), mc.Flatten(), mc.Dense(3)], (5, 6, 3)),
    ([mc.Reshape((3, 2, 2)), mc.Conv2D(4, 2), mc.Resizing(2, 1), mc.Reshape((4, 2, 1)),
      mc.MaxPool2D(2), mc.Reshape((2,))], (12,)),
    ([mc.GlobalMaxPool2D()], (5, 6, 3)),
    ([mc.PReLU()], (5, 6, 3)), ([mc.PReLU([1, 2])], (5, 6, 3)), ([mc.PReLU()], (6,)),
    ([mc.Conv2D(4, 3), mc.PReLU(), mc.Conv2D(3, 2), mc.PReLU((1, 2)), mc.ELU(0.5)], (5, 6, 3)),
    ([mc.Conv2D(4, 3, activation="tanh"), mc.LeakyReLU(0.2), mc.Flatten(), mc.PReLU(),
      mc.Dense(4, activation="elu"), mc.Dense(4, activation="leaky_relu"), mc.Tanh()], (5, 6, 3)),
    ([mc.Conv2D(4, 2, activation="silu"), mc.ReLU6(), mc.Conv2D(4, 2, activation="hard_sigmoid"),
      mc.SELU(), mc.SiLU(), mc.SpatialDropout2D(0.5), mc.Conv2D(3, 1), mc.HardSigmoid(),
      mc.Softplus(), mc.Flatten(), mc.GaussianNoise(0.1), mc.GaussianDropout(0.5),
      mc.Dense(4, activation="relu6"), mc.Dense(4, activation="selu"),
      mc.Dense(4, activation="softplus"), mc.SiLU()], (5, 6, 3)),
    ([mc.Rescaling(9.0), mc.ReLU6()], (6,)),
    ([mc.BatchNormalization(epsilon=0.3, scale=False)], (6,)),
    ([mc.Conv2D(4, 3, use_bias=False), mc.BatchNormalization(center=False), mc.Flatten(),
      mc.Dense(5, use_bias=False), mc.BatchNormalization()], (5, 6, 3)),
    ([mc.Dense(3), mc.Flatten(), mc.ReLU()], (4,)),
    ([mc.Dropout(0.5)], (4,)),
    ([], (2, 3, 2)),
], ids=str)
def test_order_of_the_axes_is_never_mixed_up(layers, shape, rng):
    model = mc.Sequential(layers, shape)
    x = rng.normal(size=(3, *shape)).astype(np.float32)
    assert_predicts_the_same(randomised(model), x)


@pytest.mark.parametrize("recipe", [
    mc.Preprocessing("RGB", (10, 100, 200), 0.01), mc.Preprocessing("BGR", (10, 100, 200), 0.5),
    mc.Preprocessing("BGR", (0, 0, 0), 1.0), mc.Preprocessing("GREY", (30,), 1 / 127.5)],
    ids=["RGB", "BGR", "BGR only", "grey"])
def test_the_recipe_for_pixels_is_part_of_the_graph_to_the_last_bit(recipe, rng):
    model = mc.Sequential([], (4, 5, recipe.channels), preprocessing=recipe)
    x = pixels(rng, 2, 4, 5, recipe.channels)
    assert_same(outputs_of(onnx_model(model).SerializeToString(), x), recipe(x))


def test_the_file_says_what_goes_in_and_which_classes_come_out(tmp_path):
    model = mc.SmallCNN(2, (28, 36, 3))
    model.classes, model.preprocessing = ["sandale d'été", "靴"], mc.Preprocessing(crop_fraction=.5)
    write_onnx(tmp_path / "m.onnx", model)
    run = session(str(tmp_path / "m.onnx"))
    (given,), (out,) = run.get_inputs(), run.get_outputs()
    assert (given.name, given.type, given.shape) == ("pixels", "tensor(float)", ["N", 28, 36, 3])
    assert (out.name, out.type, out.shape) == ("y", "tensor(float)", ["N", 1])
    found = {key: json.loads(v) for key, v in run.get_modelmeta().custom_metadata_map.items()}
    assert found == {"classes": model.classes, "preprocessing": model.preprocessing.to_dict() | {
        "mean": [127.5] * 3}, "image_size": [28, 36]}
    proto = onnx.load(tmp_path / "m.onnx")
    assert "covers image_size / 0.5" in proto.doc_string and "second class" in proto.doc_string
    assert proto.opset_import[0].version >= 17
    assert sorted(tmp_path.iterdir()) == [tmp_path / "m.onnx"]


def test_weights_of_64_bits_are_written_as_32(rng):
    model = mc.Sequential([mc.Dense(3)], (4,))
    model.layers[0].params.update(W=rng.normal(size=(4, 3)), b=rng.normal(size=3))
    assert_predicts_the_same(model, rng.normal(size=(2, 4)).astype(np.float32))


def test_names_of_layers_that_look_like_those_of_the_graph_do_no_harm(rng):
    names = ["pixels", "y", "0/y", "y/1", "y/activation", "transposed/1", "preprocessing/mean", "x"]
    model = mc.Sequential([mc.Dense(3, activation="relu", name=name) for name in names], (3,))
    for layer in model.layers:
        layer.params["W"][...] = np.abs(layer.params["W"])
    assert_predicts_the_same(randomised(model), np.abs(rng.normal(size=(2, 3))).astype(np.float32))


# What is refused --------------------------------------------------------------------------------


def test_a_layer_of_one_s_own_is_refused_by_name():
    class Square(mc.ReLU):
        pass

    with assert_refused("square", "Square", "ONNX"):
        onnx_model(mc.Sequential([Square()], (3,)))


def test_a_model_too_large_for_one_file_is_refused(monkeypatch):
    monkeypatch.setattr(exported, "MAX_WEIGHT_BYTES", 63)
    with assert_refused("63", "64", "bytes"):
        onnx_model(mc.Sequential([mc.Dense(4)], (3,)))  # 4 · (12 + 4) bytes
    monkeypatch.setattr(exported, "MAX_WEIGHT_BYTES", 64)
    assert onnx_model(mc.Sequential([mc.Dense(4)], (3,)))


def test_another_suffix_is_refused(tmp_path):
    with assert_refused(".onnx", "m.h5"):
        write_onnx(tmp_path / "m.h5", mc.SmallCNN(2))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_refused_and_leaves_the_older_one(tmp_path, monkeypatch):
    (tmp_path / "m.onnx").write_text("older")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with assert_refused("m.onnx", "No space left"):
        write_onnx(tmp_path / "m.onnx", mc.SmallCNN(2))
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]
    assert (tmp_path / "m.onnx").read_text() == "older"


def test_without_the_package_a_sentence_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with assert_refused("package onnx", "pip install onnx", ".[onnx]"):
        onnx_model(mc.SmallCNN(2))


def test_importing_the_module_does_not_import_onnx():
    code = "import sys, minicnn.weights.onnx, minicnn.cli.export; print('onnx' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert out.stdout.strip() == "False", out.stderr


# minicnn export ---------------------------------------------------------------------------------


def test_export_writes_a_file_that_predicts_the_same_and_says_what_is_in_it(tmp_path, capsys, rng):
    model = mc.SmallCNN(2)
    model.classes = ["sandal", "sneaker"]
    model.save(tmp_path / "m.h5")
    assert main(["export", str(tmp_path / "m.h5"), str(tmp_path / "m.onnx")]) == 0
    x = pixels(rng, 2, 28, 28, 3)
    assert_close(outputs_of(str(tmp_path / "m.onnx"), x), model.predict(x), ERROR)
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path}/m.onnx", "  input   pixels, RGB 0…255: float32 (N, 28, 28, 3)",
        "  output  y: float32 (N, 1)",
        "  classes sandal, sneaker; y is the probability of the second"]


def test_export_overwrites_only_by_force(tmp_path, capsys):
    mc.SmallCNN(2).save(tmp_path / "m.h5")
    (tmp_path / "m.onnx").write_text("older")
    arguments = ["export", str(tmp_path / "m.h5"), str(tmp_path / "m.onnx")]
    assert main(arguments) == 2
    assert "--force" in capsys.readouterr().err
    assert (tmp_path / "m.onnx").read_text() == "older"
    assert main([*arguments, "--force"]) == 0
    onnx.checker.check_model(str(tmp_path / "m.onnx"))
