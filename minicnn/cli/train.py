"""`minicnn train`: transfer learning, and the same photos for a small network from scratch."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from ..data import Dataset, ImageFolder, sample
from ..errors import ArgumentError
from ..progress import Bars
from ..report import FILES, run_folder, write_run
from ..training import Evaluation, from_scratch, transfer


def add(command: Callable) -> None:
    """The command and its options."""
    p, option = command("train", train_command, "train a classifier on photos")
    p.add_argument("folder", nargs="?", help="your photos, one sub-folder a class; without it, the "
                                             "built-in photos of clothes")
    p.add_argument("--classes", nargs="+", metavar="NAME",
                   help="built-in classes: t-shirt, trouser, pullover, dress, coat, sandal, shirt, "
                        "sneaker, bag, 'ankle boot', or all (default: sandal sneaker)")
    option("--per-class", int, None, "N", "built-in photos of each class to learn from, up to 100 "
                                          "(default: 20)")
    option("--test-fraction", float, None, "SHARE", "share of your photos that is held out for the "
                                                    "test (default: 0.25)")
    option("--cut", str, "block4_pool", "LAYER", "last layer of VGG16 that is kept, frozen")
    option("--size", int, 64, "PIXELS", "side of the square that photos are cut to")
    option("--epochs", int, 60, "N", "how often each photo is seen")
    option("--batch-size", int, 32, "N", "photos a step")
    option("--lr", float, None, "STEP", "Adam's step size (default: measured, so that the first "
                                        "step moves an output by about 1)")
    option("--seed", int, 0, "N", "decides which photos are drawn, and their order")
    p.add_argument("--no-scratch", action="store_true",
                   help="leave out the comparison with a small network from scratch")
    option("--output", str, None, "FOLDER", "where the run is written (default: a new folder in "
                                            "runs/)")


def train_command(args: argparse.Namespace) -> None:
    """The main job: transfer learning, and the same photos for a small network from scratch."""
    refuse_strays(args)
    if args.folder is None:
        names = args.classes or ["sandal", "sneaker"]
        names = None if names == ["all"] else names
        train = sample("train", names, 20 if args.per_class is None else args.per_class, args.seed)
        held_out, test = "test", sample("test", names)
        stem = "-".join(train.classes if names else ["fashion"]).replace(" ", "_")
    else:
        folder = ImageFolder(args.folder)
        describe_folder(folder)
        held_out, fraction = "held-out", args.test_fraction or 0.25
        train, test = folder.split(1 - fraction, args.seed)
        stem = Path(args.folder).resolve().name
    names = train.classes if len(train.classes) < 5 else [f"One of {len(train.classes)} classes"]
    print(f"{' or '.join(names)}? {per_class(train)} photos to learn from, "
          f"{len(test)} {held_out} photos.")
    with run_folder(args.output, stem) as output:
        learn_and_report(args, train, test, held_out, output)
    print(f"\n{output}/: {', '.join(FILES)}")
    print("Next:", shlex.join([sys.argv[0], "predict", str(output / "model.h5"), "PHOTO.jpg"]))


def refuse_strays(args: argparse.Namespace) -> None:
    """Options that would be ignored, or ask for nothing, are refused."""
    for option, value, only in (("--classes", args.classes, "the built-in sample"),
                                ("--per-class", args.per_class, "the built-in sample"),
                                ("--test-fraction", args.test_fraction, "a folder of photos")):
        if value is not None and (args.folder is None) == (only == "a folder of photos"):
            raise ArgumentError(f"{option}: expected only with {only}, received {value}. Leave it "
                                f"out.")
    if args.test_fraction is not None and not 0 < args.test_fraction < 1:
        raise ArgumentError(f"--test-fraction: expected a share between 0 and 1, "
                            f"received {args.test_fraction}.")


def learn_and_report(args: argparse.Namespace, train: Dataset, test: Dataset, held_out: str,
                     output: Path) -> None:
    """Trains, measures, writes the run folder, prints the table."""
    common = {"epochs": args.epochs, "batch_size": args.batch_size, "seed": args.seed,
              "device": args.device}
    with Bars(args.epochs, "VGG16") as bars:
        best = transfer(train, test, size=args.size, cut=args.cut, lr=args.lr, callbacks=[bars],
                        **common)
    write_run(output, best, test, held_out)
    first, last = best.history["loss"][0], best.history["loss"][-1]
    if args.epochs > 1 and not last < first:
        print(f"It has not learnt: the loss went from {first:.3g} to {last:.3g}. Try another --lr; "
              f"without it, a fitting one is chosen.")

    title = f"accuracy on the {held_out} photos"
    print(f"\n{title:<46} {'right':>9} {'accuracy':>9}   95 % interval")
    print_result(f"VGG16 frozen up to {args.cut}, new head", best.evaluation)
    if not args.no_scratch:
        with Bars(args.epochs, "from scratch") as bars:
            size = 28 if args.folder is None else args.size
            small = from_scratch(train, test, size=size, callbacks=[bars], **common)
        print_result("small network from scratch, same photos", small.evaluation)


def per_class(data: Dataset) -> str:
    """20 + 20."""
    counts = list(data.counts.values())
    return " + ".join(map(str, counts)) if len(counts) < 6 else f"{sum(counts)}"


def describe_folder(folder: ImageFolder) -> None:
    """What was found, and what was left out and why."""
    print(folder)
    for reason in folder.skipped:
        print(f"  skipped: {reason}")


def print_result(title: str, result: Evaluation) -> None:
    """One row of the table."""
    low, high = result.interval
    share = f"{result.right}/{len(result.labels)}"
    print(f"{title:<46} {share:>9} {100 * result.accuracy:>7.1f} %   "
          f"{100 * low:.1f} … {100 * high:.1f} %")
