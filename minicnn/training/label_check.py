"""Which training photos may have a wrong label? Predictions of each by a head that never saw it.

A network reproduces the labels that it was trained with, wrong ones, too. So the training photos
are dealt into k folds, and k heads are trained, each without one fold, which it then predicts. The
frozen features are there already: it costs k trainings of the head, and no pass through VGG16.
check_labels does the same for photos on which nothing was trained yet, and computes their features.

Source: Northcutt, Jiang & Chuang 2021, Confident learning: estimating uncertainty in dataset
labels (out-of-fold probabilities); Stone 1974.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np

from ..data import Dataset
from ..evaluation import Evaluation, class_probabilities
from ..layers import Flatten
from ..losses import Loss
from ..model import Sequential
from ..models import VGG16, head, loss_for
from ..optimizers import Adam
from ..utils.arrays import IntArray
from ..utils.errors import ArgumentError, NotFiniteError
from ..utils.language import gettext as _
from .batches import ArrayDataset
from .callbacks import (
    SCHEDULES,
    Callback,
    Checkpoint,
    LearningRateSchedule,
    ProgressBar,
    StopWhenAsked,
    features_progress,
)
from .features import extract_features, resident_bytes, rows_of
from .loop import fit
from .lr_finder import initial_learning_rate
from .state import TrainingState
from .transfer_config import TransferConfig

FOLDS = 5


def out_of_fold(features: ArrayDataset, train: Dataset, loss: Loss, lr: float,
                config: TransferConfig, groups: Sequence[int] | None = None,
                device: str = "cpu", checkpoint: Checkpoint | None = None,
                progress: Callable[[int, int], None] | None = None) -> Evaluation | None:
    """Predictions of the training photos, each by one of k heads that was trained without it.

    features: of the photos of `train` in their order, view by view, as extract_features gives them;
    a prediction is the mean of the views. loss, lr, config: of the head of the run; the k
    heads train as many epochs and keep their last weights.
    groups: near copies (near_duplicates), which are in one fold, since a copy would give the label
    away. k is FOLDS, or as many as the smallest class has photos that differ; None if that is less
    than two, or if a training diverges.
    checkpoint: of the run; after its stop() KeyboardInterrupt is raised at the end of a head's
    step, epoch or predictions. Nothing is kept of the heads that were trained until then.
    progress(done, total): is called after each epoch, of all heads together.
    """
    fold = _fold_of_each_photo(train, config.seed, groups)
    if fold is None:
        return None
    count = int(fold.max()) + 1
    probabilities = np.zeros((len(train), len(train.classes)))
    budget = config.memory_budget * 10**6 - resident_bytes(features.x)
    callbacks = [LearningRateSchedule(SCHEDULES[config.schedule]), ProgressBar(enabled=False),
                 *([StopWhenAsked(checkpoint)] if checkpoint else []),
                 *([EpochCount(progress, count * config.epochs)] if progress else [])]
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


class EpochCount(Callback):
    """Calls progress(done, total) after each epoch of several trainings."""

    def __init__(self, progress: Callable[[int, int], None], total: int) -> None:
        self.progress, self.done, self.total = progress, 0, total

    def on_epoch_end(self, state: TrainingState) -> None:
        """One more."""
        self.done += 1
        self.progress(self.done, self.total)


def bars_progress(callbacks: Sequence[Callback]) -> Callable[[int, int], None]:
    """progress(done, total) of out_of_fold, on the bars among the callbacks."""
    def progress(done: int, total: int) -> None:
        for bar in callbacks:
            if isinstance(bar, ProgressBar):
                bar.draw(_("label check"), done / total, [])
    return progress


def check_labels(data: Dataset, config: TransferConfig | None = None, *,
                 groups: Sequence[int] | None = None, callbacks: Sequence[Callback] = (),
                 device: str = "cpu") -> Evaluation | None:
    """out_of_fold for photos on which nothing has been trained: predictions of each photo by a head
    on VGG16's frozen layers that has not seen it, and None as there.

    callbacks: follow the features and the heads: ProgressBars show both.
    """
    config = config or TransferConfig()
    base = VGG16(include_top=False, input_shape=(config.size, config.size, 3),
                 cut=config.last_kept).to(device)
    features = extract_features(base, data, batch_size=config.batch_size,
                                memory_budget=config.memory_budget * 10**6,
                                progress=features_progress(callbacks, "features"))
    lr = initial_learning_rate(features.x) if config.lr is None else config.lr
    return out_of_fold(features, data, loss_for(len(data.classes)), lr, config, groups, device,
                       progress=bars_progress(callbacks))


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
