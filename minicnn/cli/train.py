"""`minicnn train`: transfer learning, and the same photos for a small network from scratch."""

from __future__ import annotations

import argparse
import difflib
import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np

from ..data import Dataset, ImageFolder, sample
from ..data.duplicates import near_duplicates
from ..data.splits import read_split, split_parts
from ..errors import ArgumentError, FileError
from ..progress import Bars
from ..report import run_folder, write_csv, write_evaluation, write_run
from ..training import (
    SCHEDULES,
    Evaluation,
    Recipe,
    cross_validate,
    from_scratch,
    transfer,
)

RECIPE = [field.name for field in fields(Recipe)]
NOT_KEPT = ("run", "config", "output", "parser")  # options that run.json does without


def add(command: Callable) -> None:
    """The command and its options."""
    p, option = command("train", train_command, "train a classifier on photos")
    p.set_defaults(parser=p)
    standard = Recipe()
    p.add_argument("folder", nargs="?", help="your photos, one sub-folder a class; without it, the "
                                             "built-in photos of clothes")
    p.add_argument("--classes", nargs="+", metavar="NAME",
                   help="built-in classes: t-shirt, trouser, pullover, dress, coat, sandal, shirt, "
                        "sneaker, bag, 'ankle boot', or all (default: sandal sneaker)")
    option("--per-class", int, None, "N", "built-in photos of each class to learn from, up to 100 "
                                          "(default: 20)")
    option("--test-fraction", float, None, "SHARE", "share of your photos that is held out for the "
                                                    "test (default: 0.25)")
    option("--validation-fraction", float, None, "SHARE",
           "share of the photos to learn from by which the best epoch is chosen (default: none, "
           "with --patience 0.2)")
    option("--split", str, None, "FILE", "a split.csv that says which photo is for training, "
                                         "validation and test")
    option("--cut", str, None, "LAYER", "last layer of VGG16 that is kept, frozen (default: "
                                        "block4_pool, or that of the --finetune block)")
    option("--size", int, standard.size, "PIXELS", "side of the square that photos are cut to")
    option("--epochs", int, standard.epochs, "N", "how often each photo is seen")
    option("--batch-size", int, standard.batch_size, "N", "photos a step")
    option("--lr", float, None, "STEP", "Adam's step size (default: measured, so that the first "
                                        "step moves an output by about 1)")
    p.add_argument("--find-lr", action="store_true", help="take the step size at which the loss "
                   "falls fastest while it grows, and draw that curve (lr.png)")
    option("--schedule", str, standard.schedule, "NAME", "of the step size: "
                                                         + ", ".join(SCHEDULES))
    option("--patience", int, None, "N", "stop where the validation loss has not fallen for N "
                                         "epochs")
    option("--augment", str, standard.augment, "VIEWS",
           "learn from random views: flip,shift=0.08,rotate=10,zoom=0.1,colour=0.15 or some of "
           "these")
    option("--views", int, standard.views, "K", "random views of each photo")
    option("--dropout", float, standard.dropout, "RATE", "before the head")
    option("--weight-decay", float, standard.weight_decay, "LAMBDA", "L2 penalty on the head")
    option("--label-smoothing", float, standard.label_smoothing, "SHARE", "of the targets")
    p.add_argument("--class-weights", action="store_true",
                   help="let every class weigh alike, however many photos it has")
    option("--finetune", str, standard.finetune, "BLOCK", "then let this block of VGG16 learn, "
                                                          "too: block5, block4, …")
    option("--finetune-epochs", int, standard.finetune_epochs, "N", "of that second phase")
    option("--finetune-lr", float, standard.finetune_lr, "STEP", "step size of the block")
    option("--kfold", int, None, "K", "K trainings, each tested on another K-th of the photos")
    option("--seed", int, standard.seed, "N", "decides which photos are drawn, and their order")
    p.add_argument("--no-scratch", action="store_true",
                   help="leave out the comparison with a small network from scratch")
    option("--config", str, None, "FILE", "options from the run.json of a run; those given here "
                                          "count more")
    option("--output", str, None, "FOLDER", "where the run is written (default: a new folder in "
                                            "runs/)")


def train_command(args: argparse.Namespace) -> None:
    """The main job: transfer learning, and the same photos for a small network from scratch."""
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
    with run_folder(args.output, stem) as output:
        if args.kfold:
            cross_validation(args, recipe, parts, output)
        else:
            learn_and_report(args, recipe, parts, held_out, output)
        options = {key: value for key, value in vars(args).items() if key not in NOT_KEPT}
        (output / "run.json").write_text(json.dumps(options, indent=1), "utf-8")
    print(f"\n{output}/: {', '.join(sorted(path.name for path in output.iterdir()))}")
    if not args.kfold:
        print("Next:", shlex.join([sys.argv[0], "predict", str(output / "model.h5"), "PHOTO.jpg"]))


def take_config(args: argparse.Namespace) -> None:
    """Options of a run.json for those that the command line leaves at their default."""
    actions = {action.dest: action for action in args.parser._actions if action.dest != "help"}
    try:
        given = json.loads(Path(args.config).read_text("utf-8"))
        if not isinstance(given, dict):
            raise ValueError("no object at its top")
    except (OSError, ValueError) as problem:
        raise FileError(f"{args.config}: expected the run.json of a run, received {problem}. "
                        f"Check the path.") from problem
    for key, value in given.items():
        if key not in actions or key in NOT_KEPT:
            near = difflib.get_close_matches(key, [k for k in actions if k not in NOT_KEPT], 1, 0.3)
            raise ArgumentError(f"{args.config}: expected options of train, received {key!r}. "
                                f"Nearest: {', '.join(near) or 'none'}.")
        action = actions[key]
        try:
            if action.nargs == 0 and not isinstance(value, bool):
                raise ValueError
            if value is not None and action.nargs != 0:
                value = ([str(v) for v in value] if action.nargs == "+" else
                         (action.type or str)(value))
            if action.choices and value not in action.choices:
                raise ValueError
        except (TypeError, ValueError) as problem:
            kind = "true or false" if action.nargs == 0 else action.metavar or "text"
            raise ArgumentError(f"{args.config}: expected {key} to be {kind}, received "
                                f"{given[key]!r}.") from problem
        if getattr(args, key) == action.default:
            setattr(args, key, value)


def refuse_strays(args: argparse.Namespace) -> None:
    """Options that would be ignored, or ask for nothing, are refused."""
    for option, value, only in (("--classes", args.classes, "the built-in sample"),
                                ("--per-class", args.per_class, "the built-in sample"),
                                ("--split", args.split, "a folder of photos"),
                                ("--test-fraction", args.test_fraction, "a folder of photos")):
        if value is not None and (args.folder is None) == (only == "a folder of photos"):
            raise ArgumentError(f"{option}: expected only with {only}, received {value}. Leave it "
                                f"out.")
    for option, value, other in (
            ("--lr", args.lr, args.find_lr and "--find-lr"),
            ("--split", args.split, args.kfold and "--kfold"),
            ("--split", args.split, args.test_fraction is not None and "--test-fraction"),
            ("--split", args.split, args.validation_fraction and "--validation-fraction"),
            ("--kfold", args.kfold, args.patience is not None and "--patience"),
            ("--kfold", args.kfold, args.validation_fraction and "--validation-fraction")):
        if value is not None and other:
            raise ArgumentError(f"{option}: expected without {other}, received both. Leave one "
                                f"out.")
    for option, value in (("--test-fraction", args.test_fraction),
                          ("--validation-fraction", args.validation_fraction)):
        if value is not None and not 0 < value < 1:
            raise ArgumentError(f"{option}: expected a share between 0 and 1, received {value}.")


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
    folder = ImageFolder(args.folder)
    describe_folder(folder)
    stem = Path(args.folder).resolve().name
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


def say_imbalance(train: Dataset, weighted: bool) -> None:
    """Classes of very different size are told."""
    counts = train.counts
    most, least = max(counts, key=counts.get), min(counts, key=counts.get)
    if counts[most] >= 3 * counts[least] and not weighted:
        print(f"{most} has {counts[most]} photos, {least} {counts[least]}: always saying {most} "
              f"would be right for {counts[most] / len(train):.0%}. Try --class-weights.")


def learn_and_report(args: argparse.Namespace, recipe: Recipe, parts: dict[str, Dataset],
                     held_out: str, output: Path) -> None:
    """Trains, measures, writes the run folder, prints the table."""
    train, test = parts["train"], parts["test"]
    epochs = recipe.epochs + recipe.finetune_epochs * bool(recipe.finetune)
    with Bars(epochs, "VGG16", lines=True) as bars:
        best = transfer(train, test, recipe, validation=parts.get("validation"), callbacks=[bars],
                        device=args.device)
    write_run(output, best, parts, held_out)
    first, last = best.history["loss"][0], best.history["loss"][-1]
    if epochs > 1 and not last < first:
        print(f"It has not learnt: the loss went from {first:.3g} to {last:.3g}. Try another --lr; "
              f"without it, a fitting one is chosen.")
    print("\n".join(best.notes))
    print_title(held_out)
    print_result(f"VGG16, new head, {recipe.finetune} fine-tuned" if recipe.finetune else
                 f"VGG16 frozen up to {recipe.last_kept}, new head", best.evaluation)
    if not args.no_scratch:
        with Bars(recipe.epochs, "from scratch") as bars:
            size = 28 if args.folder is None else recipe.size
            small = from_scratch(train, test, size=size, epochs=recipe.epochs, seed=recipe.seed,
                                 batch_size=recipe.batch_size, callbacks=[bars],
                                 device=args.device)
        print_result("small network from scratch, same photos", small.evaluation)


def cross_validation(args: argparse.Namespace, recipe: Recipe, parts: dict[str, Dataset],
                     output: Path) -> None:
    """K trainings on the photos to learn from: a row each, and all of them together."""
    data, K = parts["train"], args.kfold
    epochs = recipe.epochs + recipe.finetune_epochs * bool(recipe.finetune)
    with Bars(K * epochs, "VGG16") as bars:
        result, accuracies = cross_validate(data, recipe, K, callbacks=[bars], device=args.device)
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
