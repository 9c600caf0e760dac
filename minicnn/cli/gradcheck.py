"""`minicnn gradcheck`: analytic against numeric gradients."""

from __future__ import annotations

import argparse
import runpy
import traceback
from collections.abc import Callable
from pathlib import Path

from ..gradcheck.check import Gradcheck
from ..gradcheck.explain import explain
from ..gradcheck.suite import check_all, check_user_layer, is_loss
from ..ops import BACKENDS, use
from ..utils.errors import ArgumentError, FileError, MiniCNNError
from ..utils.language import gettext as _
from ..utils.language import language, use_language
from .json_output import add_json, write_json
from .option_values import SEED

ABOUT = """\
Compares backward with central differences of forward. Of a layer of your own it
says what is wrong, in words: a sign, a factor, a transpose, a forgotten sum."""
EXAMPLES = (("all layers and losses of minicnn", "minicnn gradcheck"),
            ("a class of your own", "minicnn gradcheck my_layer.py:MyConv2D"),
            ("on inputs of another shape", "minicnn gradcheck my_layer.py:MyDense --shape 4,7"))


def add(command: Callable) -> None:
    """The command and its options."""
    option = command("gradcheck", gradcheck_command, "check gradients by central differences",
                     "[FILE.py:ClassName] [OPTIONS]", ABOUT, EXAMPLES)[1]
    option.words("layer", "FILE.py:ClassName",
                 "a layer of your own, or a loss with forward(y, t) and backward(); without it, "
                 "all of minicnn's are checked", "?")
    option.choice("--backend", BACKENDS, "reference",
                  "which of minicnn's operations are checked on the processor: the reference, a "
                  "formula a line, or the fast ones")
    option("--shape", shape, None, "N,H,W,C",
           "of the random x for your layer (default: 2,6,7,3 and 5,8,9,3; for a loss 4,5 and 7,6)")
    option("--seed", SEED, 0, "N", "seed of the random numbers")
    option.device()
    add_json(option)


def gradcheck_command(args: argparse.Namespace) -> int:
    """Prints analytic against numeric gradients; returns 1 if one is wrong."""
    if args.shape and not args.layer:
        raise ArgumentError("--shape: expected with FILE.py:ClassName, received without. "
                            "minicnn's layers are checked on shapes of their own.")
    with use(args.backend if args.device == "cpu" else "fast"), \
            use_language("en" if args.json else language()):
        results, hints = (check_user_class(args) if args.layer
                          else (check_all(args.seed, args.device), []))
    print(f"{_('layer'):<34} {_('gradient'):<16} {_('shape'):<16} {_('checked'):<14} "
          f"{_('error'):>8}")
    for result in results:
        print(result)
    for hint in hints:
        print(hint)
    wrong = sum(row.note != "ok" for result in results for row in result.rows)
    print(_("{count} wrong", count=wrong) if wrong else
          _("All gradients agree with central differences (relative error), at several points, in "
            "training and inference."))
    write_json(args, {"wrong": wrong, "hints": hints, "layers": [
        {"layer": result.title, "ok": result.ok, "remarks": result.remarks, "gradients": [
            {"gradient": row.name, "shape": row.shape, "checked": row.method, "error": row.error,
             "note": row.note} for row in result.rows]} for result in results]})
    return 1 if wrong else 0


def check_user_class(args: argparse.Namespace) -> tuple[list[Gradcheck], list[str]]:
    """gradcheck of FILE.py:ClassName, and hints. Runs that file, which is the user's own."""
    file, _colon, name = args.layer.rpartition(":")
    if not file.endswith(".py") or not Path(file).is_file():
        raise FileError(f"{args.layer}: expected FILE.py:ClassName with a Python file that exists.")
    try:
        namespace = runpy.run_path(file)
        if not isinstance(namespace.get(name), type):
            classes = [key for key, value in namespace.items()
                       if isinstance(value, type) and value.__module__ == "<run_path>"]
            raise ArgumentError(f"{file}: expected a class {name!r}, "
                                f"found {', '.join(classes) or 'none'}.")
        layer_class = namespace[name]
        result = check_user_layer(layer_class(), args.shape, args.seed, args.device)
        hints = [] if result.ok else explain(result)
        if {row.name for row in result.rows} == {"dx"} and not is_loss(layer_class()):
            hints.append(_("No parameters were found in .params, so only dx was checked."))
        return [result], hints
    except MiniCNNError:
        raise
    except Exception as error:  # any error of the user's code is reported with its line
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__)
                 if frame.filename == file]
        line = lines[-1] if lines else getattr(error, "lineno", "?")
        location = f"{file}, line {line}"
        if isinstance(error, NotImplementedError):
            raise ArgumentError(f"{location}: expected your code, found a gap: {error}") from error
        raise ArgumentError(
            f"{location}: expected a {name} made without arguments, with forward(x, "
            f"training=False, keep=True) and backward(dy), received {type(error).__name__}: "
            f"{error}.") from error


def shape(text: str) -> tuple[int, ...]:
    """2,6,7,3 -> (2, 6, 7, 3)."""
    sizes = tuple(int(part) for part in text.split(","))
    if min(sizes) < 1:
        raise ValueError
    return sizes
