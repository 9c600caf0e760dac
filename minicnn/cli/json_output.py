"""--json: one JSON object on the standard output, and all other text on the standard error."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from ..report.evaluations import plain
from .command_parser import Options
from .terminal import discard_output


def add_json(option: Options) -> None:
    """Declares --json."""
    option.flag("--json", "print one JSON object on the standard output, for scripts, and all "
                          "other text on the standard error; docs/json.md lists the keys")


@contextmanager
def text_to_stderr(args: argparse.Namespace) -> Iterator[None]:
    """With --json, what the body prints goes to the standard error, but for write_json."""
    if not getattr(args, "json", False):
        yield
        return
    args.json_stream = sys.stdout
    with redirect_stdout(sys.stderr):
        yield


def write_json(args: argparse.Namespace, answer: Mapping[str, Any]) -> None:
    """Prints the object, if --json asks for it: NumPy's numbers as numbers, NaN and infinity as
    null, paths as text."""
    if args.json:
        text = json.dumps(plain(dict(answer)), indent=1, allow_nan=False, default=as_text)
        try:
            print(text, file=args.json_stream, flush=True)
        except BrokenPipeError:  # … --json | head: what the command does is done all the same
            discard_output()


def as_text(value: Any) -> str:
    """A path as text. Raises TypeError for anything else, as json.dumps expects it."""
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no JSON")
