"""`minicnn export`: a model as an ONNX file."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from ..utils.errors import ArgumentError
from ..utils.language import gettext as _
from ..weights.onnx import write_onnx
from .json_output import add_json, write_json
from .model_options import add_model_options, open_model
from .model_words import MODEL_HELP, names_model
from .output_names import new_file

ABOUT = """\
The file runs in onnxruntime, in browsers and on phones. Needs the package onnx:
pip install onnx, or the extra: pip install -e ".[onnx]", in minicnn's folder."""
EXAMPLES = (("the model of a run", "minicnn export runs/photos-1 clouds.onnx"),
            ("pretrained VGG16 with its 1,000 classes", "minicnn export vgg16 vgg16.onnx"),
            ("a model of Keras' without names",
             "minicnn export cats.keras cats.onnx --classes cat,dog --scale 1/255"))


def add(command: Callable) -> None:
    """The command and its options."""
    option = command("export", export_command, "write a model as ONNX, for other engines",
                     "MODEL FILE.onnx [OPTIONS]", ABOUT, EXAMPLES)[1]
    option.words("model", "MODEL", MODEL_HELP)
    option.words("file", "FILE.onnx", "the file to write: network, weights, preprocessing and "
                                      "classes")
    option.flag("--force", "overwrite the file")
    add_json(option)
    add_model_options(option)


def export_command(args: argparse.Namespace) -> None:
    """Writes the file, and prints its input and output."""
    if args.model.endswith(".onnx") and names_model(args.file):
        raise ArgumentError(f"export: expected the model before FILE.onnx, received {args.model} "
                            f"before {args.file}: exchanged? Write {args.file} first.")
    path = new_file(args.file, (".onnx",), args.force)
    model = open_model(args)
    write_onnx(path, model)
    shapes = [", ".join(map(str, ("N", *shape))) for shape in model.shapes()]
    recipe = model.preprocessing
    name, kind = ("x", _("network input")) if recipe is None else (
        "pixels", _("grey 0…255") if recipe.channels == 1 else _("RGB 0…255"))
    print(path)
    print(_("  input   {name}, {kind}: float32 ({shape})", name=name, kind=kind, shape=shapes[0]))
    print(_("  output  {name}: float32 ({shape})", name="y", shape=shapes[-1]))
    write_json(args, {"file": path, "input": {"name": name, "shape": [None, *model.shapes()[0]]},
                      "output": {"name": "y", "shape": [None, *model.shapes()[-1]]},
                      "classes": model.classes})
    if model.classes is not None:
        shown = ", ".join(model.classes[:10]) + ", …" * (len(model.classes) > 10)
        second = _("; y is the probability of the second") if shapes[-1] == "N, 1" else ""
        print(_("  classes {names}", names=shown + second))
