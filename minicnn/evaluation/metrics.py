"""Classification metrics beyond accuracy, from probabilities and true labels.

p (N,) is a score of one class and positive (N,) bool says which photos are of it; probabilities
(N, K) and labels (N,) hold all classes. What needs photos that are not there is NaN, not an error:
a table of classes may have a gap. Reading order: one class (curves, areas, threshold), all classes,
calibration, two classifiers, several views of a photo.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..utils.errors import ArgumentError, ShapeError, check_int

# One class against the rest


def roc_curve(p: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(fpr, tpr, thresholds), T + 1 each for T different scores: at a threshold t, photos with
    p ≥ t are taken for positive; fpr is the share of the negatives among them, tpr that of the
    positives.

    From (0, 0) at t = ∞ to (1, 1) at the lowest score. Photos of equal score enter together, as one
    sloping step. A share of no photos is NaN. Source: Fawcett 2006, algorithm 1.
    """
    taken, true, thresholds = _cumulated(p, positive)
    true, false = np.append(0, true), np.append(0, taken - true)
    return _share(false, false[-1]), _share(true, true[-1]), np.append(np.inf, thresholds)


def roc_auc(p: np.ndarray, positive: np.ndarray) -> float:
    """The area under roc_curve: P(p of a positive > p of a negative) + ½ P(they are equal).

    Over all n₊·n₋ pairs, by ranks: AUC = (R − n₊ (n₊ + 1) / 2) / (n₊ n₋), R being the sum of the
    ranks of the positives, 1 for the lowest score, equals sharing their mean rank. NaN without
    positives or without negatives. Source: Mann & Whitney 1947; Hanley & McNeil 1982.
    """
    p, positive = _one_class(p, positive)
    n = int(positive.sum())
    if n in (0, len(p)):
        return math.nan
    _, place, counts = np.unique(p, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2  # mean rank of each different score
    return float((ranks[place][positive].sum() - n * (n + 1) / 2) / (n * (len(p) - n)))


def pr_curve(p: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(precision, recall, thresholds), T each for T different scores, the highest first.

    At a threshold t, of the photos with p ≥ t the share `precision` is positive, and of the
    positives the share `recall` is among them, NaN where there are none. Source: Davis & Goadrich
    2006.
    """
    taken, true, thresholds = _cumulated(p, positive)
    return true / taken, _share(true, true[-1] if len(true) else 0), thresholds


def average_precision(p: np.ndarray, positive: np.ndarray) -> float:
    """The area under pr_curve in steps, Σ_i (recall_i − recall_{i−1}) · precision_i.

    No trapezoids: between two points precision does not move on a line (Davis & Goadrich 2006), and
    the area would come out too large. As scikit-learn defines it. NaN without positives.
    """
    precision, recall, _ = pr_curve(p, positive)
    return float(np.sum(np.diff(recall, prepend=0) * precision)) if len(recall) else math.nan


def choose_threshold(p: np.ndarray, positive: np.ndarray, precision: float | None = None) -> float:
    """A threshold t among the scores; photos with p ≥ t are then taken for positive.

    precision None: Youden's rule, the largest tpr − fpr (Youden 1950), of equals the highest t.
    Else the lowest t whose precision reaches the wished one: of all such, that of largest recall.
    On the photos that it was chosen on, a threshold looks better than it is.
    Raises ArgumentError without positives or negatives, and where no t has that precision.
    """
    fpr, tpr, thresholds = roc_curve(p, positive)
    if not np.isfinite(fpr + tpr).all():
        raise ArgumentError("choose_threshold: expected photos of both classes, received photos of "
                            "one or none. Choose it on other photos.")
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
                            f"Wish for less.")
    return float(thresholds[good[-1]])


def _one_class(p: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    p, positive = np.asarray(p, np.float64), np.asarray(positive)
    if p.ndim != 1 or positive.shape != p.shape:
        raise ShapeError(f"scores: expected p (N,) and positive (N,), received {p.shape} and "
                         f"{positive.shape}.")
    if positive.dtype != bool or not np.isfinite(p).all():
        raise ArgumentError(f"scores: expected p without NaN or ∞ and positive as bool, received "
                            f"{(~np.isfinite(p)).sum()} such p and {positive.dtype}.")
    return p, positive


def _cumulated(p: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(photos with a score of t or more, positives among them, t) for each different score t, the
    highest first."""
    p, positive = _one_class(p, positive)
    thresholds, place = np.unique(-p, return_inverse=True)
    counts = (np.bincount(place, weights, len(thresholds)) for weights in (None, positive))
    taken, true = (np.cumsum(count.astype(np.int64)) for count in counts)
    return taken, true, -thresholds


def _share(part: np.ndarray, of: np.ndarray | int) -> np.ndarray:
    """part / of, NaN where that is 0."""
    part, of = np.broadcast_arrays(np.asarray(part, np.float64), of)
    return np.divide(part, of, out=np.full(part.shape, np.nan), where=of > 0)


# All classes


def one_versus_rest(probabilities: np.ndarray, labels: np.ndarray,
                    score: Callable[[np.ndarray, np.ndarray], float]) -> np.ndarray:
    """(K,): score(p of class k, is it of class k) for each class, roc_auc or average_precision.

    NaN for a class without photos, and where there is no other; np.nanmean is then the macro mean
    of the others. Source: Provost & Domingos 2000.
    """
    probabilities, labels = _all_classes(probabilities, labels)
    return np.array([score(p, labels == k) for k, p in enumerate(probabilities.T)])


class ClassScores(NamedTuple):
    """(K,) each, a number per class."""

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray


def class_scores(confusion: np.ndarray) -> ClassScores:
    """Per class, from counts C (K, K) with true classes in rows (Evaluation.confusion):

    precision C_kk / Σ_i C_ik, the share of photos taken for k that are of k;
    recall    C_kk / Σ_j C_kj, the share of photos of k that are taken for k;
    F1        2 C_kk / (Σ_i C_ik + Σ_j C_kj), their harmonic mean; support Σ_j C_kj, photos of k.
    0 where undefined: precision where nothing is taken for k, recall without photos of k, F1 where
    both are so. Source: van Rijsbergen 1979, chapter 7.
    """
    right, taken, support = np.diag(confusion), confusion.sum(axis=0), confusion.sum(axis=1)
    return ClassScores(*(np.nan_to_num(_share(a, b)) for a, b in (
        (right, taken), (right, support), (2 * right, taken + support))), support)


def most_confused(confusion: np.ndarray, n: int = 5) -> list[tuple[int, int, int]]:
    """The n largest counts off the diagonal, none of 0: (true class, predicted class, photos)."""
    wrong = confusion * ~np.eye(len(confusion), dtype=bool)
    order = np.argsort(-wrong, axis=None, kind="stable")[:n]
    pairs = [divmod(int(at), len(confusion)) for at in order]
    return [(i, j, int(wrong[i, j])) for i, j in pairs if wrong[i, j]]


def _all_classes(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    probabilities, labels = np.asarray(probabilities, np.float64), np.asarray(labels)
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or not labels.size:
        raise ShapeError(f"scores: expected probabilities (N, K) and labels (N,) of one photo or "
                         f"more, received {probabilities.shape} and {labels.shape}.")
    if (not np.isfinite(probabilities).all() or labels.dtype.kind not in "iu"
            or not 0 <= labels.min() <= labels.max() < probabilities.shape[1]):
        raise ArgumentError(f"scores: expected probabilities without NaN and whole labels from 0 "
                            f"to {probabilities.shape[1] - 1}, received others.")
    return probabilities, labels


# Calibration: do 80 % mean that 80 of 100 are right?


class Calibration(NamedTuple):
    """(bins,) each: mean confidence and accuracy of a bin's photos, NaN in an empty one."""

    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray


def calibration_curve(probabilities: np.ndarray, labels: np.ndarray, bins: int = 10) -> Calibration:
    """Photos in bins of equal width by their confidence, the largest probability: bin m of M holds
    (m / M, (m + 1) / M], the first 0 too. Source: Guo et al. 2017, section 2."""
    probabilities, labels = _all_classes(probabilities, labels)
    check_int(bins, "calibration_curve, bins")
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    place = np.searchsorted(np.arange(1, bins) / bins, confidence)  # (N,): 0 … bins − 1
    count, sums, rights = (np.bincount(place, w, bins) for w in (None, confidence, right))
    return Calibration(_share(sums, count), _share(rights, count), count)


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = 10
                               ) -> float:
    """Σ_m n_m / N · |accuracy_m − confidence_m| over the bins of calibration_curve: 0 where every
    confidence is the share of photos that are right. Source: Guo et al. 2017, equation 3."""
    confidence, accuracy, count = calibration_curve(probabilities, labels, bins)
    return float(np.nansum(count * np.abs(accuracy - confidence)) / count.sum())


def brier_score(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """1/N Σ_n Σ_k (p_nk − [k is n's class])²: 0 the best, 2 the worst. With two classes it is twice
    the (p − t)² of the second one. Source: Brier 1950, equation 2."""
    probabilities, labels = _all_classes(probabilities, labels)
    own = probabilities[np.arange(len(labels)), labels]
    return float(((probabilities ** 2).sum(axis=1) - 2 * own + 1).mean())  # (p − 1)² = p² − 2p + 1


# Two classifiers


class McNemar(NamedTuple):
    """Photos that only the first, and only the second has right, and the p value."""

    only_a: int
    only_b: int
    p: float


def mcnemar(right_a: np.ndarray, right_b: np.ndarray) -> McNemar:
    """Do two classifiers differ? right_a, right_b (N,) bool: which of the photos each has right.

    Only photos that one of them has right count, n of them. Were both equally good, each would fall
    to either side like a coin: p = min(1, 2 Σ_{i ≤ min(a, b)} C(n, i) / 2ⁿ), exact and two-sided; 1
    where n is 0. Source: McNemar 1947; Dietterich 1998, section 3.1.
    """
    right_a, right_b = np.asarray(right_a), np.asarray(right_b)
    if not right_a.dtype == right_b.dtype == bool or right_a.shape != right_b.shape:
        raise ShapeError(f"mcnemar: expected two bool arrays (N,) of the same photos, received "
                         f"{right_a.dtype} {right_a.shape} and {right_b.dtype} {right_b.shape}.")
    a, b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    term = total = 1  # C(n, 0)
    for i in range(1, min(a, b) + 1):
        term = term * (a + b - i + 1) // i  # C(n, i) from C(n, i − 1), in whole numbers
        total += term
    return McNemar(a, b, min(1.0, 2 * total / 2 ** (a + b)))


# Several views of a photo

SHIFTS = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, -1), (1, -1), (-1, 1))
MOST_VIEWS = 2 + len(SHIFTS)


def view(pixels: np.ndarray, k: int) -> np.ndarray:
    """View k of photos (N, H, Wd, C), the same shape: 0 as they are, 1 mirrored left to right, 2 to
    9 shifted by a sixteenth of the sides along SHIFTS (down, right), going on at the edge as in a
    mirror. Always the same: the mean probability over them is test-time augmentation.
    Source: Krizhevsky et al. 2012, section 4.1 (five crops and their mirror images)."""
    if not 0 <= k < MOST_VIEWS:
        raise ArgumentError(f"view: expected a view from 0 to {MOST_VIEWS - 1}, received {k!r}.")
    if k < 2:
        return pixels[:, :, ::-1] if k else pixels
    H, Wd = pixels.shape[1:3]
    h, w = (max(1, round(side / 16)) for side in (H, Wd))
    wide = np.pad(pixels, ((0, 0), (h, h), (w, w), (0, 0)), "symmetric")
    down, right = SHIFTS[k - 2]
    top, left = h - down * h, w - right * w
    return wide[:, top:top + H, left:left + Wd]
