"""`minicnn evaluate`: how good a model is on a folder of photos, and how sure that is."""

from __future__ import annotations

import argparse
import difflib
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from ..data import Dataset, ImageFolder, UnlabelledImages, batches
from ..evaluation import Evaluation, choose_threshold, class_probabilities, class_scores
from ..evaluation.metrics import MAX_VIEWS, view
from ..model import Sequential
from ..report import CHECKPOINTS, run_folder, scores_of, write_evaluation, write_run_page
from ..report.evaluations import MAX_CLASSES
from ..report.metric_figures import probability
from ..utils.errors import ArgumentError, FileError, check_int
from .predict import classifier
from .progress import Bar
from .train_photos import describe_folder, say_unread

OPTIONS = ("model", "folder", "threshold", "tta", "device")  # those that the page names


def add(command: Callable) -> None:
    """The command and its options."""
    p, option = command("evaluate", evaluate_command, "measure a model on a folder of photos")
    p.add_argument("model", help="a model.h5, or vgg16 for ImageNet's 1,000 classes")
    p.add_argument("folder", help="photos that it has not learnt from, one sub-folder per class, "
                                  "named as the model's classes")
    option("--output", str, None, "FOLDER", "a new folder for report.html, predictions.csv, "
                                            "scores.json and figures")
    option("--threshold", str, None, "T",
           "of the second class of a model with one sigmoid: a number from 0 to 1; youden, which "
           "makes the share found less the share of false alarms largest; or precision=0.95, the "
           "lowest that reaches it. Chosen on the photos it is judged on, it looks better than it "
           "is (default: the more probable class)")
    option("--tta", int, 1, "N", f"mean of N views of each photo, up to {MAX_VIEWS}: itself, its "
                                 f"mirror image, small shifts")
    option("--batch-size", int, 32, "N", "photos at a time")


def evaluate_command(args: argparse.Namespace) -> None:
    """Predicts the photos, prints the scores, writes them and their figures."""
    rule = threshold_rule(args.threshold)
    check_int(args.batch_size, "--batch-size")
    if not 1 <= args.tta <= MAX_VIEWS:
        raise ArgumentError(f"--tta: expected 1 to {MAX_VIEWS} views, received {args.tta}.")
    model = classifier(args.model)
    if rule is not None and model.shapes()[-1] != (1,):
        raise ArgumentError(f"--threshold: expected a model of two classes with one sigmoid, "
                            f"received one with {model.shapes()[-1][-1]} outputs, of which the "
                            f"largest counts. Leave it out.")
    folder = ImageFolder(args.folder)
    labels = labels_by_name(folder, model.classes, args.folder)
    with run_folder(args.output) if args.output else nullcontext() as output:
        describe_folder(folder)
        result, data, unread = evaluated(model.to(args.device), folder, labels, args.tta,
                                         args.batch_size)
        threshold, lines, notes = None, [], []
        if rule is not None:
            threshold, lines, notes = apply_threshold(result, rule)
        scores = scores_of(result, threshold)
        print("\n".join([*text(result, scores), *lines, *notes]))
        if output:
            write_evaluation(output, result, data.names, threshold=threshold)
            write_run_page(output, result, data, scores, model=model, rows={model.name: result},
                           notes=notes, skipped=folder.skipped + unread, options={
                               key: getattr(args, key) for key in OPTIONS})
            (output / "history.csv").unlink()  # the marks of run_folder: nothing was trained here
            (output / CHECKPOINTS).rmdir()
            print(f"\n{output}/: {', '.join(sorted(path.name for path in output.iterdir()))}")


def threshold_rule(given: str | None) -> float | str | None:
    """"0.3" -> 0.3; "youden" and "precision=0.95" as they are; others are refused."""
    if given in (None, "youden"):
        return given
    try:
        number = float(given.removeprefix("precision="))
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise ArgumentError(f"--threshold: expected a number from 0 to 1, youden, or "
                            f"precision=0.95, received {given!r}.")
    return given if given.startswith("precision=") else number


def labels_by_name(folder: ImageFolder, classes: Sequence[str], name: str) -> np.ndarray:
    """Labels (N,) of the folder's photos among the model's classes, found by name."""
    unknown = [c for c in folder.classes if c not in classes]
    if unknown:
        folded = {c.casefold(): c for c in classes}
        near = [difflib.get_close_matches(c.casefold(), folded, 1, 0.5) for c in unknown]
        nearest = "; ".join(f"{c} is nearest to {folded[n[0]]}" for c, n in
                            zip(unknown, near, strict=True) if n)
        raise ArgumentError(f"{name}: expected folders named after the model's classes "
                            f"({listed(classes)}), received {listed(folder.classes)}, of which "
                            f"it does not know {listed(unknown)}"
                            f"{f' ({nearest})' * bool(nearest)}. Rename or remove them.")
    return np.array([classes.index(c) for c in folder.classes])[folder.labels]


def listed(names: Sequence[str], most: int = 12) -> str:
    """a, b, c, … and how many more."""
    return ", ".join(names[:most]) + f", … {len(names) - most} more" * (len(names) > most)


def evaluated(model: Sequential, folder: ImageFolder, labels: np.ndarray, views: int,
              batch_size: int) -> tuple[Evaluation, Dataset, list[str]]:
    """What the model says of the photos that can be read, in the mean of so many views; these
    photos; why the others cannot be read, which is told, too."""
    photos, bar, rows = UnlabelledImages(folder.items), Bar("evaluate"), []
    for pixels, _, indices in batches(photos, range(len(photos)), batch_size,
                                      model.input_shape[:2], model.preprocessing.crop_fraction):
        rows.append(np.mean([class_probabilities(model.predict(view(pixels, k), batch_size))
                             for k in range(views)], axis=0))
        bar(int(indices[-1]) + 1, len(photos))
    unread = say_unread([photos.errors[i] for i in sorted(photos.errors)])
    kept = [i for i in range(len(photos)) if i not in photos.errors]
    if not kept:
        raise FileError(f"{photos.names[0]}: expected a photo that can be read, found none in "
                        f"this folder.")
    p = np.concatenate(rows)[kept]
    if not np.isfinite(p).all():
        raise FileError(f"{model.name}: expected probabilities, received NaN for "
                        f"{(~np.isfinite(p)).any(axis=1).sum()} photos. Its weights are broken.")
    data = Dataset([folder.items[i] for i in kept], labels[kept], model.classes,
                   [folder.names[i] for i in kept])
    return Evaluation(p, data.labels, data.classes), data, unread


def apply_threshold(result: Evaluation, rule: float | str) -> tuple[float, list[str], list[str]]:
    """Sets result.predicted by the threshold; -> it, lines on its effect, and what to know."""
    p, positive = result.probabilities[:, 1], result.labels == 1
    threshold, notes = rule, []
    if isinstance(rule, str):
        wished = float(rule.removeprefix("precision=")) if rule != "youden" else None
        threshold = choose_threshold(p, positive, wished)
        notes = ["The threshold was chosen on these very photos: it looks better than it is, and "
                 "the interval does not hold.",
                 f"Judge it on others, with --threshold {threshold!r}."]
    before = result.confusion
    result.predicted = (p.astype(np.float64) >= threshold).astype(np.int64)
    rows = []
    for name, counts in (("more probable class", before),
                         (f"threshold {probability(threshold)}", result.confusion)):
        scores, (false, true) = class_scores(counts), counts[:, 1].tolist()
        rows.append(f"{name:<22} {true:>6} {false:>13} {scores.precision[1]:>10.3f} "
                    f"{scores.recall[1]:>7.3f} {100 * np.trace(counts) / counts.sum():>8.1f} %")
    title = f"{result.classes[1]} from a probability of {probability(threshold)}"
    title += f" ({rule})" * isinstance(rule, str)
    return float(threshold), [f"\n{title}", f"{'':<22} {'found':>6} {'false alarms':>13} "
                              f"{'precision':>10} {'recall':>7} {'accuracy':>10}", *rows], notes


def text(result: Evaluation, scores: dict[str, Any]) -> list[str]:
    """The scores as lines for people."""
    low, high = result.interval
    rows, empty = scores["per_class"], [n for n, row in scores["per_class"].items()
                                        if not row["support"]]
    taken = dict(zip(result.classes, result.confusion.sum(axis=0), strict=True))
    lines = [f"\n{result.num_correct} of {len(result.labels)} photos right: "
             f"{100 * result.accuracy:.1f} % (95 % interval {100 * low:.1f} … {100 * high:.1f} %)"]
    shown = [n for n in rows if len(rows) <= MAX_CLASSES or rows[n]["support"]]
    width = max(24, *map(len, shown))
    lines.append(f"\n{'class':<{width}} {'photos':>7} {'precision':>10} {'recall':>7} {'F1':>7} "
                 f"{'ROC-AUC':>8} {'PR-AUC':>7}")
    for name, row in [*((n, rows[n]) for n in shown),
                      ("mean", scores["mean_of_classes_with_photos"])]:
        cells = ["–" if row[key] is None else f"{row[key]:.3f}" for key in
                 ("precision", "recall", "f1", "roc_auc", "average_precision")]
        lines.append("{:<{}} {:>7} {:>10} {:>7} {:>7} {:>8} {:>7}".format(
            name, width, row.get("support", ""), *cells))
    if empty:
        lines.append(f"No photos of {listed(empty, 5)}: recall and F1 are 0 there by definition, "
                     f"the areas undefined; the mean leaves them out.")
    never = [name for name in shown if not taken[name] and name not in empty]
    if never:
        lines.append(f"Nothing was taken for {listed(never, 5)}: the precision is 0 by definition.")
    lines.append(f"\nconfidence {100 * scores['mean_confidence']:.1f} % in the mean, expected "
                 f"calibration error {100 * scores['expected_calibration_error']:.1f} %, "
                 f"Brier score {scores['brier_score']:.3f}")
    pairs = [f"{pair['true']} taken for {pair['predicted']} {pair['photos']} ×"
             for pair in scores["most_confused"]]
    lines.append(f"most confused: {'; '.join(pairs) or 'none'}")
    return lines
