"""Ablation: which layers does the network need? Remove one or change its width, and retrain. (Z11)

Every variant of the small course network (16 and 32 maps, a dense layer of 64) is trained from
random weights on the same photos, with the same optimizer (Adam, 0.001) and number of epochs, once
per seed: the seed draws the initial weights and the order of the photos. The error is the share of
misclassified photos; its standard deviation over the seeds shows which differences matter. The
pooling layers stay in all variants, so that the remaining layers see maps of the same size.

Source: Zeiler & Fergus 2014, section 4.4 and table 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..data import Dataset, sample
from ..layers import Conv2D, Dense, Flatten, Layer, MaxPool2D
from ..model import Sequential
from ..models import head, loss_for
from ..optimizers import Adam
from ..plotting import drawing
from ..preprocessing import Preprocessing
from ..training import evaluate_photos, fit
from ..utils.arrays import FloatArray, IntArray
from ..utils.errors import ArgumentError, check_int
from ..utils.language import fill_in
from ..utils.language import gettext as _
from ..utils.language import gettext_noop as N_
from ..visualize.photos import Progress, silent
from ..visualize.result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VARIANTS = {  # maps of the first and second convolution, units of the dense layer; 0: left out
    N_("the whole network"): (16, 32, 64),
    N_("without the first convolution"): (0, 32, 64),
    N_("without the second convolution"): (16, 0, 64),
    N_("without both convolutions"): (0, 0, 64),
    N_("without the dense layer"): (16, 32, 0),
    N_("only the last layer"): (0, 0, 0),
    N_("half the maps"): (8, 16, 64),
    N_("twice the maps"): (32, 64, 64),
    N_("a quarter of the dense layer"): (16, 32, 16),
    N_("twice the dense layer"): (16, 32, 128),
}


@dataclass
class Ablation(Result):
    """For V variants and S seeds: variants, their names; layers (V, 3): maps, maps, units (0: left
    out); parameters (V,); train, test (V, S): shares of misclassified photos."""

    variants: list[str]
    layers: IntArray
    parameters: IntArray
    train: FloatArray
    test: FloatArray
    epochs: int

    def figure(self) -> Figure:
        """Bars of both errors, ± one standard deviation over the seeds."""
        figure = drawing.new_figure(13, 8.5)
        ax, rows = figure.subplots(), np.arange(len(self.variants))
        bars = ((self.test, -0.2, drawing.ORANGE, _("test photos")),
                (self.train, 0.2, drawing.BLUE, _("training photos")))
        for errors, offset, colour, label in bars:
            ax.barh(rows + offset, 100 * errors.mean(axis=1), 0.4, color=colour, label=label,
                    xerr=100 * errors.std(axis=1, ddof=1), capsize=3)
        ax.set_yticks(rows, [_(name) + "\n" + _("{count:,} parameters", count=count)
                             for name, count in zip(self.variants, self.parameters, strict=True)],
                      fontsize=drawing.MIN_TYPE)
        ax.invert_yaxis()
        ax.set_xlabel(_("misclassified photos, %, ± sd of {seeds} seeds",
                        seeds=self.test.shape[1]))
        ax.set_title(_("ablation, {epochs} epochs each", epochs=self.epochs))
        ax.legend(loc="lower right")
        return figure

    def __str__(self) -> str:
        rows = zip(self.variants, self.parameters, *(
            text for errors in (self.train, self.test)
            for text in (100 * errors.mean(axis=1), 100 * errors.std(axis=1, ddof=1))),
            strict=True)
        line = "{name:<30}{count:>12,}   {a:5.1f} ± {b:4.1f}   {c:5.1f} ± {d:4.1f}"
        return "\n".join([_("error in %, mean ± sd of {seeds} seeds, {epochs} epochs",
                            seeds=self.test.shape[1], epochs=self.epochs),
                          f"{'':30}{_('parameters'):>12}{_('training'):>15}{_('test'):>15}",
                          *(fill_in(line, {"name": _(name), "count": count, "a": a, "b": b, "c": c,
                                           "d": d}) for name, count, a, b, c, d in rows)])


def ablation(train: Dataset | None = None, test: Dataset | None = None, *, epochs: int = 20,
             seeds: int = 3, size: int = 28, progress: Progress = silent) -> Ablation:
    """Trains every variant `seeds` times; errors on the training and the test photos.

    train, test: photos of the same classes; None: the built-in ones; if only `train` is passed, a
                 fifth of it is held out as `test`.
    seeds:       at least 2, for a standard deviation. size: side of the input, in pixels.
    progress:    counts trainings. The default takes some minutes.
    Raises ArgumentError if test has other classes than train.
    """
    check_int(epochs, "ablation, epochs")
    check_int(seeds, "ablation, seeds", 2)
    if train is None:
        train = sample("fashion", "train")
        test = sample("fashion", "test") if test is None else test
    elif test is None:
        train, test = train.split(0.8)
    if train.classes != test.classes:
        raise ArgumentError(f"ablation: expected test photos of the classes "
                            f"{', '.join(train.classes)}, received {', '.join(test.classes)}.")
    errors, counts = np.zeros((len(VARIANTS), seeds, 2)), []
    for v, variant in enumerate(VARIANTS.values()):
        for seed in range(seeds):
            model = variant_of_small_cnn(*variant, len(train.classes), size,
                                         seed)
            fit(model, train, loss_for(len(train.classes)), Adam(0.001), epochs=epochs, seed=seed)
            errors[v, seed] = [1 - evaluate_photos(model, data).accuracy for data in (train, test)]
            progress(v * seeds + seed + 1, len(VARIANTS) * seeds)
        counts.append(sum(p.size for layer in model.layers for p in layer.params.values()))
    return Ablation(list(VARIANTS), np.array(list(VARIANTS.values())), np.array(counts),
                    errors[..., 0], errors[..., 1], epochs)


def variant_of_small_cnn(first: int, second: int, units: int, classes: int, size: int = 28,
                         seed: int = 0) -> Sequential:
    """models.SmallCNN with other widths; 0 leaves the layer out."""
    layers: list[Layer] = []
    for filters in (first, second):
        if filters:
            layers.append(Conv2D(filters, 3, padding="same", activation="relu",
                                 kernel_initializer="he_normal"))
        layers.append(MaxPool2D(2))
    layers.append(Flatten())
    if units:
        layers.append(Dense(units, activation="relu", kernel_initializer="he_normal"))
    return Sequential([*layers, *head(classes)], (size, size, 3), seed, "small_cnn",
                      Preprocessing())
