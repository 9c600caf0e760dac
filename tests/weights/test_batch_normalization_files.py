"""Batch normalization in files: of every layout, inside models, and damaged."""

import io
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest
from reference import assert_predicts_like, assert_refused

import minicnn as mc
from minicnn.weights import write_weights

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
L = keras.layers


def keras_network(seed=0):
    model = keras.Sequential([
        keras.Input((9, 8, 3)), L.Conv2D(4, 3, use_bias=False, name="c1"),
        L.BatchNormalization(name="n1"), L.ReLU(), L.Conv2D(5, 3, use_bias=False, name="c2"),
        L.BatchNormalization(epsilon=0.1, name="n2"), L.Activation("relu"),
        L.GlobalAveragePooling2D(), L.BatchNormalization(name="n3"), L.Dense(3, name="d")])
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(rng.uniform(0.5, 2, weight.shape))
    return model


def old_archive(path, old, container="layers"):
    """The .keras file as Keras before 3.6 wrote it: no layer's name in vars."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    source = h5py.File(io.BytesIO(members["model.weights.h5"]))
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for key in source["layers"]:
            group = file.create_group(f"{container}/{key}/vars")
            for number, array in source[f"layers/{key}/vars"].items():
                group[number] = array[()]
    members["model.weights.h5"] = content.getvalue()
    with zipfile.ZipFile(old, "w") as out:
        for name, part in members.items():
            out.writestr(name, part)


@pytest.mark.parametrize("container", ["layers", "_layer_checkpoint_dependencies"])
def test_keras_2_13_to_3_5_have_no_names_and_are_read_by_class_and_number(tmp_path, container):
    twin = keras_network()
    twin.save(tmp_path / "new.keras")
    old_archive(tmp_path / "new.keras", tmp_path / "old.keras", container)
    model = mc.load(tmp_path / "old.keras")
    assert "layers matched by order" in model.weights_note
    assert_predicts_like(twin, model, spread=0.1)
    assert_predicts_like(twin, mc.load(tmp_path / "new.keras"), spread=0.1)


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("frozen", [False, True])
def test_a_model_inside_a_model_keeps_its_averages(tmp_path, ending, frozen):
    base, inputs = keras_network(), keras.Input((9, 8, 3))
    base.trainable = not frozen
    twin = keras.Model(inputs, L.Dense(2, name="head")(base(inputs)))
    twin.save(tmp_path / f"m{ending}")
    model = mc.load(tmp_path / f"m{ending}")
    assert_predicts_like(twin, model, spread=0.1)
    assert model["n1"].trainable is not frozen


def test_our_weights_go_into_kerass_twin_and_back(tmp_path):
    twin = keras_network()
    twin.save(tmp_path / "m.keras")
    model = mc.load(tmp_path / "m.keras")
    for layer in model.layers:
        for key, p in layer.params.items():
            layer.params[key] = 0.3 * p + 0.1
    write_weights(tmp_path / "m.weights.h5", model.layers)
    twin.load_weights(tmp_path / "m.weights.h5")
    assert_predicts_like(twin, model, spread=0.1)
    twin.save_weights(tmp_path / "again.weights.h5")
    other = mc.load(tmp_path / "m.keras")
    other.load_weights(tmp_path / "again.weights.h5")
    assert_predicts_like(twin, other, spread=0.1)


@pytest.mark.parametrize("value, word", [(-1e-3, "0 or more"), (np.nan, "NaN"), (np.inf, "inf")])
def test_moving_averages_that_are_none_are_refused_and_nothing_is_half_loaded(tmp_path, value,
                                                                              word):
    twin = keras_network()
    twin.save_weights(tmp_path / "m.weights.h5")
    twin.save(tmp_path / "m.keras")
    model = mc.load(tmp_path / "m.keras")
    before = {layer.name: {key: p.copy() for key, p in layer.params.items()}
              for layer in model.layers}
    with h5py.File(tmp_path / "m.weights.h5", "a") as file:
        file["layers/batch_normalization_1/vars/3"][2] = value
    with pytest.raises(mc.MiniCNNError, match=word):
        model.load_weights(tmp_path / "m.weights.h5")
    for layer in model.layers:
        for key, p in layer.params.items():
            np.testing.assert_array_equal(p, before[layer.name][key])


def test_another_axis_than_the_last_is_refused_by_name(tmp_path):
    twin = keras.Sequential([keras.Input((4, 4, 3)), L.BatchNormalization(axis=1, name="rows")])
    twin.save(tmp_path / "m.keras")
    with assert_refused("rows", "axis -1", "last"):
        mc.load(tmp_path / "m.keras")


def test_keras_2_writes_the_axis_as_a_list(tmp_path):
    twin = keras_network()
    twin.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "a") as file:
        config = json.loads(file.attrs["model_config"])
        for entry in config["config"]["layers"]:
            if entry["class_name"] == "BatchNormalization":
                entry["config"]["axis"] = [1 if entry["config"]["name"] == "n3" else 3]
        file.attrs["model_config"] = json.dumps(config)
    assert_predicts_like(twin, mc.load(tmp_path / "m.h5"), spread=0.1)
