"""Files written by hand with h5py, from the facts about Keras' layouts, never by minicnn."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import h5py
import numpy as np
import pytest


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def write_keras1(tmp_path):
    """Writes layout B: {layer: [kernel, bias]} -> path."""

    def write(layers, name="b.h5", **attributes):
        path = tmp_path / name
        with h5py.File(path, "w") as file:
            file.attrs.update(attributes)
            file.attrs["layer_names"] = np.array(list(layers), "S")
            for layer, arrays in layers.items():
                group = file.create_group(layer)
                names = [f"{layer}_{letter}_1:0" for letter in "Wb"[:len(arrays)]]
                group.attrs["weight_names"] = np.array(names, "S") if names else np.empty(0)
                for key, array in zip(names, arrays, strict=True):
                    group[key] = array
        return path

    return write
