"""`minicnn …`: arguments in, calls, text out; nothing else."""

from __future__ import annotations

import argparse
import runpy
import shlex
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from . import __version__
from .arrays import DEVICES
from .data import Dataset, ImageFolder, photo_paths, read_image, resize_and_crop, sample
from .errors import ArgumentError, FileError, MiniCNNError, whole
from .gradcheck import Gradcheck
from .layers import Sigmoid, Softmax
from .look import METHODS, OPTIONS, atlas_job, listing, look_job
from .model import Sequential
from .models import VGG16, load
from .progress import Bars
from .report import FILES, run_folder, write_run
from .selfcheck import check_all, check_user_layer
from .training import Evaluation, class_probabilities, from_scratch, transfer


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


def predict_command(args: argparse.Namespace) -> int:
    """The most probable classes of each photo; 2 where one could not be read."""
    if args.top < 1:
        raise ArgumentError(f"--top: expected 1 class or more, received {args.top}.")
    paths, unread = photo_paths(args.photos), 0
    model = VGG16(progressbar=True) if args.model == "vgg16" else load(args.model)
    model.to(args.device)
    if model.classes is None or model.preprocessing is None:
        raise FileError(f"{args.model}: expected a model that carries its classes and its "
                        f"preprocessing, found none. Set model.classes and model.preprocessing "
                        f"and save it again.")
    last = getattr(model.layers[-1], "activation", None) or model.layers[-1]
    if not isinstance(last, (Sigmoid, Softmax)):
        raise FileError(f"{args.model}: expected a model that ends in Sigmoid or Softmax, whose "
                        f"outputs are probabilities, found {last!r} at its end.")
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


def look_command(args: argparse.Namespace) -> int:
    """An analysis or the atlas: its numbers and its file; 2 where a photo could not be read."""
    if args.job is look_job and (not args.words or args.words[0] not in METHODS):
        print(listing())
        if not args.words:
            return 0
    job = args.job(args)
    for reason in job.skipped:
        print(f"minicnn: {reason}", file=sys.stderr)
    if job.skipped:
        print(f"{len(job.skipped)} skipped")
    for part in job.run():
        print(part)
    return 2 if job.skipped else 0


def gradcheck_command(args: argparse.Namespace) -> int:
    """A table of analytic against numeric gradients; 1 where one is wrong."""
    if args.shape and not args.layer:
        raise ArgumentError("--shape: expected with FILE.py:ClassName, received without. "
                            "minicnn's layers are checked on shapes of their own.")
    whole(args.seed, "--seed", least=0)
    results = [check_user_class(args)] if args.layer else check_all(args.seed, args.device)
    print(f"{'layer':<34} {'gradient':<16} {'shape':<16} {'checked':<14} {'error':>8}")
    for result in results:
        print(result)
    wrong = sum(row.note != "ok" for result in results for row in result.rows)
    if args.layer and len(results[0].rows) == 1:
        print("No parameters were found in .params, so only dx was checked.")
    print(f"{wrong} wrong" if wrong else
          "All gradients agree with central differences (relative error, float64).")
    return 1 if wrong else 0


def check_user_class(args: argparse.Namespace) -> Gradcheck:
    """gradcheck of FILE.py:ClassName. Runs that file, which is the user's own."""
    file, _, name = args.layer.rpartition(":")
    if not file.endswith(".py") or not Path(file).is_file():
        raise FileError(f"{args.layer}: expected FILE.py:ClassName with a Python file that exists.")
    try:
        found = runpy.run_path(file)
        if not isinstance(found.get(name), type):
            classes = [key for key, value in found.items()
                       if isinstance(value, type) and value.__module__ == "<run_path>"]
            raise ArgumentError(f"{file}: expected a class {name!r}, "
                                f"found {', '.join(classes) or 'none'}.")
        return check_user_layer(found[name](), args.shape or (2, 6, 7, 3), args.seed,
                                args.device)
    except MiniCNNError:
        raise
    except Exception as error:  # whatever the user's code raises becomes a sentence with its line
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__)
                 if frame.filename == file]
        raise ArgumentError(
            f"{file}, line {(lines or [getattr(error, 'lineno', '?')])[-1]}: expected a {name} "
            f"made without arguments, with forward(x, training=False, keep=True) and "
            f"backward(dy), received {type(error).__name__}: {error}.") from error


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

    def command(name: str, run, text: str):
        p = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        p.set_defaults(run=run)

        def option(flag: str, kind, default, unit: str, text: str) -> None:
            shown = "" if default is None else f" (default: {default})"
            p.add_argument(*flag.split(), type=kind, default=default, metavar=unit,
                           help=text + shown)
        p.add_argument("--device", choices=DEVICES, default="cpu",
                       help="where to compute: cuda is an NVIDIA GPU (extra cuda12 or cuda13), "
                            "cuda-sim its kernels on the processor, slowly (needs a C++ compiler)")
        return p, option

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

    p, option = command("predict", predict_command, "name the most probable classes of photos")
    p.add_argument("model", help="a model.h5, or vgg16 for ImageNet's 1,000 classes")
    p.add_argument("photos", nargs="+", help="photos, or folders of photos")
    option("--top", int, 5, "N", "how many classes to print")
    p, option = command("look", look_command, "show what the layers of a network see")
    p.set_defaults(job=look_job)
    p.add_argument("words", nargs="*", metavar="METHOD [MODEL] [PHOTO]",
                   help="without any, the methods are listed. MODEL: vgg16 (the base that ships), "
                        "vgg16-top (with its 1,000 classes, downloaded once), or a model.h5. "
                        "PHOTO: photos or folders; without, built-in ones")
    for flag, (kind, unit, text) in OPTIONS.items():
        option(f"--{flag}", kind, None, unit, text)
    option("-o --output", str, None, "FILE", "a picture (.png, .pdf, .svg), the numbers (.npz), of "
                                             "maximise a .gif, too (default: look-METHOD.png)")
    p.add_argument("--force", action="store_true", help="overwrite the output file")
    p, option = command("atlas", look_command, "write one page that shows what the layers see")
    p.set_defaults(job=atlas_job)
    p.add_argument("words", nargs="*", metavar="[MODEL] [PHOTO]", help="as of look")
    option("-o --output", str, "atlas.html", "FILE", "the page")
    option("--layers", str, None, "LAYER,LAYER", "which layers are shown")
    option("--maps", int, 4, "N", "how many maps of each layer")
    option("--size", int, None, "PIXELS", "side of vgg16's input (default: 128)")
    p.add_argument("--force", action="store_true", help="overwrite the page")

    p, option = command("gradcheck", gradcheck_command, "check gradients by central differences")
    p.add_argument("layer", nargs="?", metavar="FILE.py:ClassName",
                   help="a layer of your own; without it, all of minicnn's are checked")
    option("--shape", shape, None, "N,H,W,C", "of the random x for your layer (default: 2,6,7,3)")
    option("--seed", int, 0, "N", "of the random numbers")
    return main


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: 0, 1 where gradcheck found a wrong gradient, 2 and one sentence for an error."""
    args, more = parser().parse_known_args(argv)
    if more and ("words" not in args or any(word[0] == "-" for word in more)):
        parser().error(f"unrecognized arguments: {' '.join(more)}")
    if more:  # words behind an option: look grad-cam --unit 3 photo.jpg
        args.words += more
    try:
        return args.run(args) or 0
    except MiniCNNError as error:
        print(f"minicnn: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("minicnn: stopped.", file=sys.stderr)
        return 130
