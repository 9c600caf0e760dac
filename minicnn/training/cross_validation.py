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
from ..utils.arrays import FloatArray
from .callbacks import Callback, Checkpoint
from .transfer import transfer
from .transfer_config import TransferConfig


def cross_validate(data: Dataset, config: TransferConfig | None = None, folds: int = 5, *,
                   groups: Sequence[int] | None = None, callbacks: Sequence[Callback] = (),
                   checkpoint: Checkpoint | None = None, device: str = "cpu", **options: Any
                   ) -> tuple[Evaluation, FloatArray]:
    """k-fold: every photo is predicted by a network that was not trained on its fold.

    Returns (evaluation of all photos in their order, accuracy of each fold (k,)). The folds hold
    the classes evenly, and photos of one group (near_duplicates) together (Dataset.folds).
    Source: Stone 1974; Kohavi 1995.
    """
    config = replace(config or TransferConfig(), **options)
    fold = data.folds(folds, config.seed, groups)
    probabilities = np.zeros((len(data), len(data.classes)))
    accuracies = []
    for k in range(folds):
        inside = np.flatnonzero(fold == k)
        result = transfer(data.subset(np.flatnonzero(fold != k)), data.subset(inside), config,
                          callbacks=callbacks, device=device,
                          checkpoint=checkpoint and checkpoint.of(f"fold-{k + 1}")).evaluation
        probabilities[inside] = result.probabilities
        accuracies.append(result.accuracy)
    return Evaluation(probabilities, data.labels, data.classes), np.array(accuracies)
