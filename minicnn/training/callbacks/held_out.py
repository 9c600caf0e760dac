"""HeldOut: how a model does, after each epoch, on photos that decide nothing."""

from __future__ import annotations

from ..batches import Data, validate_data
from ..state import TrainingState
from .base import Callback


class HeldOut(Callback):
    """Measures the model after each epoch on held-out data, such as the test photos: the history
    gets held_out_loss and held_out_accuracy.

    They are for information only. EarlyStopping chooses the best epoch by val_loss, that of fit's
    validation_data, since photos that choose an epoch cannot show how good the choice was.

    data: as fit's train_data. Raises what fit raises for data that do not fit the model.
    """

    early = True  # before FeatureCache, which computes their features, too

    def __init__(self, data: Data) -> None:
        self.data = data

    def on_train_begin(self, state: TrainingState) -> None:
        """Checks the data."""
        state.held_out_data = validate_data(state.model, self.data, state.loss)
