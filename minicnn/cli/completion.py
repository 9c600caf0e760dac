"""`minicnn --print-completion SHELL`: a script that completes commands and options at Tab."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from ..utils.errors import ArgumentError
from .methods import METHODS

SHELLS = ("bash", "zsh")
PREFIX = "_minicnn"
# Arguments that name a file or a folder, by the name of their value in the help.
PATHS = ("MODEL", "PHOTO", "FOLDER", "FILE", "FILE.png", "FILE.onnx", "RUN", "A,B,C|FILE",
         "FILE.py:ClassName")


class PrintCompletion(argparse.Action):
    """The option: prints the script and ends."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
                 values: str | Sequence[Any] | None, option_string: str | None = None) -> None:
        """Prints the script; raises ArgumentError without the package shtab."""
        print(completion_script(parser, str(values)))
        parser.exit(0)


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script, made by shtab (https://github.com/tqdm/shtab) from all commands and options."""
    try:
        import shtab
    except ImportError as error:
        raise ArgumentError("--print-completion: expected the package shtab, found none. Install "
                            "the extra completion: pip install -e \".[completion]\".") from error
    commands = next(action for action in parser._actions
                    if isinstance(action, argparse._SubParsersAction))
    for name, command in commands.choices.items():
        for action in command._actions:
            if name == "look" and action.dest == "words":
                action.complete = look_words()
            elif action.metavar in PATHS or action.dest == "words":
                action.complete = shtab.FILE
    return shtab.complete(parser, shell)


def look_words() -> dict[str, Any]:
    """What completes the words of `minicnn look`: a method or a file, as shtab takes it. Zsh's
    _arguments runs an action as it stands only if it begins with a space; else it adds arguments
    behind its first word, which _alternative does not know."""
    names = " ".join(METHODS)
    return {"bash": f"{PREFIX}_look_words",
            "zsh": f" _alternative 'methods:method:({names})' 'files:file:_files'",
            "preamble": {"bash": f"{PREFIX}_look_words() {{\n"
                                 f"  compgen -W '{names}' -- $1\n  compgen -f -- $1\n}}\n"}}
