"""k-fold cross-validation of a transfer training.

Source: Stone 1974; Kohavi 1995.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..data import Dataset
from ..evaluation import Evaluation
from ..model import Sequential
from ..utils.arrays import FloatArray
from .batches import ArrayDataset
from .callbacks import Callback, Checkpoint, FeatureCache
from .features import resident_bytes, rows_of
from .transfer import base_with_head, closing_bars, transfer
from .transfer_config import TransferConfig


def cross_validate(data: Dataset, config: TransferConfig | None = None, folds: int = 5, *,
                   groups: Sequence[int] | None = None, callbacks: Sequence[Callback] = (),
                   checkpoint: Checkpoint | None = None, device: str = "cpu",
                   features: tuple[ArrayDataset, ArrayDataset] | None = None, **options: Any
                   ) -> tuple[Evaluation, FloatArray]:
    """k-fold: every photo is predicted by a network that was not trained on its fold.

    Returns (evaluation of all photos in their order, accuracy of each fold (folds,)). The folds
    hold the classes evenly, and photos of one group (near_duplicates) together (Dataset.folds).
    Each photo, and each of its views, passes the frozen layers once for all folds, which share
    them; unless a block of them is fine-tuned, which each fold then reads anew. features: what
    frozen_features gives, if it is known already.
    Source: Stone 1974; Kohavi 1995.
    """
    config = replace(config or TransferConfig(), **options)
    fold = data.folds(folds, config.seed, groups)
    base, _ = base_with_head(config, data.classes, device).split()
    views, photos = features or frozen_features(base, data, config, callbacks)
    budget = config.memory_budget * 10**6 - resident_bytes(photos.x)
    if views is not photos:
        budget -= resident_bytes(views.x)
    probabilities = np.zeros((len(data), len(data.classes)))
    accuracies = []
    for k in range(folds):
        inside, others = np.flatnonzero(fold == k), np.flatnonzero(fold != k)
        trained = rows_of(views, others, budget)
        tested = rows_of(photos, inside, budget - resident_bytes(trained.x))
        result = transfer(data.subset(others), data.subset(inside), config,
                          callbacks=callbacks, device=device, features=(trained, tested),
                          base=None if config.finetune else base,
                          checkpoint=checkpoint and checkpoint.of(f"fold-{k + 1}")).evaluation
        probabilities[inside] = result.probabilities
        accuracies.append(result.accuracy)
        del trained, tested  # before those of the next fold take memory
    return Evaluation(probabilities, data.labels, data.classes), np.array(accuracies)


def frozen_features(base: Sequential, data: Dataset, config: TransferConfig,
                    callbacks: Sequence[Callback]) -> tuple[ArrayDataset, ArrayDataset]:
    """What the frozen layers give for the views that are trained with (V·N, …), view after view,
    and for the photos themselves (N, …); the same twice without augmentation."""
    cache = FeatureCache(config.memory_budget * 10**6)
    with closing_bars(callbacks):
        photos = cache.extract(base, data, config.batch_size, callbacks, "features")
        if not config.augment:
            return photos, photos
        return cache.extract(base, config.augmented(data), config.batch_size, callbacks,
                             "features"), photos
