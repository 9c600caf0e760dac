"""Accuracy, its interval, the confusion matrix; transfer learning on the sample."""

import functools

import numpy as np
import pytest

import minicnn as mc
from minicnn.evaluation import Evaluation, class_probabilities, wilson_interval
from minicnn.losses import BinaryCrossEntropy
from minicnn.training import evaluate_photos, from_scratch, initial_learning_rate, transfer
from minicnn.utils.errors import ArgumentError


@pytest.mark.parametrize("right, n, interval", [
    (10, 20, (0.2993, 0.7007)), (0, 10, (0.0, 0.2775)), (10, 10, (0.7225, 1.0)),
    (81, 263, (0.2553, 0.3662))])  # the last: Newcombe 1998, table I
def test_wilson_interval_equals_published_values(right, n, interval):
    assert wilson_interval(right, n) == pytest.approx(interval, abs=1e-4)


def test_wilson_interval_holds_the_share_to_the_last_bit():
    for n in range(1, 80):
        for right in (0, 1, n - 1, n):
            low, high = wilson_interval(right, n)
            assert 0 <= low <= right / n <= high <= 1


@pytest.mark.parametrize("right, n", [(-1, 5), (6, 5), (0, 0)])
def test_wilson_interval_refuses_impossible_counts(right, n):
    with pytest.raises(ArgumentError, match="0 ≤ correct ≤ n"):
        wilson_interval(right, n)


def test_one_sigmoid_output_is_the_probability_of_the_second_class():
    p = class_probabilities(np.array([[0.25], [1.0]]))
    np.testing.assert_allclose(p, [[0.75, 0.25], [0, 1]])


def test_confusion_has_true_classes_in_rows():
    p = np.eye(3)[[0, 0, 1, 2, 2, 2]]
    result = Evaluation(p, np.array([0, 1, 1, 2, 0, 2]), ["a", "b", "c"])
    assert result.confusion.tolist() == [[1, 0, 1], [1, 1, 0], [0, 0, 2]]
    assert (result.num_correct, result.accuracy) == (4, pytest.approx(4 / 6))
    assert result.interval == wilson_interval(4, 6)


def test_the_first_step_of_initial_learning_rate_moves_a_logit_by_about_one():
    rng = np.random.default_rng(0)
    x = rng.exponential(100, (16, 400)).astype(np.float32)
    lr = initial_learning_rate(x)
    head = mc.Sequential([mc.Dense(1, kernel_initializer="zeros")], (400,))
    mc.fit(head, (x, np.ones(16)), BinaryCrossEntropy(from_logits=True), mc.optimizers.Adam(lr),
           epochs=1)
    assert head.predict(x).mean() == pytest.approx(1, rel=1e-3)  # z was 0; all gradients agree


def test_transfer_learns_with_a_frozen_base_and_says_what_the_model_says():
    train, test = (mc.data.sample("fashion", part, ["sandal", "bag"], 10)
                   for part in ("train", "test"))
    run = transfer(train, test, size=32, epochs=8, cut="block3_pool")
    model, history, result = run.model, run.history, run.evaluation
    assert history["accuracy"][-1] == 1
    assert [layer.trainable for layer in model.layers if layer.params] == [False] * 7 + [True]
    assert model.classes == ["sandal", "bag"]
    assert result.accuracy == pytest.approx(history["held_out_accuracy"][-1])
    assert result.accuracy > 0.85
    p = model.predict(test.images(range(len(test)), (32, 32)))[:, 0]
    np.testing.assert_allclose(result.probabilities[:, 1], p, rtol=1e-4)
    again = evaluate_photos(model, test)
    np.testing.assert_allclose(again.probabilities, result.probabilities, rtol=1e-4)
    assert again.labels.tolist() == test.labels.tolist()


def test_the_order_of_the_classes_of_train_and_test_must_agree():
    with pytest.raises(ArgumentError, match="in this order"):
        transfer(mc.data.sample("fashion", "train", ["sandal", "bag"], 2),
                 mc.data.sample("fashion", "test", ["bag", "sandal"], 2), size=32)


PHOTOS = [mc.data.sample("fashion", part, ["sandal", "bag"], 6) for part in ("train", "test")]


@pytest.mark.parametrize("learn", [
    from_scratch, functools.partial(transfer, size=32, cut="block1_pool")])
def test_seed_batch_size_and_step_reach_the_training(learn):
    history = learn(*PHOTOS, epochs=2, batch_size=4).history
    assert history == learn(*PHOTOS, epochs=2, batch_size=4).history
    for other in ({"seed": 1}, {"batch_size": 6}, {"lr": 1e-9}):
        assert history != learn(*PHOTOS, **({"epochs": 2, "batch_size": 4} | other)).history, other


def test_from_scratch_draws_its_start_by_the_seed_and_names_its_classes():
    a, b, c = (from_scratch(*PHOTOS, epochs=1, lr=0.0, seed=seed).model for seed in (0, 0, 1))
    W = [model["conv2d"].params["W"] for model in (a, b, c)]
    assert np.array_equal(W[0], W[1]) and not np.array_equal(W[0], W[2])
    assert a.classes == ["sandal", "bag"]


def test_initial_learning_rate_of_features_that_are_all_zero_is_finite():
    assert np.isfinite(initial_learning_rate(np.zeros((4, 3), np.float32)))
