"""Learning rates: their course, their groups, their finder; early stopping; smoothed targets."""

import functools

import numpy as np
import pytest
import torch
from makers import clothes
from reference import assert_close, assert_refused, assert_same

import minicnn as mc
from minicnn.data import Augment, Augmented
from minicnn.losses import CategoricalCrossEntropy, MeanSquaredError
from minicnn.optimizers import SGD, Adam, ParamGroups
from minicnn.training import (
    SCHEDULES,
    ArrayDataset,
    Callback,
    EarlyStopping,
    FeatureCache,
    LearningRateSchedule,
    find_lr,
    fit,
    get_weights,
    set_weights,
)

CLASSES = ["sandal", "sneaker", "bag"]
photos = functools.partial(clothes, per_class=8, classes=CLASSES)


def test_constant_step_and_cosine_at_known_points():
    assert [SCHEDULES["constant"](t) for t in (0, 0.5, 1)] == [1, 1, 1]
    assert [round(SCHEDULES["step"](t), 9) for t in (0, 0.3, 0.34, 0.6, 0.67, 0.99, 1)] == [
        1, 1, 0.1, 0.1, 0.01, 0.01, 0.01]
    assert [round(SCHEDULES["cosine"](t), 9) for t in (0, 1 / 3, 0.5, 1)] == [1, 0.75, 0.5, 0]


def test_cosine_is_pytorchs():
    one = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(one, 20)
    for k in range(20):
        assert SCHEDULES["cosine"](k / 20) == pytest.approx(one.param_groups[0]["lr"], abs=1e-9)
        one.step()
        theirs.step()


def test_one_cycle_is_pytorchs():
    one = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(one, 1.0, total_steps=101, pct_start=31 / 101,
                                                 div_factor=25, cycle_momentum=False)
    for k in range(100):  # its steps 0 … 30 go up, 30 … 100 down
        expected = one.param_groups[0]["lr"]
        assert SCHEDULES["one-cycle"](k / 100) == pytest.approx(expected, abs=1e-5)
        one.step()
        theirs.step()
    ours = [SCHEDULES["one-cycle"](k / 100) for k in range(101)]
    assert ours[0] == pytest.approx(1 / 25) and max(ours) == ours[30] == 1 and ours[-1] < 1e-12


def test_fit_takes_the_learning_rates_of_the_schedule_and_gives_the_optimizer_back_as_it_was():
    seen = []

    class Told(SGD):
        def step(self, model):
            seen.append(self.lr)
            super().step(model)

    optimizer = Told(0.01)
    fit(mc.SmallCNN(3), photos(), CategoricalCrossEntropy(), optimizer, epochs=2, batch_size=8,
        callbacks=[LearningRateSchedule(lambda done: 1 - done)])
    assert seen == pytest.approx([0.01 * (1 - k / 6) for k in range(6)])
    assert optimizer.lr == 0.01


def test_groups_have_learning_rates_of_their_own_by_the_beginning_of_the_layers_names():
    model, alone = mc.SmallCNN(3), mc.SmallCNN(3)
    fit(model, photos(), CategoricalCrossEntropy(),
        ParamGroups({"conv": SGD(0.0), "": SGD(0.1)}), epochs=2)
    assert_same(model["conv2d"].params["W"], alone["conv2d"].params["W"])
    assert not np.array_equal(model["dense"].params["W"], alone["dense"].params["W"])
    for layer in alone.layers:
        layer.trainable = not layer.name.startswith("conv")
    fit(alone, photos(), CategoricalCrossEntropy(), SGD(0.1), epochs=2)
    for name in ("dense", "dense_1"):
        assert_close(model[name].params["W"], alone[name].params["W"], 1e-5)


@pytest.mark.parametrize(("keys", "words"), [
    ({"conv": SGD(0.1)}, ["optimizer for dense"]),
    ({"block5": SGD(0.1), "": SGD(0.1)}, ["block5"])])
def test_groups_that_miss_layers_or_have_none_are_refused(keys, words):
    model = mc.SmallCNN(3)
    before = get_weights(model)
    with assert_refused(*words):
        fit(model, photos(), CategoricalCrossEntropy(), ParamGroups(keys))
    assert_same(get_weights(model)["dense"]["W"], before["dense"]["W"])


def test_smoothing_counts_the_right_ones_and_the_validation_by_the_hard_targets():
    model = mc.SmallCNN(3)
    history = fit(model, photos(), CategoricalCrossEntropy(label_smoothing=0.3), Adam(1e-3),
                  epochs=60, validation_data=photos())
    y = model.predict(photos().images(range(24), (28, 28)))
    loss = CategoricalCrossEntropy()
    assert history["val_loss"][-1] == pytest.approx(loss.forward(y, photos().labels), rel=1e-4)
    assert history["accuracy"][-1] > 0.9
    assert history["loss"][-1] > 0.4 > history["val_loss"][-1]  # 0.3 is noise


@pytest.mark.parametrize("cached", [True, False])
def test_an_epoch_takes_each_photo_once_in_one_of_its_views(cached):
    model, data, seen = mc.SmallCNN(3), photos(), []
    for layer in model.layers[:2]:
        layer.trainable = False
    rest = model.layers[2]
    forward = rest.forward

    def told(x, training=False, keep=True):
        if training:
            seen.append(x.copy())
        return forward(x, training, keep)

    rest.forward = told
    views = Augmented(data, Augment(), 3, seed=2)
    fit(model, views, CategoricalCrossEntropy(), SGD(0.0), epochs=6, batch_size=24, seed=4,
        callbacks=[FeatureCache(enabled=cached)])
    rows = model.view(model.layers[:2], (28, 28, 3), model.preprocessing).predict(
        views.images(range(72), (28, 28))).reshape(72, -1)
    places = [[int(np.abs(rows - x.ravel()).max(axis=1).argmin()) for x in epoch] for epoch in seen]
    assert all(sorted(p % 24 for p in epoch) == list(range(24)) for epoch in places)
    assert {p // 24 for epoch in places for p in epoch} == {0, 1, 2}


def test_views_that_do_not_divide_the_photos_are_refused():
    x = np.zeros((7, 28, 28, 3), np.uint8)
    with assert_refused("2 views", "7 images"):
        ArrayDataset(x, np.arange(7) % 3, views=2)


class Losses(Callback):
    """Puts the losses that it was given into the logs, whatever the training did."""

    def __init__(self, losses):
        self.losses = losses

    def on_epoch_end(self, state):
        state.logs["val_loss"] = self.losses[state.epoch - 1]


@pytest.mark.parametrize(("losses", "patience", "ended", "best"), [
    ([3, 2, 1, 2, 2, 2, 0], 3, 6, 3), ([3, 2, 1, 2, 2, 0.5, 1], 3, 7, 6),
    ([1, 1, 1, 1, 1, 1, 1], 2, 3, 1), ([5, 4, 3, 2, 1, 9, 9], None, 7, 5),
    ([float("nan"), 2, 3, 4, 4, 4, 4], 4, 6, 2)])
def test_training_ends_after_patience_and_the_best_weights_come_back(losses, patience, ended, best):
    model, kept = mc.SmallCNN(3), []
    keeper = EarlyStopping(patience)

    class Copies(Callback):
        def on_epoch_end(self, state):
            kept.append(get_weights(model))

    history = fit(model, photos(), CategoricalCrossEntropy(), Adam(1e-3), epochs=7,
                  validation_data=photos("test"), callbacks=[Copies(), Losses(losses), keeper])
    assert len(history["loss"]) == ended and keeper.best_epoch == best
    assert_same(model["dense"].params["W"], kept[best - 1]["dense"]["W"])
    assert_same(keeper.last_weights["dense"]["W"], kept[-1]["dense"]["W"])
    assert not np.array_equal(model["dense"].params["W"], kept[-1]["dense"]["W"]) or best == ended


def test_the_last_weights_stay_if_the_best_are_not_to_be_restored():
    model, keeper = mc.SmallCNN(3), EarlyStopping(1, restore_best_weights=False)
    fit(model, photos(), CategoricalCrossEntropy(), Adam(1e-3), epochs=7,
        validation_data=photos("test"), callbacks=[Losses([1, 2, 3]), keeper])
    assert keeper.best_epoch == 1
    assert_same(model["dense"].params["W"], keeper.last_weights["dense"]["W"])
    assert not np.array_equal(model["dense"].params["W"], keeper.best_weights["dense"]["W"])


@pytest.mark.parametrize(("second", "best", "epochs"), [
    ([9, 9, 9, 9], 2, 2), ([0.5, 9, 9, 9], 4, 3)])
def test_in_a_second_phase_the_first_is_what_has_to_be_surpassed(second, best, epochs):
    model, keeper, losses = mc.SmallCNN(3), EarlyStopping(2), [3, 1, 2, *second]
    options = {"validation_data": photos("test"), "callbacks": [Losses(losses), keeper]}
    fit(model, photos(), CategoricalCrossEntropy(), Adam(1e-3), epochs=3, **options)
    first = get_weights(model)
    history = fit(model, photos(), CategoricalCrossEntropy(), Adam(1e-3), epochs=7,
                  initial_epoch=3, **options)
    assert keeper.best_epoch == best and len(history["loss"]) == epochs
    assert np.array_equal(model["dense"].params["W"], first["dense"]["W"]) == (best == 2)


def test_a_training_from_the_beginning_begins_the_comparison_anew():
    keeper = EarlyStopping()
    for _ in range(2):
        fit(mc.SmallCNN(3), photos(), CategoricalCrossEntropy(), Adam(1e-3), epochs=1,
            validation_data=photos("test"), callbacks=[keeper])
        assert keeper.best_epoch == 1
        keeper.best = -1.0  # no later loss is below it


def test_an_error_restores_no_earlier_weights():
    model, keeper, last = mc.SmallCNN(3), EarlyStopping(), []

    class Fail(Callback):
        def on_epoch_end(self, state):
            last.append(get_weights(model))
            if state.epoch == 3:
                raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fit(model, photos(), CategoricalCrossEntropy(), Adam(1e-3), epochs=7,
            validation_data=photos("test"), callbacks=[Losses([1, 2, 3]), keeper, Fail()])
    assert_same(model["dense"].params["W"], last[-1]["dense"]["W"])


def test_the_best_epoch_needs_validation_photos():
    model = mc.SmallCNN(3)
    with assert_refused("validation"):
        fit(model, photos(), CategoricalCrossEntropy(), Adam(), callbacks=[EarlyStopping()])


def test_weights_go_back_into_the_same_arrays():
    model = mc.SmallCNN(3)
    array, before = model["dense"].params["W"], get_weights(model)
    fit(model, photos(), CategoricalCrossEntropy(), Adam(), epochs=1)
    assert not np.array_equal(array, before["dense"]["W"])
    set_weights(model, before)
    assert model["dense"].params["W"] is array
    assert_same(array, before["dense"]["W"])


def test_the_finder_grows_the_learning_rate_by_one_factor_and_puts_everything_back():
    model = mc.SmallCNN(3)
    before = get_weights(model)
    found = find_lr(model, photos(), CategoricalCrossEntropy(), SGD, lowest=1e-5, highest=1e3,
                    steps=41, batch_size=12)
    assert_close(found.lr[1:] / found.lr[:-1], np.full(len(found.lr) - 1, 10 ** 0.2), 1e-9)
    assert_same(get_weights(model)["conv2d"]["W"], before["conv2d"]["W"])
    assert found.smooth[-1] > 4 * found.smooth.min() and len(found.lr) < 41  # it ended early
    assert found.lr[0] < found.suggestion < found.lr[found.smooth.argmin()]
    assert found.figure().axes and f"{found.suggestion:.2g}" in str(found)


def test_the_found_learning_rate_learns_better_than_one_a_thousand_times_smaller_or_larger():
    found = find_lr(mc.SmallCNN(3), photos(), CategoricalCrossEntropy(), SGD, lowest=1e-6,
                    highest=1e2)
    losses = [fit(mc.SmallCNN(3), photos(), CategoricalCrossEntropy(),
                  SGD(found.suggestion * factor), epochs=5, batch_size=8)["loss"][-1]
              for factor in (1e-3, 1, 1e3)]
    assert not losses[1] >= losses[0] and not losses[1] >= losses[2]


def test_the_finders_curve_is_the_moving_mean_of_its_losses():
    found = find_lr(mc.SmallCNN(3), photos(), CategoricalCrossEntropy(), SGD, steps=12)
    mean = weight = 0.0
    for loss, smooth in zip(found.losses, found.smooth, strict=True):
        mean, weight = 0.9 * mean + loss, 0.9 * weight + 1
        assert smooth == pytest.approx(mean / weight)


@pytest.mark.parametrize("options", [{"lowest": 0.0}, {"lowest": 1.0, "highest": 0.1},
                                     {"steps": 3}])
def test_limits_that_do_not_fit_are_refused(options):
    with assert_refused("find_lr"):
        find_lr(mc.SmallCNN(3), photos(), CategoricalCrossEntropy(), SGD, **options)


def test_a_regression_may_be_scheduled_too():
    model = mc.Sequential([mc.Dense(1)], (3,))
    x = np.random.default_rng(0).normal(size=(20, 3)).astype("f4")
    history = fit(model, (x, x[:, :1]), MeanSquaredError(), SGD(0.1), epochs=30,
                  callbacks=[LearningRateSchedule(SCHEDULES["one-cycle"])])
    assert history["loss"][-1] < 0.1 * history["loss"][0]


def test_the_finder_computes_frozen_layers_once_for_each_image():
    model, images = mc.SmallCNN(3), []
    model.freeze(until="maxpool2d")
    forward = model["conv2d"].forward

    def counting(x, *rest, **named):
        images.append(len(x))
        return forward(x, *rest, **named)

    model["conv2d"].forward = counting
    found = find_lr(model, photos(), CategoricalCrossEntropy(), SGD, steps=20, batch_size=8)
    assert len(found.lr) == 20 and sum(images) == len(photos())


@pytest.mark.parametrize(("frozen", "loss", "words"), [
    (True, CategoricalCrossEntropy(), ["unfreeze"]),
    (False, CategoricalCrossEntropy(from_logits=True), ["logits"])])
def test_the_finder_refuses_what_fit_refuses(frozen, loss, words):
    model = mc.SmallCNN(3)
    if frozen:
        model.freeze()
    for train in (find_lr, lambda *args: fit(*args, SGD(0.1))):
        with assert_refused(*words):
            train(model, photos(), loss)
