"""Text on terminals that lack some characters: readable replacements, never a crash."""

from __future__ import annotations

import codecs
import os
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from os import PathLike
from typing import TextIO

from ..utils.language import gettext, local_number
from ..utils.live_line import no_live_lines

NO_BREAK = "\N{NO-BREAK SPACE}"  # no line ends at it
HANDLER = "minicnn.readable"  # the name of the error handler of encodings
REPLACEMENTS = {"…": "...", "–": "-", "—": "-", "−": "-", "‑": "-", "×": "x", "·": "*", "≤": "<=",
                "≥": ">=", "≈": "~", "→": "->", "°": " degrees", "±": "+/-", "√": "sqrt",
                "’": "'", "‘": "'", "“": '"', "”": '"', "«": '"', "»": '"', "•": "*", "β": "beta",
                "ε": "epsilon", "λ": "lambda", "σ": "sigma", "Σ": "sum", "∂": "d", "∞": "inf",
                "\N{NO-BREAK SPACE}": " ", "\N{NARROW NO-BREAK SPACE}": " ", "ß": "ss",
                "œ": "oe", "æ": "ae", "ø": "o", "█": "#", "▇": "#", "▁": "-", "µ": "u",
                "░": ".", "─": "-", "│": "|"}


def replace(error: UnicodeError) -> tuple[str | bytes, int]:
    """The error handler: (the replacement in ASCII, where to go on). "é" becomes "e", what has no
    relative in ASCII its number: "\\u4e91"."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(in_ascii, error.object[error.start:error.end])), error.end


def in_ascii(character: str) -> str:
    """The character in ASCII."""
    if character in REPLACEMENTS:
        return REPLACEMENTS[character]
    base = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return base or character.encode("ascii", "backslashreplace").decode()


codecs.register_error(HANDLER, replace)


def make_output_readable() -> None:
    """What the standard output and the standard error cannot encode is replaced: file names may
    consist of any bytes, and a terminal may know few characters."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=HANDLER)


def wrapped(text: str, stream: TextIO | None, indent: int = 0) -> str:
    """The text in lines of a terminal's width, of which no word is broken, all but the first
    indented; in one line, if the stream is no terminal."""
    width = width_of(stream)
    if width is None:
        return text
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False,
                         subsequent_indent=" " * indent)


def width_of(stream: TextIO | None) -> int | None:
    """Characters of a line of the terminal; None if the stream is no terminal."""
    if stream is None or not stream.isatty():
        return None
    return max(shutil.get_terminal_size().columns - 1, 20)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows of a table as lines: the first column flush left, the others right, each as wide as
    its widest cell. In a terminal that is too narrow the first cell of a row has a line of its own.
    """
    first, *widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    others = ["".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths, strict=True))
              for row in rows]
    width = width_of(sys.stdout)
    if width is None or first + len(others[0]) <= width:
        return [f"{row[0]:<{first}}{cells}" for row, cells in zip(rows, others, strict=True)]
    return [line for row, cells in zip(rows, others, strict=True) for line in (row[0], cells)
            if line.strip()]


def percent(share: float) -> str:
    """0.85 -> "85.0 %", as the language writes it."""
    return gettext("{number} %", number=local_number(f"{100 * share:.1f}"))


def say(text: str) -> None:
    """Prints a text. In a terminal its lines are broken between words to fit into the window, and
    a number stays with its %."""
    lines = text.replace(" %", f"{NO_BREAK}%").split("\n")
    print("\n".join(wrapped(line, sys.stdout, 2) for line in lines).replace(NO_BREAK, " "),
          flush=True)


def unbroken(path: PathLike | str) -> str:
    """A path that say does not break at its spaces, since it may be copied."""
    return str(path).replace(" ", NO_BREAK)


def discard_output() -> None:
    """Nobody reads the standard output any more: what is still to be written to it is lost, or
    Python would try, and complain, at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


@contextmanager
def without_live_lines(when: bool) -> Iterator[None]:
    """No live lines in the body of the with, if `when`."""
    with no_live_lines() if when else nullcontext():
        yield


@contextmanager
def without_output(when: bool) -> Iterator[None]:
    """No live lines and nothing on the standard output, if `when`."""
    with without_live_lines(when), redirect_stdout(None) if when else nullcontext():
        yield
