"""A number that is none ends the training, and the first layer where it went wrong is named."""

import functools

import numpy as np
import pytest
from makers import classifier, weights
from reference import assert_refused

import minicnn as mc
from minicnn import cli
from minicnn.training import LearningRateSchedule, TerminateOnNaN, find_lr
from minicnn.utils.errors import NotFiniteError

CATEGORIES = mc.losses.CategoricalCrossEntropy()
SQUARES = mc.losses.MeanSquaredError()
network = functools.partial(classifier, filters=3, dropout=0.3, preprocessing=None)


def numbers(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def fit(model, x, t=None, loss=CATEGORIES, optimizer=None, **options):
    t = np.arange(len(x)) % 3 if t is None else t
    return mc.fit(model, (x, t), loss, optimizer or mc.optimizers.SGD(0.1),
                  **{"batch_size": 12, "epochs": 1, **options})


@pytest.mark.parametrize("spoil, found", [
    (lambda m, x: m["dense"].params["W"].fill(np.nan), "W of dense"),
    (lambda m, x: m["conv2d"].params["b"].fill(2e38), "the output of dense"),
    (lambda m, x: [p.fill(np.inf) for p in (m["dense"].params["b"], m["conv2d"].params["W"])],
     "W of conv2d"),
    (lambda m, x: x.__setitem__((5, 0), np.inf), "its input")])
def test_on_the_way_up_the_first_is_named(spoil, found):
    model, x = network(), numbers(12, 8, 8, 3)
    spoil(model, x)
    with assert_refused("sequential: epoch 1, batch 1: ", f"infinity in {found}. ", "learning rate",
                        "preprocessing"):
        fit(model, x)


@pytest.mark.parametrize("last", [
    [mc.Dense(1), mc.Sigmoid()], [mc.Dense(1, activation="sigmoid")]])
def test_a_layer_whose_activation_is_one_with_the_loss_keeps_its_name(last):
    model = mc.Sequential([mc.Dense(4, activation="relu"), *last], (5,))
    name = model.layers[1].name
    model[name].params["W"].fill(3e38)
    model["dense"].params["b"].fill(1e3)
    with assert_refused(f"the output of {name}. "):
        fit(model, numbers(6, 5), np.arange(6) % 2, mc.losses.BinaryCrossEntropy())


@pytest.mark.parametrize("dtype, large", [(np.float32, 2e38), (np.float64, 1e308)])
def test_dropout_is_taken_as_it_was(dtype, large):
    """Only what it lets through, and doubles, is too large."""
    model = mc.Sequential([mc.Dropout(0.5), mc.Dense(3)], (4,))
    model["dense"].params["W"].fill(0)
    with assert_refused("the output of dropout. "):
        fit(model, np.full((6, 4), large, dtype), np.zeros((6, 3)), SQUARES)


class Bad(mc.ReLU):
    def backward(self, dy):
        return super().backward(dy) * np.float32(np.inf)


class Steep(mc.losses.MeanSquaredError):
    def per_sample(self, y, t):
        return (y - t) ** 2, (y - t) * np.inf


@pytest.mark.parametrize("layers, loss, x, found", [
    ([mc.Dense(4), Bad(name="bad"), mc.Dense(3)], SQUARES, 1, "dx of bad"),
    ([mc.Dense(4), mc.Dense(3, kernel_initializer="zeros")], SQUARES, 1e30, "dW of dense_1"),
    ([mc.Dense(4), mc.Dense(3)], Steep(), 1, "the gradient of the loss"),
    ([mc.Dense(4), mc.Dense(3)], SQUARES, 1e25, "the loss")])
def test_on_the_way_down_the_first_is_named(layers, loss, x, found):
    model = mc.Sequential(layers, (5,))
    with assert_refused(f"infinity in {found}. "):
        fit(model, numbers(6, 5) * np.float32(x), np.full((6, 3), 1e10), loss)


def test_epoch_and_batch_are_named_and_the_weights_before_that_step_kept():
    model, kept = network(), []

    class Keep(mc.Callback):
        def on_batch_end(self, state):
            kept.append(weights(model))

    with assert_refused("epoch 3, batch 2", " of conv2d. "):  # the step that makes W infinite
        fit(model, numbers(12, 8, 8, 3), batch_size=4, epochs=4, callbacks=[
            Keep(), LearningRateSchedule(lambda done: 1 if done < 7 / 12 else 1e45)])
    assert len(kept) == 7
    for key, p in weights(model).items():
        np.testing.assert_array_equal(p, kept[-1][key])


def test_a_subclass_that_does_not_roll_back_leaves_weights_and_state_as_they_are():
    class GoOn(TerminateOnNaN):
        def roll_back(self, state, batch):
            pass

    model = mc.Sequential([mc.Dense(4), mc.Dense(3)], (5,))
    optimizer = mc.optimizers.Adam(0.01)
    fit(model, numbers(6, 5), np.ones((6, 3)), Steep(), optimizer, callbacks=[GoOn()])
    assert optimizer.state and not np.isfinite(model["dense"].params["W"]).all()


def test_after_a_bad_gradient_the_same_optimizer_goes_on():
    class Sometimes(mc.losses.MeanSquaredError):
        factor = np.inf

        def per_sample(self, y, t):
            return (y - t) ** 2, 2 * (y - t) * self.factor

    model = mc.Sequential([mc.Dense(4), mc.Dense(3)], (5,))
    before, optimizer, loss = weights(model), mc.optimizers.Adam(0.01), Sometimes()
    with assert_refused("batch 1: ", "infinity in the gradient of the loss. "):
        fit(model, numbers(6, 5), np.ones((6, 3)), loss, optimizer)
    for key, p in weights(model).items():
        np.testing.assert_array_equal(p, before[key])
    loss.factor = 1
    history = fit(model, numbers(6, 5), np.ones((6, 3)), loss, optimizer, epochs=50)
    assert history["loss"][-1] < 0.9 * history["loss"][0]


def test_a_validation_that_is_not_finite_ends_it_too():
    model, x = network(), numbers(12, 8, 8, 3)
    model["conv2d"].params["W"] *= 100
    with assert_refused("epoch 1, validation", "the output of conv2d. "):
        fit(model, x, validation_data=(np.full_like(x, 1e38), np.arange(12) % 3))


def test_a_frozen_layer_is_named_before_the_training_begins():
    model = network()
    model.freeze("conv2d")
    model["conv2d"].params["W"][0] = np.nan
    with assert_refused("features: ", "W of conv2d. ") as caught:
        fit(model, numbers(12, 8, 8, 3))
    assert "learning rate" not in str(caught)


def test_a_learning_rate_is_searched_for_only_where_there_is_a_loss():
    model, x = network(), numbers(12, 8, 8, 3)
    before = weights(model)
    with assert_refused("find_lr, batch 1: ", "its input. "):
        find_lr(model, (x * np.nan, np.arange(12) % 3), CATEGORIES)
    with assert_refused("find_lr, batch 2: ", "W of conv2d. "):
        find_lr(model, (x, np.arange(12) % 3), CATEGORIES, lowest=1e39, highest=1e40)
    for key, p in weights(model).items():
        np.testing.assert_array_equal(p, before[key])


def test_without_it_the_training_goes_on_with_what_it_gets():
    """A subclass takes the place of the TerminateOnNaN that fit adds."""
    class GoOn(TerminateOnNaN):
        def roll_back(self, state, batch):
            pass

    history = fit(network(), numbers(12, 8, 8, 3), optimizer=mc.optimizers.SGD(1e30), epochs=3,
                  callbacks=[GoOn()])
    assert np.isnan(history["loss"][-1])


RUN = ("train", "--size", "32", "--epochs", "3", "--per-class", "4", "--batch-size", "4")


def test_the_run_keeps_the_last_finite_weights(tmp_path, capsys):
    assert cli.main([*RUN, "--output", str(tmp_path / "x"), "--lr", "1e38", "--no-scratch"]) == 2
    said = capsys.readouterr().err
    assert "vgg16: epoch 1, batch 1: " in said and "W of dense. " in said and "Go on" not in said
    assert f"The last finite weights are in {tmp_path / 'x' / 'last_finite.h5'}." in said
    model = mc.load(tmp_path / "x" / "last_finite.h5")
    assert model.classes == ["cirrus", "cumulus"]
    assert all(np.isfinite(p).all() for p in weights(model).values())


def test_where_only_the_network_from_scratch_goes_wrong_the_other_model_stays(
        tmp_path, monkeypatch, capsys):
    def diverging(model, *args, **options):
        if model.name != "vgg16":
            raise NotFiniteError("small: expected finite numbers.")
        return ours(model, *args, **options)

    ours = mc.training.from_scratch.__globals__["fit"]
    monkeypatch.setitem(mc.training.from_scratch.__globals__, "fit", diverging)
    assert cli.main([*RUN, "--output", str(tmp_path / "x")]) == 2
    assert "The last finite weights are in" in capsys.readouterr().err
    assert len(mc.load(tmp_path / "x" / "last_finite.h5").layers) < len(
        mc.load(tmp_path / "x" / "model.h5").layers)
