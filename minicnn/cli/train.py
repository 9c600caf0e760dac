"""`minicnn train`: transfer learning, and the same photos for a small network from scratch."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import numpy as np

from ..data import Dataset, ImageFolder, sample
from ..data.duplicates import near_duplicates
from ..data.splits import read_split, split_folders, split_parts, write_split
from ..errors import ArgumentError, FileError, NotFiniteError
from ..files import drafts, held, write_text
from ..progress import Bars
from ..report import CHECKPOINTS, resumed_folder, run_folder, write_csv, write_evaluation, write_run
from ..training import (
    Checkpoints,
    Evaluation,
    Recipe,
    cross_validate,
    from_scratch,
    transfer,
)
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
    parts, held_out, stem = photos_of(args)
    train, test = parts["train"], parts["test"]
    names = train.classes if len(train.classes) < 5 else [f"One of {len(train.classes)} classes"]
    print(f"{' or '.join(names)}? {per_class(train)} photos to learn from, "
          f"{len(test)} {held_out} photos.")
    say_imbalance(train, args.class_weights)
    with (resumed_folder(args.resume) if args.resume else run_folder(args.output, stem)) as output:
        if not args.resume:
            options = {key: value for key, value in vars(args).items() if key not in NOT_KEPT}
            (output / CHECKPOINTS).mkdir()
            write_split(output / "split.csv", parts)
            write_text(output / "run.json", json.dumps(options, indent=1))
        with kept(output) as checkpoints:
            if args.kfold:
                cross_validation(args, recipe, parts, output, checkpoints)
            else:
                learn_and_report(args, recipe, parts, held_out, output, checkpoints)
    print(f"\n{output}/: {', '.join(sorted(path.name for path in output.iterdir()))}")
    if not args.kfold:
        print("Next:", shlex.join([sys.argv[0], "predict", str(output / "model.h5"), "PHOTO.jpg"]))


def photos_of(args: argparse.Namespace) -> tuple[dict[str, Dataset], str, str]:
    """({"train": …, "test": …, and "validation" where asked for}, what the test photos are called,
    a name for the run)."""
    share = args.validation_fraction or (0.2 if args.patience is not None and not args.split else 0)
    if args.folder is None:
        names = args.classes or ["sandal", "sneaker"]
        names = None if names == ["all"] else names
        train = sample("train", names, 20 if args.per_class is None else args.per_class, args.seed)
        stem = "-".join(train.classes if names else ["fashion"]).replace(" ", "_")
        parts = dict(zip(("train", "validation"), train.split(1 - share, args.seed), strict=True)
                     ) if share else {"train": train}
        return {**parts, "test": sample("test", names)}, "test", stem
    stem = Path(args.folder).resolve().name
    if folders := split_folders(args.folder):
        return already_split(args, folders), "held-out", stem
    folder = ImageFolder(args.folder)
    describe_folder(folder)
    if args.split:
        parts = read_split(args.split, folder)
        if {"train", "test"} - set(parts):
            raise FileError(f"{args.split}: expected parts train and test, received "
                            f"{', '.join(parts)}.")
        return parts, "held-out", stem
    test = args.test_fraction or 0.25
    groups = near_duplicates(folder)
    shares = {"train": (1 - test) * (1 - share), "validation": (1 - test) * share, "test": test}
    part = np.array(split_parts(folder, {k: v for k, v in shares.items() if v}, groups, args.seed))
    return ({name: folder.subset(np.flatnonzero(part == name)) for name in shares if shares[name]},
            "held-out", stem)


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


def say_imbalance(train: Dataset, weighted: bool) -> None:
    """Classes of very different size are told."""
    counts = train.counts
    most, least = max(counts, key=counts.get), min(counts, key=counts.get)
    if counts[most] >= 3 * counts[least] and not weighted:
        print(f"{most} has {counts[most]} photos, {least} {counts[least]}: always saying {most} "
              f"would be right for {counts[most] / len(train):.0%}. Try --class-weights.")


@contextmanager
def kept(output: Path) -> Iterator[Checkpoints]:
    """The run's checkpoints, taken away when it is done; nobody else works in the folder meanwhile.
    Ctrl-C and SIGTERM end the step, write where it stands, and the command that goes on is said; so
    it is where a disk is full."""
    with held(output):
        for draft in [*drafts(output), *drafts(output / CHECKPOINTS)]:  # of a life that was killed
            draft.unlink(missing_ok=True)
        options = json.loads((output / "run.json").read_text("utf-8"))
        split = (output / "split.csv").read_text("utf-8", "surrogateescape")
        with stoppable(output, Checkpoints(output / CHECKPOINTS, "vgg16", {
                **options, "split": split})) as checkpoints:
            yield checkpoints


@contextmanager
def stoppable(output: Path, checkpoints: Checkpoints) -> Iterator[Checkpoints]:
    """What `kept` does with signals and errors."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    before = [signal.getsignal(number) for number in numbers]

    def stop(number: int, frame: object) -> None:
        os.write(2, b"stopping after this step; once more stops at once\n")  # print may be at work
        checkpoints.stop()
        signals(before)

    def signals(handlers: list) -> None:
        if threading.current_thread() is threading.main_thread():
            for number, handler in zip(numbers, handlers, strict=True):
                signal.signal(number, handler)

    go_on = f"Go on with: minicnn train --resume {shlex.quote(str(output))}"
    signals([stop, stop])
    try:
        yield checkpoints
        checkpoints.remove()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped. {go_on}" if checkpoints.any() else "stopped.") from None
    except NotFiniteError as error:
        path = output / "last_finite.h5"
        try:
            error.model.save(path)
        except FileError as other:
            raise NotFiniteError(f"{error} {other}") from error
        checkpoints.remove()  # to go on would end in the same place
        raise NotFiniteError(f"{error} The last finite weights are in {path}.") from error
    except FileError as error:
        if not output.is_dir():
            raise FileError(f"{error} The folder of this run is gone; where it was moved, go on "
                            f"there with minicnn train --resume.") from error
        if not checkpoints.any():
            raise
        raise FileError(f"{error} What was learnt until then is kept. {go_on}") from error
    except OSError:  # of what is printed
        if checkpoints.any():
            print(go_on, file=sys.stderr)
        raise
    finally:
        signals(before)


def learn_and_report(args: argparse.Namespace, recipe: Recipe, parts: dict[str, Dataset],
                     held_out: str, output: Path, checkpoints: Checkpoints) -> None:
    """Trains, measures, writes the run folder, prints the table."""
    train, test = parts["train"], parts["test"]
    epochs = recipe.epochs + recipe.finetune_epochs * bool(recipe.finetune)
    with Bars(epochs, "VGG16", lines=True) as bars:
        best = transfer(train, test, recipe, validation=parts.get("validation"), callbacks=[bars],
                        checkpoints=checkpoints, device=args.device)
    write_run(output, best, parts, held_out)
    print("\n".join(best.notes))
    print_title(held_out)
    print_result(f"VGG16, new head, {recipe.finetune} fine-tuned" if recipe.finetune else
                 f"VGG16 frozen up to {recipe.last_kept}, new head", best.evaluation)
    if not args.no_scratch:
        with Bars(recipe.epochs, "from scratch") as bars:
            size = 28 if args.folder is None else recipe.size
            small = from_scratch(train, test, size=size, epochs=recipe.epochs, seed=recipe.seed,
                                 batch_size=recipe.batch_size, callbacks=[bars],
                                 checkpoints=checkpoints.of("scratch"), device=args.device)
        print_result("small network from scratch, same photos", small.evaluation)


def cross_validation(args: argparse.Namespace, recipe: Recipe, parts: dict[str, Dataset],
                     output: Path, checkpoints: Checkpoints) -> None:
    """K trainings on the photos to learn from: a row each, and all of them together."""
    data, K = parts["train"], args.kfold
    epochs = recipe.epochs + recipe.finetune_epochs * bool(recipe.finetune)
    with Bars(K * epochs, "VGG16") as bars:
        result, accuracies = cross_validate(data, recipe, K, callbacks=[bars],
                                            checkpoints=checkpoints, device=args.device)
    write_evaluation(output, result, data, "left-out")
    write_csv(output / "folds.csv", ["fold", "accuracy"], enumerate(accuracies, 1))
    for k, accuracy in enumerate(accuracies, 1):
        print(f"fold {k}: {100 * accuracy:.1f} %")
    print(f"mean {100 * accuracies.mean():.1f} %, standard deviation of the folds "
          f"{100 * accuracies.std(ddof=1):.1f}")
    print_title("left-out")
    print_result("VGG16, every photo by a network that has not seen it", result)


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
