"""Classification metrics beyond accuracy, from probabilities and true labels.

p (N,) are scores of one class and positive (N,) bool says which images belong to it; probabilities
(N, K) and labels (N,) hold all classes. A metric that is undefined, because a class has no images,
is NaN and not an error: a table of classes may have a gap. Reading order: one class (curves, areas,
threshold), all classes, calibration, several views of an image.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..utils.arrays import BoolArray, FloatArray, IntArray, Pixels
from ..utils.errors import ArgumentError, ShapeError, check_int

# One class against the rest


def roc_curve(p: FloatArray, positive: BoolArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(fpr, tpr, thresholds), T + 1 each for T different scores. At a threshold t, images with
    p ≥ t are predicted positive; tpr is the share of the positives that are, fpr the share of the
    negatives that are.

    From (0, 0) at t = ∞ to (1, 1) at the lowest score. Images of equal score enter together, as one
    sloping step. Without positives tpr is NaN, without negatives fpr. Source: Fawcett 2006,
    algorithm 1.
    """
    predicted, true, thresholds = _cumulative_counts(p, positive)
    true, false = np.append(0, true), np.append(0, predicted - true)
    return _ratio(false, false[-1]), _ratio(true, true[-1]), np.append(np.inf, thresholds)


def roc_auc(p: FloatArray, positive: BoolArray) -> float:
    """The area under roc_curve: P(p of a positive > p of a negative) + ½ P(they are equal).

    Over all n₊·n₋ pairs, by ranks: AUC = (R − n₊ (n₊ + 1) / 2) / (n₊ n₋), R being the sum of the
    ranks of the positives, 1 for the lowest score, equals sharing their mean rank. NaN without
    positives or without negatives. Source: Mann & Whitney 1947; Hanley & McNeil 1982.
    """
    p, positive = _one_class(p, positive)
    n = int(positive.sum())
    if n in (0, len(p)):
        return math.nan
    _, index, counts = np.unique(p, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2  # mean rank of each different score
    return float((ranks[index][positive].sum() - n * (n + 1) / 2) / (n * (len(p) - n)))


def pr_curve(p: FloatArray, positive: BoolArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(precision, recall, thresholds), T each for T different scores, the highest first.

    At a threshold t, the share `precision` of the images with p ≥ t is positive, and the share
    `recall` of the positives has p ≥ t, NaN without positives. Source: Davis & Goadrich 2006.
    """
    predicted, true, thresholds = _cumulative_counts(p, positive)
    return true / predicted, _ratio(true, true[-1] if len(true) else 0), thresholds


def average_precision(p: FloatArray, positive: BoolArray) -> float:
    """The area under pr_curve in steps, Σ_i (recall_i − recall_{i−1}) · precision_i.

    No trapezoids: between two points precision does not move on a line (Davis & Goadrich 2006), and
    the area would come out too large. As scikit-learn defines it. NaN without positives.
    """
    precision, recall, _ = pr_curve(p, positive)
    return float(np.sum(np.diff(recall, prepend=0) * precision)) if len(recall) else math.nan


def choose_threshold(p: FloatArray, positive: BoolArray, precision: float | None = None) -> float:
    """A threshold t among the scores; images with p ≥ t are then predicted positive.

    precision None: Youden's rule, the largest tpr − fpr (Youden 1950); if several t have it, the
    highest. Otherwise the lowest t with at least that precision, which has the largest recall of
    all such t. On the images that it was chosen on, a threshold looks better than it is.
    Raises ArgumentError without positives or negatives, or if no t has that precision.
    """
    fpr, tpr, thresholds = roc_curve(p, positive)
    if not np.isfinite(fpr + tpr).all():
        raise ArgumentError("choose_threshold: expected photos of both classes, received photos of "
                            "one or none. Choose the threshold on other photos.")
    if precision is None:
        return float(thresholds[1:][np.argmax((tpr - fpr)[1:])])
    if not 0 < precision <= 1:
        raise ArgumentError(f"choose_threshold: expected a precision above 0 and at most 1, "
                            f"received {precision!r}.")
    reached, _, thresholds = pr_curve(p, positive)
    good = np.flatnonzero(reached >= precision)
    if not len(good):
        raise ArgumentError(f"choose_threshold: expected a precision that some threshold reaches, "
                            f"received {precision:g}; the highest is {reached.max():.4g}. "
                            f"Ask for less.")
    return float(thresholds[good[-1]])


def _one_class(p: FloatArray, positive: BoolArray) -> tuple[FloatArray, BoolArray]:
    p, positive = np.asarray(p, np.float64), np.asarray(positive)
    if p.ndim != 1 or positive.shape != p.shape:
        raise ShapeError(f"scores: expected p (N,) and positive (N,), received {p.shape} and "
                         f"{positive.shape}.")
    if positive.dtype != bool or not np.isfinite(p).all():
        raise ArgumentError(f"scores: expected p without NaN or ∞ and positive as bool, received "
                            f"{(~np.isfinite(p)).sum()} such p and {positive.dtype}.")
    return p, positive


def _cumulative_counts(p: FloatArray, positive: BoolArray
                       ) -> tuple[IntArray, IntArray, FloatArray]:
    """(number of images with p ≥ t, positives among them, t) for each different score t, the
    highest first."""
    p, positive = _one_class(p, positive)
    thresholds, index = np.unique(-p, return_inverse=True)
    counts = np.bincount(index, minlength=len(thresholds))
    positives = np.bincount(index[positive], minlength=len(thresholds))
    return np.cumsum(counts), np.cumsum(positives), -thresholds


def _ratio(part: FloatArray | IntArray, total: IntArray | int) -> FloatArray:
    """part / total, NaN where total is 0."""
    part, total = np.broadcast_arrays(np.asarray(part, np.float64), total)
    return np.divide(part, total, out=np.full(part.shape, np.nan), where=total > 0)


# All classes


def one_versus_rest(probabilities: FloatArray, labels: IntArray,
                    score: Callable[[FloatArray, BoolArray], float]) -> FloatArray:
    """(K,): score(p of class k, label is k) per class, with roc_auc or average_precision as score.

    NaN for a class without images, or without images of other classes (roc_auc); np.nanmean is then
    the macro mean of the remaining classes. Source: Provost & Domingos 2000.
    """
    probabilities, labels = _all_classes(probabilities, labels)
    return np.array([score(p, labels == k) for k, p in enumerate(probabilities.T)])


class ClassScores(NamedTuple):
    """(K,) each: a number per class."""

    precision: FloatArray
    recall: FloatArray
    f1: FloatArray
    support: IntArray


def class_scores(confusion: IntArray) -> ClassScores:
    """Per class, from counts C (K, K) with true classes in rows (Evaluation.confusion):

    precision C_kk / Σ_i C_ik, the share of the images predicted as k that are of class k;
    recall    C_kk / Σ_j C_kj, the share of the images of class k that are predicted as k;
    F1        2 C_kk / (Σ_i C_ik + Σ_j C_kj), their harmonic mean; support Σ_j C_kj, images of k.
    0 if undefined: precision if nothing is predicted as k, recall without images of k, F1 if both
    are undefined. Source: van Rijsbergen 1979, chapter 7.
    """
    correct, predicted = np.diag(confusion), confusion.sum(axis=0)
    support = confusion.sum(axis=1)
    return ClassScores(precision=np.nan_to_num(_ratio(correct, predicted)),
                       recall=np.nan_to_num(_ratio(correct, support)),
                       f1=np.nan_to_num(_ratio(2 * correct, predicted + support)),
                       support=support)


def most_confused(confusion: IntArray, n: int = 5) -> list[tuple[int, int, int]]:
    """The n largest counts off the diagonal, none of 0: (true class, predicted class, count)."""
    wrong = confusion * ~np.eye(len(confusion), dtype=bool)
    order = np.argsort(-wrong, axis=None, kind="stable")[:n]
    pairs = [divmod(int(index), len(confusion)) for index in order]
    return [(i, j, int(wrong[i, j])) for i, j in pairs if wrong[i, j]]


def _all_classes(probabilities: FloatArray, labels: IntArray) -> tuple[FloatArray, IntArray]:
    probabilities, labels = np.asarray(probabilities, np.float64), np.asarray(labels)
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or not labels.size:
        raise ShapeError(f"scores: expected probabilities (N, K) and labels (N,) of one photo or "
                         f"more, received {probabilities.shape} and {labels.shape}.")
    if (not np.isfinite(probabilities).all() or labels.dtype.kind not in "iu"
            or not 0 <= labels.min() <= labels.max() < probabilities.shape[1]):
        raise ArgumentError(f"scores: expected probabilities without NaN and int labels from 0 "
                            f"to {probabilities.shape[1] - 1}, received others.")
    return probabilities, labels


# Calibration: does a confidence of 80 % mean that 80 of 100 predictions are correct?


class Calibration(NamedTuple):
    """(bins,) each: mean confidence and accuracy of a bin's images, NaN in an empty bin; how many
    images it holds."""

    confidence: FloatArray
    accuracy: FloatArray
    count: IntArray  # type: ignore[assignment]  # hides tuple.count; a key of scores.json


def calibration_curve(probabilities: FloatArray, labels: IntArray, bins: int = 10) -> Calibration:
    """Images in bins of equal width by confidence, their largest probability: bin m of M holds
    (m / M, (m + 1) / M], the first bin 0 too. Source: Guo et al. 2017, section 2."""
    probabilities, labels = _all_classes(probabilities, labels)
    check_int(bins, "calibration_curve, bins")
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    index = np.searchsorted(np.arange(1, bins) / bins, confidence)  # (N,): 0 … bins − 1
    count = np.bincount(index, minlength=bins)
    sums = np.bincount(index, confidence, bins)
    return Calibration(_ratio(sums, count), _ratio(np.bincount(index[correct], minlength=bins),
                                                   count), count)


def expected_calibration_error(probabilities: FloatArray, labels: IntArray, bins: int = 10
                               ) -> float:
    """Σ_m n_m / N · |accuracy_m − confidence_m| over the bins of calibration_curve: 0 if every
    confidence is the share of correct predictions. Source: Guo et al. 2017, equation 3."""
    confidence, accuracy, count = calibration_curve(probabilities, labels, bins)
    return float(np.nansum(count * np.abs(accuracy - confidence)) / count.sum())


def brier_score(probabilities: FloatArray, labels: IntArray) -> float:
    """1/N Σ_n Σ_k (p_nk − [k is n's class])²: 0 the best, 2 the worst. With two classes it is twice
    the (p − t)² of the second one. Source: Brier 1950, equation 2."""
    probabilities, labels = _all_classes(probabilities, labels)
    own = probabilities[np.arange(len(labels)), labels]
    return float(((probabilities ** 2).sum(axis=1) - 2 * own + 1).mean())  # (p − 1)² = p² − 2p + 1


# Several views of an image

SHIFTS = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, -1), (1, -1), (-1, 1))
MAX_VIEWS = 2 + len(SHIFTS)


def view(pixels: Pixels, k: int) -> Pixels:
    """View k of images (N, H, Wd, C), of the same shape: 0 unchanged, 1 mirrored left to right, 2
    to 9 shifted by a sixteenth of the sides along SHIFTS (down, right), reflected at the edge. No
    view is random; the mean probability over the views is test-time augmentation.
    Source: Krizhevsky et al. 2012, section 4.1 (five crops and their mirror images)."""
    if not 0 <= k < MAX_VIEWS:
        raise ArgumentError(f"view: expected a view from 0 to {MAX_VIEWS - 1}, received {k!r}.")
    if k < 2:
        return pixels[:, :, ::-1] if k else pixels
    H, Wd = pixels.shape[1:3]
    h, w = (max(1, round(side / 16)) for side in (H, Wd))
    padded = np.pad(pixels, ((0, 0), (h, h), (w, w), (0, 0)), "symmetric")
    down, right = SHIFTS[k - 2]
    top, left = h - down * h, w - right * w
    return padded[:, top:top + H, left:left + Wd]
