"""Which training photos may have a wrong label? Predictions of each by a head that never saw it.

A network reproduces the labels that it was trained with, wrong ones, too. So the training photos
are dealt into k folds, and k heads are trained, each without one fold, which it then predicts. The
frozen features are there already: it costs k trainings of the head, and no pass through VGG16.

Source: Northcutt, Jiang & Chuang 2021, Confident learning: estimating uncertainty in dataset
labels (out-of-fold probabilities); Stone 1974.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from ..data import Dataset
from ..evaluation import Evaluation, class_probabilities
from ..layers import Flatten
from ..losses import Loss
from ..model import Sequential
from ..models import head
from ..optimizers import Adam
from ..utils.arrays import IntArray
from ..utils.errors import ArgumentError, NotFiniteError
from .batches import ArrayDataset, release_pages
from .callbacks import (
    SCHEDULES,
    Checkpoint,
    LearningRateSchedule,
    ProgressBar,
    StopWhenAsked,
)
from .features import extract_features, mapped_file, resident_bytes, storage
from .loop import fit
from .transfer_config import TransferConfig

FOLDS = 5
ROWS = 64  # are copied at once


def out_of_fold(features: ArrayDataset, train: Dataset, loss: Loss, lr: float,
                config: TransferConfig, groups: Sequence[int] | None = None,
                device: str = "cpu", checkpoint: Checkpoint | None = None) -> Evaluation | None:
    """Predictions of the training photos, each by one of k heads that was trained without it.

    features: of the photos of `train` in their order, view by view, as extract_features gives them;
    a prediction is the mean of the views. loss, lr, config: of the head of the run; the k
    heads train as many epochs and keep their last weights.
    groups: near copies (near_duplicates), which are in one fold, since a copy would give the label
    away. k is FOLDS, or as many as the smallest class has photos that differ; None if that is less
    than two, or if a training diverges.
    checkpoint: of the run; after its stop() KeyboardInterrupt is raised at the end of a head's
    step, epoch or predictions. Nothing is kept of the heads that were trained until then.
    """
    fold = _fold_of_each_photo(train, config.seed, groups)
    if fold is None:
        return None
    count = int(fold.max()) + 1
    probabilities = np.zeros((len(train), len(train.classes)))
    budget = config.memory_budget * 10**6 - resident_bytes(features.x)
    callbacks = [LearningRateSchedule(SCHEDULES[config.schedule]), ProgressBar(enabled=False),
                 *([StopWhenAsked(checkpoint)] if checkpoint else [])]
    for k in range(count):
        inside = np.flatnonzero(fold == k)
        network = Sequential([Flatten(), *head(len(train.classes), "zeros", config.dropout)],
                             features.x.shape[1:], seed=config.seed).to(device)
        try:
            fit(network, rows_of(features, np.flatnonzero(fold != k), budget), loss,
                Adam(lr, weight_decay=config.weight_decay), epochs=config.epochs,
                batch_size=config.batch_size, seed=config.seed, callbacks=callbacks)
        except NotFiniteError:
            if checkpoint:
                checkpoint.raise_if_stopped()
            return None  # the run itself has not diverged: its result stands, without a check
        y = extract_features(network, rows_of(features, inside, budget),
                             batch_size=config.batch_size).x
        p = class_probabilities(y)
        probabilities[inside] = p.reshape(features.views, len(inside), -1).mean(axis=0)
        if checkpoint:
            checkpoint.raise_if_stopped()
    return Evaluation(probabilities, train.labels, train.classes)


def _fold_of_each_photo(train: Dataset, seed: int, groups: Sequence[int] | None
                        ) -> IntArray | None:
    """(N,): the number of the fold that each photo is in; None if not even two folds are possible.

    There are FOLDS folds, or fewer: each needs a photo of every class, and a group of copies is in
    one fold only. If groups span classes, that may fail; then one fold fewer is tried.
    """
    numbers = np.arange(len(train)) if groups is None else np.asarray(groups)
    limit = min(FOLDS, *(len(np.unique(numbers[train.labels == k]))
                         for k in range(len(train.classes))))
    for count in range(limit, 1, -1):
        with suppress(ArgumentError):
            return train.folds(count, seed, groups)
    return None


def rows_of(features: ArrayDataset, indices: IntArray, memory_budget: int) -> ArrayDataset:
    """The features of these images in all views; above memory_budget bytes in a temporary file."""
    N = len(features) // features.views
    rows = np.concatenate([view * N + indices for view in range(features.views)])
    x = storage((len(rows), *features.x.shape[1:]), features.x.dtype, memory_budget)
    for start in range(0, len(rows), ROWS):
        x[start:start + ROWS] = features.x[rows[start:start + ROWS]]
        for file in (features.file, mapped_file(x)):
            if file is not None:
                release_pages(file)
    return ArrayDataset(x, features.labels[rows], features.views, mapped_file(x))
