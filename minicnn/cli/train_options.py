"""The options of `minicnn train`, their conflicts, and where their values come from."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ..data.sample import SAMPLES
from ..report import check_interrupted
from ..training import SCHEDULES, TransferConfig
from ..training.transfer_config import BLOCKS
from ..utils.errors import ArgumentError, FileError
from ..utils.ranks import current_ranks
from ..utils.suggest import closest_names, suggest_path
from .command_parser import Options, describe, layout
from .option_values import BATCH_SIZE, SEED, SHARE, Integer, Number, Value, words
from .train_features import options_of_features
from .unused_options import unused_option

STANDARD = TransferConfig()  # the defaults
TEXT = "train a classifier on photos: transfer learning from pretrained VGG16"
ABOUT = """\
Puts a new head on VGG16, trains it on your photos, tests it on photos that it
has not seen, and compares it with a small network from scratch. Writes a run
folder with report.html, the model and all settings."""
EXAMPLES = (("built-in photos: cirrus or cumulus?", "minicnn train"),
            ("your photos, split by minicnn data",
             "minicnn train photos/ --split photos-report/split.csv"),
            ("more from the same photos: larger, and eight random views of each",
             "minicnn train photos/ --size 160 --augment flip,zoom=0.2 --views 8"))
SCREEN = ("verbose", "quiet")  # options of what is printed
NOT_SAVED = ("config", "resume", "output", *SCREEN)  # options that run.json does not hold


def add_options(p: argparse.ArgumentParser, option: Options) -> None:
    """Adds all options to the parser, in the groups of its help; its usage and examples, too."""
    p.usage = "minicnn train [FOLDER] [OPTIONS]"
    p.description = describe(TEXT, ABOUT)
    p.epilog = layout(EXAMPLES)
    option.words("folder", "FOLDER", "your photos, one sub-folder per class (default: built-in "
                                     "photos, see --sample)", "?")
    add_data_options(option.group("data"))
    add_network_options(option.group("network"))
    add_learning_options(option.group("learning"))
    add_finetuning_options(option.group("fine-tuning"))
    add_run_options(option.group("run"))


def add_data_options(option: Options) -> None:
    """Which photos, and how they are split."""
    option.choice("--sample", SAMPLES, None, "built-in photos: clouds (the default; altocumulus, "
                  "cirrus, contrail, cumulonimbus, cumulus, stratus), or fashion, small grey ones "
                  "(t-shirt, trouser, pullover, dress, coat, sandal, shirt, sneaker, bag, 'ankle "
                  "boot')")
    option.words("--classes", "NAME", "classes of the built-in photos, or all (default: cirrus "
                                      "cumulus; of fashion: sandal sneaker)", "+")
    option("--per-class", Integer("20"), None, "N",
           "built-in training photos of each class (default: 20)")
    option("--test-fraction", SHARE, None, "SHARE",
           "share of your photos that is held out for the test (default: 0.25)")
    option("--validation-fraction", SHARE, None, "SHARE",
           "share of the training photos by which the best epoch is chosen (default: none, "
           "with --patience 0.2)")
    option("--split", str, None, "FILE", "a split.csv that says which photo is for training, "
                                         "validation and test")
    option("--features", str, None, "FILE",
           "features of your photos, which minicnn features has computed; without FOLDER only the "
           "head is trained, with no comparison and no --finetune")
    option("--kfold", Integer("5", 2), None, "K",
           "cross-validation: K trainings, each tested on another K-th of all photos (built-in "
           "ones: of the training photos)")
    option("--augment", str, STANDARD.augment, "VIEWS",
           "augmentation: train on random views, flip,shift=0.08,rotate=10,zoom=0.1,colour=0.15 or "
           "some of these; against overfitting")
    option("--views", Integer("8"), STANDARD.views, "K", "random views of each photo")


def add_network_options(option: Options) -> None:
    """The base, the head and the size of the photos."""
    option("--cut", str, None, "LAYER", "last layer of the pretrained VGG16 to keep, frozen "
                                        "(default: block4_pool, or that of the --finetune block)")
    option("--size", Integer("128"), STANDARD.size, "PIXELS",
           "side of the square to which photos are cropped")
    option("--dropout", Number("0.2", maximum=1, open_above=True), STANDARD.dropout, "RATE",
           "dropout before the head, against overfitting")
    option.flag("--no-scratch", "leave out the comparison with a small network from scratch")
    option.flag("--no-label-check", "leave out the search for training photos with a wrong label")


def add_learning_options(option: Options) -> None:
    """Epochs, learning rate, loss."""
    option("--epochs", Integer("60"), STANDARD.epochs, "N",
           "number of epochs: passes over the training photos")
    option("--batch-size", BATCH_SIZE, STANDARD.batch_size, "N", "photos per step")
    option("--lr", Number("1e-6", open_below=True), None, "RATE",
           "Adam's learning rate (default: measured, so that the first step moves an output by "
           "about 1)")
    option.flag("--find-lr", "learning rate finder: take the learning rate at which the loss falls "
                             "fastest while it grows, and draw that curve (lr.png)")
    option("--schedule", words(SCHEDULES, "cosine"), STANDARD.schedule, "NAME",
           "learning rate schedule: " + ", ".join(SCHEDULES))
    option("--patience", Integer("5"), None, "N",
           "early stopping: stop if the validation loss has not fallen for N epochs")
    option("--weight-decay", Number("1e-4"), STANDARD.weight_decay, "LAMBDA",
           "L2 penalty on the head")
    option("--label-smoothing", Number("0.1", maximum=1, open_above=True),
           STANDARD.label_smoothing, "SHARE",
           "label smoothing: share of each label that goes to the other classes")
    option.flag("--class-weights", "give every class the same weight, however many photos it has "
                                   "(for imbalanced classes)")


def add_finetuning_options(option: Options) -> None:
    """The second phase, in which a block of VGG16 is trained, too."""
    option("--finetune", words(BLOCKS, "block5", empty=True), STANDARD.finetune, "BLOCK",
           "then also train this block of VGG16: block5, block4, … (default: none)")
    option("--finetune-epochs", Integer("10"), STANDARD.finetune_epochs, "N",
           "epochs of that second phase")
    option("--finetune-lr", Number("1e-5", open_below=True), STANDARD.finetune_lr, "RATE",
           "learning rate of the block")


def add_run_options(option: Options) -> None:
    """Where the run is written, and where it computes."""
    option("--output", str, None, "FOLDER", "folder of the run (default: a new folder in "
                                            "runs/)")
    option("--seed", SEED, STANDARD.seed, "N", "seed of the choice of photos, and of their order")
    option("--config", str, None, "FILE", "options from the run.json of a run; those on the "
                                          "command line take precedence")
    option("--resume", str, None, "RUN", "resume an interrupted run, with its options")
    option("--memory-budget", Integer("1000", 0), STANDARD.memory_budget, "MB",
           "memory for features; larger ones go to a temporary file")
    option.device()


def track_explicit_options(p: argparse.ArgumentParser) -> None:
    """Leaves options that are not on the command line out of the namespace; see resolve_options."""
    actions = {action.dest: action for action in p._actions if action.dest not in ("help", "lang")}
    p.set_defaults(actions=actions, defaults={key: a.default for key, a in actions.items()})
    for action in actions.values():
        action.default = argparse.SUPPRESS


def resolve_options(args: argparse.Namespace) -> argparse.Namespace:
    """The value of every option: from the command line, else from --config or --resume, else its
    default."""
    explicit = {key: value for key, value in vars(args).items() if key in args.actions}
    config = {}
    if "resume" in explicit:
        # Rank 0 reads them for all: the others need not see the folder of the run.
        config = current_ranks().from_first(lambda: resumed_options(explicit, args.actions))
    elif "config" in explicit:
        config = read_options(explicit["config"], args.actions)
    options = args.defaults | config | explicit
    if options["features"] is not None:
        options = options_of_features(options, {*config, *explicit})
    if (config.get("folder", "") is None and "sample" not in config and options["folder"] is None
            and options["features"] is None):
        options["sample"] = explicit.get("sample", "fashion")  # a run.json from before the clouds
    return argparse.Namespace(**options)


def read_options(path: str, actions: dict[str, argparse.Action]) -> dict[str, Any]:
    """The options in a run.json."""
    try:
        values = json.loads(Path(path).read_text("utf-8"))
        if not isinstance(values, dict):
            raise ValueError("no object at its top")
        values.pop("used", None)  # what the options of that run came to
    except (OSError, ValueError) as error:
        raise FileError(f"{path}: expected the run.json of a run, received {error}. "
                        f"Check the path.{'' if Path(path).exists() else suggest_path(path)}"
                        ) from error
    options = {}
    known = [key for key in actions if key not in NOT_SAVED]
    for key, value in values.items():
        if key not in known:
            nearest = closest_names(key, known, 1)
            raise ArgumentError(f"{path}: expected options of train, received {key!r}. "
                                f"Nearest: {', '.join(nearest) or 'none'}.")
        action = actions[key]
        try:
            if action.nargs == 0 and not isinstance(value, bool):
                raise ValueError
            if value is not None and action.nargs != 0:
                convert = action.type if callable(action.type) else str
                value = [str(v) for v in value] if action.nargs == "+" else convert(value)
            if value is not None and action.choices and value not in action.choices:
                raise ValueError
        except (TypeError, ValueError) as error:
            kind = ("true or false" if action.nargs == 0 else str(action.type)
                    if isinstance(action.type, Value) else action.metavar or "text")
            raise ArgumentError(f"{path}: expected {key} to be {kind}, received "
                                f"{values[key]!r}.") from error
        options[key] = value
    return options


def resumed_options(explicit: dict[str, Any], actions: dict[str, argparse.Action]
                    ) -> dict[str, Any]:
    """The options of the run that --resume names, and its split."""
    others = [action.option_strings[-1] if action.option_strings else key
              for key, action in actions.items()
              if key in explicit and key not in ("resume", *SCREEN)]
    if others:
        raise ArgumentError(f"--resume: expected no other options, since the run has its own, "
                            f"received {', '.join(others)}. Leave them out.")
    run = Path(explicit["resume"])
    check_interrupted(run)
    options = read_options(str(run / "run.json"), actions)
    built_in = options.get("folder") is None and options.get("features") is None
    return options | ({} if built_in else {"split": str(run / "split.csv")})


def reject_unused_options(args: argparse.Namespace) -> None:
    """Raises ArgumentError for options that would be ignored, or that contradict each other."""
    built_in = args.folder is None and args.features is None
    for option, value, only in (("--sample", args.sample, "built-in photos"),
                                ("--classes", args.classes, "built-in photos"),
                                ("--per-class", args.per_class, "built-in photos"),
                                ("--split", args.split, "a folder of photos"),
                                ("--test-fraction", args.test_fraction, "a folder of photos")):
        if value is not None and built_in == (only == "a folder of photos"):
            raise unused_option(option, only, value)
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
    if args.classes and args.classes != ["all"] and len({*args.classes}) < 2:
        raise ArgumentError(f"--classes: expected two different classes or more, received "
                            f"{' '.join(args.classes)}. Name another, or write --classes all.")
