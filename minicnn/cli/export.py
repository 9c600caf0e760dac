"""`minicnn export`: a model as an ONNX file."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from ..models import VGG16, load
from ..visualize.result import writable
from ..weights.onnx import write_onnx


def add(command: Callable) -> None:
    """The command and its options."""
    p, _ = command("export", export_command, "write a model as ONNX, for other engines")
    p.add_argument("model", help="a model.h5, or vgg16 for ImageNet's 1,000 classes")
    p.add_argument("file", metavar="FILE.onnx", help="the file to write: network, weights, "
                                                     "preprocessing and classes")
    p.add_argument("--force", action="store_true", help="overwrite the file")


def export_command(args: argparse.Namespace) -> None:
    """Writes the file, and prints its input and output."""
    path = writable(args.file, (".onnx",), args.force)
    model = VGG16(progressbar=True) if args.model == "vgg16" else load(args.model)
    write_onnx(path, model)
    shapes = [", ".join(map(str, ("N", *shape))) for shape in model.shapes()]
    input_name = "x, network input" if model.preprocessing is None else "pixels, RGB 0…255"
    print(f"{path}\n  input   {input_name}: float32 ({shapes[0]})\n"
          f"  output  y: float32 ({shapes[-1]})")
    if model.classes is not None:
        shown = ", ".join(model.classes[:10]) + ", …" * (len(model.classes) > 10)
        second = "; y is the probability of the second" * (shapes[-1] == "N, 1")
        print(f"  classes {shown}{second}")
