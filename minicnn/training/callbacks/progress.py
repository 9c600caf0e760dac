"""ProgressBar: how far the training has got, in a terminal or a notebook."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...utils.language import gettext as _
from ...utils.language import gettext_noop as N_
from ...utils.language import ngettext
from ...utils.live_line import LiveLine
from ..state import TrainingState
from .base import Callback

# What is computed before the training: the stages of on_features_batch_end.
STAGES = (N_("features"), N_("validation features"), N_("held-out features"))
# The accuracies of state.logs, as the line calls them; it shows the first one that exists.
ACCURACIES = {"held_out_accuracy": N_("held-out {share:.1f} %"),
              "val_accuracy": N_("validation {share:.1f} %"),
              "accuracy": N_("accuracy {share:.1f} %")}


@dataclass(eq=False)
class ProgressBar(Callback):
    """One line that is redrawn: the features of the frozen layers, then the epochs with the latest
    loss and accuracy. It is shown only if somebody can see it, in a terminal or a notebook; a
    notebook keeps the figures of the last epoch.

    title: before the line. epochs: the end of the bar; None: that of each fit. enabled: False shows
    nothing.

    fit adds one itself; give it one of your own to choose these, such as ProgressBar(enabled=False)
    for silence.
    """

    title: str = ""
    epochs: int | None = None
    enabled: bool = True
    line: LiveLine = field(default_factory=LiveLine)
    summary: str = ""
    figures: list[str] = field(default_factory=list)

    def draw(self, text: str, fraction: float, after: list[str], now: bool = False) -> None:
        """Draws the line, the title first."""
        if self.enabled:
            self.line.draw("  ".join(filter(None, (self.title, text))), fraction, after, now=now)

    def on_features_batch_end(self, stage: str, done: int, total: int) -> None:
        """Images whose features are computed."""
        self.draw(_(stage), done / total, [
            _("{done}/{total} photos", done=done, total=total)], now=done >= total)

    def on_batch_end(self, state: TrainingState) -> None:
        """Batches of this epoch, with the figures of the last one."""
        self.show(state, state.epoch + 1, now=self.line.length == 0)

    def on_epoch_end(self, state: TrainingState) -> None:
        """Epochs done. Clears the line if callbacks other than minicnn's may print now."""
        self.show(state, state.epoch, now=state.epoch == state.epochs)
        if any(not type(callback).__module__.startswith("minicnn.")
               for callback in state.callbacks):
            self.line.erase()

    def show(self, state: TrainingState, epoch: int, now: bool) -> None:
        """The line of the training; epoch: the number of the one that is shown."""
        epochs = self.epochs or state.epochs
        done = (state.epoch + state.batch / state.batches_per_epoch) / epochs
        if state.logs or state.initial_epoch == 0:  # else the figures of the previous fit stay
            self.figures = figures_of(state.logs)
        self.summary = ", ".join([ngettext("{num} epochs", "{num} epochs", state.epoch),
                                  *self.figures])
        self.draw(_("epoch {epoch}/{epochs}", epoch=f"{epoch:>{len(str(epochs))}}", epochs=epochs),
                  done, self.figures, now)

    def on_train_end(self, state: TrainingState) -> None:
        """Removes the line."""
        self.close()

    def close(self) -> None:
        """Removes the line."""
        self.line.close(self.summary)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def figures_of(logs: dict[str, float]) -> list[str]:
    """The loss, and the accuracy of the photos that were not trained on, if there are any."""
    figures = [_("loss {loss:.3f}", loss=float(logs["loss"]))] if logs else []
    for key, text in ACCURACIES.items():
        if key in logs:
            return [*figures, _(text, share=100 * float(logs[key]))]
    return figures
