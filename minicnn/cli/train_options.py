"""The options of `minicnn train`: what there is, what goes together, and from where."""

from __future__ import annotations

import argparse
import difflib
import json
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..training import SCHEDULES, TransferConfig
from ..utils.errors import ArgumentError, FileError

NOT_KEPT = ("config", "resume", "output")  # options that run.json does without


def add_options(p: argparse.ArgumentParser, option: Callable) -> None:
    """All of them; option(…) adds one that has a value."""
    standard = TransferConfig()
    p.add_argument("folder", nargs="?", help="your photos, one sub-folder per class (default: "
                                             "the built-in photos of clothes)")
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
    option("--lr", float, None, "RATE", "Adam's learning rate (default: measured, so that the "
                                        "first step moves an output by about 1)")
    p.add_argument("--find-lr", action="store_true", help="take the learning rate at which the "
                   "loss falls fastest while it grows, and draw that curve (lr.png)")
    option("--schedule", str, standard.schedule, "NAME", "of the learning rate: "
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
    option("--finetune-lr", float, standard.finetune_lr, "RATE", "learning rate of the block")
    option("--kfold", int, None, "K", "K trainings, each tested on another K-th of all photos (of "
                                      "the built-in ones, of those to learn from)")
    option("--seed", int, standard.seed, "N", "decides which photos are drawn, and their order")
    p.add_argument("--no-scratch", action="store_true",
                   help="leave out the comparison with a small network from scratch")
    option("--config", str, None, "FILE", "options from the run.json of a run; those given here "
                                          "count more")
    option("--resume", str, None, "RUN", "go on with a run that was interrupted, with its options")
    option("--memory-budget", int, standard.memory_budget, "MB",
           "that features may take in memory; what is more lies in a temporary file")
    option("--output", str, None, "FOLDER", "where the run is written (default: a new folder in "
                                            "runs/)")


def tell_given(p: argparse.ArgumentParser) -> None:
    """What the command line does not give is then not in the namespace, see taken."""
    actions = {action.dest: action for action in p._actions if action.dest != "help"}
    p.set_defaults(actions=actions, defaults={key: a.default for key, a in actions.items()})
    for action in actions.values():
        action.default = argparse.SUPPRESS


def taken(args: argparse.Namespace) -> argparse.Namespace:
    """Every option: as given, else as --config or --resume has it, else its default."""
    given = {key: value for key, value in vars(args).items() if key in args.actions}
    config = {}
    if "resume" in given:
        config = of_resumed(given, args.actions)
    elif "config" in given:
        config = of_config(given["config"], args.actions)
    return argparse.Namespace(**args.defaults | config | given)


def of_config(path: str, actions: dict[str, argparse.Action]) -> dict[str, Any]:
    """The options in a run.json."""
    try:
        found = json.loads(Path(path).read_text("utf-8"))
        if not isinstance(found, dict):
            raise ValueError("no object at its top")
    except (OSError, ValueError) as problem:
        raise FileError(f"{path}: expected the run.json of a run, received {problem}. "
                        f"Check the path.") from problem
    options = {}
    for key, value in found.items():
        if key not in actions or key in NOT_KEPT:
            near = difflib.get_close_matches(key, [k for k in actions if k not in NOT_KEPT], 1, 0.3)
            raise ArgumentError(f"{path}: expected options of train, received {key!r}. "
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
            raise ArgumentError(f"{path}: expected {key} to be {kind}, received "
                                f"{found[key]!r}.") from problem
        options[key] = value
    return options


def of_resumed(given: dict[str, Any], actions: dict[str, argparse.Action]) -> dict[str, Any]:
    """All options of the run that --resume names, and its split."""
    others = [action.option_strings[-1] if action.option_strings else key
              for key, action in actions.items() if key in given and key != "resume"]
    if others:
        raise ArgumentError(f"--resume: expected no other options, since the run has its own, "
                            f"received {', '.join(others)}. Leave them out.")
    run = Path(given["resume"])
    options = of_config(str(run / "run.json"), actions)
    return options | ({} if options.get("folder") is None else {"split": str(run / "split.csv")})


def next_step(*words: str) -> str:
    """What to type then: minicnn … where that name on the PATH is this one, else its path."""
    found = shutil.which("minicnn")
    this = found and Path(found).resolve() == Path(sys.argv[0]).resolve()
    return f"Next: {shlex.join(['minicnn' if this else sys.argv[0], *words])}"


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
            ("--kfold", args.kfold, args.test_fraction is not None and "--test-fraction"),
            ("--kfold", args.kfold, args.validation_fraction and "--validation-fraction")):
        if value is not None and other:
            raise ArgumentError(f"{option}: expected without {other}, received both. Leave one "
                                f"out.")
    for option, value in (("--test-fraction", args.test_fraction),
                          ("--validation-fraction", args.validation_fraction)):
        if value is not None and not 0 < value < 1:
            raise ArgumentError(f"{option}: expected a share between 0 and 1, received {value}.")


