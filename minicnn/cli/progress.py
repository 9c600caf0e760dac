"""Progress bars on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..training import ProgressBar, TrainingState

if TYPE_CHECKING:
    from tqdm import tqdm


class Bar:
    """A tqdm bar on stderr, called as progress(done, total); silent if stderr is no terminal. A new
    total starts a new bar."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.bar: tqdm | None = None

    def __call__(self, done: int, total: int) -> None:
        from tqdm import tqdm

        bar = self.bar
        if bar is None or bar.total != total or done < bar.n:
            self.close()
            bar = self.bar = tqdm(total=total, desc=self.title, disable=None, leave=False)
        bar.update(done - bar.n)
        if done >= total:
            self.close()

    def close(self) -> None:
        """Removes the bar."""
        if self.bar is not None:
            self.bar.close()
        self.bar = None


class EpochLines(ProgressBar):
    """The progress bar of a training, and a line on stdout for each epoch."""

    def on_epoch_end(self, state: TrainingState) -> None:
        """Prints the line, then updates the bar."""
        from tqdm import tqdm

        width, epochs = len(str(self.epochs)), self.epochs
        figures = "  ".join(f"{key} {value:.4f}" for key, value in state.logs.items())
        tqdm.write(f"epoch {state.epoch:>{width}}/{epochs}  {figures}")
        super().on_epoch_end(state)
