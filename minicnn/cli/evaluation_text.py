"""What `minicnn evaluate` prints: the scores, and the effect of a threshold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..evaluation import Evaluation, choose_threshold, class_scores
from ..plotting.drawing import probability
from ..report.evaluations import MAX_CLASSES
from ..utils.language import gettext as _
from ..utils.language import local_number
from .terminal import aligned, percent


def text(result: Evaluation, scores: dict[str, Any], warnings: Sequence[str]) -> list[str]:
    """The scores as lines of text for the terminal. warnings: about the accuracy, behind it."""
    low, high = result.interval
    rows, empty = scores["per_class"], [n for n, row in scores["per_class"].items()
                                        if not row["support"]]
    predictions = dict(zip(result.classes, result.confusion.sum(axis=0), strict=True))
    lines = ["\n" + _("{correct} of {count} photos right: {accuracy:.1f} % (95 % interval "
                      "{low:.1f} … {high:.1f} %)", correct=result.num_correct,
                      count=len(result.labels), accuracy=100 * result.accuracy, low=100 * low,
                      high=100 * high), *warnings]
    shown = [n for n in rows if len(rows) <= MAX_CLASSES or rows[n]["support"]]
    cells = [[_("class"), _("photos"), _("precision"), _("recall"), "F1", "ROC-AUC", "PR-AUC"]]
    for name, row in [*((n, rows[n]) for n in shown),
                      (_("mean"), scores["mean_of_classes_with_photos"])]:
        cells.append([name, str(row.get("support", "")), *(
            "–" if row[key] is None else local_number(f"{row[key]:.3f}")
            for key in ("precision", "recall", "f1", "roc_auc", "average_precision"))])
    lines += ["", *aligned(cells)]
    if empty:
        lines.append(_("No photos of {names}: recall and F1 are 0 by definition, the areas "
                       "undefined; the mean leaves them out.", names=join_names(empty, 5)))
    never = [name for name in shown if not predictions[name] and name not in empty]
    if never:
        lines.append(_("Nothing was predicted as {names}: the precision is 0 by definition.",
                       names=join_names(never, 5)))
    lines.append("\n" + _("confidence {confidence} on average, expected calibration error {error}, "
                          "Brier score {brier:.3f}", confidence=percent(scores["mean_confidence"]),
                          error=percent(scores["expected_calibration_error"]),
                          brier=scores["brier_score"]))
    pairs = [_("{true} predicted as {predicted} {photos} ×", **pair)
             for pair in scores["most_confused"]]
    lines.append(_("most confused: {pairs}", pairs=_("; ").join(pairs) or _("none")))
    return lines


def join_names(names: Sequence[str], limit: int = 12) -> str:
    """a, b, c, … and how many more."""
    return ", ".join(names[:limit]) + f", … {len(names) - limit} more" * (len(names) > limit)


def apply_threshold(result: Evaluation, rule: float | str) -> tuple[float, list[str], list[str]]:
    """Sets result.predicted by the threshold; returns it, lines on its effect, and warnings."""
    p, positive = result.probabilities[:, 1], result.labels == 1
    notes: list[str] = []
    if isinstance(rule, str):
        precision = float(rule.removeprefix("precision=")) if rule != "youden" else None
        threshold = choose_threshold(p, positive, precision)
        notes = [_("The threshold was chosen on these very photos: it looks better than it is, and "
                   "the interval does not hold."),
                 _("Evaluate it on others, with --threshold {threshold}.",
                   threshold=repr(threshold))]
    else:
        threshold = rule
    before, accuracy = result.confusion, result.accuracy
    result.predicted = (p.astype(np.float64) >= threshold).astype(np.int64)
    if isinstance(rule, str) and result.accuracy < accuracy:
        notes.append(lowered_accuracy(rule, accuracy, result.accuracy, before, threshold))
    rows = [["", _("true positives"), _("false positives"), _("precision"), _("recall"),
             _("accuracy")]]
    by_threshold = _("threshold {threshold}", threshold=probability(threshold))
    for name, counts in ((_("more probable"), before), (by_threshold, result.confusion)):
        scores, (false, true) = class_scores(counts), counts[:, 1].tolist()
        rows.append([name, str(true), str(false), local_number(f"{scores.precision[1]:.3f}"),
                     local_number(f"{scores.recall[1]:.3f}"),
                     percent(np.trace(counts) / counts.sum())])
    title = _("{name} from a probability of {threshold}", name=result.classes[1],
              threshold=probability(threshold))
    title += f" ({rule})" * isinstance(rule, str)
    return float(threshold), [f"\n{title}", *aligned(rows)], notes


def lowered_accuracy(rule: str, before: float, after: float, counts: np.ndarray, threshold: float
                     ) -> str:
    """A warning that a chosen threshold lowers the accuracy, and why. counts: of the confusion
    matrix without it."""
    reason = ""
    if rule.startswith("precision="):
        precision, wanted = class_scores(counts).precision[1], float(rule.partition("=")[2])
        reason = " " + (
            _("The precision without it was {precision}, above what was asked for: the rule lowers "
              "the threshold until the precision just reaches it, for more recall.",
              precision=percent(precision)) if precision >= wanted else
            _("The precision without it was {precision}, below what was asked for: the price of "
              "more precision is recall.", precision=percent(precision)))
    return _("The threshold {threshold} lowers the accuracy from {before:.1f} to {after:.1f} %.",
             threshold=probability(threshold), before=100 * before, after=100 * after) + reason
