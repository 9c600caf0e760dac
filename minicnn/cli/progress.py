"""The live line of the commands."""

from __future__ import annotations

from dataclasses import dataclass

from ..training import ProgressBar, TrainingState
from ..utils.live_line import LiveLine
from .terminal import say

NAMES = {"": "training", "val_": "validation", "held_out_": "held-out"}  # by the history's keys


class Bar:
    """A live line, called as progress(done, total); silent if the standard error is no terminal."""

    def __init__(self, title: str) -> None:
        self.title, self.line = title, LiveLine()

    def __call__(self, done: int, total: int) -> None:
        self.line.draw(self.title, done / max(total, 1), [f"{done}/{total}"], now=done >= total)
        if done >= total:
            self.close()

    def close(self) -> None:
        """Removes the line."""
        self.line.close()


@dataclass(eq=False)
class EpochLines(ProgressBar):
    """The live line of a training; with `verbose` also a line on stdout for each epoch."""

    verbose: bool = False

    def on_epoch_end(self, state: TrainingState) -> None:
        """Prints the line of the epoch, then draws the live line."""
        if self.verbose:
            self.line.erase()
            epochs = self.epochs or state.epochs
            say(f"epoch {state.epoch:>{len(str(epochs))}}/{epochs}  {describe(state.logs)}")
        super().on_epoch_end(state)


def describe(logs: dict[str, float]) -> str:
    """"training loss 0.682, 50.0 %; held-out loss 0.611, 76.7 %"."""
    parts = []
    for prefix, name in NAMES.items():
        if f"{prefix}loss" in logs:
            accuracy = logs.get(f"{prefix}accuracy")
            parts.append(f"{name} loss {logs[f'{prefix}loss']:.3f}"
                         + (f", {100 * accuracy:.1f} %" if accuracy is not None else ""))
    return "; ".join(parts)
