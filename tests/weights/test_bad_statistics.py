"""Numbers that no network can compute with, in whole models: refused by load, by layer and value.
"""

import json
import zipfile

import h5py
import keras
import numpy as np
import pytest
from reference import assert_refused

import minicnn as mc

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
L = keras.layers


def network(path):
    """A whole model in Keras 3's .h5, with a Rescaling and a BatchNormalization."""
    keras.Sequential([keras.Input((6, 6, 3)), L.Rescaling(1 / 255, name="scale"), L.Conv2D(4, 3),
                      L.BatchNormalization(name="norm")]).save(path)


@pytest.mark.parametrize("value, word", [(-1e-3, "0 or more"), (np.nan, "NaN"), (np.inf, "inf")])
def test_a_variance_that_is_none_is_refused(tmp_path, value, word):
    network(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "a") as file:
        names = []
        file.visititems(lambda name, x: names.append(name) if "variance" in name else None)
        file[names[-1]][2] = value
    with assert_refused("m.h5", "norm", word):
        mc.load(tmp_path / "m.h5")


@pytest.mark.parametrize("key", ["scale", "offset"])
@pytest.mark.parametrize("value", ["Infinity", "-Infinity", "NaN"])
def test_a_rescaling_that_is_not_finite_is_refused(tmp_path, key, value):
    network(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    entry, = (e for e in config["config"]["layers"] if e["class_name"] == "Rescaling")
    entry["config"][key] = float(value)
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with assert_refused("m.keras", "finite", value, "Rescaling"):
        mc.load(tmp_path / "m.keras")


@pytest.mark.parametrize("channels, order, fitting", [
    (1, "RGB", "'GREY'"), (1, "BGR", "'GREY'"), (3, "GREY", "'RGB' or 'BGR'")])
def test_a_recipe_of_other_channels_is_told_the_order_that_fits(channels, order, fitting):
    model = mc.SmallCNN(2, (8, 8, channels))
    with assert_refused(f"(8, 8, {channels})", order, f"Choose channel_order {fitting}"):
        model.preprocessing = mc.Preprocessing(order)
