"""`minicnn export`: a model as an ONNX file."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from ..visualize.result import writable
from ..weights.onnx import write_onnx
from .model_options import MODEL_HELP, add_model_options, open_model


def add(command: Callable) -> None:
    """The command and its options."""
    p, option = command("export", export_command, "write a model as ONNX, for other engines")
    p.add_argument("model", help=MODEL_HELP)
    p.add_argument("file", metavar="FILE.onnx", help="the file to write: network, weights, "
                                                     "preprocessing and classes")
    p.add_argument("--force", action="store_true", help="overwrite the file")
    add_model_options(option)


def export_command(args: argparse.Namespace) -> None:
    """Writes the file, and prints its input and output."""
    path = writable(args.file, (".onnx",), args.force)
    model = open_model(args)
    write_onnx(path, model)
    shapes = [", ".join(map(str, ("N", *shape))) for shape in model.shapes()]
    input_name = "x, network input" if model.preprocessing is None else (
        f"pixels, {'grey' if model.preprocessing.channels == 1 else 'RGB'} 0…255")
    print(f"{path}\n  input   {input_name}: float32 ({shapes[0]})\n"
          f"  output  y: float32 ({shapes[-1]})")
    if model.classes is not None:
        shown = ", ".join(model.classes[:10]) + ", …" * (len(model.classes) > 10)
        second = "; y is the probability of the second" * (shapes[-1] == "N, 1")
        print(f"  classes {shown}{second}")
