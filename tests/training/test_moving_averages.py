"""Batch normalization in training: as Keras does it, through checkpoints, threads and mishaps."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import pytest
from makers import random_batch, random_pixels, weights

import minicnn as mc
from minicnn.layers.samplewise import is_samplewise
from minicnn.training import find_lr
from minicnn.training.callbacks import Checkpoint, EarlyStopping
from minicnn.training.thread_parallel import ThreadParallel
from minicnn.utils.errors import NotFiniteError

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
SHAPE = (8, 8, 3)


def normalized(seed=0, momentum=0.9):
    return mc.Sequential([
        mc.Conv2D(4, 3, use_bias=False), mc.BatchNormalization(momentum=momentum), mc.ReLU(),
        mc.MaxPool2D(2), mc.Flatten(), mc.Dense(5, use_bias=False),
        mc.BatchNormalization(momentum=momentum), mc.Dense(3), mc.Softmax()], SHAPE, seed)


def train(model, epochs=3, callbacks=(), **options):
    loss, optimizer = mc.losses.CategoricalCrossEntropy(), mc.optimizers.Adam(0.01)
    return mc.fit(model, random_batch(24, SHAPE), loss, optimizer, epochs=epochs, batch_size=7,
                  validation_data=random_batch(9, SHAPE, seed=1), callbacks=callbacks, **options)


def test_steps_of_training_end_with_kerass_weights_and_moving_averages(tmp_path):
    model = normalized()
    model.save(tmp_path / "m.h5")
    twin = keras.models.load_model(tmp_path / "m.h5", compile=False)
    x, t = random_batch(16, SHAPE)
    loss, optimizer = mc.losses.CategoricalCrossEntropy(), mc.optimizers.SGD(0.1)
    twin.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    for _ in range(5):
        loss.forward(model.forward(x, training=True), t)
        model.backward(loss.backward(), input_gradient=False)
        optimizer.step(model)
        twin.train_on_batch(x, t)
    theirs = {w.path.split("/", 1)[-1]: np.asarray(w) for w in twin.weights}
    ours = weights(model)
    names = {"W": "kernel", "b": "bias"}
    assert len(theirs) == len(ours) == 12
    for name, value in ours.items():
        layer, key = name.split("/")
        np.testing.assert_allclose(value, theirs[f"{layer}/{names.get(key, key)}"], rtol=1e-4,
                                   atol=1e-5)
    np.testing.assert_allclose(model.predict(x), np.asarray(twin.predict(x, verbose=0)),
                               rtol=1e-4, atol=1e-5)


def test_the_optimizer_leaves_the_moving_averages_alone_even_with_weight_decay():
    model, (x, t) = normalized(momentum=1.0), random_batch(24, SHAPE)
    loss, optimizer = mc.losses.CategoricalCrossEntropy(), mc.optimizers.SGD(0.1, weight_decay=0.1)
    before = weights(model)
    loss.forward(model.forward(x, training=True), t)
    model.backward(loss.backward(), input_gradient=False)
    optimizer.step(model)
    changed = {name for name, value in weights(model).items() if (value != before[name]).any()}
    assert changed == {name for name in before if "moving" not in name}
    assert not any("moving" in name for name in optimizer.state)


def test_an_interrupted_training_goes_on_bit_for_bit_with_its_moving_averages(tmp_path):
    expected = normalized()
    history = train(expected)
    for stop_after in (1, 5, 7):
        model, checkpoint, steps = normalized(), Checkpoint(tmp_path / str(stop_after)), []

        class Interrupt(mc.Callback):
            def on_batch_begin(self, state, checkpoint=checkpoint, steps=steps, n=stop_after):
                steps.append(1)
                if len(steps) == n:
                    checkpoint.stop()

        with pytest.raises(KeyboardInterrupt):
            train(model, callbacks=[Interrupt(), checkpoint])
        again = normalized(seed=5)  # all its numbers come from the file
        again_history = train(again,
                              callbacks=[Interrupt(), Checkpoint(tmp_path / str(stop_after))])
        assert again_history == history
        for name, value in weights(expected).items():
            np.testing.assert_array_equal(weights(again)[name], value)


def test_early_stopping_restores_the_averages_of_the_best_epoch():
    model, seen = normalized(), []

    class Look(mc.Callback):
        def on_epoch_end(self, state):
            seen.append(weights(model))

    stopping = EarlyStopping()
    history = train(model, epochs=8, callbacks=[Look(), stopping])
    best = int(np.argmin(history["val_loss"]))
    assert 0 < stopping.best_epoch == best + 1
    for name, value in weights(model).items():
        np.testing.assert_array_equal(value, seen[best][name])


def test_a_step_that_goes_wrong_is_taken_back_with_its_averages():
    model = normalized()
    x, t = random_batch(24, SHAPE)
    x[0] = 1e30  # its square overflows in float32
    before = weights(model)
    with pytest.raises(NotFiniteError, match="batch_normalization"):
        mc.fit(model, (x, t), mc.losses.CategoricalCrossEntropy(), mc.optimizers.SGD(0.1),
               epochs=1, batch_size=24)
    for name, value in weights(model).items():
        np.testing.assert_array_equal(value, before[name])


def test_find_lr_leaves_the_averages_as_they_were():
    model = normalized()
    before = weights(model)
    find_lr(model, random_batch(24, SHAPE), mc.losses.CategoricalCrossEntropy(), steps=20,
            batch_size=7)
    for name, value in weights(model).items():
        np.testing.assert_array_equal(value, before[name])


def test_threads_share_a_step_only_if_the_normalization_is_frozen(monkeypatch):
    from minicnn.ops.fast import threads

    monkeypatch.setattr(threads, "num_threads", lambda: 2)
    model, (x, _) = normalized(), random_batch(32, SHAPE)
    for limit in ("MIN_NUMBERS", "MIN_WORK", "MIN_WORK_NATIVE"):
        monkeypatch.setattr(f"minicnn.training.thread_parallel.{limit}", 0)
    parallel = ThreadParallel(model)
    assert parallel.replicate(x) == []
    for layer in model.layers:
        layer.trainable = not isinstance(layer, mc.BatchNormalization)
    assert len(parallel.replicate(x)) == 2
    norm = model["batch_normalization"]
    assert is_samplewise(norm) and is_samplewise(norm, training=True)
    norm.trainable = True
    assert is_samplewise(norm) and not is_samplewise(norm, training=True)


def test_a_frozen_normalization_below_the_trained_layers_is_computed_once_by_its_averages():
    model = normalized()
    train(model)
    model.freeze(until="flatten")
    before = weights(model)
    train(model, epochs=2)
    after = weights(model)
    for name, value in before.items():
        frozen = name.split("/")[0] in ("conv2d", "batch_normalization")
        assert (after[name] == value).all() == frozen, name


def test_summary_counts_the_averages_among_the_frozen():
    text = normalized().summary()
    assert "BatchNormalization" in text
    assert f"{4 * 27 + 8 + 36 * 5 + 10 + 18:,} trainable, 18 frozen" in text


def test_pixels_are_predicted_in_batches_of_any_size_alike():
    model = normalized()
    model.preprocessing = mc.Preprocessing()
    train(model)
    pixels = random_pixels(5, *SHAPE)
    np.testing.assert_allclose(model.predict(pixels, batch_size=2), model.predict(pixels),
                               rtol=1e-5)
