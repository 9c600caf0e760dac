"""The curves of an evaluation's classes, for figures and pages."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..evaluation import (
    Evaluation,
    average_precision,
    one_versus_rest,
    pr_curve,
    roc_auc,
    roc_curve,
)
from ..plotting.metric_figures import ClassCurve
from ..utils.arrays import BoolArray, FloatArray


def roc_curves(result: Evaluation) -> list[ClassCurve]:
    """The ROC curve of each class against the rest, the lowest area first; of two classes only that
    of the second."""
    return _class_curves(result, roc_curve, roc_auc)


def precision_recall_curves(result: Evaluation) -> list[ClassCurve]:
    """The same of precision (y) against recall (x); the area is the average precision."""
    return _class_curves(result, _by_recall, average_precision)


def _by_recall(p: FloatArray, positive: BoolArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """pr_curve with recall, its x axis, first."""
    precision, recall, thresholds = pr_curve(p, positive)
    return recall, precision, thresholds


def _class_curves(result: Evaluation, points: Callable, area: Callable) -> list[ClassCurve]:
    """points(p, positive) -> (x, y, thresholds); classes whose area is undefined have no curve."""
    areas = one_versus_rest(result.probabilities, result.labels, area)
    drawn = [k for k in np.argsort(areas, kind="stable").tolist() if np.isfinite(areas[k])
             and (k == 1 or len(areas) != 2)]
    return [ClassCurve(result.classes[k], float(areas[k]),
                       *points(result.probabilities[:, k], result.labels == k)) for k in drawn]
