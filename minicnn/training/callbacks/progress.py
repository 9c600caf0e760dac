"""ProgressBar: how far the training is, in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..state import TrainingState
from .base import Callback

if TYPE_CHECKING:
    from tqdm import tqdm


class ProgressBar(Callback):
    """A tqdm bar on stderr: for the features of the frozen layers, then for the epochs, with the
    latest loss and accuracy. None if stderr is no terminal.

    title: before the bar. epochs: the end of the bar; None: that of each fit.
    """

    def __init__(self, title: str = "", epochs: int | None = None) -> None:
        self.title, self.epochs = title, epochs
        self.bar: tqdm | None = None
        self.stage = ""

    def show(self, stage: str, total: int, unit: str) -> tqdm:
        """The bar of this stage; another stage begins another bar."""
        from tqdm import tqdm  # here: `import minicnn` stays fast

        if self.bar is None or stage != self.stage:
            self.close()
            self.stage = stage
            title = ": ".join(filter(None, (self.title, stage)))
            self.bar = tqdm(total=total, desc=title, unit=unit, disable=None, leave=False)
        return self.bar

    def on_features_batch_end(self, stage: str, done: int, total: int) -> None:
        """Images whose features are computed."""
        bar = self.show(stage, total, " photos")
        bar.update(done - bar.n)

    def on_epoch_end(self, state: TrainingState) -> None:
        """Epochs done, with the latest figures."""
        bar = self.show("training", self.epochs or state.epochs, " epochs")
        figures = {key: f"{value:.3f}" for key, value in state.logs.items()}
        bar.set_postfix(figures, refresh=False)
        bar.update(state.epoch - bar.n)

    def on_train_end(self, state: TrainingState) -> None:
        """Takes the bar away."""
        self.close()

    def close(self) -> None:
        """Takes the bar away."""
        if self.bar is not None:
            self.bar.close()
        self.bar, self.stage = None, ""

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
