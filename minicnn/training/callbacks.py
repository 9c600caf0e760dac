"""Who is told what happens while a network learns."""

from __future__ import annotations

from collections.abc import Callable, Sequence


class Callback:
    """Told what happens during fit; override what you need."""

    def on_batch_end(self, stage: str, done: int, total: int) -> None:
        """stage: "features", "epoch 3", …; done of total photos."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> bool | None:
        """epoch counts from 1; logs: loss, accuracy, val_loss, val_accuracy. True ends training."""

    def state(self) -> dict:
        """What it has to remember in a checkpoint: arrays, numbers, text, dicts and lists of them.
        """
        return {}

    def set_state(self, state: dict) -> None:
        """The opposite: takes up what state() has said."""


def teller(callbacks: Sequence[Callback], stage: str) -> Callable[[int, int], None]:
    """progress(done, total) of one stage, passed on to every callback."""
    def progress(done: int, total: int) -> None:
        for callback in callbacks:
            callback.on_batch_end(stage, done, total)
    return progress
