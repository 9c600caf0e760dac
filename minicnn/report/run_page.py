"""The page of a run or an evaluation: report.html, and the pictures of photos beside it.

The page is run_page.html; see pages.py. Nothing in it depends on when or where it was written, so
that a run which was interrupted leaves the same bytes as one which was not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data import Dataset
from ..evaluation import Evaluation, average_precision, choose_threshold, roc_auc, roc_curve
from ..model import Sequential
from ..training import LearningRates
from ..utils.errors import ArgumentError
from .evaluations import occurring
from .metric_figures import by_recall, ranked
from .pages import as_uri, thumbnail, write_page
from .photos import Shown, draw, labelled, pictures_of, said, why

WORST = 8  # photos with the least probability for their own class
HELD_OUT = 24  # photos of predictions.png
PICTURED, IN_CELL = 300, 24  # photos with a picture on the page, and in a cell of the matrix
POINTS = 400  # of a curve


def write_run_page(folder: Path, result: Evaluation, data: Dataset, scores: dict[str, Any], *,
                   model: Sequential, held_out: str = "", rows: Mapping[str, Evaluation],
                   notes: Sequence[str] = (), skipped: Sequence[str] = (),
                   history: Mapping[str, Sequence[float]] | None = None, watched: str = "",
                   rates: LearningRates | None = None,
                   parts: Mapping[str, Dataset] | None = None, fed: Sequence[Shown] = (),
                   options: Mapping[str, Any], explained: bool = True) -> None:
    """Writes predictions.png, worst.png, with `fed` batch.png, and report.html.

    result, data, scores: the evaluation, its photos, and scores_of it. held_out: what the photos
    are called. rows: of the table of results. notes: sentences about the run. skipped: files that
    were not read, with the reasons. history: of the training; watched: whose loss its val_loss is.
    rates: of find_lr. parts: who was where. fed: see photos.fed_batch. options: of the command.
    explained: whether `model` has made the predictions; after a cross-validation it has not.
    """
    size, crop = model.input_shape[:2], model.preprocessing.crop_fraction
    own = result.probabilities[np.arange(len(data)), result.labels]
    worst = np.argsort(own, kind="stable")[:WORST].tolist()
    spread = np.unique(np.linspace(0, len(data) - 1, HELD_OUT).round().astype(int)).tolist()
    seen = pictured(result, own)
    pictures = pictures_of(data, sorted({*worst, *spread, *seen}), size, crop)
    title = f"{len(data)} {held_out} photos".replace("  ", " ")
    draw(labelled(pictures, spread, result), folder / "predictions.png",
         f"{title}, some of them: label → prediction", 8)
    cards = worst_cards(model if explained else None, data, result, worst, pictures)
    draw([Shown([pictures[i], *[heat] * (heat is not None)],
                [result.classes[result.labels[i]], f"→ {said(result, i)}"],
                bool(result.predicted[i] == result.labels[i])) for i, heat, _ in cards],
         folder / "worst.png", "The worst photos: label → prediction" + (
             "\nred speaks for the prediction, blue against (HiResCAM)" * explained), 4)
    if fed:
        draw(fed, folder / "batch.png", "The first batch, as it was fed", 8)
    named = result.probabilities.argmax(axis=1)  # whose confidence it is, whatever the threshold
    counts = np.bincount(result.labels, minlength=len(result.classes))
    page = {
        "title": asked(result.classes), "held_out": held_out, "classes": result.classes,
        "rows": [{"name": name, "right": one.num_correct, "count": len(one.labels),
                  "accuracy": one.accuracy, "interval": one.interval}
                 for name, one in rows.items()],
        "chance": f"Always saying {result.classes[counts.argmax()]} would be right for "
                  f"{100 * counts.max() / len(data):.1f} %.",
        "notes": list(notes), "skipped": list(skipped),
        "history": {key: [float(value) for value in values] for key, values in
                    (history or {}).items()}, "watched": watched, "rates": rates and {
                        "x": np.log10(rates.lr).tolist(), "y": rates.smooth.tolist(),
                        "best": float(np.log10(rates.suggestion)), "top": rates.top},
        "shown": occurring(result.confusion).tolist(), "threshold": scores["threshold"],
        "photos": photo_rows(data, result, {i: pictures[i] for i in seen if i in pictures}),
        "curves": {name: curve_lines(result, points, area) for name, points, area in (
            ("roc", roc_curve, roc_auc), ("precision", by_recall, average_precision))},
        "youden": youden(result), "calibration": scores["calibration"],
        "ece": scores["expected_calibration_error"], "confidence": scores["mean_confidence"],
        "sure_right": float((named == result.labels).mean()),
        "scores": [{"class": name, **row} for name, row in scores["per_class"].items()],
        "worst": [{"name": data.names[i], "picture": thumbnail(pictures[i]),
                   "map": "" if heat is None else thumbnail(heat), "flaw": flaw,
                   "true": result.classes[result.labels[i]], "said": said(result, i),
                   "own": float(own[i]), "right": bool(result.predicted[i] == result.labels[i])}
                  for i, heat, flaw in cards],
        "fed": [{"picture": as_uri(one.pictures[0]), "label": one.lines[0]} for one in fed],
        "parts": [{"name": name, "counts": list(part.counts.values())}
                  for name, part in (parts or {}).items()],
        "options": [[key, value] for key, value in options.items()]}
    write_page(folder / "report.html", "run_page.html", page)


def asked(classes: Sequence[str]) -> str:
    """sandal or sneaker?"""
    return f"{' or '.join(classes)}?" if len(classes) < 5 else f"One of {len(classes)} classes?"


def pictured(result: Evaluation, own: np.ndarray) -> list[int]:
    """The photos that have a picture on the page: of every cell of the confusion matrix those that
    are least probable for their own class, as long as there is room. The first comes first."""
    cell = result.labels * len(result.classes) + result.predicted
    rank = np.empty(len(cell), int)
    for kind in np.unique(cell):
        members = np.flatnonzero(cell == kind)
        rank[members[np.argsort(own[members], kind="stable")]] = np.arange(len(members))
    right = result.labels == result.predicted
    order = np.lexsort((own, np.where(right, 4 * rank, rank)))  # wrong ones are worth more
    return order[rank[order] < IN_CELL][:PICTURED].tolist()


def photo_rows(data: Dataset, result: Evaluation, pictures: dict[int, np.ndarray]) -> list[dict]:
    """A row a photo: its name, its class, the predicted one, its probability, that of the own
    class; of two classes q, that of the second, by which the threshold decides."""
    two = len(result.classes) == 2
    return [{"name": name, "true": t, "said": k, "p": float(p[k]), "own": float(p[t]),
             **({"q": float(p[1])} if two else {}),
             "picture": thumbnail(pictures[i]) if i in pictures else ""}
            for i, (name, t, k, p) in enumerate(zip(
                data.names, result.labels.tolist(), result.predicted.tolist(),
                result.probabilities, strict=True))]


def curve_lines(result: Evaluation, points: Callable, area: Callable) -> list[dict]:
    """The named curves of scores_figures, at most 400 points each."""
    areas, drawn, named = ranked(result, area)
    found = []
    for k in drawn[:named]:
        x, y, _ = points(result.probabilities[:, k], result.labels == k)
        at = np.unique(np.linspace(0, len(x) - 1, POINTS).round().astype(int))
        found.append({"name": result.classes[k], "area": float(areas[k]), "x": x[at].tolist(),
                      "y": y[at].tolist()})
    return found


def youden(result: Evaluation) -> float | None:
    """The threshold of Youden's rule; None where there are not two classes with photos."""
    try:
        return choose_threshold(result.probabilities[:, 1], result.labels == 1
                                ) if len(result.classes) == 2 else None
    except ArgumentError:
        return None


def worst_cards(model: Sequential | None, data: Dataset, result: Evaluation, worst: Sequence[int],
                pictures: dict[int, np.ndarray]) -> list[tuple[int, np.ndarray | None, str]]:
    """(photo, why the predicted class, or None and the reason) for each that can still be read."""
    return [(i, *(why(model, data, i, int(result.predicted[i]), pictures[i]) if model else
                  (None, "")))
            for i in worst if i in pictures]
