"""The weights of the best epoch, and when to stop waiting for a better one."""

from __future__ import annotations

import numpy as np

from ..errors import ArgumentError, whole
from ..model import Sequential
from ..ops import device_of, to_device
from .callbacks import Callback

Weights = dict[str, dict[str, np.ndarray]]  # of the trainable layers


def weights_of(model: Sequential) -> Weights:
    """Copies of the trainable layers' parameters."""
    return {layer.name: {key: p.copy() for key, p in layer.params.items()}
            for layer in model.layers if layer.trainable and layer.params}


def set_weights(model: Sequential, weights: Weights) -> None:
    """Puts them back, into the same arrays."""
    for layer in model.layers:
        for key, p in weights.get(layer.name, {}).items():
            layer.params[key][...] = to_device(p, device_of(layer.params[key]))


class Best(Callback):
    """Keeps the weights of the epoch with the lowest val_loss, and with `patience` ends the
    training where none of so many epochs has been better (early stopping).

    epoch: the best one, from 1; 0 before the first. restore() puts its weights into the model.
    Raises ArgumentError where an epoch has no val_loss. Source: Prechelt 1998.
    """

    def __init__(self, model: Sequential, patience: int | None = None) -> None:
        self.model, self.epoch, self.loss = model, 0, np.inf
        self.patience = None if patience is None else whole(patience, "patience")
        self.since = 0  # patience counts from here, where that is later than the best epoch
        self.weights: Weights = {}

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> bool:
        """Keeps what is better; True where patience is at its end."""
        if "val_loss" not in logs:
            raise ArgumentError("Best: expected validation photos, by which the best epoch is "
                                "known, received none. Give fit its validation_data.")
        if logs["val_loss"] < self.loss or np.isnan(self.loss) or not self.weights:
            self.epoch, self.loss, self.weights = epoch, logs["val_loss"], weights_of(self.model)
        return self.patience is not None and epoch - max(self.epoch, self.since) >= self.patience

    def state(self) -> dict:
        """For a checkpoint."""
        return {"epoch": self.epoch, "loss": self.loss, "since": self.since,
                "weights": self.weights}

    def set_state(self, state: dict) -> None:
        """Goes on from there."""
        vars(self).update(state)

    def restore(self) -> None:
        """The best weights, into the model."""
        set_weights(self.model, self.weights)
