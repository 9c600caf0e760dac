"""The page of a run or an evaluation: report.html, and the pictures of photos beside it.

The page tells a story: the number, how it was learned, what is confused, where to draw the line,
what the network looks at, what was set. run_sections.py writes it as HTML, so that its numbers and
pictures are there without a script; the script of its template, run_page.html, adds what moves.
Apart from the record of the run (the command, when, where, how long), nothing in it depends on when
or where it was written, so that a run that was interrupted and resumed leaves the same bytes as one
that was not.
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
from ..training import LearningRates, Setting
from ..utils.errors import ArgumentError
from ..utils.language import gettext as _
from . import run_confusion as confusion
from . import run_labels
from . import run_photos as photos
from . import run_sections as sections
from .class_curves import precision_recall_curves, roc_curves
from .evaluations import most_frequent
from .html import join, percent
from .pages import write_page
from .photos import PhotoPanel, prediction_label
from .run_pictures import MAX_PER_CELL, RunPictures, choose_pictures, draw_pictures
from .run_settings import settings_section

MAX_CELLS = 200  # of the confusion matrix, whose photos are on the page
MAX_POINTS = 400  # of a curve


def write_run_page(folder: Path, result: Evaluation, data: Dataset, scores: dict[str, Any], *,
                   model: Sequential, photos_name: str = "", rows: Mapping[str, Evaluation],
                   notes: Sequence[str] = (), settings: Sequence[str] = (),
                   skipped: Sequence[str] = (),
                   history: Mapping[str, Sequence[float]] | None = None, validation_name: str = "",
                   scratch_history: Mapping[str, Sequence[float]] | None = None,
                   rates: LearningRates | None = None,
                   parts: Mapping[str, Dataset] | None = None,
                   training: tuple[Dataset, Evaluation] | None = None,
                   first_batch: Sequence[PhotoPanel] = (), subject: str = "",
                   options: Mapping[str, Any], used: Mapping[str, Any] | None = None,
                   explained: bool = True, pictures: RunPictures | None = None) -> RunPictures:
    """Writes predictions.png, worst.png, report.html and, if there is a first_batch, batch.png.

    result, data, scores: the evaluation, its photos, and scores_of the evaluation.
    photos_name:     what the photos are called: "held-out", "left-out" after a cross-validation,
                     or "" for the photos of a folder.
    rows:            of the table of results.
    notes, settings: sentences about the run; those that say how the comparison was trained.
    skipped:         files that were not read, with the reasons.
    history:         of the training. validation_name: of the photos that val_loss or held_out_loss
                     is the loss of.
    scratch_history: of the network from scratch.
    rates:           of find_lr.
    parts:           the photos of each part of the split.
    training:        the training photos, and predictions by heads that have not seen them.
    first_batch:     see photos.first_batch.
    subject:         what was measured on what, below the title; "": the first of the rows.
    options:         of the command.
    used:            what run.json has under that name: the command, when, where, what the options
                     came to.
    explained:       whether `model` made the predictions; after a cross-validation it did not.
    pictures:        what an earlier call with the same photos returned: the page alone is new.
    """
    shown = pictures
    if shown is None:
        shown = choose_pictures(result, data, model, explained)
        draw_pictures(folder, shown, result, photos_name, first_batch)
    own = result.probabilities[np.arange(len(data)), result.labels]
    page = numbers(result, data, scores, photos_name, rows)
    page |= {"notes": list(notes), "skipped": list(skipped), "history": plain_history(history),
             "scratch_history": plain_history(scratch_history), "validation_name": validation_name,
             "rates": rates and {"x": np.log10(rates.lr).tolist(), "y": rates.smooth.tolist(),
                                 "best": float(np.log10(rates.suggestion)), "top": rates.top},
             "worst": [{"name": data.names[i], "true": result.classes[result.labels[i]],
                        "predicted": prediction_label(result, i), "own": float(own[i]),
                        "correct": i in shown.unsure,
                        "map": shown.heats.get(i, (None, ""))[0] is not None,
                        "blank": shown.heats.get(i, (None, ""))[1]}
                       for i in [*shown.wrong, *shown.unsure] if i in shown.originals],
             "first_batch": [panel.lines[0] for panel in first_batch],
             "parts": [{"name": name, "counts": list(part.counts.values())}
                       for name, part in (parts or {}).items()],
             "options": [[key, value] for key, value in options.items()],
             "subject": subject or next(iter(rows)) + (
                 _(", trained on {count} photos", count=len(parts["train"]))
                 if parts and "train" in parts else "")}
    chosen = [*(note for note in notes if isinstance(note, Setting)), *settings]
    body = [
        sections.hero(page, photos.hero_photos(
            shown.originals, shown.right, shown.wrong[:1], data, result)),
        sections.notes_section([note for note in notes if note not in chosen], skipped),
        sections.learning_section(page, page["scratch_history"]),
        confusion.confusion_section(page, result, photos.cell_galleries(
            result, data, shown.cell_pictures(), cells_of(result), MAX_PER_CELL),
            confusion.confused_pairs(result)),
        confusion.threshold_section(page, result), sections.calibration_section(page),
        photos.looking_section(
            shown.originals, shown.heats, shown.wrong, shown.unsure, data, result),
        run_labels.labels_section((data, result), training, image_size(model),
                                  model.preprocessing),
        sections.classes_section(page),
        settings_section(options, chosen, used or {}),
        sections.split_section(page, photos.batch_figures(first_batch) if first_batch else None),
        sections.skipped_section(skipped)]
    write_page(folder / "report.html", "run_page.html", page, title=page["title"],
               subject=page["subject"], body=join(body))
    return shown


def numbers(result: Evaluation, data: Dataset, scores: Mapping[str, Any], photos_name: str,
            rows: Mapping[str, Evaluation]) -> dict[str, Any]:
    """What the page says of the predictions, ready for JSON."""
    most_probable = result.probabilities.argmax(axis=1)  # whatever the threshold
    counts = np.bincount(result.labels, minlength=len(result.classes))
    return {
        "title": question(result.classes), "photos_name": photos_name, "classes": result.classes,
        "class_counts": counts.tolist(),
        "rows": [{"name": name, "correct": row.num_correct, "count": len(row.labels),
                  "accuracy": row.accuracy, "interval": row.interval}
                 for name, row in rows.items()],
        "chance": _("Always saying {name} would be right for {share}.",
                    name=result.classes[counts.argmax()], share=percent(counts.max() / len(data))),
        "shown": most_frequent(result.confusion).tolist(), "threshold": scores["threshold"],
        "photos": photo_rows(data, result),
        "curves": {"roc": curve_lines(roc_curves(result)),
                   "precision": curve_lines(precision_recall_curves(result))},
        "youden": youden(result), "calibration": scores["calibration"],
        "ece": scores["expected_calibration_error"], "confidence": scores["mean_confidence"],
        "confidence_accuracy": float((most_probable == result.labels).mean()),
        "scores": [{"class": name, **row} for name, row in scores["per_class"].items()]}


def plain_history(history: Mapping[str, Sequence[float]] | None) -> dict[str, list[float]]:
    """The history as Python's floats."""
    return {key: [float(value) for value in values] for key, values in (history or {}).items()}


def cells_of(result: Evaluation) -> list[tuple[int, int]]:
    """The cells of the confusion matrix that hold photos: errors first, then the diagonal."""
    counts = result.confusion
    cells = [(int(i), int(j)) for i, j in np.argwhere(counts)]
    return sorted(cells, key=lambda cell: (cell[0] == cell[1], -counts[cell]))[:MAX_CELLS]


def question(classes: Sequence[str]) -> str:
    """The question that the classifier answers, such as "sandal or sneaker?"."""
    if len(classes) < 5:
        return _("{names}?", names=_(" or ").join(classes))
    return _("One of {count} classes?", count=len(classes))


def photo_rows(data: Dataset, result: Evaluation) -> list[dict]:
    """A row for each photo: its name, its class, the predicted class and the probabilities of both;
    with two classes also q, that of the second, to which the threshold applies."""
    two = len(result.classes) == 2
    return [{"name": name, "true": t, "predicted": k, "p": float(p[k]), "own": float(p[t]),
             **({"q": float(p[1])} if two else {})}
            for name, t, k, p in zip(data.names, result.labels.tolist(),
                                     result.predicted.tolist(), result.probabilities, strict=True)]


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
