"""Callback: the hooks that fit calls during training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..state import Hooks, TrainingState


class Callback:
    """Hooks that fit calls during training; override those that you need.

        class StopWhenGood(Callback):
            def on_epoch_end(self, state):
                if state.logs["accuracy"] > 0.95:
                    state.stop_training = True

    Every hook is given the TrainingState: model, network, optimizer, epoch, batch, batch_loss,
    logs, history and all else that fit works with. The names of the hooks are Keras', and one more,
    on_backward_end. A callback that has to remember something when an interrupted training
    continues returns it from state_dict.

    early: whether its hooks are called before those of the callbacks that fit adds. state_class: of
    the TrainingState that fit works with if this callback is there, for callbacks that share the
    batches with other processes.
    """

    early = False
    state_class: type[TrainingState] | None = None

    def on_train_begin(self, state: TrainingState) -> None:
        """Before the first step."""

    def on_epoch_begin(self, state: TrainingState) -> None:
        """state.epoch epochs are finished."""

    def on_batch_begin(self, state: TrainingState) -> None:
        """state.x, state.t: the batch that follows."""

    def on_backward_end(self, state: TrainingState) -> None:
        """state.batch_loss and the gradients in state.network.layers are known, the optimizer has
        not stepped yet."""

    def on_batch_end(self, state: TrainingState) -> None:
        """The optimizer has stepped; state.batch counts this batch."""

    def on_epoch_end(self, state: TrainingState) -> None:
        """state.logs: loss, accuracy, val_loss, val_accuracy, held_out_loss, held_out_accuracy of
        this epoch, whose number, from 1, is state.epoch. state.stop_training = True ends the
        training."""

    def on_train_end(self, state: TrainingState) -> None:
        """After the last epoch, and after an error or an interruption, which is state.error."""

    def on_features_batch_end(self, stage: str, done: int, total: int) -> None:
        """The features of `done` of `total` images are computed; stage: "features", "validation
        features" or "held-out features". That is before the first step, or before fit."""

    def state_dict(self) -> dict:
        """What a checkpoint has to store: arrays, numbers, text, dicts and lists of them."""
        return {}

    def load_state_dict(self, state: dict) -> None:
        """Continues from what state_dict has returned."""


def features_progress(callbacks: Sequence[Hooks], stage: str) -> Callable[[int, int], None]:
    """progress(done, total) of extract_features, passed on to every callback."""
    def progress(done: int, total: int) -> None:
        for callback in callbacks:
            callback.on_features_batch_end(stage, done, total)
    return progress
