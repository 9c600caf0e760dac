"""Progress bars of the command line."""

from __future__ import annotations

from .training import Callback


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


class Bars(Callback):
    """tqdm bars on stderr: for the features, then for the epochs; none where it is no terminal.
    lines: a line on stdout for each epoch, too."""

    def __init__(self, epochs: int, title: str, lines: bool = False) -> None:
        from tqdm import tqdm

        self.epochs, self.title, self.bar, self.stage, self.tqdm = epochs, title, None, "", tqdm
        self.lines = lines

    def _show(self, stage: str, total: int, unit: str) -> None:
        if stage != self.stage:
            self._close()
            self.stage = stage
            self.bar = self.tqdm(total=total, desc=f"{self.title}: {stage}", unit=unit,
                                 disable=None, leave=False)

    def on_batch_end(self, stage: str, done: int, total: int) -> None:
        """Photos whose features are done."""
        if "features" in stage:
            self._show(stage, total, " photos")
            self.bar.update(done - self.bar.n)

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Epochs done, with the latest figures."""
        if self.lines:
            figures = "  ".join(f"{key} {value:.4f}" for key, value in logs.items())
            self.tqdm.write(f"epoch {epoch:>{len(str(self.epochs))}}/{self.epochs}  {figures}")
        self._show("training", self.epochs, " epochs")
        self.bar.set_postfix({key: f"{value:.3f}" for key, value in logs.items()}, refresh=False)
        self.bar.update(epoch - self.bar.n)

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *error: object) -> None:
        self._close()
