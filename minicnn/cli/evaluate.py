"""`minicnn evaluate`: the accuracy of a model on a folder of photos, with its uncertainty."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from ..data import Dataset, ImageFolder, UnlabelledImages
from ..data.listing import group_by_kind
from ..evaluation import Evaluation, choose_threshold, class_scores
from ..evaluation.metrics import MAX_VIEWS
from ..model import Sequential
from ..models import image_batches
from ..plotting.drawing import probability
from ..report import (
    CHECKPOINTS,
    EVALUATION_FILES,
    run_folder,
    scores_of,
    write_evaluation,
    write_run_page,
)
from ..report.evaluations import MAX_CLASSES
from ..utils.arrays import IntArray
from ..utils.errors import ArgumentError, FileError, check_int
from ..utils.language import gettext as _
from ..utils.language import local_number, ngettext
from ..utils.suggest import closest_names
from .json_output import add_json, write_json
from .model_options import add_model_options, given_options, open_classifier
from .model_words import MODEL_HELP, check_order
from .output_names import model_name, photo_name
from .progress import Bar
from .terminal import percent
from .train_photos import describe_folder, print_unreadable
from .unused_options import unused_option
from .views import check_views, mean_of_views

ABOUT = """\
Accuracy with its 95 % interval; precision, recall and F1 per class; ROC-AUC;
the most confused classes; and whether the probabilities can be trusted."""
EXAMPLES = (("a table", "minicnn evaluate runs/photos-1 more_photos/"),
            ("and a page with confusion matrix, ROC and the worst photos",
             "minicnn evaluate runs/photos-1 more_photos/ --output"),
            ("the threshold that reaches a precision of 95 %",
             "minicnn evaluate runs/photos-1 more_photos/ --threshold precision=0.95"))
IN_RUNS = "runs/"  # --output without a value: a new folder there
ADVICE = "choose another --output, or overwrite an earlier evaluation with --force"
REPORTED_OPTIONS = ("model", "folder", "threshold", "tta", "device")  # on the page


def add(command: Callable) -> None:
    """The command and its options."""
    _, option = command("evaluate", evaluate_command, "measure a model on a folder of photos",
                        "MODEL FOLDER [OPTIONS]", ABOUT, EXAMPLES)
    option.words("model", "MODEL", MODEL_HELP)
    option.words("folder", "FOLDER", "photos that were not in its training, one sub-folder per "
                                     "class, named after the model's classes")
    output = option.group("output")
    output.optional_value("--output", IN_RUNS, "FOLDER",
                          "write report.html, predictions.csv, scores.json and figures into this "
                          "new folder (without FOLDER: runs/MODEL-on-PHOTOS-1, then -2, …)")
    output.flag("--force", "overwrite the files of an earlier evaluation in FOLDER")
    add_json(output)
    option = option.group("prediction")
    option("--threshold", str, None, "T",
           "of the second class of a model with one sigmoid: a number from 0 to 1; youden, which "
           "maximises true positive rate minus false positive rate; or precision=0.95, the lowest "
           "that reaches it. Chosen on the photos that evaluate it, it looks better than it is "
           "(default: the more probable class)")
    option("--tta", int, 1, "N", f"mean of N views of each photo, up to {MAX_VIEWS}: itself, its "
                                 f"mirror image, small shifts")
    option("--batch-size", int, 32, "N", "photos per batch")
    option.device()
    add_model_options(option)


def evaluate_command(args: argparse.Namespace) -> None:
    """Predicts the photos, prints the scores, writes them and their figures."""
    check_order("evaluate", args.model, [args.folder])
    rule = threshold_rule(args.threshold)
    check_int(args.batch_size, "--batch-size")
    check_views(args.tta)
    model, classes = open_classifier(args)
    if rule is not None and model.shapes()[-1] != (1,):
        raise ArgumentError(f"--threshold: expected a model of two classes with one sigmoid, "
                            f"received one with {model.shapes()[-1][-1]} outputs, of which the "
                            f"largest counts. Leave it out.")
    folder = ImageFolder(args.folder)
    labels = labels_by_name(folder, classes, args.folder)
    stem = f"{model_name(args.model)}-on-{photo_name([args.folder])}"
    numbered = args.output == IN_RUNS
    if args.force and not args.output:
        raise unused_option("--force", "--output", "it without")
    if args.force and not numbered:
        remove_evaluation(Path(args.output))
    with (run_folder(None if numbered else args.output, stem, ADVICE) if args.output
          else nullcontext()) as output:
        describe_folder(folder)
        skipped = group_by_kind(folder.others, limit=None)
        result, data, unread = evaluate_folder(model.to(args.device), folder, labels, classes,
                                               args.tta, args.batch_size)
        threshold: float | None = None
        lines: list[str] = []
        notes: list[str] = []
        if rule is not None:
            threshold, lines, notes = apply_threshold(result, rule)
        scores = scores_of(result, threshold)
        print("\n".join([*text(result, scores), *lines, *notes]))
        if output:
            write_evaluation(output, result, data.names, threshold=threshold)
            subject = _("{model} on {folder}", model=args.model, folder=args.folder)
            write_run_page(output, result, data, scores, model=model, rows={args.model: result},
                           subject=subject, notes=notes, skipped=skipped + unread, options={
                               key: getattr(args, key) for key in REPORTED_OPTIONS}
                           | given_options(args))
            (output / "history.csv").unlink()  # made by run_folder; nothing was trained here
            (output / CHECKPOINTS).rmdir()
            others = sum(path.is_file() for path in output.iterdir()) - 1
            print("\n" + ngettext("Open: {page} and {num} files", "Open: {page} and {num} files",
                                  others, page=output / "report.html"))
        else:
            print("\n" + _("A page with figures and the worst photos: add --output"))
        write_json(args, {"model": args.model, "folder": args.folder, "classes": classes, **scores,
                          "unreadable": unread, "skipped": skipped, "output": output})


def remove_evaluation(folder: Path) -> None:
    """Removes the files of an earlier evaluation. Whatever else is in the folder stays, and makes
    run_folder refuse it: what train has written, for one."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if names <= set(EVALUATION_FILES):
        for name in names:
            (folder / name).unlink()


def threshold_rule(text: str | None) -> float | str | None:
    """"0.3" -> 0.3; "youden" and "precision=0.95" unchanged; raises ArgumentError for others."""
    if text is None or text == "youden":
        return text
    try:
        number = float(text.removeprefix("precision="))
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise ArgumentError(f"--threshold: expected a number from 0 to 1, youden, or "
                            f"precision=0.95, received {text!r}.")
    return text if text.startswith("precision=") else number


def labels_by_name(folder: ImageFolder, classes: Sequence[str], name: str) -> IntArray:
    """The labels (N,) of the folder's photos: the indices of their classes in the model's."""
    unknown = [c for c in folder.classes if c not in classes]
    if unknown:
        nearest = "; ".join(f"{c} is nearest to {match}" for c in unknown
                            for match in closest_names(c, classes, 1))
        raise ArgumentError(f"{name}: expected folders named after the model's classes "
                            f"({join_names(classes)}), received {join_names(folder.classes)}, of "
                            f"which it does not know {join_names(unknown)}"
                            f"{f' ({nearest})' * bool(nearest)}. Rename or remove them.")
    return np.array([classes.index(c) for c in folder.classes])[folder.labels]


def join_names(names: Sequence[str], limit: int = 12) -> str:
    """a, b, c, … and how many more."""
    return ", ".join(names[:limit]) + f", … {len(names) - limit} more" * (len(names) > limit)


def evaluate_folder(model: Sequential, folder: ImageFolder, labels: IntArray,
                    classes: Sequence[str], views: int, batch_size: int
                    ) -> tuple[Evaluation, Dataset, list[str]]:
    """(the evaluation of the photos that can be read, as the mean of `views` views; these photos;
    why others cannot be read, which is printed, too)."""
    photos, bar, rows = UnlabelledImages(folder.items), Bar(_("evaluate")), []
    for indices, pixels in image_batches(model, photos, batch_size):
        rows.append(mean_of_views(model, pixels, views, batch_size))
        bar(int(indices[-1]) + 1, len(photos))
    unread = print_unreadable([photos.errors[i] for i in sorted(photos.errors)])
    readable = [i for i in range(len(photos)) if i not in photos.errors]
    if not readable:
        raise FileError(f"{photos.names[0]}: expected a photo that can be read, found none in "
                        f"this folder.")
    p = np.concatenate(rows)[readable]
    if not np.isfinite(p).all():
        raise FileError(f"{model.name}: expected probabilities, received NaN for "
                        f"{(~np.isfinite(p)).any(axis=1).sum()} photos. Its weights are broken.")
    data = Dataset([folder.items[i] for i in readable], labels[readable], classes,
                   [folder.names[i] for i in readable])
    return Evaluation(p, data.labels, data.classes), data, unread


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
    rows = []
    by_threshold = _("threshold {threshold}", threshold=probability(threshold))
    for name, counts in ((_("more probable class"), before), (by_threshold, result.confusion)):
        scores, (false, true) = class_scores(counts), counts[:, 1].tolist()
        rows.append(local_number(
            f"{name:<22} {true:>14} {false:>15} {scores.precision[1]:>10.3f} "
            f"{scores.recall[1]:>7.3f} {100 * np.trace(counts) / counts.sum():>8.1f} %"))
    title = _("{name} from a probability of {threshold}", name=result.classes[1],
              threshold=probability(threshold))
    title += f" ({rule})" * isinstance(rule, str)
    header = (f"{'':<22} {_('true positives'):>14} {_('false positives'):>15} "
              f"{_('precision'):>10} {_('recall'):>7} {_('accuracy'):>10}")
    return float(threshold), [f"\n{title}", header, *rows], notes


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


def text(result: Evaluation, scores: dict[str, Any]) -> list[str]:
    """The scores as lines of text for the terminal."""
    low, high = result.interval
    rows, empty = scores["per_class"], [n for n, row in scores["per_class"].items()
                                        if not row["support"]]
    predictions = dict(zip(result.classes, result.confusion.sum(axis=0), strict=True))
    answer = _("{correct} of {count} photos right: {accuracy:.1f} % (95 % interval {low:.1f} … "
               "{high:.1f} %)", correct=result.num_correct, count=len(result.labels),
               accuracy=100 * result.accuracy, low=100 * low, high=100 * high)
    lines = [f"\n{answer}"]
    shown = [n for n in rows if len(rows) <= MAX_CLASSES or rows[n]["support"]]
    width = max(24, *map(len, shown))
    lines.append(f"\n{_('class'):<{width}} {_('photos'):>7} {_('precision'):>10} {_('recall'):>7} "
                 f"{'F1':>7} {'ROC-AUC':>8} {'PR-AUC':>7}")
    for name, row in [*((n, rows[n]) for n in shown),
                      (_("mean"), scores["mean_of_classes_with_photos"])]:
        cells = ["–" if row[key] is None else local_number(f"{row[key]:.3f}") for key in
                 ("precision", "recall", "f1", "roc_auc", "average_precision")]
        lines.append("{:<{}} {:>7} {:>10} {:>7} {:>7} {:>8} {:>7}".format(
            name, width, row.get("support", ""), *cells))
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
