"""The live line of the commands."""

from __future__ import annotations

from dataclasses import dataclass

from ..training import ProgressBar, TrainingState
from ..utils.language import gettext as _
from ..utils.language import gettext_noop as N_
from ..utils.live_line import LiveLine
from .terminal import percent, say

# The losses, by the keys of the history before "loss".
LOSSES = {"": N_("training loss {loss:.3f}"), "val_": N_("validation loss {loss:.3f}"),
          "held_out_": N_("held-out loss {loss:.3f}")}


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
            number = f"{state.epoch:>{len(str(epochs))}}"
            say(_("epoch {epoch}/{epochs}", epoch=number, epochs=epochs)
                + f"  {describe(state.logs)}")
        super().on_epoch_end(state)


def describe(logs: dict[str, float]) -> str:
    """"training loss 0.682, 50.0 %; held-out loss 0.611, 76.7 %"."""
    parts = []
    for prefix, text in LOSSES.items():
        if f"{prefix}loss" in logs:
            accuracy = logs.get(f"{prefix}accuracy")
            parts.append(_(text, loss=float(logs[f"{prefix}loss"])) + (
                f", {percent(accuracy)}" if accuracy is not None else ""))
    return _("; ").join(parts)
