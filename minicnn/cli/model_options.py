"""The model of a command: vgg16, a run's, or any file that minicnn reads, and options for what the
file does not say: the names of its classes, its recipe from pixels to input, the input's size."""

from __future__ import annotations

import argparse
import math
import os
import sys
from dataclasses import replace
from pathlib import Path

from ..layers.sharing import last_activation
from ..model import Sequential
from ..models import VGG16, load
from ..models.load import base_recipe, lacks_channels, stretching_layers
from ..models.vgg16 import smallest_side
from ..preprocessing import Preprocessing
from ..utils.errors import ArgumentError, FileError
from ..weights.reading_models import input_shape_in_file
from .command_parser import Options
from .model_words import model_file
from .unused_options import unused_option

MODEL_OPTIONS = ("weights", "classes", "channels", "mean", "scale", "size")
ORDERS = {"rgb": "RGB", "bgr": "BGR", "grey": "GREY", "gray": "GREY"}
FITTING = {1: ("grey",), 3: ("rgb", "bgr")}  # --channels by the channels of the network's input
MAX_CLASSES_BYTES = 1_000_000
RECIPE_HINT = ("Say what it needs: --scale 1/255 for pixels of 0 … 1, --mean 127.5 --scale 1/127.5 "
               "for −1 … 1, --scale 1 for 0 … 255")


def add_model_options(p: Options, size: bool = True) -> None:
    """Declares the options of a model that is not minicnn's own. size: also --size."""
    option = p.group("models of Keras and others")
    option("--weights", str, None, "FILE", "of a model.json: the file with its weights")
    option("--classes", str, None, "A,B,C|FILE",
           "names of the model's classes, in the order of its outputs, or a text file with one "
           "name per line (default: those that the model's file has)")
    option("--channels", str, None, "rgb|bgr|grey",
           "what the model takes of pixels (default: rgb; grey for a model of one channel)")
    option("--mean", str, None, "R,G,B", "is subtracted from pixels of 0 … 255: red, green and "
           "blue, in this order also with bgr, or one number for all (default: 0)")
    option("--scale", str, None, "X", "then pixels are multiplied by it, such as 1/255 (default: "
           "1). Without --channels, --mean and --scale the recipe is the one in the model's file")
    if size:
        option("--size", sides, None, "H,W", "height and width of the input, or one number for "
               "both, of a model whose file leaves them open")


def sides(text: str) -> tuple[int, int]:
    """--size: "96,128" -> (96, 128), "224" -> (224, 224)."""
    try:
        numbers = [int(part) for part in text.replace("×", ",").replace("x", ",").split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2) or min(numbers) < 1:
        raise argparse.ArgumentTypeError(f"expected height,width in pixels, such as 224,224, or "
                                         f"one number for both, received {text!r}")
    return numbers[0], numbers[-1]


def check_vgg16_size(size: tuple[int, int], cut: str = "block5_pool") -> None:
    """Raises ArgumentError if VGG16's poolings up to `cut` leave nothing of such a photo."""
    least = smallest_side(cut)
    if min(size) < least:
        raise ArgumentError(f"--size: expected at least {least} pixels, since each of VGG16's "
                            f"poolings up to {cut} halves the photo, received "
                            f"{','.join(map(str, dict.fromkeys(size)))}. Choose a larger one.")


def given_options(args: argparse.Namespace) -> dict[str, str]:
    """The options of add_model_options that the command line has, as text."""
    given = {key: getattr(args, key) for key in MODEL_OPTIONS if getattr(args, key) is not None}
    if "size" in given:
        given["size"] = ",".join(map(str, given["size"]))
    return given


def open_file(name: str, args: argparse.Namespace) -> Sequential:
    """The model of a file or a run, with the classes, the recipe and the size of the options.

    Raises FileError for what is no model, ArgumentError for options that do not fit the model. How
    --weights were matched is printed on the standard error, and what Keras' Resizing does.
    """
    path = model_file(name)
    model = load(path, input_shape_for(path, args.size), weights=args.weights)
    if lacks_channels(model):  # photos have an axis of them
        model = load(path, (*model.input_shape, 1), weights=args.weights)
    if args.weights is not None or stretching_layers(model.layers):
        print(f"minicnn: {model.weights_note}", file=sys.stderr)
    if args.classes is not None:
        model.classes = class_names(args.classes, model, name)
    if not (args.channels is args.mean is args.scale is None):
        model.preprocessing = recipe(args, model, name)
    return model


def input_shape_for(path: str, size: tuple[int, int] | None) -> tuple[int, ...] | None:
    """The input shape of --size, for load. Raises ArgumentError if the file leaves no size open."""
    if size is None:
        return None
    shape = input_shape_in_file(path)
    if len(shape) != 3 or None not in shape[:2]:
        received = " × ".join(map(str, shape[:2])) if len(shape) == 3 else "no photos"
        raise ArgumentError(f"--size: expected only with vgg16 in look and atlas, or with a model "
                            f"whose file leaves the size open, received {size[0]},{size[1]}; "
                            f"{path} takes {received}. Leave it out.")
    return (*size, *(part for part in shape[2:] if part is not None))


def open_model(args: argparse.Namespace) -> Sequential:
    """The model args.model: vgg16 with its 1,000 classes, or that of a file; as open_file."""
    if args.model != "vgg16":
        return open_file(args.model, args)
    reject_model_options(args, "vgg16 has its own classes and recipe")
    return VGG16(progressbar=True)


def open_classifier(args: argparse.Namespace) -> tuple[Sequential, list[str]]:
    """The model args.model, and the names of its classes.

    Raises FileError if its outputs are not probabilities of classes that it names, or if it has no
    recipe for pixels; else as open_file.
    """
    model, name = open_model(args), args.model
    check_recipe(model, name)
    if model.classes is None:
        raise FileError(f"{name}: expected a model that carries its classes, found none. Name its "
                        f"{number_of_classes(model)} classes: --classes A,B,C, or a text file with "
                        f"one name per line; Keras' folders of photos are in alphabetical order.")
    if last_activation(model.layers) is None:
        kind = "sigmoid" if model.shapes()[-1] == (1,) else "softmax"
        raise FileError(f"{name}: expected a model that ends in Sigmoid or Softmax, whose outputs "
                        f"are probabilities, received one that ends in {model.layers[-1]!r}. If it "
                        f"was trained with from_logits=True, save it in Keras with what is "
                        f"missing: keras.Sequential([model, keras.layers.Activation('{kind}')])"
                        f".save('new.keras').")
    return model, model.classes


def check_recipe(model: Sequential, name: str) -> None:
    """Raises FileError if the model has no recipe from pixels to its input."""
    if model.preprocessing is None:
        raise FileError(f"{name}: expected a model that carries its preprocessing, the recipe for "
                        f"pixels, found none. {RECIPE_HINT}. As it was trained: another recipe "
                        f"gives wrong answers.")


def reject_model_options(args: argparse.Namespace, reason: str) -> None:
    """Raises ArgumentError if the command line has any of the options."""
    for key, value in given_options(args).items():
        if key == "size" and args.command in ("look", "atlas"):
            continue  # there it is the size of vgg16
        raise unused_option(f"--{key}", "a model of a file", f"{value}; {reason}")


def number_of_classes(model: Sequential) -> int:
    """As many as outputs; two for a single one."""
    outputs = math.prod(model.shapes()[-1])
    return 2 if outputs == 1 else outputs


def class_names(text: str, model: Sequential, name: str) -> list[str]:
    """The names of --classes: a,b,c, or the lines of a file. Raises ArgumentError unless there is a
    different one for each output, FileError if the file cannot be read."""
    if "," in text and not os.path.isfile(text):
        names = [part.strip() for part in text.split(",")]
    elif os.path.exists(text) or text.lower().endswith((".txt", ".csv", ".names")):
        names = _names_in_file(Path(text))
    else:
        names = [text]
    expected = number_of_classes(model)
    if len(names) != expected:
        shown = ", ".join(names[:5]) + ", …" * (len(names) > 5)
        raise ArgumentError(f"--classes: expected {expected} names, one for each output of {name}"
                            f"{' (two for its single one)' * (model.shapes()[-1] == (1,))}, "
                            f"received {len(names)}: {shown}. Name them in the order of the "
                            f"outputs.")
    for bad in names:
        if not bad or not bad.isprintable() or names.count(bad) > 1:
            raise ArgumentError(f"--classes: expected different printable names, received {bad!r}"
                                f"{' twice' * (names.count(bad) > 1)}. Correct it.")
    return names


def _names_in_file(path: Path) -> list[str]:
    """The lines of a text file. Numbers before all of them (0 cat, 1 dog, as Teachable Machine
    writes its labels.txt) are left out."""
    try:
        if path.stat().st_size > MAX_CLASSES_BYTES:
            raise ValueError(f"{path.stat().st_size:,} bytes")
        lines = [line.strip() for line in path.read_text("utf-8-sig").splitlines()]
    except (OSError, ValueError) as error:
        raise FileError(f"{path}: expected a text file with the name of a class a line, received "
                        f"{getattr(error, 'strerror', None) or error}. Check the name, or write "
                        f"--classes A,B,C.") from error
    names = [line for line in lines if line]
    if all(line.startswith(f"{k} ") for k, line in enumerate(names)):
        names = [line.split(" ", 1)[1].strip() for line in names]
    return names


def recipe(args: argparse.Namespace, model: Sequential, name: str) -> Preprocessing:
    """The recipe of --channels, --mean and --scale; what they leave out is 0 and 1, whatever the
    file says, but for its crop. Raises ArgumentError for options that do not fit the model."""
    shape = model.input_shape
    channels = shape[2] if len(shape) == 3 else 0
    if channels not in FITTING:
        raise ArgumentError(f"{', '.join(f'--{key}' for key in given_options(args))}: expected a "
                            f"model of photos, with 1 or 3 channels, received {name} of inputs "
                            f"{shape}. Leave it out.")
    word = (args.channels or FITTING[channels][0]).lower()
    order = ORDERS.get(word, "")
    if order not in {ORDERS[fitting] for fitting in FITTING[channels]}:
        raise ArgumentError(f"--channels: expected {' or '.join(FITTING[channels])} for {name}, "
                            f"whose inputs are {shape}, received {args.channels}.")
    mean = [0.0] if args.mean is None else [number(part, "--mean", args.mean)
                                            for part in args.mean.split(",")]
    if len(mean) not in (1, channels):
        raise ArgumentError(f"--mean: expected {'R,G,B or ' * (channels == 3)}one number, received "
                            f"{args.mean}.")
    scale = 1.0 if args.scale is None else number(args.scale, "--scale", args.scale)
    if scale == 0:
        raise ArgumentError("--scale: expected a number other than 0, such as 1/255, received 0.")
    mean = mean[::-1] if order == "BGR" else mean
    return replace(model.preprocessing or base_recipe(model), channel_order=order, mean=tuple(mean),
                   scale=scale)


def number(text: str, flag: str, received: str) -> float:
    """"0.5" -> 0.5, "1/255" -> 0.0039…; ArgumentError, with what the option received, for others.
    """
    above, slash, below = text.partition("/")
    try:
        value = float(above) / (float(below) if slash else 1)
    except (ValueError, ZeroDivisionError):
        value = math.nan
    if not math.isfinite(value):
        raise ArgumentError(f"{flag}: expected numbers, such as 127.5 or 1/255, received "
                            f"{received}.")
    return value
