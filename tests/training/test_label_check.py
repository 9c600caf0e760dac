"""Wrong labels among training photos: each is predicted by a head that never saw it."""

from importlib import import_module

import numpy as np
import pytest
from makers import clothes

import minicnn as mc
from minicnn.models import loss_for
from minicnn.optimizers import Adam
from minicnn.report.run_labels import doubtful_labels
from minicnn.training import ArrayDataset, TransferConfig, label_check, transfer
from minicnn.training.label_check import out_of_fold
from minicnn.utils.errors import ArgumentError

CONFIG = TransferConfig(epochs=40, batch_size=8)


def two_clouds_of_points(n=20, views=1, noise=0.3):
    """Features (views · 2n, 1, 1, 4) around −1 and +1, and the photos whose labels they have."""
    rng, labels = np.random.default_rng(3), np.repeat([0, 1], n)
    x = np.concatenate([(2 * labels - 1)[:, None] + rng.normal(0, noise, (2 * n, 4))
                        for _ in range(views)]).astype(np.float32)
    photos = mc.data.Dataset.from_arrays(np.zeros((2 * n, 8, 8, 3), np.uint8), labels, ["a", "b"])
    return x.reshape(-1, 1, 1, 4), photos


def with_labels(photos, labels):
    return mc.data.Dataset(photos.items, labels, photos.classes, photos.names)


def checked(x, photos, groups=None, views=1):
    features = ArrayDataset(x, np.tile(photos.labels, views), views)
    return out_of_fold(features, photos, loss_for(2), 0.1, CONFIG, groups)


@pytest.mark.parametrize("views", [1, 3])
def test_planted_wrong_labels_are_doubted_and_no_others(views):
    x, photos = two_clouds_of_points(views=views)
    labels = photos.labels.copy()
    labels[[2, 25, 31]] = 1 - labels[[2, 25, 31]]
    result = checked(x, with_labels(photos, labels), views=views)
    assert sorted(doubtful_labels(result)) == [2, 25, 31]
    assert (result.labels == labels).all() and result.num_correct == 37


def test_with_right_labels_nothing_is_doubted():
    assert doubtful_labels(checked(*two_clouds_of_points())) == []


def test_no_photo_is_predicted_by_a_head_that_has_seen_it():
    """Features that only name the photo: a head can learn them by heart, and then knows nothing of
    the others."""
    N = 20
    x = np.eye(N, dtype=np.float32).reshape(N, 1, 1, N)
    labels = np.arange(N) % 2
    photos = mc.data.Dataset.from_arrays(np.zeros((N, 8, 8, 3), np.uint8), labels, ["a", "b"])
    own = checked(x, photos).probabilities[np.arange(N), labels]
    assert (np.abs(own - 0.5) < 0.1).all()


@pytest.mark.parametrize("after, steps", [("step", 3), ("epoch", 4)])
def test_a_stop_that_is_asked_for_in_a_step_ends_it_after_this_step_or_epoch(after, steps,
                                                                             tmp_path, monkeypatch):
    checkpoint, done, ours = mc.training.Checkpoint(tmp_path), [], Adam.step

    def step(*arguments):
        done.append(1)
        if len(done) == 3:
            checkpoint.stop(after)
        ours(*arguments)

    monkeypatch.setattr(Adam, "step", step)
    x, photos = two_clouds_of_points()  # 32 photos to learn from: 4 steps of 8
    with pytest.raises(KeyboardInterrupt):
        out_of_fold(ArrayDataset(x, photos.labels), photos, loss_for(2), 0.1, CONFIG,
                    checkpoint=checkpoint)
    assert len(done) == steps


def test_a_stop_while_the_last_photos_are_predicted_is_heard(tmp_path, monkeypatch):
    checkpoint, done, ours = mc.training.Checkpoint(tmp_path), [], label_check.extract_features

    def extract_features(*arguments, **options):
        done.append(1)
        if len(done) == label_check.FOLDS:
            checkpoint.stop()
        return ours(*arguments, **options)

    monkeypatch.setattr(label_check, "extract_features", extract_features)
    x, photos = two_clouds_of_points()
    with pytest.raises(KeyboardInterrupt):
        out_of_fold(ArrayDataset(x, photos.labels), photos, loss_for(2), 0.1, CONFIG,
                    checkpoint=checkpoint)


def test_copies_are_left_out_together():
    """Of each photo a copy with the same wrong or right label: it would give the label away."""
    N = 20
    x = np.tile(np.eye(N // 2, dtype=np.float32), (2, 1)).reshape(N, 1, 1, N // 2)
    labels, groups = np.tile(np.arange(N // 2) % 2, 2), np.tile(np.arange(N // 2), 2)
    photos = mc.data.Dataset.from_arrays(np.zeros((N, 8, 8, 3), np.uint8), labels, ["a", "b"])
    together = checked(x, photos, groups).probabilities[np.arange(N), labels]
    apart = checked(x, photos).probabilities[np.arange(N), labels]
    assert (np.abs(together - 0.5) < 0.1).all() and np.median(apart) > 0.7


def test_few_photos_are_dealt_into_fewer_folds_and_one_of_a_class_into_none():
    x, photos = two_clouds_of_points(2)
    assert checked(x, photos).num_correct == 4
    x, photos = two_clouds_of_points(2)
    alone = photos.subset([0, 2, 3])
    assert checked(x[[0, 2, 3]], alone) is None
    assert checked(x, photos, groups=[0, 0, 1, 2]) is None


def test_copies_across_classes_that_cannot_be_dealt_are_no_error():
    x, photos = two_clouds_of_points(3)
    photos = with_labels(photos, np.array([0, 0, 0, 0, 1, 1]))
    with pytest.raises(ArgumentError):
        photos.folds(2, CONFIG.seed, [4, 1, 1, 3, 4, 3])
    assert checked(x, photos, groups=[4, 1, 1, 3, 4, 3]) is None


def test_transfer_checks_if_asked_and_trains_the_same_model():
    quick = {"size": 32, "epochs": 2, "cut": "block1_pool"}
    without, asked = transfer(clothes(), clothes("test"), **quick), transfer(
        clothes(), clothes("test"), check_labels=True, augment="flip", views=2, **quick)
    assert without.training is None
    assert len(asked.training.labels) == len(clothes())
    plain = transfer(clothes(), clothes("test"), check_labels=True, **quick)
    assert plain.history == without.history
    assert (plain.evaluation.probabilities == without.evaluation.probabilities).all()


def test_the_answer_is_there_before_the_labels_are_checked(monkeypatch):
    """And the check has a line of its own, from its first epoch to its last."""
    order, drawn = [], []
    transfer_module = import_module("minicnn.training.transfer")

    def checking(*arguments):
        order.append("check")
        return out_of_fold(*arguments)

    def answer(result):
        order.append("answer")
        assert result.training is None and result.evaluation.num_correct >= 0

    class Bar(mc.training.ProgressBar):
        def draw(self, text, fraction, after, now=False):
            drawn.append((text, fraction))

    monkeypatch.setattr(transfer_module, "out_of_fold", checking)
    run = transfer(clothes(), clothes("test"), check_labels=True, on_result=answer, size=32,
                   epochs=2, cut="block1_pool", callbacks=[Bar()])
    assert order == ["answer", "check"] and run.training is not None
    shares = [fraction for text, fraction in drawn if text == "label check"]
    assert shares == pytest.approx(np.arange(1, len(shares) + 1) / len(shares))
    assert len(shares) == 2 * label_check.FOLDS and drawn[-1][0] == "label check"


def test_the_features_that_wait_for_the_check_count_in_the_memory_of_fine_tuning(monkeypatch):
    budgets, ours = [], mc.training.FeatureCache

    class Cache(ours):
        def __init__(self, memory_budget):
            budgets.append(memory_budget)
            super().__init__(memory_budget)

    monkeypatch.setattr(import_module("minicnn.training.transfer"), "FeatureCache", Cache)
    options = {"size": 32, "epochs": 1, "finetune": "block2", "finetune_epochs": 1}
    for check in (False, True):
        transfer(clothes(), clothes("test"), check_labels=check, **options)
    test, train = (len(data) * 8 * 8 * 128 * 4 for data in (clothes("test"), clothes()))
    assert budgets == [10**9, 10**9 - test, 10**9, 10**9 - test - train]


def test_the_other_heads_train_as_many_epochs_as_the_first_one_did(monkeypatch):
    epochs = []
    monkeypatch.setattr(label_check, "fit", lambda *a, **options: epochs.append(options["epochs"]))
    run = transfer(clothes(), clothes("test"), validation=clothes("test"), check_labels=True,
                   size=32, cut="block1_pool", epochs=200, patience=1, lr=0.1)
    assert len(epochs) > 1 and {*epochs} == {len(run.history["loss"])} and epochs[0] < 200
