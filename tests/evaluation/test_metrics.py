"""Measures against hand-computed numbers, all pairs, and loops over every threshold."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import assert_refused

from minicnn.evaluation import (
    average_precision,
    brier_score,
    calibration_curve,
    choose_threshold,
    class_scores,
    expected_calibration_error,
    mcnemar,
    most_confused,
    one_versus_rest,
    pr_curve,
    roc_auc,
    roc_curve,
)
from minicnn.evaluation.metrics import MAX_VIEWS, view

P = np.array([0.1, 0.4, 0.35, 0.8])  # scikit-learn's documented example of both areas
POSITIVE = np.array([False, False, True, True])


@st.composite
def one_class(draw, both=True):
    """Scores with many ties, and who is positive; both: one of each kind at least."""
    p = draw(st.lists(st.sampled_from([0.0, 0.125, 0.25, 0.3, 0.5, 0.75, 1.0]), min_size=2,
                      max_size=14))
    positive = draw(st.lists(st.booleans(), min_size=len(p), max_size=len(p)))
    if both:
        positive[0], positive[-1] = True, False
    return np.array(p), np.array(positive)


@st.composite
def all_classes(draw):
    """Probabilities (N, K) with ties, and labels (N,)."""
    N, K = draw(st.integers(1, 12)), draw(st.integers(2, 4))
    weights = draw(st.lists(st.integers(1, 5), min_size=N * K, max_size=N * K))
    p = np.array(weights, float).reshape(N, K)
    labels = draw(st.lists(st.integers(0, K - 1), min_size=N, max_size=N))
    return p / p.sum(axis=1, keepdims=True), np.array(labels)


def at_threshold(p, positive, t):
    """(photos taken, positives among them), one by one."""
    taken = [bool(good) for score, good in zip(p, positive, strict=True) if score >= t]
    return len(taken), sum(taken)


# One class against the rest


def test_roc_curve_of_four_photos_by_hand():
    fpr, tpr, thresholds = roc_curve(P, POSITIVE)
    assert fpr.tolist() == [0, 0, 0.5, 0.5, 1]
    assert tpr.tolist() == [0, 0.5, 0.5, 1, 1]
    assert thresholds.tolist() == [math.inf, 0.8, 0.4, 0.35, 0.1]


def test_areas_of_four_photos_by_hand():
    assert roc_auc(P, POSITIVE) == 0.75  # of the 4 pairs, 0.35 against 0.4 is wrong
    assert average_precision(P, POSITIVE) == pytest.approx(1 / 2 * 1 + 1 / 2 * 2 / 3)


@given(one_class())
def test_roc_curve_counts_photos_at_every_different_score(drawn):
    p, positive = drawn
    fpr, tpr, thresholds = roc_curve(p, positive)
    assert thresholds.tolist() == [math.inf, *sorted(set(p.tolist()), reverse=True)]
    for x, y, t in zip(fpr, tpr, thresholds, strict=True):
        taken, true = at_threshold(p, positive, t)
        assert y == true / positive.sum()
        assert x == (taken - true) / (~positive).sum()
    assert (fpr[-1], tpr[-1]) == (1, 1)


@given(one_class())
def test_roc_auc_is_the_share_of_pairs_in_order_and_half_of_the_equal(drawn):
    p, positive = drawn
    won = Fraction(0)
    for a in p[positive]:
        for b in p[~positive]:
            won += 1 if a > b else Fraction(1, 2) if a == b else 0
    assert roc_auc(p, positive) == pytest.approx(float(won / int(positive.sum())
                                                       / int((~positive).sum())), abs=1e-12)


@given(one_class())
def test_roc_auc_is_the_area_under_roc_curve(drawn):
    fpr, tpr, _ = roc_curve(*drawn)
    area = sum((fpr[i] - fpr[i - 1]) * (tpr[i] + tpr[i - 1]) / 2 for i in range(1, len(fpr)))
    assert roc_auc(*drawn) == pytest.approx(area, abs=1e-12)


@given(one_class())
def test_pr_curve_counts_and_average_precision_sums_steps(drawn):
    p, positive = drawn
    precision, recall, thresholds = pr_curve(p, positive)
    area, before = 0.0, 0.0
    assert thresholds.tolist() == sorted(set(p.tolist()), reverse=True)
    for a, b, t in zip(precision, recall, thresholds, strict=True):
        taken, true = at_threshold(p, positive, t)
        assert (a, b) == (true / taken, true / positive.sum())
        area, before = area + (b - before) * a, b
    assert average_precision(p, positive) == pytest.approx(area, abs=1e-12)


def test_equal_scores_tell_nothing():
    p, positive = np.full(5, 0.5), np.array([True, False, False, True, False])
    assert roc_auc(p, positive) == 0.5
    assert average_precision(p, positive) == pytest.approx(0.4)  # the share of positives
    assert roc_curve(p, positive)[0].tolist() == [0, 1]


@pytest.mark.parametrize("positive", [[False] * 3, [True] * 3, []])
def test_areas_without_both_kinds_of_photos_are_nan(positive):
    p, positive = np.linspace(0.2, 0.9, len(positive)), np.array(positive, bool)
    assert math.isnan(roc_auc(p, positive))
    assert math.isnan(average_precision(p, positive)) == (not positive.any())
    fpr, tpr, _ = roc_curve(p, positive)
    assert np.isnan(tpr).all() == (not positive.any())
    assert np.isnan(fpr).all() == (not (~positive).any())


@given(one_class())
def test_youdens_threshold_has_the_largest_difference_of_all(drawn):
    p, positive = drawn
    t = choose_threshold(p, positive)

    def youden(t):
        taken, true = at_threshold(p, positive, t)
        return Fraction(true, int(positive.sum())) - Fraction(taken - true, int((~positive).sum()))
    assert t in p
    assert float(youden(t)) == pytest.approx(float(max(youden(other) for other in p)), abs=1e-12)


def test_of_equally_good_thresholds_youden_takes_the_highest():
    p = np.array([0.9, 0.8, 0.7, 0.6])
    assert choose_threshold(p, np.array([True, False, True, False])) == 0.9


@given(one_class(), st.sampled_from([0.1, 0.5, 2 / 3, 0.75, 1.0]))
def test_threshold_of_a_precision_is_the_lowest_that_reaches_it(drawn, wished):
    p, positive = drawn
    good = [t for t in p if (lambda n, k: k / n)(*at_threshold(p, positive, t)) >= wished]
    if good:
        assert choose_threshold(p, positive, wished) == min(good)
    else:
        with assert_refused("choose_threshold", "some threshold reaches", "the highest is"):
            choose_threshold(p, positive, wished)


def test_a_threshold_needs_both_classes_and_a_possible_precision():
    with assert_refused("photos of both classes"):
        choose_threshold(P, np.ones(4, bool))
    for wished in (0, -1, 1.5, math.nan):
        with assert_refused("above 0 and at most 1", repr(wished)):
            choose_threshold(P, POSITIVE, wished)


def test_scores_refuse_what_is_no_score():
    with assert_refused("(4,)", "(3,)"):
        roc_auc(P, POSITIVE[:3])
    with assert_refused("(2, 2)"):
        roc_curve(P.reshape(2, 2), POSITIVE.reshape(2, 2))
    with assert_refused("NaN", "1 such p"):
        pr_curve(np.array([0.1, math.nan]), np.array([True, False]))
    with assert_refused("positive as bool", "int64"):
        roc_auc(P, POSITIVE.astype(np.int64))


# All classes

COUNTS = np.array([[5, 2, 0, 0], [1, 3, 0, 0], [2, 0, 0, 0], [0, 0, 0, 0]])


def test_class_scores_by_hand_and_zero_where_undefined():
    scores = class_scores(COUNTS)
    assert scores.support.tolist() == [7, 4, 2, 0]
    np.testing.assert_allclose(scores.precision, [5 / 8, 3 / 5, 0, 0])  # nothing taken for c, d
    np.testing.assert_allclose(scores.recall, [5 / 7, 3 / 4, 0, 0])  # no photos of d
    np.testing.assert_allclose(scores.f1, [10 / 15, 6 / 9, 0, 0])


def test_f1_is_the_harmonic_mean(rng):
    precision, recall, f1, _ = class_scores(rng.integers(1, 9, (4, 4)))
    np.testing.assert_allclose(f1, 2 / (1 / precision + 1 / recall))


def test_most_confused_are_the_largest_wrong_counts_and_none_of_zero():
    assert most_confused(COUNTS) == [(0, 1, 2), (2, 0, 2), (1, 0, 1)]
    assert most_confused(COUNTS, 1) == [(0, 1, 2)]
    assert most_confused(np.diag([3, 4])) == []


def test_one_versus_rest_is_nan_for_a_class_without_photos():
    p = np.array([[0.7, 0.2, 0.1], [0.4, 0.5, 0.1], [0.5, 0.3, 0.2], [0.3, 0.6, 0.1]])
    labels = np.array([0, 0, 1, 1])
    np.testing.assert_array_equal(one_versus_rest(p, labels, roc_auc), [0.75, 0.75, math.nan])
    areas = one_versus_rest(p, labels, average_precision)
    np.testing.assert_allclose(areas, [1 / 2 + 1 / 2 * 2 / 3, 1 / 2 + 1 / 2 * 2 / 3, math.nan])


def test_of_two_classes_both_have_the_same_roc_auc(rng):
    p = rng.random(30)
    areas = one_versus_rest(np.stack([1 - p, p], axis=1), rng.integers(0, 2, 30), roc_auc)
    assert areas[0] == pytest.approx(areas[1], abs=1e-12)


def test_all_classes_refuse_labels_and_probabilities_that_do_not_fit():
    p = np.full((2, 3), 1 / 3)
    for labels in ([0, 3], [-1, 0], [0.0, 1.0]):
        with assert_refused("int labels from 0 to 2"):
            brier_score(p, np.array(labels))
    with assert_refused("(2, 3)", "(1,)"):
        one_versus_rest(p, np.array([0]), roc_auc)
    with assert_refused("one photo or more"):
        calibration_curve(np.zeros((0, 2)), np.zeros(0, int))
    with assert_refused("without NaN"):
        brier_score(np.full((1, 2), math.nan), np.array([0]))
    with assert_refused("bins"):
        calibration_curve(p, np.array([0, 1]), 0)


# Calibration


def test_calibration_by_hand():
    p = np.array([[0.95, 0.05], [0.09, 0.91], [0.6, 0.4], [0.45, 0.55]])
    labels = np.array([0, 0, 0, 1])
    curve = calibration_curve(p, labels)
    assert curve.count.tolist() == [0, 0, 0, 0, 0, 2, 0, 0, 0, 2]  # 0.6 lies in (0.5, 0.6]
    assert curve.accuracy[[5, 9]].tolist() == [1, 0.5] and np.isnan(curve.accuracy[:5]).all()
    np.testing.assert_allclose(curve.confidence[[5, 9]], [0.575, 0.93])
    error = 2 / 4 * (1 - 0.575) + 2 / 4 * (0.93 - 0.5)
    assert expected_calibration_error(p, labels) == pytest.approx(error)
    assert expected_calibration_error(p, labels, 1) == pytest.approx(abs(0.75 - 3.01 / 4))


@given(all_classes(), st.integers(1, 6))
def test_calibration_is_that_of_a_loop_over_bins(drawn, bins):
    p, labels = drawn
    error, curve = 0.0, calibration_curve(p, labels, bins)
    for m in range(bins):
        rows = [n for n in range(len(p)) if m / bins < max(p[n]) <= (m + 1) / bins]
        assert curve.count[m] == len(rows)
        if rows:
            accuracy = sum(p[n].tolist().index(max(p[n])) == labels[n] for n in rows) / len(rows)
            confidence = sum(max(p[n]) for n in rows) / len(rows)
            assert curve.accuracy[m] == pytest.approx(accuracy)
            assert curve.confidence[m] == pytest.approx(confidence)
            error += len(rows) / len(p) * abs(accuracy - confidence)
    assert expected_calibration_error(p, labels, bins) == pytest.approx(error, abs=1e-12)


@given(all_classes())
def test_brier_score_is_the_mean_squared_distance_from_the_truth(drawn):
    p, labels = drawn
    total = sum((p[n, k] - (labels[n] == k)) ** 2 for n, k in np.ndindex(p.shape))
    assert brier_score(p, labels) == pytest.approx(total / len(p), abs=1e-12)


def test_brier_score_goes_from_0_to_2():
    assert brier_score(np.eye(2), np.array([0, 1])) == 0
    assert brier_score(np.eye(2), np.array([1, 0])) == 2


# Two classifiers


def right(only_a, only_b, both=3, none=2):
    """right_a, right_b with these counts."""
    pairs = [(1, 0)] * only_a + [(0, 1)] * only_b + [(1, 1)] * both + [(0, 0)] * none
    return np.array(pairs, bool).T


@pytest.mark.parametrize("a, b, p", [
    (0, 0, 1.0), (1, 0, 1.0), (0, 5, 2 / 32), (5, 0, 2 / 32), (3, 3, 1.0), (4, 3, 1.0),
    (1, 9, 22 / 1024), (2, 8, 112 / 1024)])  # 2 (1 + 10), 2 (1 + 10 + 45)
def test_mcnemar_by_hand(a, b, p):
    assert mcnemar(*right(a, b)) == (a, b, pytest.approx(p))


@given(st.integers(0, 12), st.integers(0, 12))
def test_mcnemar_is_the_binomial_test_in_both_directions(a, b):
    n = a + b
    weights = [math.comb(n, i) for i in range(n + 1)]
    unlikely = sum(w for i, w in enumerate(weights) if abs(2 * i - n) >= abs(a - b))
    assert mcnemar(*right(a, b)).p == pytest.approx(unlikely / 2 ** n)


def test_mcnemar_of_thousands_of_photos_is_still_a_number():
    assert 0 <= mcnemar(*right(100, 5000)).p < 1e-300
    assert mcnemar(*right(2500, 2500)).p == 1


def test_mcnemar_refuses_other_than_bools_of_the_same_photos():
    with assert_refused("mcnemar", "(3,)", "(2,)"):
        mcnemar(np.ones(3, bool), np.ones(2, bool))
    with assert_refused("mcnemar", "int64"):
        mcnemar(np.ones(3, np.int64), np.ones(3, bool))


# Views


def test_views_are_the_photo_its_mirror_image_and_eight_shifts(rng):
    pixels = rng.integers(0, 256, (2, 32, 48, 3), dtype=np.uint8)
    views = [view(pixels, k) for k in range(MAX_VIEWS)]
    assert views[0].tolist() == pixels.tolist()
    for n, i, j in [(0, 3, 7), (1, 20, 40)]:
        assert views[1][n, i, j].tolist() == pixels[n, i, 47 - j].tolist()
    found = set()
    for one in views[2:]:
        assert (one.shape, one.dtype) == (pixels.shape, pixels.dtype)
        found |= {(down, right) for down in (-2, 0, 2) for right in (-3, 0, 3)
                  if (one[:, 10 + down, 20 + right] == pixels[:, 10, 20]).all()}
    assert found == {(d, r) for d in (-2, 0, 2) for r in (-3, 0, 3)} - {(0, 0)}


def test_a_shifted_view_goes_on_at_the_edge_as_in_a_mirror():
    row = np.arange(16, dtype=np.uint8).reshape(1, 1, 16, 1)
    assert view(row, 2)[0, 0, :, 0].tolist() == [0, *range(15)]
    assert view(row, 3)[0, 0, :, 0].tolist() == [*range(1, 16), 15]


@pytest.mark.parametrize("k", [-1, MAX_VIEWS])
def test_there_is_no_other_view(k):
    with assert_refused("view", "from 0 to 9", str(k)):
        view(np.zeros((1, 8, 8, 3), np.uint8), k)
