"""What commands print: sentences as wide as the terminal, in its encoding."""

from __future__ import annotations

import codecs
import shutil
import sys
import textwrap

# Characters of our sentences that a terminal's encoding may lack, and how they are written then.
ASCII = {"…": "...", "–": "-", "−": "-", "—": "-", "×": "x", "·": "*", "≤": "<=", "≥": ">=",
         "→": "->", "’": "'", "“": '"', "”": '"', "°": " degrees", "µ": "u", "λ": "lambda",
         "▇": "#", "▁": "-"}
NO_BREAK = "\xa0"  # a space at which no line ends


def in_ascii(error: UnicodeError) -> tuple[str, int]:
    """The error handler "minicnn": ASCII instead of what cannot be encoded, else a backslash's
    escape, as for file names."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start:error.end]
    escaped = [ASCII.get(c) or c.encode("ascii", "backslashreplace").decode() for c in text]
    return "".join(escaped), error.end


codecs.register_error("minicnn", in_ascii)


def use_known_characters() -> None:
    """Lets the standard output and the standard error write every text, whatever their encoding."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="minicnn")


def say(text: str) -> None:
    """Prints a text. In a terminal its lines are broken between words to fit into the window."""
    if not (sys.stdout and sys.stdout.isatty()):
        print(text, flush=True)
        return
    width = max(shutil.get_terminal_size().columns - 1, 20)
    for line in text.replace(" %", f"{NO_BREAK}%").split("\n"):
        lines = textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False,
                              subsequent_indent="  ")
        print("\n".join(lines).replace(NO_BREAK, " "), flush=True)
