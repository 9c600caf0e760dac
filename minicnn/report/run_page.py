"""The page of a run or an evaluation: report.html, and the pictures of photos beside it.

Its template is run_page.html; see pages.py. Nothing in it depends on when or where it was written,
so that a run that was interrupted and resumed leaves the same bytes as one that was not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data import Dataset
from ..evaluation import Evaluation, choose_threshold
from ..model import Sequential
from ..models import image_size
from ..plotting.metric_figures import ClassCurve, named_curves
from ..training import LearningRates
from ..utils.arrays import FloatArray, Pixels
from ..utils.errors import ArgumentError
from .class_curves import precision_recall_curves, roc_curves
from .evaluations import most_frequent
from .pages import as_uri, thumbnail, write_page
from .photos import (
    PhotoPanel,
    draw,
    explanation,
    pictures_of,
    prediction_label,
    prediction_panel,
    prediction_panels,
)

WORST = 8  # photos with the lowest probability for their own class
HELD_OUT = 24  # photos of predictions.png
MAX_PICTURES, MAX_PER_CELL = 300, 24  # on the page, and for a cell of the confusion matrix
MAX_POINTS = 400  # of a curve


def write_run_page(folder: Path, result: Evaluation, data: Dataset, scores: dict[str, Any], *,
                   model: Sequential, held_out: str = "", rows: Mapping[str, Evaluation],
                   notes: Sequence[str] = (), skipped: Sequence[str] = (),
                   history: Mapping[str, Sequence[float]] | None = None, validation_name: str = "",
                   rates: LearningRates | None = None,
                   parts: Mapping[str, Dataset] | None = None,
                   first_batch: Sequence[PhotoPanel] = (),
                   options: Mapping[str, Any], explained: bool = True) -> None:
    """Writes predictions.png, worst.png, report.html and, if there is a first_batch, batch.png.

    result, data, scores: the evaluation, its photos, and scores_of the evaluation.
    held_out:        what the photos are called ("test", …).
    rows:            of the table of results.
    notes, skipped:  sentences about the run; files that were not read, with the reasons.
    history:         of the training. validation_name: of the photos that val_loss or held_out_loss
                     is the loss of.
    rates:           of find_lr.
    parts:           the photos of each part of the split.
    first_batch:     see photos.first_batch.
    options:         of the command.
    explained:       whether `model` made the predictions; after a cross-validation it did not.
    """
    own = result.probabilities[np.arange(len(data)), result.labels]
    worst = np.argsort(own, kind="stable")[:WORST].tolist()
    spread = np.unique(np.linspace(0, len(data) - 1, HELD_OUT).round().astype(int)).tolist()
    on_page = choose_pictures(result, own)
    pictures = pictures_of(data, sorted({*worst, *spread, *on_page}), image_size(model),
                           model.preprocessing)
    title = f"{len(data)} {held_out} photos".replace("  ", " ")
    draw(prediction_panels(pictures, spread, result), folder / "predictions.png",
         f"A selection of the {title}: label → prediction", 8)
    cards = worst_cards(model if explained else None, data, result, worst, pictures)
    worst_panels = [prediction_panel([pictures[i]] if heat is None else [pictures[i], heat],
                                     result, i) for i, heat, _ in cards]
    draw(worst_panels, folder / "worst.png", "The worst photos: label → prediction" + (
        "\nred speaks for the prediction, blue against it (HiResCAM)" * explained), 4)
    if first_batch:
        draw(first_batch, folder / "batch.png", "The first training batch", 8)
    most_probable = result.probabilities.argmax(axis=1)  # whatever the threshold
    counts = np.bincount(result.labels, minlength=len(result.classes))
    page = {
        "title": question(result.classes), "held_out": held_out, "classes": result.classes,
        "rows": [{"name": name, "correct": row.num_correct, "count": len(row.labels),
                  "accuracy": row.accuracy, "interval": row.interval}
                 for name, row in rows.items()],
        "chance": f"Always saying {result.classes[counts.argmax()]} would be right for "
                  f"{100 * counts.max() / len(data):.1f} %.",
        "notes": list(notes), "skipped": list(skipped),
        "history": {key: [float(value) for value in values] for key, values in
                    (history or {}).items()},
        "validation_name": validation_name, "rates": rates and {
                        "x": np.log10(rates.lr).tolist(), "y": rates.smooth.tolist(),
                        "best": float(np.log10(rates.suggestion)), "top": rates.top},
        "shown": most_frequent(result.confusion).tolist(), "threshold": scores["threshold"],
        "photos": photo_rows(data, result, {i: pictures[i] for i in on_page if i in pictures}),
        "curves": {"roc": curve_lines(roc_curves(result)),
                   "precision": curve_lines(precision_recall_curves(result))},
        "youden": youden(result), "calibration": scores["calibration"],
        "ece": scores["expected_calibration_error"], "confidence": scores["mean_confidence"],
        "confidence_accuracy": float((most_probable == result.labels).mean()),
        "scores": [{"class": name, **row} for name, row in scores["per_class"].items()],
        "worst": [{"name": data.names[i], "picture": thumbnail(pictures[i]),
                   "map": "" if heat is None else thumbnail(heat), "blank": reason,
                   "true": result.classes[result.labels[i]],
                   "predicted": prediction_label(result, i),
                   "own": float(own[i]), "correct": bool(result.predicted[i] == result.labels[i])}
                  for i, heat, reason in cards],
        "first_batch": [{"picture": as_uri(panel.pictures[0]), "label": panel.lines[0]}
                        for panel in first_batch],
        "parts": [{"name": name, "counts": list(part.counts.values())}
                  for name, part in (parts or {}).items()],
        "options": [[key, value] for key, value in options.items()]}
    write_page(folder / "report.html", "run_page.html", page)


def question(classes: Sequence[str]) -> str:
    """The question that the classifier answers, such as "sandal or sneaker?"."""
    return f"{' or '.join(classes)}?" if len(classes) < 5 else f"One of {len(classes)} classes?"


def choose_pictures(result: Evaluation, own: FloatArray) -> list[int]:
    """The photos that get a picture on the page: of every cell of the confusion matrix those with
    the lowest probability `own` for their own class, up to MAX_PICTURES, most important first."""
    cell = result.labels * len(result.classes) + result.predicted
    rank = np.empty(len(cell), int)
    for kind in np.unique(cell):
        members = np.flatnonzero(cell == kind)
        rank[members[np.argsort(own[members], kind="stable")]] = np.arange(len(members))
    correct = result.labels == result.predicted
    order = np.lexsort((own, np.where(correct, 4 * rank, rank)))  # wrong ones matter more
    return order[rank[order] < MAX_PER_CELL][:MAX_PICTURES].tolist()


def photo_rows(data: Dataset, result: Evaluation, pictures: dict[int, Pixels]) -> list[dict]:
    """A row for each photo: its name, its class, the predicted class and the probabilities of both;
    with two classes also q, that of the second, to which the threshold applies."""
    two = len(result.classes) == 2
    return [{"name": name, "true": t, "predicted": k, "p": float(p[k]), "own": float(p[t]),
             **({"q": float(p[1])} if two else {}),
             "picture": thumbnail(pictures[i]) if i in pictures else ""}
            for i, (name, t, k, p) in enumerate(zip(
                data.names, result.labels.tolist(), result.predicted.tolist(),
                result.probabilities, strict=True))]


def curve_lines(curves: Sequence[ClassCurve]) -> list[dict]:
    """The named curves, of at most MAX_POINTS points each."""
    lines = []
    for curve in named_curves(curves):
        at = np.unique(np.linspace(0, len(curve.x) - 1, MAX_POINTS).round().astype(int))
        lines.append({"name": curve.name, "area": curve.area, "x": curve.x[at].tolist(),
                      "y": curve.y[at].tolist()})
    return lines


def youden(result: Evaluation) -> float | None:
    """The threshold of Youden's rule; None unless there are two classes with photos."""
    try:
        return choose_threshold(result.probabilities[:, 1], result.labels == 1
                                ) if len(result.classes) == 2 else None
    except ArgumentError:
        return None


def worst_cards(model: Sequential | None, data: Dataset, result: Evaluation, worst: Sequence[int],
                pictures: dict[int, Pixels]) -> list[tuple[int, np.ndarray | None, str]]:
    """(photo, the explanation of its prediction or None, why there is none) for each photo that can
    still be read. model: None for no explanations."""
    return [(i, *(explanation(model, data, i, int(result.predicted[i]), pictures[i]) if model else
                  (None, "")))
            for i in worst if i in pictures]
