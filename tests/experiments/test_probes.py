"""Probes against ridge regression written in its primal form, one fit for every photo left out."""

import sys

import numpy as np
import pytest
from makers import two_convolutions
from reference import assert_close, assert_refused, assert_same

import minicnn as mc
from minicnn.data import Dataset
from minicnn.experiments import probes
from minicnn.experiments.probes import STRENGTHS, products, ridge


def conv_and_dense():
    return two_convolutions(mc.Flatten(), mc.Dense(6, name="d"), shape=(12, 10, 3),
                            names=("c1", "c2"))


def shades(count=24, classes=3, seed=0, shade=40):
    """Each class a shade brighter, under noise."""
    labels = np.arange(count) % classes
    noise = np.random.default_rng(seed).integers(0, 160, (count, 12, 10, 3))
    pixels = noise + shade * labels[:, None, None, None] / classes
    return Dataset.from_arrays(pixels.astype(np.uint8), labels,
                               [f"class {k}" for k in range(classes)])


def fitted(X, Y, strength):
    """Weights and constant of ‖Y − X W − c‖² + strength ‖W‖², by least squares on rows added."""
    n, D = X.shape
    rows = np.block([[X, np.ones((n, 1))], [np.sqrt(strength) * np.eye(D), np.zeros((D, 1))]])
    answer = np.linalg.lstsq(rows, np.vstack([Y, np.zeros((D, Y.shape[1]))]), rcond=None)[0]
    return answer[:-1], answer[-1]


def test_answers_and_strength_are_those_of_one_fit_for_every_photo_left_out(rng):
    X, Y = rng.normal(size=(13, 5)), np.eye(3)[rng.integers(0, 3, 13)]
    X[:, 0] += Y[:, 0]
    T = rng.normal(size=(6, 5))
    centred = X - X.mean(axis=0)
    scale = np.trace(centred @ centred.T) / 13
    errors = {}
    for share in STRENGTHS:
        total = 0.0
        for i in range(13):
            rest = np.arange(13) != i
            # the formula leaves a photo out of the fit, with λ as it is
            W, c = fitted(X[rest], Y[rest], share * scale)
            total += ((Y[i] - X[i] @ W - c) ** 2).sum()
        errors[share] = total
    best = min(errors, key=errors.get)
    W, c = fitted(X, Y, best * scale)
    answers, share = ridge(X @ X.T, T @ X.T, Y)
    assert share == best
    assert_close(answers, T @ W + c, 1e-8)


def test_a_shift_of_all_photos_changes_no_answer(rng):
    X, T, Y = rng.normal(size=(9, 20)), rng.normal(size=(4, 20)), np.eye(2)[np.arange(9) % 2]
    plain, shifted = (ridge((X + s) @ (X + s).T, (T + s) @ (X + s).T, Y)[0] for s in (0, 3.0))
    assert_close(shifted, plain, 1e-8)


@pytest.mark.parametrize("budget", [0, 1 << 29])  # in a file; in memory
def test_products_are_those_of_the_layers_features_less_their_mean(budget, monkeypatch):
    monkeypatch.setattr(sys.modules["minicnn.experiments.probes"], "BUDGET", budget)
    model, photos = conv_and_dense(), shades()
    pixels = photos.images(range(len(photos)), (12, 10))
    for place, name in ((0, "c1"), (4, "d")):
        X = model.activations(model.to_input(pixels), [name])[name].reshape(len(pixels), -1)
        X = X.astype(float) - X.mean(axis=0, dtype=float)
        assert_close(products(model, photos, place, batch_size=7), X @ X.T, 1e-5)


@pytest.mark.parametrize("taken", [slice(None), [k for k in range(60) if k % 3 == 0 or k < 20]],
                         ids=["equal classes", "unequal classes"])
def test_accuracies_are_those_of_a_classifier_fitted_in_each_fold(taken):
    model, photos = conv_and_dense(), shades(60)
    photos = photos.subset(np.arange(60)[taken])
    result = probes(model, photos, ["d", "c1"], folds=3)
    fold = photos.folds(3)
    pixels = photos.images(range(len(photos)), (12, 10))
    X = model.activations(model.to_input(pixels), ["d"])["d"].astype(float)
    for k in range(3):
        train, test = fold != k, fold == k
        centred = X[train] - X[train].mean(axis=0)
        strength = result.strengths[0, k] * np.trace(centred @ centred.T) / train.sum()
        W, c = fitted(X[train], np.eye(3)[photos.labels[train]], strength)
        said = (X[test] @ W + c).argmax(axis=1)
        assert result.accuracies[0, k] == pytest.approx((said == photos.labels[test]).mean())
    assert result.layers == ["d", "c1"] and result.features.tolist() == [6, 480]


def test_the_folds_share_out_every_class_and_the_seed_draws_them():
    photos = shades(26, 2)
    fold = photos.folds(4, 1)
    for label in range(2):
        assert sorted(np.bincount(fold[photos.labels == label])) == [3, 3, 3, 4]
    assert_same(fold, photos.folds(4, 1))
    assert (fold != photos.folds(4, 2)).any()
    assert_same(fold, photos.folds(4, 1, np.arange(26)))  # groups of one change nothing
    with assert_refused("4 photos", "3 of 'class 0'"):
        shades(6, 2).folds(4)
    with assert_refused("at least 2"):
        photos.folds(1)


def test_layers_left_open_rise_with_depth_and_noise_without_classes_is_read_by_chance():
    rng = np.random.default_rng(3)
    blank = Dataset.from_arrays(rng.integers(0, 256, (200, 12, 10, 3), np.uint8),
                                rng.permutation(200) % 2, ["a", "b"])
    result = probes(conv_and_dense(), blank)
    assert result.layers == ["c1", "c2"]
    assert (abs(result.accuracies.mean(axis=1) - 0.5) < 0.15).all()
    clear = probes(conv_and_dense(), shades(60, shade=120))
    assert clear.accuracies.mean(axis=1).min() > 0.7
    figure = clear.figure()
    assert "3 classes" in str(clear) and len(str(clear).splitlines()) == 3
    assert len(figure.axes[0].get_xticklabels()) == 2


def test_progress_counts_the_photos_of_every_layer():
    seen = []
    probes(conv_and_dense(), shades(), batch_size=10, progress=lambda *state: seen.append(state))
    assert seen == [(10, 48), (20, 48), (24, 48), (34, 48), (44, 48), (48, 48)]


def test_bad_input_is_refused():
    model = conv_and_dense()
    with assert_refused("two classes"):
        probes(model, shades(10, 1))
    with assert_refused("'c3'", "c2"):
        probes(model, shades(), ["c3"])
    with assert_refused("photos of each class that differ", "1 of 'class 0'"):
        probes(model, shades(), groups=np.arange(24) % 3)  # each class is one photo, copied
    with assert_refused("5 photos", "3 of 'class 0'"):
        probes(model, shades(9))
    with assert_refused("5,000", "5,001"):
        probes(model, shades(5001))
    model["c1"].params["b"][0] = np.nan
    with assert_refused("c1", "finite"):
        probes(model, shades(), ["c1"])


def test_photos_that_are_all_alike_are_answered_with_the_mean(rng):
    Y = np.eye(3)[[0, 1, 1, 2]]
    answers, strength = ridge(np.full((4, 4), 7.0), np.full((5, 4), 7.0), Y)
    assert strength == 0
    assert_same(answers, np.tile([0.25, 0.5, 0.25], (5, 1)))
