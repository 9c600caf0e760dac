"""Probes: how well does a linear classifier do on the features of each layer? (Z12)

For each layer the features X (N, D) of labelled photos, all positions and maps; on them the
simplest classifier, ridge regression on targets Y (n, K), 1 for a photo's class and 0 elsewhere;
the predicted class is the largest of the K outputs:

    Ŵ = argmin_W ‖Y − X W‖² + λ ‖W‖²,    X and Y minus their means over the training photos, which
                                         are added to the outputs again

There are far more features than photos, so everything is computed from the products of photos,
G = X Xᵀ (n, n), since Ŵ = Xᵀ (G + λ I)⁻¹ Y. With G = Q diag(g) Qᵀ, computed once, every λ costs
little, and so does the leave-one-out output for each training photo, without another fit:

    Ŷ = Q diag(g / (g + λ)) Qᵀ Y,    y_i − ŷ_i^(−i) = (y_i − ŷ_i) / (1 − h_i),
    h_i = Σ_m Q_im² g_m / (g_m + λ) + 1 / n

λ is the one with the smallest sum of squares of these errors; the test photos play no part in the
choice. Every photo is tested once: for each fold, the classifier is trained on the other folds.

Source: Zeiler & Fergus 2014, section 5.3 and table 7 (a linear SVM there); Alain & Bengio 2017,
"Understanding intermediate layers using linear classifier probes"; leave-one-out: Allen 1974.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..data import Dataset
from ..layers.sharing import copy_layers
from ..model import Sequential
from ..plotting import drawing
from ..training.features import extract_features
from ..utils.arrays import FloatArray, IntArray
from ..utils.errors import ArgumentError
from ..utils.language import gettext as _
from ..utils.language import local_number
from ..visualize.photos import Progress, batch_size_for, silent
from ..visualize.result import Result
from ..visualize.target import chosen_layers, layer_index

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STRENGTHS = 10.0 ** np.arange(-6, 3)  # λ, relative to the mean of g
MAX_PHOTOS = 5000  # the eigenvalues of G take n³ steps
COLUMNS = 1 << 14  # features that are multiplied at a time
BUDGET = 1 << 29  # bytes of features in memory; more go to a temporary file


@dataclass
class Probes(Result):
    """layers: L names; features (L,): the number of each; accuracies (L, F): in each of F folds;
    strengths (L, F): λ relative to the mean eigenvalue; photos, classes: their numbers."""

    layers: list[str]
    features: IntArray
    accuracies: FloatArray
    strengths: FloatArray
    photos: int
    classes: int

    def figure(self) -> Figure:
        """Accuracy by depth, ± one standard deviation over the folds."""
        figure = drawing.new_figure(11, 6.5)
        ax, rows = figure.subplots(), np.arange(len(self.layers))
        mean, sd = 100 * self.accuracies.mean(axis=1), 100 * self.accuracies.std(axis=1, ddof=1)
        ax.errorbar(rows, mean, sd, fmt="o-", color=drawing.BLUE, lw=2.5, ms=9, capsize=6)
        for row, value in zip(rows, mean, strict=True):
            ax.annotate(local_number(f"{value:.1f}"), (row, value), (8, 10),
                        textcoords="offset points")
        ax.axhline(100 / self.classes, color="black", ls="--", lw=1)
        ax.annotate(_("chance, 1 of {classes}", classes=self.classes),
                    (rows[-1], 100 / self.classes), (0, 5), textcoords="offset points",
                    ha="right", fontsize=drawing.MIN_TYPE)
        ax.set_xticks(rows, [drawing.shortened(name) + "\n" + _("{count:,} features", count=count)
                             for name, count in zip(self.layers, self.features, strict=True)],
                      fontsize=drawing.MIN_TYPE)
        ax.margins(x=0.1)
        ax.set_ylim(0, 105)
        ax.set_ylabel(_("accuracy, %, ± sd of {folds} folds", folds=self.accuracies.shape[1]))
        ax.set_title(_("a linear classifier on each layer, {count} photos", count=self.photos))
        return figure

    def __str__(self) -> str:
        F = self.accuracies.shape[1]
        lines = [_("{count} photos, {classes} classes, accuracy in %, mean ± sd of {folds} folds",
                   count=self.photos, classes=self.classes, folds=F)]
        for name, count, a in zip(self.layers, self.features, self.accuracies, strict=True):
            lines.append(_("{layer:<20}{count:>10,} features   {mean:5.1f} ± {deviation:.1f}",
                           layer=name, count=count, mean=100 * a.mean(),
                           deviation=100 * a.std(ddof=1)))
        return "\n".join(lines)


def probes(model: Sequential, data: Dataset, layers: Sequence[str] | None = None, *,
           folds: int = 5, groups: Sequence[int] | None = None, seed: int = 0,
           batch_size: int | None = None, progress: Progress = silent) -> Probes:
    """A linear classifier on each layer, tested on each fold after training on the others.

    data: photos of two classes or more, at least `folds` of each, at most 5,000.
    layers: None: visualize.target.chosen_layers; of any shape. seed: draws the folds.
    groups: of near_duplicates; None: no photos count as copies. A group stays in one fold.
    batch_size: None is as many as fit into memory. progress counts photos, once per layer.
    Raises ArgumentError for layers that do not exist, one class, too few photos of a class, too
    many photos; NotFiniteError for features that are not finite.
    """
    if len(data.classes) < 2:
        raise ArgumentError(f"probes: expected photos of two classes or more, received "
                            f"{len(data.classes)}. Put each class in a folder of its own.")
    if len(data) > MAX_PHOTOS:
        raise ArgumentError(f"probes: expected at most {MAX_PHOTOS:,} photos, received "
                            f"{len(data):,}. Take fewer of each class: data.take(per_class).")
    fold = data.folds(folds, seed, groups)
    names = chosen_layers(model) if layers is None else list(dict.fromkeys(layers))
    indices = [layer_index(model, name) for name in names]
    Y = np.eye(len(data.classes))[data.labels]
    accuracies, strengths = np.zeros((2, len(names), folds))
    for row, index in enumerate(indices):
        def layer_progress(done: int, total: int, row: int = row) -> None:
            progress(row * total + done, len(names) * total)

        G = products(model, data, index, batch_size, layer_progress)
        for k in range(folds):
            train, test = fold != k, fold == k
            outputs, strengths[row, k] = ridge(G[np.ix_(train, train)], G[np.ix_(test, train)],
                                               Y[train])
            accuracies[row, k] = (outputs.argmax(axis=1) == data.labels[test]).mean()
    features = np.array([int(np.prod(model.shapes()[index + 1])) for index in indices])
    return Probes(names, features, accuracies, strengths, len(data), len(data.classes))


def products(model: Sequential, data: Dataset, index: int, batch_size: int | None = None,
             progress: Progress = silent) -> np.ndarray:
    """G = X Xᵀ (N, N), float64, of the layer at `index`, its features minus their mean over all
    photos: a shift that does not change the classifier, and makes float32 sufficient."""
    network = model.view(copy_layers(model.layers[:index + 1]), model.input_shape,
                         model.preprocessing)
    features = extract_features(
        network, data, batch_size=batch_size_for(model, index + 1, batch_size),
        memory_budget=BUDGET, progress=progress).x
    X = features.reshape(len(features), -1)
    G = np.zeros((len(X), len(X)))
    for start in range(0, X.shape[1], COLUMNS):
        block = X[:, start:start + COLUMNS]
        block = block - block.mean(axis=0)
        G += block @ block.T
    return G


def ridge(G: np.ndarray, between: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, float]:
    """G (n, n), products of the training photos; between (m, n), of the test photos with them;
    Y (n, K) -> outputs for the test photos (m, K); λ relative to the mean of g."""
    rows = G.mean(axis=0)
    # products of X − x̄: (x_a − x̄)·(x_b − x̄) = G_ab − mean_b G_ab − mean_a G_ab + mean G
    between = between - between.mean(axis=1, keepdims=True) - rows + rows.mean()
    G = G - rows - rows[:, None] + rows.mean()
    mean = Y.mean(axis=0)
    Y = Y - mean
    g, Q = np.linalg.eigh(G)
    g = np.maximum(g, 0)  # rounding makes zeros negative
    scale, QY = g.mean(), Q.T @ Y
    if scale == 0:
        return np.tile(mean, (len(between), 1)), 0.0  # all photos have the same features

    def leave_one_out_error(strength: float) -> float:
        shrinkage = g / (g + strength * scale)
        h = Q ** 2 @ shrinkage + 1 / len(Y)
        errors = (Y - Q @ (shrinkage[:, None] * QY)) / (1 - h)[:, None]
        return float((errors ** 2).sum())

    best = min(STRENGTHS, key=leave_one_out_error)
    return mean + between @ (Q @ (QY / (g + best * scale)[:, None])), float(best)
