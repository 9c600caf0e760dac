"""A line of text that is redrawn in its place: a progress bar in a terminal or a notebook."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, ClassVar, TextIO

MIN_SECONDS = 0.1  # between two drawings
MIN_BAR = 10       # cells
FULL, EMPTY = "▇▁"
ASCII_FULL, ASCII_EMPTY = "#-"

_silenced: ContextVar[bool] = ContextVar("silenced", default=False)


@contextmanager
def no_live_lines() -> Iterator[None]:
    """Nothing is drawn in the body of the with."""
    token = _silenced.set(True)
    try:
        yield
    finally:
        _silenced.reset(token)


def compose(before: str, fraction: float, after: Sequence[str], width: int, ascii_only: bool = False
            ) -> str:
    """"before ▇▇▇▁▁▁ after", at most `width` characters long. The bar shows the fraction, 0 … 1.

    The bar takes what the texts leave. If that is less than MIN_BAR cells, texts of `after` are
    left out, the last one first, then the end of `before`.
    """
    texts = list(after)
    while True:
        tail = "".join(f"  {text}" for text in texts)
        cells = width - len(before) - 1 - len(tail)
        if cells >= MIN_BAR or not texts:
            break
        texts.pop()
    cells = max(cells, min(MIN_BAR, width))
    filled = round(min(max(fraction, 0.0), 1.0) * cells)
    full, empty = (ASCII_FULL, ASCII_EMPTY) if ascii_only else (FULL, EMPTY)
    bar = full * filled + empty * (cells - filled)
    return f"{before[:max(width - 1 - cells, 0)]} {bar}{tail}"[-width:]


def notebook_shell() -> Any:
    """The IPython shell of the notebook that this code runs in; None elsewhere."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return shell if hasattr(shell, "kernel") else None  # IPython in a terminal has no kernel


@dataclass(eq=False)
class LiveLine:
    """A line on the standard error, or in the output of a notebook's cell. Nothing is drawn if the
    standard error is neither, or while another line is shown: there is one at a time.

    length: characters on the screen. last_time: of the last drawing.
    """

    length: int = 0
    last_time: float = 0.0
    shown: ClassVar[LiveLine | None] = None  # the line that is on the screen now

    @property
    def stream(self) -> TextIO:
        """Where it is drawn; the standard error may change."""
        return sys.stderr

    @property
    def visible(self) -> bool:
        """Whether somebody can see it."""
        if _silenced.get() or LiveLine.shown not in (None, self):
            return False
        return notebook_shell() is not None or bool(self.stream and self.stream.isatty())

    def draw(self, before: str, fraction: float, after: Sequence[str] = (), *, now: bool = False
             ) -> None:
        """Draws compose(before, fraction, after) unless the last drawing was just now; `now`: in
        any case."""
        time_now = time.monotonic()
        if not self.visible or (not now and time_now - self.last_time < MIN_SECONDS):
            return
        self.last_time, LiveLine.shown = time_now, self
        if shell := notebook_shell():
            self.length = 1
            in_notebook(shell, compose(before, fraction, after, 80))
            return
        line = compose(before, fraction, after, self.columns() - 1, self.ascii_only())
        self.write(f"\r{line}{' ' * (self.length - len(line))}\r")
        self.length = len(line)

    def erase(self) -> None:
        """Removes the line, so that something else can be printed; draw shows it again."""
        if self.length and not notebook_shell():
            self.write(f"\r{' ' * min(self.length, self.columns() - 1)}\r")
        self.length, self.last_time = 0, 0.0

    def close(self, summary: str = "") -> None:
        """Removes the line for good. A notebook shows the summary instead of it."""
        if LiveLine.shown is not self:
            return
        self.erase()
        if shell := notebook_shell():
            in_notebook(shell, summary)
        LiveLine.shown = None

    def write(self, text: str) -> None:
        """Writes without buffering. A terminal that is gone is no reason to stop working."""
        try:
            self.stream.write(text)
            self.stream.flush()
        except (OSError, ValueError):
            self.length = 0

    def columns(self) -> int:
        """The width of the terminal now: windows are resized."""
        try:
            columns = os.get_terminal_size(self.stream.fileno()).columns
        except (OSError, ValueError):
            columns = shutil.get_terminal_size().columns
        return columns or 80

    def ascii_only(self) -> bool:
        """Whether the terminal's encoding lacks the characters of the bar."""
        try:
            (FULL + EMPTY).encode(self.stream.encoding or "ascii")
        except (UnicodeEncodeError, LookupError):
            return True
        return False


def in_notebook(shell: Any, text: str) -> None:
    """Shows the text in the output of the running cell, instead of the last one shown there."""
    from IPython.display import display

    identity = f"minicnn-progress-{shell.execution_count}"
    update = getattr(shell, "_minicnn_progress", "") == identity
    shell._minicnn_progress = identity
    display({"text/plain": text}, raw=True, display_id=identity, update=update)
