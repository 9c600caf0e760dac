"""Callbacks: which hook is called when, what the state says then, and what each callback does."""

import functools

import numpy as np
import pytest
from makers import classifier, random_batch
from reference import assert_refused, assert_same

import minicnn as mc
from minicnn.losses import CategoricalCrossEntropy
from minicnn.ops import device_of
from minicnn.optimizers import SGD, Adam, ParamGroups
from minicnn.training import (
    Checkpoint,
    EarlyStopping,
    FeatureCache,
    HeldOut,
    LearningRateSchedule,
    ProgressBar,
    TerminateOnNaN,
    fit,
)
from minicnn.training.prepare import prepare, with_defaults

HOOKS = ["train_begin", "epoch_begin", "batch_begin", "backward_end", "batch_end", "epoch_end",
         "train_end"]


def strided(frozen=False):
    model = classifier(shape=(9, 9, 3), preprocessing=None)
    if frozen:
        model.freeze("conv2d")
    return model


batch = functools.partial(random_batch, shape=(9, 9, 3))


def train(*callbacks, model=None, optimizer=None, **options):
    return fit(model or strided(), batch(10), CategoricalCrossEntropy(), optimizer or SGD(0.05),
               **{"epochs": 2, "batch_size": 4, "callbacks": callbacks, **options})


class Recorder(mc.Callback):
    """Writes down every hook and what `look` sees in the state."""

    def __init__(self, look=lambda state: ()):
        self.look, self.seen = look, []

    def on_features_batch_end(self, stage, done, total):
        self.seen.append((stage, done, total))


def _recording(name):
    def hook(self, state):
        self.seen.append((name, *self.look(state)))
    return hook


for hook_name in HOOKS:
    setattr(Recorder, f"on_{hook_name}", _recording(hook_name))


# The hooks


def test_the_hooks_come_in_keras_order_and_backward_end_between_backward_and_step():
    recorder = Recorder()
    train(recorder, epochs=1, batch_size=5)
    batch = [("batch_begin",), ("backward_end",), ("batch_end",)]
    assert recorder.seen == [("train_begin",), ("epoch_begin",), *batch, *batch, ("epoch_end",),
                             ("train_end",)]


def test_the_counts_are_of_what_is_finished():
    recorder = Recorder(lambda state: (state.epoch, state.batch))
    train(recorder, epochs=2, batch_size=5)
    second = [seen for seen in recorder.seen if seen[0] != "backward_end"][7:]
    assert second == [("epoch_begin", 1, 0), ("batch_begin", 1, 0), ("batch_end", 1, 1),
                      ("batch_begin", 1, 1), ("batch_end", 1, 2), ("epoch_end", 2, 0),
                      ("train_end", 2, 0)]


def test_between_backward_and_step_the_gradients_are_there_and_the_weights_are_old():
    found = []

    class Look(mc.Callback):
        def on_batch_begin(self, state):
            self.before = state.model["dense"].params["W"].copy()

        def on_backward_end(self, state):
            self.dW = state.model["dense"].grads["W"].copy()
            assert_same(state.model["dense"].params["W"], self.before)

        def on_batch_end(self, state):
            found.append(state.model["dense"].params["W"] - (self.before - 0.05 * self.dW))

    train(Look(), epochs=1)
    assert len(found) == 3 and max(np.abs(rest).max() for rest in found) < 1e-7


def test_every_callback_is_told_in_the_order_given_and_after_an_error_too():
    told = []

    class Named(mc.Callback):
        def __init__(self, name):
            self.name = name

        def on_batch_end(self, state):
            told.append(self.name)
            if self.name == "b":
                raise KeyError("on purpose")

        def on_train_end(self, state):
            told.append((self.name, type(state.error)))

    with pytest.raises(KeyError):
        train(Named("a"), Named("b"), Named("c"))
    assert told == ["a", "b", ("a", KeyError), ("b", KeyError), ("c", KeyError)]


def test_a_callback_of_five_lines_ends_the_training():
    class StopWhenGood(mc.Callback):
        """Ends the training once the loss is below 1.09."""
        def on_epoch_end(self, state):
            if state.logs["loss"] < 1.09:
                state.stop_training = True

    history = train(StopWhenGood(), epochs=50)
    assert len(history["loss"]) < 50
    assert history["loss"][-1] < 1.09 <= min(history["loss"][:-1])


def test_the_logs_are_the_last_line_of_the_history():
    recorder = Recorder(lambda state: [dict(state.logs)])
    history = train(recorder, validation_data=batch(4))
    logs = [seen[1] for seen in recorder.seen if seen[0] == "epoch_end"]
    assert logs == [{key: values[epoch] for key, values in history.items()} for epoch in range(2)]


def test_frozen_layers_report_how_far_their_features_are():
    recorder = Recorder()
    train(recorder, model=strided(frozen=True), epochs=1, validation_data=batch(5))
    begin = recorder.seen.index(("epoch_begin",))
    assert recorder.seen[:begin] == [
        ("features", 4, 10), ("features", 8, 10), ("features", 10, 10),
        ("validation features", 4, 5), ("validation features", 5, 5), ("train_begin",)]


# Which callbacks there are


def test_the_defaults_come_first_and_checkpoints_last(tmp_path):
    checkpoint, schedule = Checkpoint(tmp_path), LearningRateSchedule(lambda done: 1)
    base, _ = strided(frozen=True).split()
    kinds = [type(callback) for callback in with_defaults([checkpoint, schedule], base)]
    assert kinds == [TerminateOnNaN, ProgressBar, FeatureCache, LearningRateSchedule, Checkpoint]
    own = [FeatureCache(0), TerminateOnNaN(), ProgressBar("mine")]
    assert with_defaults(own, base) == own
    base, _ = strided().split()  # nothing is frozen
    assert [type(callback) for callback in with_defaults([], base)] == [
        TerminateOnNaN, ProgressBar]
    held_out = HeldOut(batch(4))  # FeatureCache has to know its data
    assert with_defaults([checkpoint, FeatureCache(), held_out], base)[0] is held_out


@pytest.mark.parametrize("callback", [print, "history", mc.Callback])
def test_what_is_no_callback_is_refused(callback):
    with assert_refused("callbacks", "Callback"):
        train(callback)


# LearningRateSchedule


def test_a_schedule_multiplies_the_learning_rates_of_all_groups():
    seen = []

    class Rates(mc.Callback):
        def on_backward_end(self, state):
            seen.append([optimizer.lr for optimizer in state.optimizer.param_groups])

    groups = ParamGroups({"conv": SGD(0.1), "": Adam(0.01)})
    train(LearningRateSchedule(lambda done: 1 - done), Rates(), optimizer=groups, batch_size=5)
    np.testing.assert_allclose(seen, [[0.1 * f, 0.01 * f] for f in (1, 0.75, 0.5, 0.25)])
    assert [optimizer.lr for optimizer in groups.param_groups] == [0.1, 0.01]


def test_the_learning_rate_is_put_back_after_an_error_within_a_step():
    class Fail(mc.Callback):
        def on_backward_end(self, state):
            raise RuntimeError("on purpose")

    optimizer = SGD(0.1)
    with pytest.raises(RuntimeError, match="on purpose"):
        train(LearningRateSchedule(lambda done: 0.5), Fail(), optimizer=optimizer)
    assert optimizer.lr == 0.1


def test_a_learning_rate_that_a_callback_changes_stays_changed():
    class Halve(mc.Callback):
        def on_epoch_end(self, state):
            state.optimizer.lr /= 2

    optimizer = SGD(0.1)
    train(LearningRateSchedule(lambda done: 0.3), Halve(), optimizer=optimizer)
    assert optimizer.lr == 0.025


# epochs, initial_epoch, the optimizer


def test_epochs_is_the_number_of_the_last_epoch_as_in_keras():
    recorder = Recorder(lambda state: [state.epoch])
    history = train(recorder, epochs=5, initial_epoch=3)
    assert [seen[1] for seen in recorder.seen if seen[0] == "epoch_end"] == [4, 5]
    assert len(history["loss"]) == 2


@pytest.mark.parametrize("options", [{"epochs": 3, "initial_epoch": 3}, {"initial_epoch": -1},
                                     {"initial_epoch": 1.5}])
def test_an_initial_epoch_that_leaves_nothing_to_do_is_refused(options):
    with assert_refused("initial_epoch"):
        train(**options)


def test_optimizers_by_layer_are_param_groups():
    with assert_refused("ParamGroups"):
        train(optimizer={"conv": SGD(0.1), "": SGD(0.1)})
    model = strided()
    before = model["dense"].params["W"].copy()
    with assert_refused("block5"):
        train(optimizer=ParamGroups({"block5": SGD(0.1), "": SGD(0.1)}), model=model)
    assert_same(model["dense"].params["W"], before)


# prepare, progress, early stopping


def test_prepare_splits_and_fuses_and_shares_the_layers():
    model = strided(frozen=True)
    state = prepare(model, batch(10), CategoricalCrossEntropy(label_smoothing=0.1), SGD(0.1))
    assert state.base.layers == model.layers[:3]  # ReLU and Flatten have nothing to train
    assert state.network.layers == [model["dense"]]
    assert state.loss.from_logits and state.loss.label_smoothing == 0.1
    assert state.validation_loss.from_logits and state.validation_loss.label_smoothing == 0
    assert state.batches_per_epoch == 1 and state.progress == 0


def test_early_stopping_asks_for_validation_data_before_the_first_step():
    model = strided()
    before = model["dense"].params["W"].copy()
    with assert_refused("EarlyStopping", "validation_data"):
        train(EarlyStopping(2), model=model)
    assert_same(model["dense"].params["W"], before)


def test_early_stopping_restores_the_best_weights_on_a_device():
    model = strided().to("cuda-sim")
    train(stopping := EarlyStopping(), model=model, epochs=2, validation_data=batch(4))
    assert device_of(model["dense"].params["W"]) == "cuda-sim"
    assert_same(model["dense"].params["W"], stopping.best_weights["dense"]["W"])
