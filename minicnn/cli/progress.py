"""Progress of the command line."""

from __future__ import annotations

from ..training import ProgressBar, TrainingState


class Bar:
    """A tqdm bar on stderr as the Progress(done, total) of an analysis; none where stderr is no
    terminal. Another total begins another bar."""

    def __init__(self, title: str) -> None:
        self.title, self.bar = title, None

    def __call__(self, done: int, total: int) -> None:
        from tqdm import tqdm

        if self.bar is None or self.bar.total != total or done < self.bar.n:
            self.close()
            self.bar = tqdm(total=total, desc=self.title, disable=None, leave=False)
        self.bar.update(done - self.bar.n)
        if done >= total:
            self.close()

    def close(self) -> None:
        """Takes the bar away."""
        if self.bar is not None:
            self.bar.close()
        self.bar = None


class EpochLines(ProgressBar):
    """The bar of a training, and a line on stdout for each epoch."""

    def on_epoch_end(self, state: TrainingState) -> None:
        """The line, then the bar."""
        from tqdm import tqdm

        width, epochs = len(str(self.epochs)), self.epochs
        figures = "  ".join(f"{key} {value:.4f}" for key, value in state.logs.items())
        tqdm.write(f"epoch {state.epoch:>{width}}/{epochs}  {figures}")
        super().on_epoch_end(state)
