"""`minicnn …`: arguments in, calls, text out; nothing else."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from . import __version__
from .data import Dataset, ImageFolder, read_image, resize_and_crop, sample
from .errors import ArgumentError, FileError, MiniCNNError
from .gradcheck import check_all, check_user_layer
from .model import Sequential, load
from .models import VGG16
from .report import FILES, run_folder, write_run
from .training import (
    Callback,
    Evaluation,
    class_probabilities,
    from_scratch,
    transfer,
)

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")


class Bars(Callback):
    """tqdm bars on stderr: for the features, then for the epochs; none where it is no terminal."""

    def __init__(self, epochs: int, title: str) -> None:
        from tqdm import tqdm

        self.epochs, self.title, self.bar, self.stage, self.tqdm = epochs, title, None, "", tqdm

    def _show(self, stage: str, total: int, unit: str) -> None:
        if stage != self.stage:
            self._close()
            self.stage = stage
            self.bar = self.tqdm(total=total, desc=f"{self.title}: {stage}", unit=unit,
                                 disable=None, leave=False)

    def on_batch_end(self, stage: str, done: int, total: int) -> None:
        """Photos whose features are done."""
        if "features" in stage:
            self._show(stage, total, " photos")
            self.bar.update(done - self.bar.n)

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Epochs done, with the latest figures."""
        self._show("training", self.epochs, " epochs")
        self.bar.set_postfix({key: f"{value:.3f}" for key, value in logs.items()}, refresh=False)
        self.bar.update(epoch - self.bar.n)

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *error: object) -> None:
        self._close()


def train_command(args: argparse.Namespace) -> None:
    """The main job: transfer learning, and the same photos for a small network from scratch."""
    if args.folder is None:
        train = sample("train", args.classes, args.per_class, args.seed)
        held_out, test = "test", sample("test", args.classes)
        stem = "-".join(train.classes if len(train.classes) < 4 else ["fashion"]).replace(" ", "_")
    else:
        folder = ImageFolder(args.folder)
        describe_folder(folder)
        held_out, (train, test) = "held-out", folder.split(1 - args.test_fraction, args.seed)
        stem = Path(args.folder).resolve().name
    print(f"{' or '.join(train.classes)}? {per_class(train)} photos to learn from, "
          f"{len(test)} {held_out} photos.")
    with run_folder(args.output, stem) as output:
        learn_and_report(args, train, test, held_out, output)
    print(f"\n{output}/: {', '.join(FILES)}")
    print(f"Next: minicnn predict {output / 'model.h5'} PHOTO.jpg")


def learn_and_report(args: argparse.Namespace, train: Dataset, test: Dataset, held_out: str,
                     output: Path) -> None:
    """Trains, measures, writes the run folder, prints the table."""
    common = {"epochs": args.epochs, "batch_size": args.batch_size, "seed": args.seed}
    with Bars(args.epochs, "VGG16") as bars:
        best = transfer(train, test, size=args.size, cut=args.cut, lr=args.lr, callbacks=[bars],
                        **common)
    write_run(output, best, test, held_out)

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


def photo_paths(arguments: Sequence[str]) -> list[Path]:
    """Photos as they are given; of a folder, the photos in it."""
    paths = []
    for path in map(Path, arguments):
        if not path.exists():
            raise FileError(f"{path}: expected a photo or a folder of photos, found nothing.")
        inside = [path]
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
        if not inside:
            raise FileError(f"{path}: expected photos in this folder ({', '.join(SUFFIXES)}), "
                            f"found none.")
        paths += inside
    return paths


def predict_command(args: argparse.Namespace) -> int:
    """The most probable classes of each photo; 2 where one could not be read."""
    paths, unread = photo_paths(args.photos), 0
    model = VGG16(progressbar=True) if args.model == "vgg16" else load(args.model)
    if model.classes is None or model.preprocessing is None:
        raise FileError(f"{args.model}: expected a model that carries its classes and its "
                        f"preprocessing, found none. Set model.classes and model.preprocessing "
                        f"and save it again.")
    for path in paths:
        try:
            print(prediction(model, read_image(path), path, args.top))
        except FileError as error:
            print(f"minicnn: {error}", file=sys.stderr)
            unread += 1
    return 2 if unread else 0


def prediction(model: Sequential, photo: np.ndarray, path: Path, top: int) -> str:
    """photo.jpg: 93.1 % sneaker, 6.9 % sandal."""
    pixels = resize_and_crop(photo, model.input_shape[:2], model.preprocessing.crop_fraction)
    p = class_probabilities(model.predict(pixels[None]))[0]
    best = np.argsort(-p, kind="stable")[:top]
    return f"{path}: " + ", ".join(f"{100 * p[k]:.1f} % {model.classes[k]}" for k in best)


def gradcheck_command(args: argparse.Namespace) -> int:
    """A table of analytic against numeric gradients; 1 where one is wrong."""
    results = ([check_user_layer(user_class(args.layer)(), args.shape, args.seed)] if args.layer
               else check_all(args.seed))
    print(f"{'layer':<34} {'gradient':<16} {'shape':<16} {'checked':<14} {'error':>8}")
    for result in results:
        print(result)
    wrong = sum(row.note != "ok" for result in results for row in result.rows)
    print(f"{wrong} wrong" if wrong else
          "All gradients agree with central differences (relative error, float64).")
    return 1 if wrong else 0


def user_class(where: str) -> type:
    """FILE.py:ClassName -> the class. Runs that file, which is the user's own."""
    file, _, name = where.rpartition(":")
    if not file.endswith(".py") or not Path(file).is_file():
        raise FileError(f"{where}: expected FILE.py:ClassName with a Python file that exists.")
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not isinstance(getattr(module, name, None), type):
        classes = [key for key, value in vars(module).items() if isinstance(value, type)]
        raise ArgumentError(f"{file}: expected a class {name!r}, "
                            f"found {', '.join(classes) or 'none'}.")
    return getattr(module, name)


def shape(text: str) -> tuple[int, ...]:
    """2,6,7,3 -> (2, 6, 7, 3)."""
    sizes = tuple(int(part) for part in text.split(","))
    if min(sizes) < 1:
        raise ValueError
    return sizes


def parser() -> argparse.ArgumentParser:
    """All commands and options."""
    main = argparse.ArgumentParser(prog="minicnn",
                                   description="Convolutional networks from scratch.")
    main.add_argument("--version", action="version", version=f"minicnn {__version__}")
    commands = main.add_subparsers(required=True, metavar="COMMAND")

    p = commands.add_parser("train", help="train a classifier on your photos, or on the sample",
                            formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("folder", nargs="?", help="one sub-folder a class; none: the built-in sample")
    p.add_argument("--classes", nargs="+", default=["sandal", "sneaker"], help="of the sample")
    p.add_argument("--per-class", type=int, default=20, help="training photos, of the sample")
    p.add_argument("--test-fraction", type=float, default=0.25, help="held out, of a folder")
    p.add_argument("--cut", default="block4_pool", help="last layer of VGG16 that is kept, frozen")
    p.add_argument("--size", type=int, default=64, help="side of the images, in pixels")
    p.add_argument("--epochs", type=int, default=60, help="times that each photo is seen")
    p.add_argument("--batch-size", type=int, default=32, help="photos a step")
    p.add_argument("--lr", type=float, help="Adam's step; None: the first moves a logit by 1")
    p.add_argument("--seed", type=int, default=0, help="of the choice and order of the photos")
    p.add_argument("--no-scratch", action="store_true", help="without the network from scratch")
    p.add_argument("--output", help="folder for the run; None: a new one in runs/")
    p.set_defaults(run=train_command)

    p = commands.add_parser("predict", help="classify photos")
    p.add_argument("model", help="a model.h5, or vgg16 for ImageNet's 1,000 classes")
    p.add_argument("photos", nargs="+", help="photos, or folders of photos")
    p.add_argument("--top", type=int, default=5, help="classes to print (default: 5)")
    p.set_defaults(run=predict_command)

    p = commands.add_parser("gradcheck", help="check every gradient, or those of your own layer")
    p.add_argument("layer", nargs="?", metavar="FILE.py:ClassName")
    p.add_argument("--shape", type=shape, default=(2, 6, 7, 3), help="of x (default: 2,6,7,3)")
    p.add_argument("--seed", type=int, default=0)
    p.set_defaults(run=gradcheck_command)
    return main


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: 0, 1 where gradcheck found a wrong gradient, 2 and one sentence for an error."""
    args = parser().parse_args(argv)
    try:
        return args.run(args) or 0
    except MiniCNNError as error:
        print(f"minicnn: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("minicnn: stopped.", file=sys.stderr)
        return 130
