"""Layers, models, optimizers and training on every device: moved, mixed, and the same numbers."""

import copy
import functools

import h5py
import numpy as np
import pytest
import reference
from layers.cases import LAYERS, built, trained
from makers import in_float64, labelled_noise, two_blocks, weights
from reference import array, assert_close, assert_refused, assert_same, on_device

import minicnn as mc
from minicnn.layers import Dense, Dropout, Softmax
from minicnn.losses import BinaryCrossEntropy, CategoricalCrossEntropy, MeanSquaredError
from minicnn.ops import device_of, ops_for, to_cpu, to_device, use
from minicnn.optimizers import SGD, Adam, RMSprop
from minicnn.training import fuse

every_layer = pytest.mark.parametrize("make, shape", LAYERS.values(), ids=LAYERS)
AFFINE = [k for k in LAYERS if k.startswith(("Conv2D", "Dense"))]
KEEP_ARRAYS = [k for k in LAYERS if not k.startswith((
    "Flatten", "GlobalAveragePool2D", "AveragePool2D", "Reshape", "Permute", "ZeroPadding2D",
    "CenterCrop", "Resizing", "GaussianNoise"))]
network = functools.partial(two_blocks, 5, seed=1, preprocessing=mc.Preprocessing(
    "RGB", (120, 110, 100), scale=1 / 50))


def other():
    """A device that is not that of the running test."""
    return "cuda-sim" if reference.DEVICE == "cpu" else "cpu"


def parameters(model):
    return list(weights(model).values())


# What is on two devices does not meet


@pytest.mark.parametrize("name", AFFINE)  # a layer without parameters is at home everywhere
def test_a_layer_refuses_an_input_from_another_device_naming_both(name, rng):
    make, shape = LAYERS[name]
    layer = built(make(), shape, rng)
    with assert_refused(layer.name, reference.DEVICE, other(), ".to("):
        layer.forward(to_device(array(rng, *shape), other()))
    assert layer.cache is None


@pytest.mark.parametrize("name", KEEP_ARRAYS)
def test_backward_refuses_a_gradient_from_another_device_naming_both(name, rng):
    make, shape = LAYERS[name]
    layer = built(make(), shape, rng)
    y = layer.forward(array(rng, *shape), training=True)
    with assert_refused("one device", reference.DEVICE, other()):
        layer.backward(to_device(array(rng, *y.shape), other()))


def test_no_backend_takes_arrays_of_two_devices(rng):
    a, b = array(rng, 3, 4), to_device(array(rng, 3, 4), other())
    with assert_refused("one device", reference.DEVICE, other()):
        ops_for(a, b)
    with assert_refused("one device", reference.DEVICE, other()):
        ops_for(a, a, b)


def test_a_model_refuses_an_input_from_another_device_naming_both(rng):
    model, x = network().to(reference.DEVICE), array(rng, 2, 8, 9, 3)
    with assert_refused("sequential", f"x on {reference.DEVICE}", f"x on {other()}", "model.to"):
        model.forward(to_device(x, other()))
    assert model.forward(x).shape == (2, 5)


@pytest.mark.parametrize("optimizer", [SGD(0.1, 0.9), RMSprop(), Adam()],
                         ids=lambda o: type(o).__name__)
def test_an_optimizer_left_behind_is_refused_and_moves_nothing(optimizer, rng):
    optimizer.state = {}
    model, x = network().to(reference.DEVICE), array(rng, 2, 8, 9, 3)
    with use("fast"):  # the reference would refuse the other device
        check_left_behind(optimizer, model, x)


def check_left_behind(optimizer, model, x):
    model.backward(model.forward(x))
    optimizer.step(model)
    model.to(other())
    model.backward(model.forward(to_device(x, other())))
    before = parameters(model)
    with assert_refused(type(optimizer).__name__, reference.DEVICE, other(), "optimizer.to"):
        optimizer.step(model)
    for p, q in zip(parameters(model), before, strict=True):
        assert_same(p, q)
    optimizer.to(other()).step(model)
    assert any((p != q).any() for p, q in zip(parameters(model), before, strict=True))


def test_gradients_left_behind_are_refused(rng):
    model = network().to(reference.DEVICE)
    model.backward(model.forward(array(rng, 2, 8, 9, 3)))
    grads = {key: to_device(g, other()) for key, g in model["fc1"].grads.items()}
    model["fc1"].grads = grads
    with assert_refused("SGD", "fc1/W", reference.DEVICE, other()):
        SGD(0.1).step(model)


# Moving


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_model_moves_there_and_back_without_changing_a_bit(dtype, rng):
    model = network()
    for layer in model.layers:
        layer.params = {key: p.astype(dtype) for key, p in layer.params.items()}
    params = [dict(layer.params) for layer in model.layers]
    model.backward(model.forward(rng.normal(size=(2, 8, 9, 3)).astype(dtype)))
    grads = [dict(layer.grads) for layer in model.layers]
    assert model.to(reference.DEVICE) is model and model.device == reference.DEVICE
    for layer in model.layers:
        for a in (*layer.params.values(), *layer.grads.values()):
            assert device_of(a) == reference.DEVICE and a.dtype == dtype
    model.to("cpu")
    for layer, p, g in zip(model.layers, params, grads, strict=True):
        for now, before in ((layer.params, p), (layer.grads, g)):
            assert now.keys() == before.keys()
            for key in now:
                assert type(now[key]) is np.ndarray
                assert_same(now[key], before[key])


def test_moving_forgets_what_forward_has_kept(rng):
    model = network()
    y = model.forward(rng.normal(size=(2, 8, 9, 3)))
    model.to(other()).to(reference.DEVICE)
    with assert_refused("softmax", "forward"):
        model.backward(on_device(y))
    for layer in model.layers:
        assert layer.cache is None
        assert getattr(layer, "activation", None) is None or layer.activation.cache is None


def test_new_heads_and_loaded_weights_come_to_where_the_model_is(tmp_path):
    model, saved = network().to(reference.DEVICE), network(seed=5)
    saved.save(tmp_path / "m.weights.h5")
    model.load_weights(tmp_path / "m.weights.h5")
    for p, q in zip(parameters(model), parameters(saved), strict=True):
        assert_same(p, q)
    model.replace_head([Dense(2), Softmax()])
    assert {device_of(p) for layer in model.layers for p in layer.params.values()} == {
        reference.DEVICE}


@pytest.mark.parametrize("name", ["m.h5", "m.weights.h5"])
def test_a_file_is_the_same_from_whatever_device_it_was_saved(name, tmp_path):
    def contents(path):
        found = {}
        with h5py.File(path) as file:
            found[""] = dict(file.attrs)
            file.visititems(lambda key, item: found.update({key: (
                dict(item.attrs), item[()].tobytes() if isinstance(item, h5py.Dataset) else None)}))
        return str(found)

    network().save(tmp_path / name)
    expected = contents(tmp_path / name)
    model = network().to(reference.DEVICE)
    model.save(tmp_path / name)
    assert contents(tmp_path / name) == expected
    assert model.device == reference.DEVICE
    if name == "m.h5":
        for p, q in zip(parameters(mc.load(tmp_path / name)), parameters(model), strict=True):
            assert_same(p, q)


# The same numbers


@every_layer
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_empty_batch_comes_through_every_layer(make, shape, dtype, rng):
    layer = built(make(), shape, rng, dtype)
    y = layer.forward(array(rng, 0, *shape[1:], dtype=dtype), training=True)
    assert y.shape == (0, *layer.output_shape(shape[1:])) and y.dtype == dtype
    dx = layer.backward(array(rng, *y.shape, dtype=dtype))
    assert dx.shape == (0, *shape[1:]) and device_of(dx) == reference.DEVICE
    for key in trained(layer):
        assert_same(layer.grads[key], np.zeros(layer.params[key].shape))


@every_layer
def test_a_layer_gives_numpys_numbers_wherever_it_is(make, shape, rng):
    layer = built(make(), shape, rng, np.float32)
    there = copy.deepcopy(layer)
    layer.to("cpu")
    x = rng.normal(size=shape).astype(np.float32)
    y = layer.forward(x, training=True)
    dy = rng.normal(size=y.shape).astype(np.float32)
    assert_close(there.forward(on_device(x), training=True), y, rtol=1e-5)
    assert_close(there.backward(on_device(dy)), layer.backward(dy), rtol=1e-5)
    for key in trained(layer):
        assert_close(there.grads[key], layer.grads[key], rtol=1e-5)


def test_dropout_draws_the_same_masks_on_every_device():
    here, there = Dropout(0.5, seed=3, name="d"), Dropout(0.5, seed=3, name="d")
    for _ in range(3):
        mask = here.forward(np.ones((20, 30), np.float32), training=True)
        assert_same(there.forward(on_device(np.ones((20, 30), np.float32)), training=True), mask)
        assert 0 < (mask == 0).mean() < 1


@pytest.mark.parametrize("images", ["pixels", "floats", "floats on the device"])
def test_predict_and_activations_take_and_give_numpy_arrays(images, rng):
    x, _ = labelled_noise(11, (8, 9, 3), 5)
    x = x if images == "pixels" else rng.normal(size=x.shape).astype(np.float32)
    model, here = network().to(reference.DEVICE), network()
    given = on_device(x) if images == "floats on the device" else x
    y = model.predict(given, batch_size=4)
    assert type(y) is np.ndarray
    assert_close(y, here.predict(x), rtol=1e-5)
    found = model.activations(given, ["conv1", "fc1"])
    assert all(type(a) is np.ndarray for a in found.values())
    for name, a in here.activations(x, ["conv1", "fc1"]).items():
        assert_close(found[name], a, rtol=1e-5)
    assert type(model.predict(x[:0])) is np.ndarray


def train(model, optimizer, x, t, steps):
    """Some steps; the losses. Like fit, without its shuffling."""
    layers, loss = fuse(model.layers, CategoricalCrossEntropy())
    network, seen = model.view(layers, model.input_shape), []
    x = to_device(x, model.device)
    for _ in range(steps):
        seen.append(loss.forward(network.forward(x, training=True), t))
        network.backward(loss.backward(), input_gradient=False)
        optimizer.step(network)
    return seen


@pytest.mark.parametrize("optimizer", [SGD(0.05, 0.9, True, 1e-3), RMSprop(1e-3), Adam(0.01)],
                         ids=lambda o: type(o).__name__)
def test_training_half_here_and_half_there_gives_what_staying_gives(optimizer, rng):
    x, t = rng.normal(size=(6, 8, 9, 3)), rng.integers(0, 5, 6)
    stays, moves = (in_float64(network()) for _ in range(2))
    optimizer.state = {}
    again = copy.deepcopy(optimizer)
    expected = train(stays, optimizer, x, t, 6)
    seen = train(moves, again, x, t, 3)
    for state in again.to(reference.DEVICE).state.values():
        assert {device_of(a) for a in state.values() if np.ndim(a)} <= {reference.DEVICE}
    seen += train(moves.to(reference.DEVICE), again, x, t, 3)
    assert_close(seen, expected, rtol=1e-10)
    for p, q in zip(parameters(moves), parameters(stays), strict=True):
        assert_close(p, q, rtol=1e-8)
    assert expected[-1] < expected[0]


def test_fit_with_validation_gives_numpys_history_and_weights(rng):
    train_data = labelled_noise(11, (8, 9, 3), 5)
    test_data = labelled_noise(5, (8, 9, 3), 5, seed=1)
    here, there = network(), network().to(reference.DEVICE)
    options = dict(epochs=3, batch_size=4, seed=2)
    expected = mc.fit(here, train_data, CategoricalCrossEntropy(class_weight=[1, 2, 1, 1, 3]),
                      Adam(0.01), validation_data=test_data, **options)
    history = mc.fit(there, train_data, CategoricalCrossEntropy(class_weight=[1, 2, 1, 1, 3]),
                     Adam(0.01), validation_data=test_data, **options)
    assert history.keys() == expected.keys() >= {"loss", "accuracy", "val_loss", "val_accuracy"}
    for key, values in expected.items():
        assert_close(history[key], values, rtol=1e-5)
    for p, q in zip(parameters(there), parameters(here), strict=True):
        assert_close(p, q, rtol=1e-4)
    assert there.device == reference.DEVICE and expected["loss"][-1] < expected["loss"][0]


def test_fit_from_cached_features_gives_numpys_weights(rng):
    data, start = labelled_noise(11, (8, 9, 3), 5), network()
    here, there = network(), network().to(reference.DEVICE)
    for model in (here, there):
        model.freeze(until="conv2")
        mc.fit(model, data, CategoricalCrossEntropy(), SGD(0.1), epochs=2, batch_size=4)
    for p, q in zip(parameters(there), parameters(here), strict=True):
        assert_close(p, q, rtol=1e-5)
    assert (parameters(there)[0] == parameters(start)[0]).all()
    assert (parameters(there)[-2] != parameters(start)[-2]).any()


@pytest.mark.parametrize("loss, y, t", [
    (BinaryCrossEntropy(), [[0.2, 0.9], [0.6, 0.4]], [[0, 1], [0, 1]]),
    (CategoricalCrossEntropy(True), [[0.2, 0.9], [0.6, 0.4]], [1, 1])])
def test_a_loss_counts_what_is_right_on_every_device(loss, y, t):
    right = to_cpu(loss.correct(on_device(y), np.array(t)))
    assert right.tolist() == [True, False]
    assert MeanSquaredError().correct(on_device(y), np.array(t)) is None
