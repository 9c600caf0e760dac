"""`minicnn predict`: the most probable classes of photos."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..data import photo_paths, read_image, resize_and_crop
from ..errors import ArgumentError, FileError
from ..layers import Sigmoid, Softmax
from ..model import Sequential
from ..models import VGG16, load
from ..training import class_probabilities


def add(command: Callable) -> None:
    """The command and its options."""
    p, option = command("predict", predict_command, "name the most probable classes of photos")
    p.add_argument("model", help="a model.h5, or vgg16 for ImageNet's 1,000 classes")
    p.add_argument("photos", nargs="+", help="photos, or folders of photos")
    option("--top", int, 5, "N", "how many classes to print")


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
