"""`minicnn evaluate`: the accuracy of a model on a folder of photos, with its uncertainty."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path

import numpy as np

from ..data import Dataset, ImageFolder, UnlabelledImages
from ..data.listing import group_by_kind
from ..evaluation import Evaluation
from ..evaluation.metrics import MAX_VIEWS
from ..model import Sequential
from ..models import image_batches
from ..report import (
    CHECKPOINTS,
    EVALUATION_FILES,
    run_folder,
    scores_of,
    write_evaluation,
    write_run_page,
)
from ..utils.arrays import IntArray
from ..utils.errors import ArgumentError, FileError
from ..utils.language import gettext as _
from ..utils.language import ngettext
from ..utils.ranks import current_ranks
from ..utils.suggest import GUESS_SIMILARITY, closest_names
from .evaluation_text import apply_threshold, join_names, text
from .json_output import add_json, write_json
from .left_out import print_left_out
from .model_options import add_model_options, given_options, open_classifier
from .model_words import MODEL_HELP, check_order
from .option_values import BATCH_SIZE, Integer
from .output_names import model_name, photo_name
from .progress import Bar
from .ranks import check_enough_photos, check_same_photos
from .terminal import say, unbroken
from .training_photos import in_training, without_training_photos
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
    option = command("evaluate", evaluate_command, "measure a model on a folder of photos",
                     "MODEL FOLDER [OPTIONS]", ABOUT, EXAMPLES)[1]
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
    option("--tta", Integer("2"), 1, "N",
           f"mean of N views of each photo, up to {MAX_VIEWS}: itself, its mirror image, small "
           f"shifts")
    option("--batch-size", BATCH_SIZE, 32, "N", "photos per batch")
    option.device()
    add_model_options(option)


def evaluate_command(args: argparse.Namespace) -> None:
    """Predicts the photos, prints the scores, writes them and their figures."""
    check_order("evaluate", args.model, [args.folder])
    rule = threshold_rule(args.threshold)
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
    ranks = current_ranks()
    check_same_photos("evaluate", args, {"all": folder}, model)
    check_enough_photos("evaluate", len(folder))
    if args.force and not numbered and ranks.is_first:
        remove_evaluation(Path(args.output))
    with ExitStack() as stack:
        output = ranks.from_first(lambda: stack.enter_context(
            run_folder(None if numbered else args.output, stem, ADVICE) if args.output
            else nullcontext()))
        skipped = group_by_kind(folder.others, limit=None)
        result, data, unread = evaluate_folder(model.to(args.device), folder, labels, classes,
                                               args.tta, args.batch_size)
        if not ranks.is_first:
            return
        threshold: float | None = None
        lines: list[str] = []
        notes: list[str] = []
        if rule is not None:
            threshold, lines, notes = apply_threshold(result, rule)
        scores = scores_of(result, threshold)
        warnings, facts = without_training_photos(result, in_training(args.model, data))
        say("\n".join([*text(result, scores, warnings), *lines, *notes]))
        if output:
            write_evaluation(output, result, data.names, threshold=threshold, more=facts)
            subject = _("{model} on {folder}", model=args.model, folder=args.folder)
            write_run_page(output, result, data, scores, model=model, rows={args.model: result},
                           subject=subject, notes=[*warnings, *notes],
                           skipped=unread + skipped, options={
                               key: getattr(args, key) for key in REPORTED_OPTIONS}
                           | given_options(args))
            (output / "history.csv").unlink()  # made by run_folder; nothing was trained here
            (output / CHECKPOINTS).rmdir()
            others = sum(path.is_file() for path in output.iterdir()) - 1
            say("\n" + ngettext("Open: {page} (and {num} other file)",
                                "Open: {page} (and {num} other files)", others,
                                page=unbroken(output / "report.html")))
        else:
            say("\n" + _("A page with figures and the worst photos: add --output"))
        write_json(args, {"model": args.model, "folder": args.folder, "classes": classes, **scores,
                          **facts, "unreadable": unread, "skipped": skipped, "output": output})


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
                            for match in closest_names(c, classes, 1, GUESS_SIMILARITY))
        raise ArgumentError(f"{name}: expected folders named after the model's classes "
                            f"({join_names(classes)}), received {join_names(folder.classes)}, of "
                            f"which it does not know {join_names(unknown)}"
                            f"{f' ({nearest})' * bool(nearest)}. Rename or remove them.")
    return np.array([classes.index(c) for c in folder.classes])[folder.labels]


def evaluate_folder(model: Sequential, folder: ImageFolder, labels: IntArray,
                    classes: Sequence[str], views: int, batch_size: int
                    ) -> tuple[Evaluation, Dataset, list[str]]:
    """(the evaluation of the photos that can be read, as the mean of `views` views; these photos;
    why others cannot be read). Prints which files are left out."""
    ranks, bar, rows = current_ranks(), Bar(_("evaluate")), []
    start, stop = ranks.part_of(len(folder))  # all of them, unless several ranks share them
    photos = UnlabelledImages(folder.items[start:stop])
    for indices, pixels in image_batches(model, photos, batch_size):
        rows.append(mean_of_views(model, pixels, views, batch_size))
        bar((int(indices[-1]) + 1) * len(folder) // len(photos), len(folder))
    errors = {start + i: text for i, text in photos.errors.items()}
    parts = ranks.gather((rows, errors))
    errors = {i: text for _rows, part in parts for i, text in part.items()}
    unread = [errors[i] for i in sorted(errors)]
    print_left_out(folder.others, unread)
    readable = [i for i in range(len(folder)) if i not in errors]
    if not readable:
        raise FileError(f"{folder.items[0]}: expected a photo that can be read, found none in "
                        f"this folder.")
    p = np.concatenate([row for part, _errors in parts for row in part])[readable]
    if not np.isfinite(p).all():
        raise FileError(f"{model.name}: expected probabilities, received NaN for "
                        f"{(~np.isfinite(p)).any(axis=1).sum()} photos. Its weights are broken.")
    data = Dataset([folder.items[i] for i in readable], labels[readable], classes,
                   [folder.names[i] for i in readable])
    return Evaluation(p, data.labels, data.classes), data, unread
