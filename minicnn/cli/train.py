"""`minicnn train`: transfer learning, and the same photos for a small network from scratch."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from ..data import (
    Dataset,
    ImageFolder,
    drawn_parts,
    near_duplicates,
    perceptual_hashes,
    read_split,
    readable,
    sample,
    split_folders,
    subsets,
    write_split,
)
from ..errors import ArgumentError, FileError
from ..files import write_text
from ..progress import Bar, Bars
from ..report import (
    CHECKPOINTS,
    resumed_folder,
    run_folder,
    write_csv,
    write_evaluation,
    write_run,
    write_run_page,
)
from ..report.photos import fed_batch
from ..training import (
    Checkpoints,
    Evaluation,
    Recipe,
    base_with_head,
    cross_validate,
    from_scratch,
    transfer,
)
from .kept import kept
from .train_options import NOT_KEPT, add_options, refuse_strays, take_config, take_resumed

RECIPE = [field.name for field in fields(Recipe)]


def add(command: Callable) -> None:
    """The command and its options."""
    p, option = command("train", train_command, "train a classifier on photos")
    add_options(p, option)


def train_command(args: argparse.Namespace) -> None:
    """The main job: transfer learning, and the same photos for a small network from scratch."""
    if args.resume:
        take_resumed(args)
    else:
        if args.config:
            take_config(args)
        refuse_strays(args)
    recipe = Recipe(**{name: getattr(args, name) for name in RECIPE})
    parts, skipped, held_out, stem = photos_of(args)
    train, test = parts["train"], parts["test"]
    names = train.classes if len(train.classes) < 5 else [f"One of {len(train.classes)} classes"]
    print(f"{' or '.join(names)}? {per_class(train)} photos to learn from, "
          f"{len(test)} {held_out} photos.")
    for sentence in imbalance(train, args.class_weights):
        print(sentence)
    with (resumed_folder(args.resume) if args.resume else run_folder(args.output, stem)) as output:
        if not args.resume:
            options = {key: value for key, value in vars(args).items() if key not in NOT_KEPT}
            (output / CHECKPOINTS).mkdir()
            write_split(output / "split.csv", parts)
            write_text(output / "run.json", json.dumps(options, indent=1))
        with kept(output) as checkpoints:
            if args.kfold:
                cross_validation(args, recipe, parts, skipped, output, checkpoints)
            else:
                learn_and_report(args, recipe, parts, skipped, held_out, output, checkpoints)
    print(f"\n{output}/: {', '.join(sorted(path.name for path in output.iterdir()))}")
    print("Open:", output / "report.html")
    if not args.kfold:
        print("Next:", shlex.join([sys.argv[0], "predict", str(output / "model.h5"), "PHOTO.jpg"]))


def photos_of(args: argparse.Namespace) -> tuple[dict[str, Dataset], list[str], str, str]:
    """({"train": …, "test": …, and "validation" where asked for}, the files that cannot be read,
    what the test photos are called, a name for the run)."""
    share = args.validation_fraction or (0.2 if args.patience is not None and not args.split else 0)
    if args.folder is None:
        names = args.classes or ["sandal", "sneaker"]
        names = None if names == ["all"] else names
        train = sample("train", names, 20 if args.per_class is None else args.per_class, args.seed)
        stem = "-".join(train.classes if names else ["fashion"]).replace(" ", "_")
        parts = dict(zip(("train", "validation"), train.split(1 - share, args.seed), strict=True)
                     ) if share else {"train": train}
        return {**parts, "test": sample("test", names)}, [], "test", stem
    stem = Path(args.folder).resolve().name
    if folders := split_folders(args.folder):
        parts, skipped = already_split(args, folders), [
            reason for folder in folders.values() for reason in folder.skipped]
        parts, unread = readable(parts, Bar("reading the photos"))
        return parts, skipped + say_unread(unread), "held-out", stem
    folder = ImageFolder(args.folder)
    describe_folder(folder)
    if args.split:
        parts = read_split(args.split, folder)
        if {"train", "test"} - set(parts):
            raise FileError(f"{args.split}: expected parts train and test, received "
                            f"{', '.join(parts)}.")
        parts, unread = readable(parts, Bar("reading the photos"))
        return parts, folder.skipped + say_unread(unread), "held-out", stem
    test = args.test_fraction or 0.25
    shares = {"train": (1 - test) * (1 - share), "validation": (1 - test) * share, "test": test}
    found = perceptual_hashes(folder, Bar("reading the photos"))
    unread = say_unread(list(found.unread.values()))
    parts = drawn_parts(folder, shares, found, near_duplicates(folder, found), args.seed)
    return subsets(folder, parts), folder.skipped + unread, "held-out", stem


def say_unread(reasons: list[str]) -> list[str]:
    """Tells which photos have good headers and damaged pixels."""
    for reason in reasons:
        print(f"  skipped: {reason}")
    if reasons:
        print(f"Photos that could not be read and do not count: {len(reasons)}.")
    return reasons


def already_split(args: argparse.Namespace, folders: dict[str, ImageFolder]) -> dict[str, Dataset]:
    """The parts of a folder that holds train/, and test/ or val/ or both."""
    for option, value in (("--test-fraction", args.test_fraction), ("--kfold", args.kfold),
                          ("--validation-fraction", args.validation_fraction),
                          ("--split", not args.resume and args.split)):
        if value:
            raise ArgumentError(f"{option}: expected only with a folder that is not split, "
                                f"{args.folder} holds {', '.join(folders)}. Leave it out.")
    if args.patience is not None and len(folders) < 3:
        raise FileError(f"{args.folder}: expected train, val and test for --patience, found "
                        f"{' and '.join(folders)}. What the best epoch is chosen by is no test.")
    train = folders["train"]
    for name, part in folders.items():
        describe_folder(part)
        if part.classes != train.classes:
            raise FileError(f"{args.folder}: expected the classes of train, "
                            f"{', '.join(train.classes)}, in {name}, too, found "
                            f"{', '.join(part.classes)}.")
        part.names = [file.relative_to(args.folder).as_posix() for file in part.items]
    return folders if "test" in folders else {"train": train, "test": folders["validation"]}


def imbalance(train: Dataset, weighted: bool) -> list[str]:
    """A sentence where classes are of very different size."""
    counts = train.counts
    most, least = max(counts, key=counts.get), min(counts, key=counts.get)
    if counts[most] < 3 * counts[least] or weighted:
        return []
    return [f"{most} has {counts[most]} photos, {least} {counts[least]}: always saying {most} "
            f"would be right for {counts[most] / len(train):.0%}. Try --class-weights."]


def learn_and_report(args: argparse.Namespace, recipe: Recipe, parts: dict[str, Dataset],
                     skipped: list[str], held_out: str, output: Path,
                     checkpoints: Checkpoints) -> None:
    """Trains, measures, writes the run folder, prints the table."""
    train, test = parts["train"], parts["test"]
    epochs = recipe.epochs + recipe.finetune_epochs * bool(recipe.finetune)
    with Bars(epochs, "VGG16", lines=True) as bars:
        best = transfer(train, test, recipe, validation=parts.get("validation"), callbacks=[bars],
                        checkpoints=checkpoints, device=args.device)
    write_run(output, best, parts, held_out)
    scores = write_evaluation(output, best.evaluation, test.names, held_out)
    print("\n".join(best.notes))
    print_title(held_out)
    title = (f"VGG16, new head, {recipe.finetune} fine-tuned" if recipe.finetune else
             f"VGG16 frozen up to {recipe.last_kept}, new head")
    rows = {title: best.evaluation}
    print_result(title, best.evaluation)
    if not args.no_scratch:
        with Bars(recipe.epochs, "from scratch") as bars:
            size = 28 if args.folder is None else recipe.size
            small = from_scratch(train, test, size=size, epochs=recipe.epochs, seed=recipe.seed,
                                 batch_size=recipe.batch_size, callbacks=[bars],
                                 checkpoints=checkpoints.of("scratch"), device=args.device)
        rows[title := "small network from scratch, same photos"] = small.evaluation
        print_result(title, small.evaluation)
    write_run_page(output, best.evaluation, test, scores, model=best.model, held_out=held_out,
                   rows=rows, notes=[*imbalance(train, args.class_weights), *best.notes],
                   skipped=skipped, history=best.history, rates=best.rates, parts=parts,
                   watched="validation" if "validation" in parts else held_out,
                   fed=fed_batch(best.model, train, recipe), options=options_of(output))


def cross_validation(args: argparse.Namespace, recipe: Recipe, parts: dict[str, Dataset],
                     skipped: list[str], output: Path, checkpoints: Checkpoints) -> None:
    """K trainings on the photos to learn from: a row each, and all of them together."""
    data, K = parts["train"], args.kfold
    epochs = recipe.epochs + recipe.finetune_epochs * bool(recipe.finetune)
    with Bars(K * epochs, "VGG16") as bars:
        result, accuracies = cross_validate(data, recipe, K, callbacks=[bars],
                                            checkpoints=checkpoints, device=args.device)
    scores = write_evaluation(output, result, data.names, "left-out")
    write_csv(output / "folds.csv", ["fold", "accuracy"], enumerate(accuracies, 1))
    for k, accuracy in enumerate(accuracies, 1):
        print(f"fold {k}: {100 * accuracy:.1f} %")
    spread = (f"mean {100 * accuracies.mean():.1f} %, standard deviation of the folds "
              f"{100 * accuracies.std(ddof=1):.1f}")
    print(spread)
    print_title("left-out")
    print_result(title := "VGG16, every photo by a network that has not seen it", result)
    model = base_with_head(recipe, data.classes)  # for its recipe: it has not learnt
    first = data.subset(np.flatnonzero(data.folds(K, recipe.seed) != 0))
    write_run_page(output, result, data, scores, model=model, held_out="left-out",
                   rows={title: result}, notes=[spread], skipped=skipped, parts=parts,
                   fed=fed_batch(model, first, recipe), options=options_of(output), explained=False)


def options_of(output: Path) -> dict[str, Any]:
    """Those of run.json."""
    return json.loads((output / "run.json").read_text("utf-8"))


def per_class(data: Dataset) -> str:
    """20 + 20."""
    counts = list(data.counts.values())
    return " + ".join(map(str, counts)) if len(counts) < 6 else f"{sum(counts)}"


def describe_folder(folder: ImageFolder) -> None:
    """What was found, and what was left out and why."""
    print(folder)
    for reason in folder.skipped:
        print(f"  skipped: {reason}")


def print_title(held_out: str) -> None:
    """The head of the table."""
    title = f"accuracy on the {held_out} photos"
    print(f"\n{title:<46} {'right':>9} {'accuracy':>9}   95 % interval")


def print_result(title: str, result: Evaluation) -> None:
    """One row of the table."""
    low, high = result.interval
    share = f"{result.right}/{len(result.labels)}"
    print(f"{title:<46} {share:>9} {100 * result.accuracy:>7.1f} %   "
          f"{100 * low:.1f} … {100 * high:.1f} %")
