"""The loop: what it computes, what it leaves alone, and what it refuses."""

import functools
import tempfile

import numpy as np
import pytest
from makers import clothes, two_convolutions, weights
from reference import assert_refused

import minicnn as mc
from minicnn.losses import BinaryCrossEntropy, CategoricalCrossEntropy, MeanSquaredError
from minicnn.optimizers import SGD, Adam
from minicnn.training import FeatureCache, evaluate_photos, extract_features, features
from minicnn.training.batches import forward_batches
from minicnn.utils.errors import ArgumentError, ShapeError

CLASSES = ["sandal", "sneaker", "bag"]


photos = functools.partial(clothes, per_class=10, classes=CLASSES)


def with_head(head=(mc.Dense, 3, mc.Softmax), dropout=0.0, seed=0):
    dense, units, activation = head
    return two_convolutions(mc.MaxPool2D(2, name="pool2"), mc.Flatten(), mc.Dropout(dropout),
                            dense(units, name="fc"), activation(), filters=(4, 6),
                            shape=(28, 28, 3), seed=seed, padding="same",
                            preprocessing=mc.Preprocessing())


def arrays(data):
    return data.images(range(len(data)), (28, 28)), data.labels


def train(model, data=None, **options):
    options = {"epochs": 3, "batch_size": 7, "seed": 5} | options
    return mc.fit(model, data or photos(), CategoricalCrossEntropy(), Adam(0.01), **options)


def test_fit_takes_the_steps_of_a_loop_written_out():
    by_fit, by_hand, data = with_head(), with_head(), photos()
    train(by_fit, data)
    x, t = by_hand.preprocessing(arrays(data)[0]), data.labels
    loss, optimizer = CategoricalCrossEntropy(from_logits=True), Adam(0.01)
    rng = np.random.default_rng(5)
    for _ in range(3):
        order = rng.permutation(len(x))
        for start in range(0, len(x), 7):
            batch = order[start:start + 7]
            z = x[batch]
            for layer in by_hand.layers[:-1]:
                z = layer.forward(z, training=True)
            loss.forward(z, t[batch])
            dz = loss.backward()
            for layer in reversed(by_hand.layers[:-1]):
                dz = layer.backward(dz)
            optimizer.step(by_hand)
    expected = weights(by_hand)
    for key, value in weights(by_fit).items():
        np.testing.assert_allclose(value, expected[key], rtol=1e-4, atol=1e-6, err_msg=key)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_same_seed_same_history_and_weights_bit_for_bit(dropout):
    a, b, c = with_head(dropout=dropout), with_head(dropout=dropout), with_head(dropout=dropout)
    data, held_out = photos(), photos("test")
    first = train(a, data, validation_data=held_out)
    assert first == train(b, data, validation_data=held_out)
    assert all(np.array_equal(p, weights(b)[key]) for key, p in weights(a).items())
    assert first != train(c, data, validation_data=held_out, seed=6)


def test_photos_for_a_network_of_vectors_are_refused():
    model = mc.Sequential([mc.Dense(10, activation="softmax")], (4,))
    with assert_refused("expected a network of images (H, W, C)", "(4,)"):
        mc.fit(model, mc.data.sample("fashion", "train", per_class=2), CategoricalCrossEntropy(),
               Adam(0.01))


def test_twenty_photos_are_learnt_by_heart():
    data = mc.data.sample("fashion", "train", per_class=2)
    model = with_head((mc.Dense, 10, mc.Softmax))
    history = mc.fit(model, data, CategoricalCrossEntropy(), Adam(0.01), epochs=60, batch_size=20)
    assert history["accuracy"][-1] == 1
    assert history["loss"][-1] < 0.05


@pytest.mark.parametrize("head, loss, labels, expected", [
    ((mc.Dense, 10, mc.Softmax), CategoricalCrossEntropy(), 10, np.log(10)),
    ((mc.Dense, 1, mc.Sigmoid), BinaryCrossEntropy(), 2, np.log(2))])
def test_the_first_loss_of_a_head_at_zero_is_log_of_the_classes(head, loss, labels, expected):
    model = with_head(head)
    model["fc"].params["W"][:] = 0
    x = np.random.default_rng(0).integers(0, 256, (40, 28, 28, 3), dtype=np.uint8)
    t = np.arange(40) % labels
    history = mc.fit(model, (x, t), loss, SGD(0.0), epochs=1)
    assert history["loss"][0] == pytest.approx(expected, rel=1e-5)


# The frozen part ------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [1 << 30, 0], ids=["memory", "disk"])
def test_with_and_without_cached_features_the_weights_are_the_same(budget):
    a, b = with_head(dropout=0.3), with_head(dropout=0.3)
    for model in (a, b):
        model.freeze(until="pool1")
    start = weights(a)
    cached = train(a, validation_data=photos("test"), callbacks=[FeatureCache(budget)])
    direct = train(b, validation_data=photos("test"), callbacks=[FeatureCache(enabled=False)])
    for key, value in weights(b).items():
        np.testing.assert_allclose(weights(a)[key], value, rtol=1e-4, atol=1e-6, err_msg=key)
        assert np.array_equal(value, start[key]) == key.startswith("conv1")
    for key, values in direct.items():
        np.testing.assert_allclose(cached[key], values, rtol=1e-4, err_msg=key)


def test_frozen_layers_stay_bit_identical_and_see_each_photo_once():
    model, seen = with_head(), []
    model.freeze(until="pool1")
    forward = model["conv1"].forward

    def counting(x, *rest, **named):
        seen.append(len(x))
        return forward(x, *rest, **named)

    model["conv1"].forward = counting
    before = weights(model)
    train(model, epochs=4)
    assert sum(seen) == len(photos())
    after = weights(model)
    assert all(np.array_equal(before[key], after[key]) for key in before if "conv1" in key)
    assert not np.array_equal(before["conv2/W"], after["conv2/W"])


def test_features_above_the_budget_lie_in_a_temporary_file_that_vanishes(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert isinstance(features.storage((10, 100), np.dtype("f4"), 3999), np.memmap)
    assert not isinstance(features.storage((10, 100), np.dtype("f4"), 4000), np.memmap)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("budget, kind", [(1 << 30, np.ndarray), (0, np.memmap)])
def test_fit_keeps_features_within_the_memory_budget(budget, kind, monkeypatch):
    kinds, storage = [], features.storage
    monkeypatch.setattr(features, "storage", lambda *args: kinds.append(
        type(storage(*args))) or storage(*args))
    model = with_head()
    model.freeze(until="pool1")
    train(model, epochs=1, validation_data=photos("test"),
          callbacks=[FeatureCache(budget)])
    assert kinds == [kind, kind]


def test_a_dropout_before_the_head_is_not_computed_once():
    model = with_head(dropout=0.5)
    model.freeze(until="flatten")
    frozen, rest = model.split()
    assert [layer.name for layer in rest.layers] == ["dropout", "fc", "softmax"]
    model.freeze(until="dropout")
    frozen, rest = model.split()
    assert frozen.layers[-1].name == "dropout"


# What the history says --------------------------------------------------------------------------


def test_history_is_that_of_the_model_on_the_photos():
    model, held_out = with_head(), photos("test")
    history = train(model, validation_data=held_out)
    p = model.predict(arrays(held_out)[0])
    right = (p.argmax(axis=1) == held_out.labels).mean()
    cross_entropy = -np.log(p[np.arange(len(p)), held_out.labels]).mean()
    assert history["val_accuracy"][-1] == pytest.approx(right)
    assert history["val_loss"][-1] == pytest.approx(cross_entropy, rel=1e-4)
    assert list(history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert {len(values) for values in history.values()} == {3}


def test_validation_changes_nothing():
    a, b = with_head(dropout=0.4), with_head(dropout=0.4)
    train(a)
    train(b, validation_data=photos("test"))
    assert all(np.array_equal(p, weights(b)[key]) for key, p in weights(a).items())


def test_photos_and_the_same_photos_as_arrays_train_alike():
    a, b, c, data = with_head(), with_head(), with_head(), photos()
    first, second = train(a, data), train(b, arrays(data))
    pixels, t = arrays(data)
    assert first == second == train(c, (c.preprocessing(pixels), t))


def test_a_regression_has_no_accuracy():
    model = mc.Sequential([mc.Dense(2)], (3,))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 3)).astype(np.float32)
    A = rng.normal(size=(3, 2)).astype(np.float32)
    history = mc.fit(model, (x, x @ A), MeanSquaredError(), Adam(0.05), epochs=200)
    assert list(history) == ["loss"]
    np.testing.assert_allclose(model["dense"].params["W"], A, atol=1e-3)


def test_one_hot_labels_train_like_class_numbers():
    a, b, data = with_head(), with_head(), photos()
    pixels, t = arrays(data)
    assert train(a, (pixels, t)) == train(b, (pixels, np.eye(3)[t]))


class Recorder(mc.Callback):
    def __init__(self, stop_after=None):
        self.batches, self.epochs, self.stop_after = [], [], stop_after

    def on_features_batch_end(self, stage, done, total):
        self.batches.append((stage, done, total))

    def on_batch_end(self, state):
        stage = f"epoch {state.epoch + 1}"
        self.batches.append((stage, state.meter.count, state.images_per_epoch))

    def on_epoch_end(self, state):
        self.epochs.append((state.epoch, state.logs))
        state.stop_training |= state.epoch == self.stop_after


def test_every_callback_hears_of_an_epoch_even_when_the_first_stops_training():
    first, second = Recorder(stop_after=1), Recorder()
    train(with_head(), callbacks=[first, second])
    assert len(first.epochs) == len(second.epochs) == 1


@pytest.mark.parametrize("inside", [True, False], ids=["activation inside", "activation layer"])
def test_weights_loaded_by_a_callback_are_those_that_training_goes_on_with(inside, tmp_path):
    """The logits that are trained belong to a copy of the last layer; it must not come loose."""
    last = [mc.Dense(3, activation="softmax")] if inside else [mc.Dense(3), mc.Softmax()]
    model, data = mc.Sequential([mc.Flatten(), *last], (28, 28, 3),
                                preprocessing=mc.Preprocessing()), photos()

    class Rewind(mc.Callback):
        def on_epoch_end(self, state):
            if state.epoch == 1:
                model.save(tmp_path / "best.weights.h5")
            if state.epoch == 3:
                model.load_weights(tmp_path / "best.weights.h5")

    history = train(model, data, epochs=4, callbacks=[Rewind()], validation_data=data)
    p = model.predict(arrays(data)[0])
    loss = -np.log(p[np.arange(len(p)), data.labels]).mean()
    assert history["val_loss"][-1] == pytest.approx(loss, rel=1e-3)
    assert model["dense"].grads["W"].shape == (28 * 28 * 3, 3)


def test_photos_are_cut_by_the_model_s_own_recipe_and_size():
    """A frame around the photo, cut away by crop_fraction, must not reach the network."""
    images = np.full((8, 40, 60, 3), 100, np.uint8)
    images[:, 10:30, 15:45] = 200
    data = mc.data.Dataset.from_arrays(images, np.arange(8) % 2, ["a", "b"])
    recipe = mc.Preprocessing(mean=(0, 0, 0), scale=1, crop_fraction=0.5)
    model = mc.Sequential([mc.Conv2D(1, 1, name="c"), mc.Flatten(), mc.Dense(1), mc.Sigmoid()],
                          (16, 24, 3), preprocessing=recipe)
    x = np.concatenate([x for x, _ in forward_batches(
        model.view([], (16, 24, 3), recipe), data, np.arange(8), 3)])
    assert x.shape == (8, 16, 24, 3) and x.min() > 150
    mc.fit(model, data, BinaryCrossEntropy(), SGD(1e-9), epochs=1)
    assert extract_features(model, data).x.shape == (8, 1)


def test_a_model_without_classes_takes_those_of_the_photos():
    model = with_head()
    train(model)
    assert model.classes == CLASSES


def test_callbacks_see_features_batches_and_epochs_and_may_stop():
    model, recorder = with_head(), Recorder(stop_after=2)
    model.freeze(until="pool1")
    history = train(model, epochs=9, batch_size=16, callbacks=[recorder, mc.Callback()])
    assert recorder.batches == [(stage, done, 30) for stage in ("features", "epoch 1", "epoch 2")
                                for done in (16, 30)]
    assert [epoch for epoch, _ in recorder.epochs] == [1, 2]
    assert recorder.epochs[1][1]["loss"] == history["loss"][1] and len(history["loss"]) == 2


# What is refused --------------------------------------------------------------------------------


def stack(layers, shape=(4,)):
    return mc.Sequential(layers, shape)


X, T = np.zeros((6, 4), np.float32), np.array([0, 1, 0, 1, 0, 1])


@pytest.mark.parametrize("model, data, loss, words", [
    (stack([mc.Dense(1), mc.Sigmoid()]), (X, T), CategoricalCrossEntropy(),
     ["BinaryCrossEntropy", "single"]),
    (stack([mc.Dense(1)]), (X, T), CategoricalCrossEntropy(True), ["K ≥ 2", "Sigmoid"]),
    (stack([mc.Dense(3)]), (X, T), CategoricalCrossEntropy(), ["Softmax()", "from_logits=True"]),
    (stack([mc.Dense(2), mc.Softmax()]), (X, T), BinaryCrossEntropy(), ["CategoricalCrossEntropy"]),
    (stack([mc.Dense(2, activation="softmax")]), (X, T), CategoricalCrossEntropy(True), ["logits"]),
    (stack([mc.Dense(2), mc.Softmax()]), (X, T + 1), CategoricalCrossEntropy(),
     ["0…1", "received 2"]),
    (stack([mc.Dense(1), mc.Sigmoid()]), (X, 2 * T), BinaryCrossEntropy(), ["from 0 to 1"]),
    (stack([mc.Dense(2), mc.Softmax()]), (X, T[:5]), CategoricalCrossEntropy(), ["6", "5"]),
    (stack([mc.Dense(2), mc.Softmax()]), (X[:, :3], T), CategoricalCrossEntropy(), ["(6, 3)"]),
    (stack([mc.Dense(2), mc.Softmax()]), (X[:0], T[:0]), CategoricalCrossEntropy(), ["none"]),
    (stack([mc.ReLU()]), (X, T), CategoricalCrossEntropy(), ["trainable"]),
])
def test_what_cannot_train_is_refused_with_a_reason_and_changes_nothing(model, data, loss, words):
    before = weights(model)
    with pytest.raises((ArgumentError, ShapeError)) as caught:
        mc.fit(model, data, loss, SGD(0.1), epochs=1)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert all(np.array_equal(before[key], p) for key, p in weights(model).items())


LATE = np.array([0, 1, 0, 1, 0, 7])  # the wrong label lies in the last batch


@pytest.mark.parametrize("data, validation, words", [
    ((X, LATE), None, ["0…1", "received 7 at place 5"]),
    ((X, T), (X, LATE), ["0…1", "received 7"]),
    ((X, T), (X[:, :3], T), ["(6, 3)"]),
    ((X, T), (X[:0], T[:0]), ["none"]),
    ((X, T, np.zeros(6)), None, ["(images, targets)", "tuple"]),
    ("photos/", None, ["Dataset", "str"])])
def test_wrong_data_is_refused_before_the_first_step(data, validation, words):
    model = stack([mc.Dense(2), mc.Softmax()])
    before = weights(model)
    with pytest.raises((ArgumentError, ShapeError)) as caught:
        mc.fit(model, data, CategoricalCrossEntropy(), SGD(0.1), epochs=1, batch_size=2,
               validation_data=validation)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert all(np.array_equal(before[key], p) for key, p in weights(model).items())


@pytest.mark.parametrize("options", [{"epochs": 0}, {"batch_size": 0}, {"epochs": 2.5}])
def test_epochs_and_batch_size_below_1_are_refused(options):
    with pytest.raises(ArgumentError, match=list(options)[0]):
        train(with_head(), **options)


def test_photos_whose_classes_stand_in_another_order_are_refused():
    turned = mc.data.sample("fashion", "test", CLASSES[::-1], 5)
    model = with_head()
    with pytest.raises(ArgumentError, match="in this order"):
        train(model, validation_data=turned)
    assert model.classes is None
    train(model)
    with pytest.raises(ArgumentError, match="in this order"):
        evaluate_photos(model, turned)
    with pytest.raises(ArgumentError, match="in this order"):
        train(model, turned)


def test_an_all_frozen_network_is_refused():
    model = with_head()
    model.freeze()
    with pytest.raises(ArgumentError, match="unfreeze"):
        train(model)
