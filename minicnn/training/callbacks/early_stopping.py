"""Early stopping: the weights of the best epoch, and when to stop waiting for a better one."""

from __future__ import annotations

import numpy as np

from ...utils.errors import ArgumentError, check_int
from ..state import TrainingState, Weights, get_weights, set_weights
from .base import Callback


class EarlyStopping(Callback):
    """Ends the training after `patience` epochs in a row without a val_loss below the lowest so
    far. patience=None: never, only the best weights are kept.

    restore_best_weights: in the end the model has the weights of the best epoch, unless an error
    has ended the training; if False, the last ones.

    best, best_epoch: the lowest val_loss, and the number of its epoch, from 1; 0 before the first.
    last_weights: those after the last epoch, before the best ones were restored.

    Given to a second fit with an initial_epoch, as for fine-tuning, it goes on comparing: the
    weights at its beginning count as the best so far, and patience counts from there. Raises
    ArgumentError if fit has no validation_data. Source: Prechelt 1998.
    """

    def __init__(self, patience: int | None = None, restore_best_weights: bool = True) -> None:
        self.patience = None if patience is None else check_int(patience, "EarlyStopping, patience")
        self.restore_best_weights = restore_best_weights
        self.best, self.best_epoch, self.first_epoch = np.inf, 0, 0
        self.best_weights: Weights = {}
        self.last_weights: Weights = {}

    def on_train_begin(self, state: TrainingState) -> None:
        """The weights of the beginning are the best so far."""
        if state.validation_data is None:
            raise ArgumentError("EarlyStopping: expected validation data, by which the best epoch "
                                "is known, received none. Give fit its validation_data.")
        if state.initial_epoch == 0:
            self.best, self.best_epoch = np.inf, 0
        self.first_epoch, self.best_weights = state.epoch, get_weights(state.network)

    def on_epoch_end(self, state: TrainingState) -> None:
        """Keeps better weights; stops once patience is exhausted."""
        if state.logs["val_loss"] < self.best:
            self.best, self.best_epoch = state.logs["val_loss"], state.epoch
            self.best_weights = get_weights(state.network)
        waited = state.epoch - max(self.best_epoch, self.first_epoch)
        if self.patience is not None and waited >= self.patience:
            state.stop_training = True

    def on_train_end(self, state: TrainingState) -> None:
        """Restores the best weights, unless an error has ended the training."""
        if state.error is not None:
            return
        self.last_weights = get_weights(state.network)
        if self.restore_best_weights:
            set_weights(state.network, self.best_weights)

    def state_dict(self) -> dict:
        """The best epoch and its weights."""
        return {"best": self.best, "best_epoch": self.best_epoch, "first_epoch": self.first_epoch,
                "best_weights": self.best_weights}

    def load_state_dict(self, state: dict) -> None:
        """Goes on from there."""
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        self.first_epoch, self.best_weights = state["first_epoch"], state["best_weights"]
