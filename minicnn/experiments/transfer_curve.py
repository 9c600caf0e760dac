"""Transfer curve: how many photos are enough? Accuracy against their number, with and without
transfer learning. (Z13)

For each fold the test photos stay the same, and the training photos of the other folds are used in
growing subsets: the first n of each class, the first 2n including them, and so on. Two networks are
trained on the same subsets:

    transfer      VGG16 frozen up to `cut`, its features computed once; a new head on them
    from scratch  models.SmallCNN, from random weights

Both take the same number of Adam steps for every n, rounded up to whole epochs, in batches of 32 at
most: with a fixed number of epochs, few photos would also mean few steps. The paper trains the same
large network from scratch, which takes a day; the small one at 32 × 32 pixels learns better from
few photos, and so is the stronger competitor, but it is another network: the curves compare two
ways to a classifier, not the initial weights alone.

Source: Zeiler & Fergus 2014, section 5.2 and figure 9 (Caltech-256: 6 photos of each class with
transfer do better than 60 without).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..data import Dataset, sample
from ..evaluation import class_probabilities
from ..model import Sequential
from ..models import VGG16, SmallCNN, head, loss_for
from ..optimizers import Adam
from ..plotting import drawing
from ..training import fit
from ..training.features import extract_features
from ..training.lr_finder import initial_learning_rate
from ..utils.arrays import FloatArray, IntArray
from ..utils.errors import ArgumentError, check_int, is_int
from ..utils.language import gettext as _
from ..utils.language import local_number
from ..utils.ranks import ALONE, current_ranks, working_with
from ..visualize.photos import Progress, batch_size_for, crop_photos, silent
from ..visualize.result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BATCH = 32
BUDGET = 1 << 29  # bytes of features in memory; more go to a temporary file
COUNTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)  # photos per class


@dataclass
class TransferCurve(Result):
    """per_class (P,): training photos per class; transfer, scratch (P, F): accuracies on the test
    photos of F folds; classes: their number; cut: the last frozen layer; steps: of Adam, in each
    training."""

    per_class: IntArray
    transfer: FloatArray
    scratch: FloatArray
    classes: int
    cut: str
    steps: int

    def figure(self) -> Figure:
        """Both curves, ± one standard deviation over the folds, photos on a logarithmic axis."""
        figure = drawing.new_figure(11, 6.5)
        ax = figure.subplots()
        curves = ((self.transfer, drawing.ORANGE, "o-",
                   _("transfer: VGG16 up to {cut}", cut=self.cut)),
                  (self.scratch, drawing.BLUE, "s--", _("from scratch: SmallCNN")))
        for values, colour, style, label in curves:
            mean, sd = 100 * values.mean(axis=1), 100 * values.std(axis=1, ddof=1)
            ax.errorbar(self.per_class, mean, sd, fmt=style, color=colour, lw=2.5, ms=8, capsize=5,
                        label=label)
        ax.axhline(100 / self.classes, color="black", ls=":", lw=1.2,
                   label=_("chance, 1 of {classes}", classes=self.classes))
        ax.set_xscale("log")
        ax.set_xticks(self.per_class, [str(n) for n in self.per_class])
        ax.minorticks_off()
        ax.set_ylim(0, 100)
        ax.set_xlabel(_("training photos per class"))
        ax.set_ylabel(_("accuracy, %, ± sd of {folds} folds", folds=self.transfer.shape[1]))
        ax.set_title(_("how many photos are enough?"))
        ax.legend(loc="lower right")
        return figure

    def __str__(self) -> str:
        rows = [_("accuracy in %, mean ± sd of {folds} folds, {steps} steps each",
                  folds=self.transfer.shape[1], steps=self.steps),
                f"{_('per class'):>9}{_('transfer'):>13}   {_('from scratch')}"]
        for n, *both in zip(self.per_class, self.transfer, self.scratch, strict=True):
            rows.append(f"{n:>9}" + local_number("".join(
                f"{100 * a.mean():9.1f} ± {100 * a.std(ddof=1):<4.1f}" for a in both)))
        return "\n".join(rows)


def transfer_curve(data: Dataset | None = None, *, per_class: Sequence[int] | None = None,
                   folds: int = 5, groups: Sequence[int] | None = None, size: int = 128,
                   scratch_size: int = 32, cut: str = "block4_pool", steps: int = 300,
                   seed: int = 0, progress: Progress = silent) -> TransferCurve:
    """Trains on few and on many photos, with VGG16's features and without.

    data: photos of two classes or more; None: the built-in photos of cirrus and cumulus clouds.
    size: side of VGG16's input, pixels; scratch_size: that of the small network. per_class:
    increasing numbers of training photos per class; None: 1, 2, 5, 10 … up to all. groups: of
    near_duplicates; a group stays in one fold. cut: the last layer of VGG16 that is used, frozen.
    steps: of Adam. seed: of folds, subsets, initial weights. progress counts photos, then
    trainings.
    The default takes some minutes. Raises ArgumentError for a cut that does not exist, one class,
    numbers that do not increase or are larger than the other folds allow.
    """
    data = sample("clouds", classes=["cirrus", "cumulus"]) if data is None else data
    check_int(steps, "transfer_curve, steps")
    if len(data.classes) < 2:
        raise ArgumentError(f"transfer_curve: expected photos of two classes or more, received "
                            f"{len(data.classes)}. Put each class in a folder of its own.")
    fold = data.folds(folds, seed, groups)
    available = min(int(np.bincount(data.labels[fold != k]).min()) for k in range(folds))
    counts = _check_counts(per_class, available)
    frozen = VGG16(include_top=False, input_shape=(size, size, 3), cut=cut)
    total = len(data) + folds * len(counts)
    features = extract_features(frozen, data, batch_size=batch_size_for(frozen, len(frozen.layers)),
                                memory_budget=BUDGET, progress=lambda done, _: progress(done, total)
                                ).x
    X = features.reshape(len(features), -1)
    small = (scratch_size, scratch_size, 3)
    pixels = crop_photos(SmallCNN(len(data.classes), small), data)
    numbered = Dataset(range(len(data)), data.labels, data.classes, data.names)
    transfer, scratch = np.zeros((2, len(counts), folds))
    ranks, trainings = current_ranks(), [(k, row) for k in range(folds)
                                         for row in range(len(counts))]
    with working_with(ALONE):  # several ranks do not share a training here, but the trainings
        for number, (k, row) in enumerate(trainings[ranks.rank::ranks.size]):
            test = np.flatnonzero(fold == k)
            others = numbered.subset(np.flatnonzero(fold != k))
            train = np.array(others.take(counts[row], seed).items)
            top = Sequential(head(len(data.classes), kernel_initializer="zeros"), X.shape[1:], k)
            transfer[row, k] = _accuracy(top, Adam(initial_learning_rate(X[train])), X, data,
                                         train, test, steps, seed)
            scratch[row, k] = _accuracy(SmallCNN(len(data.classes), small, seed + k), Adam(0.001),
                                        pixels, data, train, test, steps, seed)
            progress(min(len(data) + (number + 1) * ranks.size, total), total)
    parts = ranks.gather((transfer, scratch))
    transfer, scratch = np.sum([transfer for transfer, _ in parts], axis=0), np.sum(
        [scratch for _, scratch in parts], axis=0)
    return TransferCurve(np.array(counts), transfer, scratch, len(data.classes), cut, steps)


def _check_counts(per_class: Sequence[int] | None, available: int) -> list[int]:
    """The numbers of photos per class; by default those of COUNTS up to all that are available."""
    if per_class is None:
        return [*(n for n in COUNTS if n < available), available]
    counts = list(per_class)
    if not counts or not all(is_int(n, 1) for n in counts) or counts != sorted(set(counts)) or (
            counts[-1] > available):
        raise ArgumentError(f"transfer_curve: expected increasing numbers of photos per class, "
                            f"from 1 to {available}, received {per_class!r}.")
    return counts


def _accuracy(model: Sequential, optimizer: Adam, x: np.ndarray, data: Dataset, train: IntArray,
              test: IntArray, steps: int, seed: int) -> float:
    """Accuracy on the images `test` after training on the images `train`, both indices."""
    epochs = -(-steps // -(-len(train) // BATCH))
    fit(model, (x[train], data.labels[train]), loss_for(len(data.classes)), optimizer,
        epochs=epochs, batch_size=BATCH, seed=seed)
    p = class_probabilities(model.predict(x[test]))
    return float((p.argmax(axis=1) == data.labels[test]).mean())
