"""FeatureCache: the frozen layers compute each image once, instead of once an epoch."""

from __future__ import annotations

from collections.abc import Sequence

from ...data import Dataset
from ...model import Sequential
from ..batches import ArrayDataset
from ..features import extract_features, resident_bytes
from ..state import Hooks, TrainingState
from .base import Callback, features_progress


class FeatureCache(Callback):
    """Before the first epoch, computes what the frozen first layers give for every image. The loop
    then trains the other layers on these features; the weights come out the same.

    memory_budget: bytes that features may take in memory; more lie in a temporary file.
    enabled:       False computes the frozen layers again in every epoch.

    fit adds one itself; give it one of your own to choose these two.
    """

    def __init__(self, memory_budget: int = 1 << 30, enabled: bool = True) -> None:
        self.memory_budget, self.enabled = memory_budget, enabled
        self.bytes_left = memory_budget

    def on_train_begin(self, state: TrainingState) -> None:
        """Replaces the images by their features."""
        if not (self.enabled and state.base.layers):
            return
        self.bytes_left = self.memory_budget  # the features of an earlier fit are freed by now
        state.train_data = self.extract(state.base, state.train_data, state.batch_size,
                                        state.callbacks, "features")
        if state.validation_data is not None:
            state.validation_data = self.extract(state.base, state.validation_data,
                                                 state.batch_size, state.callbacks,
                                                 "validation features")
        if state.held_out_data is not None:
            state.held_out_data = self.extract(state.base, state.held_out_data, state.batch_size,
                                               state.callbacks, "held-out features")
        state.base = state.model.view([], state.base.shapes()[-1])  # from now on the identity

    def extract(self, base: Sequential, data: Dataset | ArrayDataset, batch_size: int,
                callbacks: Sequence[Hooks], stage: str) -> ArrayDataset:
        """The features of data, within what is left of the memory budget; the callbacks follow the
        progress."""
        features = extract_features(base, data, batch_size=batch_size,
                                    memory_budget=self.bytes_left,
                                    progress=features_progress(callbacks, stage))
        self.bytes_left -= resident_bytes(features.x)
        return features
