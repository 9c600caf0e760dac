"""`minicnn …`: arguments in, calls, text out; nothing else. One file per command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from .. import __version__
from ..ops import DEVICES
from ..ops.cuda.find_cupy import describe_error
from ..utils.errors import MiniCNNError
from . import compare, data, evaluate, export, gradcheck, look, predict, train
from .screen import use_known_characters


def parser() -> argparse.ArgumentParser:
    """All commands and options."""
    main = argparse.ArgumentParser(prog="minicnn",
                                   description="Convolutional networks from scratch.")
    main.add_argument("--version", action="version", version=f"minicnn {__version__}")
    commands = main.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable, text: str) -> tuple[argparse.ArgumentParser, Callable]:
        p = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        p.set_defaults(run=run)

        def option(flag: str, kind: Callable, default: object, unit: str, text: str) -> None:
            shown = "" if default is None else f" (default: {default})"
            p.add_argument(*flag.split(), type=kind, default=default, metavar=unit,
                           help=text + shown)
        p.add_argument("--device", choices=DEVICES, default="cpu",
                       help="where to compute: cuda is an NVIDIA GPU (extra cuda12 or cuda13; "
                            "its first use compiles the kernels, which takes a while), cuda-sim "
                            "its kernels on the processor, slowly (needs a C++ compiler)")
        return p, option

    for module in (data, train, evaluate, compare, predict, export, look, gradcheck):
        module.add(command)
    return main


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point. Returns 0; 1 if gradcheck found a wrong gradient; 2 after an error message."""
    use_known_characters()  # also for file names, which may consist of any bytes
    args, more = parser().parse_known_args(argv)
    args.argv = list(sys.argv[1:] if argv is None else argv)
    if more and ("words" not in args or any(word[0] == "-" for word in more)):
        parser().error(f"unrecognized arguments: {' '.join(more)}")
    if more:  # words behind an option: look grad-cam --unit 3 photo.jpg
        args.words += more
    try:
        status = args.run(args) or 0
        sys.stdout.flush()
        return status
    except OSError as error:
        if error.filename is not None:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python tries again at its end
        if not isinstance(error, BrokenPipeError):  # … | head
            print(f"minicnn: standard output: expected one that can be written, received: "
                  f"{error.strerror}. Free some space, or choose another.", file=sys.stderr)
        return 2
    except MiniCNNError as error:
        print(f"minicnn: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stopped:
        print(f"minicnn: {str(stopped) or 'stopped.'}", file=sys.stderr)
        return 130
    except Exception as error:
        description = describe_error(error)
        if description is None:
            raise
        print(f"minicnn: {description}", file=sys.stderr)
        return 2
