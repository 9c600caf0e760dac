"""What is measured on held-out photos is called held-out, and decides nothing."""

import numpy as np
import pytest
from makers import classifier
from reference import assert_refused

from minicnn.evaluation import Evaluation
from minicnn.evaluation.diagnosis import diagnose
from minicnn.losses import CategoricalCrossEntropy
from minicnn.optimizers import SGD
from minicnn.training import Checkpoint, EarlyStopping, FeatureCache, HeldOut, History, fit


def data(N=10, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(N, 9, 9, 3)).astype(np.float32), np.arange(N) % 3


def network(frozen=False):
    model = classifier(shape=(9, 9, 3), preprocessing=None)
    if frozen:
        model.freeze("conv2d")
    return model


def train(*callbacks, model=None, **options):
    return fit(model or network(), data(), CategoricalCrossEntropy(label_smoothing=0.1), SGD(0.05),
               **{"epochs": 2, "batch_size": 4, "callbacks": callbacks, **options})


@pytest.mark.parametrize("own", [(), (FeatureCache(),)], ids=["", "with a cache of its own"])
@pytest.mark.parametrize("frozen", [False, True])
def test_the_history_names_them_and_their_loss_is_that_of_the_model(frozen, own):
    model, (x, labels) = network(frozen), data(7, seed=1)
    history = train(*own, HeldOut((x, labels)), model=model)
    assert set(history) == {"loss", "accuracy", "held_out_loss", "held_out_accuracy"}
    p = model.predict(x)
    assert history["held_out_loss"][-1] == pytest.approx(
        -np.log(p[np.arange(7), labels]).mean(), rel=1e-5)
    assert history["held_out_accuracy"][-1] == pytest.approx((p.argmax(axis=1) == labels).mean())


def test_validation_and_held_out_data_have_names_of_their_own_and_change_no_weight():
    x, labels = data(7, seed=1)
    both = train(HeldOut((x, labels)), validation_data=(x[:4], labels[:4]))
    assert both["loss"] == train()["loss"]
    assert both["val_loss"] == train(validation_data=(x[:4], labels[:4]))["val_loss"]
    assert both["held_out_loss"] == train(HeldOut((x, labels)))["held_out_loss"]
    assert both["val_loss"] != both["held_out_loss"]


def test_held_out_data_choose_no_epoch():
    with assert_refused("EarlyStopping", "validation_data"):
        train(HeldOut(data(4)), EarlyStopping(2))


def test_held_out_data_that_do_not_fit_are_refused_before_a_step():
    model = network()
    before = model["dense"].params["W"].copy()
    with assert_refused("9, 9, 3)", "(4, 8, 8, 3)"):
        train(HeldOut((np.zeros((4, 8, 8, 3), np.float32), np.zeros(4, int))), model=model)
    assert (model["dense"].params["W"] == before).all()


def test_a_training_stopped_by_an_older_version_goes_on_with_the_new_names(tmp_path, monkeypatch):
    """Until 0.2 held-out data were given as validation_data: the checkpoint's history says val_."""
    x, labels = data(7, seed=1)
    train(Checkpoint(tmp_path), validation_data=(x, labels), epochs=2)
    older = sorted(tmp_path.glob("*.h5"))[-1]
    assert "-00002-" in older.name
    history = train(HeldOut((x, labels)), Checkpoint(tmp_path), epochs=2)
    whole = train(HeldOut((x, labels)), epochs=2)
    assert history == whole and type(history) is History


def test_a_history_of_the_older_names_is_read_as_held_out():
    history = History({"loss": [2.0], "val_loss": [3.0], "val_accuracy": [0.5]})
    assert history.with_held_out_names() == {"loss": [2.0], "held_out_loss": [3.0],
                                             "held_out_accuracy": [0.5]}


@pytest.mark.parametrize("key, label", [("val_", "validation"), ("held_out_", "held-out")])
def test_the_curves_call_them_as_the_history_does(key, label):
    history = History({"loss": [2.0, 1.0], "accuracy": [0.5, 1.0], f"{key}loss": [3.0, 2.5],
                       f"{key}accuracy": [0.25, 0.5]})
    for ax, values in zip(history.figure().axes, ([3.0, 2.5], [0.25, 0.5]), strict=True):
        lines = {line.get_label(): line.get_ydata().tolist() for line in ax.lines}
        assert set(lines) == {"training", label} and lines[label] == values


@pytest.mark.parametrize("key, name", [("val_loss", "validation"), ("held_out_loss", "held-out")])
def test_a_warning_of_overfitting_names_the_photos_that_show_it(key, name):
    result = Evaluation(np.eye(2)[[0, 1, 0]], np.array([0, 1, 1]), ["a", "b"])
    history = {"loss": [1.0, 0.5, 0.1], key: [0.7, 0.6, 2.0]}
    warnings = diagnose(history, result)
    assert any(f"the {name} loss was lowest in epoch 2, 0.6" in text for text in warnings), warnings
