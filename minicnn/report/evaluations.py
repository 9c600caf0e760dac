"""The files of an evaluation: predictions, scores and their figures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation import (
    Evaluation,
    average_precision,
    brier_score,
    calibration_curve,
    class_scores,
    expected_calibration_error,
    most_confused,
    one_versus_rest,
    roc_auc,
    wilson_interval,
)
from ..plotting.drawing import save
from ..plotting.metric_figures import calibration_figure, precision_recall_figure, roc_figure
from ..utils.arrays import IntArray
from ..utils.files import write_text
from ..utils.language import gettext as _
from .class_curves import precision_recall_curves, roc_curves
from .figures import confusion
from .run_sections import photos_called
from .runs import write_csv

MAX_CLASSES = 25  # in the table and in the confusion matrix


def write_evaluation(folder: Path, result: Evaluation, names: Sequence[str], photos_name: str = "",
                     threshold: float | None = None, more: Mapping[str, Any] | None = None
                     ) -> dict[str, Any]:
    """Writes predictions.csv, scores.json, confusion.png, confusion_percent.png, roc.png,
    precision_recall.png and calibration.png; returns scores_of the result.

    names: of the photos. photos_name: what the photos are called, as in write_run_page. threshold:
    for the second of two classes, if there is one. more: further keys of scores.json. With many
    classes the matrices have the MAX_CLASSES most frequent ones.
    """
    classes, counts, scores = result.classes, result.confusion, scores_of(result, threshold)
    rows = zip(names, result.labels, result.predicted, result.probabilities, strict=True)
    write_csv(folder / "predictions.csv", ["photo", "true", "predicted", *classes],
              ([name, classes[t], classes[k], *(f"{value:.6f}" for value in p)]
               for name, t, k, p in rows))
    write_text(folder / "scores.json", json.dumps(
        scores | plain(dict(more or {})), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    shown = most_frequent(counts)
    counts, names_shown = counts[np.ix_(shown, shown)], [classes[k] for k in shown]
    low, high = result.interval
    title = _("{correct} of {count} {photos} right", correct=result.num_correct, count=len(names),
              photos=photos_called(photos_name))
    title += "\n" + _("{accuracy:.1f} % (95 % interval {low:.1f} … {high:.1f} %)",
                      accuracy=100 * result.accuracy, low=100 * low, high=100 * high)
    if len(classes) > MAX_CLASSES:
        title += "\n" + _("the {count} most frequent classes", count=MAX_CLASSES)
    shares = np.rint(100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)).astype(int)
    confusion(counts, names_shown, folder / "confusion.png", title)
    confusion(shares, names_shown, folder / "confusion_percent.png",
              title + "\n" + _("% of the true class"))
    binary = len(classes) == 2
    save(roc_figure(roc_curves(result), binary, len(result.labels), threshold), folder / "roc.png")
    share = float((result.labels == 1).mean()) if binary else None
    save(precision_recall_figure(precision_recall_curves(result), len(result.labels), share,
                                 threshold), folder / "precision_recall.png")
    bins = calibration_curve(result.probabilities, result.labels)
    intervals = np.array([wilson_interval(round(accuracy * photos), photos) if photos else (0, 1)
                          for accuracy, photos in zip(bins.accuracy, bins.count.tolist(),
                                                      strict=True)])
    save(calibration_figure(bins.confidence, bins.accuracy, bins.count, intervals,
                            scores["expected_calibration_error"]), folder / "calibration.png")
    return scores


def most_frequent(counts: IntArray) -> IntArray:
    """The MAX_CLASSES most frequent classes of a confusion matrix, in their order."""
    frequency = counts.sum(axis=0) + counts.sum(axis=1)
    return np.sort(np.argsort(-frequency, kind="stable")[:MAX_CLASSES])


def scores_of(result: Evaluation, threshold: float | None = None) -> dict[str, Any]:
    """All scores of the evaluation, ready for JSON: None if a score is undefined."""
    p, labels, counts = result.probabilities, result.labels, result.confusion
    table = dict(class_scores(counts)._asdict(), roc_auc=one_versus_rest(p, labels, roc_auc),
                 average_precision=one_versus_rest(p, labels, average_precision))
    has_photos = table["support"] > 0
    curve = calibration_curve(p, labels)
    return plain({
        "photos": len(labels), "right": result.num_correct, "accuracy": result.accuracy,
        "interval": result.interval, "threshold": threshold,
        "per_class": {name: {key: column[k] for key, column in table.items()}
                      for k, name in enumerate(result.classes)},
        "mean_of_classes_with_photos": {key: column[has_photos].mean()
                                        for key, column in table.items() if key != "support"},
        "expected_calibration_error": expected_calibration_error(p, labels),
        "mean_confidence": p.max(axis=1).mean(), "brier_score": brier_score(p, labels),
        "calibration": curve._asdict(), "confusion": counts,
        "most_confused": [{"true": result.classes[i], "predicted": result.classes[j], "photos": n}
                          for i, j, n in most_confused(counts)]})


def plain(value: Any) -> Any:
    """NumPy's arrays and numbers as Python's, NaN and infinity as None."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
