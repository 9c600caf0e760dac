"""Keras' activations and noise, by every name that they have in files, against real Keras."""

import keras
import numpy as np
import pytest
from reference import assert_refused

import minicnn as mc
from minicnn.weights.config import layers_from_config

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
L = keras.layers
NAMES = {"relu6": mc.ReLU6, "silu": mc.SiLU, "swish": mc.SiLU, "hard_sigmoid": mc.HardSigmoid,
         "selu": mc.SELU, "softplus": mc.Softplus, "elu": mc.ELU, "leaky_relu": mc.LeakyReLU}


def read(tmp_path, ending, *layers):
    keras.utils.set_random_seed(1)
    twin = keras.Sequential([keras.Input((7, 8, 3)), *layers])
    twin.save(tmp_path / f"m{ending}")
    model = mc.load(tmp_path / f"m{ending}")
    x = np.random.default_rng(0).normal(0, 6, (4, 7, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(model.predict(x), np.asarray(twin.predict(x, verbose=0)),
                               rtol=1e-5, atol=1e-5)
    return model


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("name", NAMES)
def test_an_activation_by_its_name_is_read_in_every_position(tmp_path, ending, name):
    model = read(tmp_path, ending, L.Conv2D(4, 3, activation=name), L.Activation(name, name="own"),
                 L.Flatten(), L.Dense(3, activation=name))
    assert type(model["own"]) is type(model.layers[0].activation) is NAMES[name]


@pytest.mark.parametrize("layer, kind", [
    (lambda: L.ReLU(max_value=6, name="own"), mc.ReLU6),
    (lambda: L.ReLU(negative_slope=0.1, name="own"), mc.LeakyReLU),
    (lambda: L.SpatialDropout2D(0.3, name="own"), mc.SpatialDropout2D),
    (lambda: L.GaussianDropout(0.3, name="own"), mc.GaussianDropout),
    (lambda: L.GaussianNoise(0.3, name="own"), mc.GaussianNoise)])
def test_layers_of_their_own_are_read(tmp_path, layer, kind):
    model = read(tmp_path, ".keras", L.Conv2D(4, 3), layer(), L.Flatten(), L.Dense(3))
    assert type(model["own"]) is kind
    assert "left out" not in model.weights_note
    for setting in ("rate", "stddev"):
        assert getattr(model["own"], setting, 0.3) == 0.3


@pytest.mark.parametrize("layer, words", [
    (lambda: L.ReLU(max_value=4), ("max_value", "4")),
    (lambda: L.ReLU(max_value=6, negative_slope=0.5), ("negative_slope", "0.5")),
    (lambda: L.Activation("gelu"), ("activation", "gelu"))])
def test_what_minicnn_does_not_compute_is_refused_by_name(tmp_path, layer, words):
    with assert_refused(*words):
        read(tmp_path, ".keras", layer())


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("activation, kind", [
    (lambda: L.LeakyReLU(negative_slope=0.1), mc.LeakyReLU), (lambda: L.ReLU(6.0), mc.ReLU6),
    (lambda: L.ReLU(), mc.ReLU), (lambda: L.ELU(0.5), mc.ELU), (lambda: L.Softmax(), mc.Softmax)])
def test_a_layer_as_activation_of_another_becomes_a_layer(tmp_path, ending, activation, kind):
    model = read(tmp_path, ending, L.Conv2D(4, 3, activation=activation()),
                 L.Activation(activation(), name="own"), L.Identity(), L.Flatten(),
                 L.Dense(3, activation=activation()))
    assert [type(layer) for layer in model.layers] == [mc.Conv2D, kind, kind, mc.Flatten, mc.Dense,
                                                       kind]
    assert model.layers[2].name == "own"
    model.save(tmp_path / "again.h5")
    assert repr(mc.load(tmp_path / "again.h5").layers) == repr(model.layers)


@pytest.mark.parametrize("activation", [
    {"class_name": "PReLU", "config": {"shared_axes": [1, 2]}},  # has arrays
    {"class_name": "LeakyReLU", "module": "mine", "config": {}},
    {"class_name": "LeakyReLU", "registered_name": "my>LeakyReLU", "config": {}},
    {"class_name": "ReLU", "config": {"max_value": 4.0}},
    {"class_name": "ReLU", "config": None}, {"class_name": [], "config": {}}, {}])
def test_other_objects_as_activation_are_refused(activation):
    layer = {"class_name": "Dense", "config": {"name": "d", "units": 2, "activation": activation}}
    with assert_refused("m.h5"):
        layers_from_config({"class_name": "Sequential", "config": {"layers": [layer]}}, "m.h5")


def test_a_model_of_a_class_of_its_own_is_refused_by_that_word(tmp_path):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = L.Dense(2)

        def call(self, x):
            return self.inner(x)

    own = Own()
    own(np.zeros((1, 3), np.float32))
    own.save(tmp_path / "m.keras")
    with assert_refused("Sequential or Functional", "Own", "never runs code"):
        mc.load(tmp_path / "m.keras")
