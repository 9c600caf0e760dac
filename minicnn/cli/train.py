"""`minicnn train`: transfer learning, and the same photos for a small network from scratch."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from ..data import Dataset, write_split
from ..evaluation import Evaluation
from ..evaluation.diagnosis import diagnose
from ..report import (
    resumed_folder,
    run_folder,
    write_csv,
    write_curves,
    write_evaluation,
    write_run,
    write_run_page,
)
from ..report.photos import first_batch
from ..training import (
    Checkpoint,
    ProgressBar,
    TransferConfig,
    base_with_head,
    cross_validate,
    from_scratch,
    transfer,
)
from ..utils.files import write_text
from .progress import EpochLines
from .run_session import locked_run
from .train_options import (
    NOT_SAVED,
    add_options,
    reject_unused_options,
    resolve_options,
    suggested_command,
    track_explicit_options,
)
from .train_photos import imbalance, leaks, per_class, photos_of

CONFIG = [field.name for field in fields(TransferConfig)]
MAX_SCRATCH_SIZE = 64  # pixels: the comparison should not take longer than the answer


def add(command: Callable) -> None:
    """The command and its options."""
    p, option = command("train", train_command, "train a classifier on photos")
    add_options(p, option)
    track_explicit_options(p)


def train_command(args: argparse.Namespace) -> None:
    """Transfer learning, and a small network from scratch on the same photos."""
    args = resolve_options(args)
    if not args.resume:
        reject_unused_options(args)
    config = TransferConfig(**{name: getattr(args, name) for name in CONFIG})
    parts, groups, skipped, held_out, stem = photos_of(args)
    train = parts["train"]
    names = train.classes if len(train.classes) < 5 else [f"One of {len(train.classes)} classes"]
    print(f"{' or '.join(names)}? {per_class(train)} training photos, " + (
        "each of them tested once." if args.kfold else f"{len(parts['test'])} {held_out} photos."))
    notes = [*leaks(parts, groups), *imbalance(train, args.class_weights)]
    for sentence in notes:
        print(sentence)
    with (resumed_folder(args.resume) if args.resume else run_folder(args.output, stem)) as output:
        if not args.resume:
            options = {key: value for key, value in vars(args).items() if key not in NOT_SAVED}
            write_split(output / "split.csv", parts)
            write_text(output / "run.json", json.dumps(options, indent=1))
        with locked_run(output) as checkpoint:
            if args.kfold:
                cross_validation(args, config, parts, groups.get("train"), skipped, output,
                                 checkpoint)
            else:
                train_and_report(args, config, parts, notes, skipped, held_out, output, checkpoint)
    print(f"\n{output}/: {', '.join(sorted(path.name for path in output.iterdir()))}")
    print("Open:", output / "report.html")
    if not args.kfold:
        print(suggested_command("predict", str(output / "model.h5"), "PHOTO.jpg"))


def train_and_report(args: argparse.Namespace, config: TransferConfig, parts: dict[str, Dataset],
                     notes: list[str], skipped: list[str], held_out: str, output: Path,
                     checkpoint: Checkpoint) -> None:
    """Trains, evaluates, writes the run folder, prints the table."""
    train, test = parts["train"], parts["test"]
    epochs = config.epochs + config.finetune_epochs * bool(config.finetune)
    with EpochLines("VGG16", epochs) as bars:
        best = transfer(train, test, config, validation=parts.get("validation"), callbacks=[bars],
                        checkpoint=checkpoint, device=args.device)
    write_run(output, best, parts, held_out)
    scores = write_evaluation(output, best.evaluation, test.names, held_out)
    print("\n".join(best.notes))
    print_title(held_out)
    title = (f"VGG16, new head, {config.finetune} fine-tuned" if config.finetune else
             f"VGG16 frozen up to {config.last_kept}, new head")
    rows = {title: best.evaluation}
    print_result(title, best.evaluation)
    if not args.no_scratch:
        with ProgressBar("from scratch") as bars:
            size = 28 if args.sample == "fashion" else min(config.size, MAX_SCRATCH_SIZE)
            small = from_scratch(train, test, size=size, epochs=config.epochs, seed=config.seed,
                                 batch_size=config.batch_size, callbacks=[bars],
                                 checkpoint=checkpoint.of("scratch"), device=args.device)
        rows[title := "small network from scratch, same photos"] = small.evaluation
        write_curves(output, best, "validation" if "validation" in parts else held_out,
                     small.history)
        print_result(title, small.evaluation)
    write_run_page(output, best.evaluation, test, scores, model=best.model, held_out=held_out,
                   rows=rows, notes=[*notes, *best.notes], skipped=skipped, history=best.history,
                   rates=best.rates, parts=parts,
                   validation_name="validation" if "validation" in parts else held_out,
                   first_batch=first_batch(best.model, train, config), options=options_of(output))


def cross_validation(args: argparse.Namespace, config: TransferConfig, parts: dict[str, Dataset],
                     groups: np.ndarray | None, skipped: list[str], output: Path,
                     checkpoint: Checkpoint) -> None:
    """Cross-validation on the training photos: prints each fold and all folds together."""
    data, K = parts["train"], args.kfold
    epochs = config.epochs + config.finetune_epochs * bool(config.finetune)
    with ProgressBar("VGG16", epochs) as bars:
        result, accuracies = cross_validate(data, config, K, callbacks=[bars],
                                            groups=None if groups is None else groups.tolist(),
                                            checkpoint=checkpoint, device=args.device)
    scores = write_evaluation(output, result, data.names, "left-out")
    write_csv(output / "folds.csv", ["fold", "accuracy"], enumerate(accuracies, 1))
    for k, accuracy in enumerate(accuracies, 1):
        print(f"fold {k}: {100 * accuracy:.1f} %")
    spread = (f"mean {100 * accuracies.mean():.1f} %, standard deviation of the folds "
              f"{100 * accuracies.std(ddof=1):.1f}")
    notes = [spread, *diagnose({"loss": []}, result)]  # of the predictions alone
    print("\n".join(notes))
    print_title("left-out")
    print_result(title := "VGG16, every photo by a network that has not seen it", result)
    model = base_with_head(config, data.classes)  # untrained: for its input size and preprocessing
    first = data.subset(np.flatnonzero(data.folds(K, config.seed, groups) != 0))
    write_run_page(output, result, data, scores, model=model, held_out="left-out",
                   rows={title: result}, notes=notes, skipped=skipped, parts=parts,
                   first_batch=first_batch(model, first, config), options=options_of(output),
                   explained=False)


def options_of(output: Path) -> dict[str, Any]:
    """The options in the run's run.json."""
    return json.loads((output / "run.json").read_text("utf-8"))


def print_title(held_out: str) -> None:
    """The head of the table."""
    title = f"accuracy on the {held_out} photos"
    print(f"\n{title:<46} {'right':>9} {'accuracy':>9}   95 % interval")


def print_result(title: str, result: Evaluation) -> None:
    """One row of the table."""
    low, high = result.interval
    share = f"{result.num_correct}/{len(result.labels)}"
    print(f"{title:<46} {share:>9} {100 * result.accuracy:>7.1f} %   "
          f"{100 * low:.1f} … {100 * high:.1f} %")
