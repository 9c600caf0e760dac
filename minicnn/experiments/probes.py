"""How well does a linear classifier read each layer? (Z12)

For each layer the features X (N, D) of labelled photos, all places and maps; on them the plainest
classifier, ridge regression on targets Y (n, K), 1 for a photo's class and 0 elsewhere; the class
is the largest of the K answers:

    Ŵ = argmin_W ‖Y − X W‖² + λ ‖W‖²,    X and Y less their means over the training photos, which
                                         the answers get back

There are far more features than photos, so everything goes by the products of photos, G = X Xᵀ
(n, n), since Ŵ = Xᵀ (G + λ I)⁻¹ Y. With G = Q diag(g) Qᵀ, found once, every λ costs little, and so
does the answer for each training photo by the n − 1 others, without a second fit:

    Ŷ = Q diag(g / (g + λ)) Qᵀ Y,    y_i − ŷ_i^(−i) = (y_i − ŷ_i) / (1 − h_i),
    h_i = Σ_m Q_im² g_m / (g_m + λ) + 1 / n

λ is the one with the smallest sum of squares of these; the test photos have no part in the choice.
Every photo is in the test once: `folds` times, the classifier learns from the other folds.

Source: Zeiler & Fergus 2014, section 5.3 and table 7 (a linear SVM there); Alain & Bengio 2017,
"Understanding intermediate layers using linear classifier probes"; leave-one-out: Allen 1974.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..data import Dataset
from ..model import Sequential
from ..ops import to_cpu
from ..plotting import drawing
from ..training.features import storage
from ..utils.errors import ArgumentError
from ..visualize.photos import Progress, bounded, photo_batches, silent
from ..visualize.result import Result
from ..visualize.target import chosen_layers, copies, layer_index

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STRENGTHS = 10.0 ** np.arange(-6, 3)  # λ, as a share of the mean of g
MOST = 5000  # photos; the eigenvalues of G take n³ steps
COLUMNS = 1 << 14  # features that are multiplied at a time
BUDGET = 1 << 29  # bytes of features in memory; more go to a temporary file


@dataclass
class Probes(Result):
    """layers: L names; features (L,): how many each has; accuracies (L, F): share of right answers
    in each of F folds; strengths (L, F): λ as a share of the mean eigenvalue; photos, classes: how
    many."""

    layers: list[str]
    features: np.ndarray
    accuracies: np.ndarray
    strengths: np.ndarray
    photos: int
    classes: int

    def figure(self) -> Figure:
        """Accuracy by depth, ± one standard deviation over the folds."""
        figure = drawing.new_figure(11, 6.5)
        ax, rows = figure.subplots(), np.arange(len(self.layers))
        mean, sd = 100 * self.accuracies.mean(axis=1), 100 * self.accuracies.std(axis=1, ddof=1)
        ax.errorbar(rows, mean, sd, fmt="o-", color=drawing.BLUE, lw=2.5, ms=9, capsize=6)
        for row, value in zip(rows, mean, strict=True):
            ax.annotate(f"{value:.1f}", (row, value), (8, 10), textcoords="offset points")
        ax.axhline(100 / self.classes, color="black", ls="--", lw=1)
        ax.annotate(f"chance, 1 of {self.classes}", (rows[-1], 100 / self.classes), (0, 5),
                    textcoords="offset points", ha="right", fontsize=11)
        ax.set_xticks(rows, [f"{drawing.shortened(name)}\n{count:,} features"
                             for name, count in zip(self.layers, self.features, strict=True)],
                      fontsize=11)
        ax.margins(x=0.1)
        ax.set_ylim(0, 105)
        ax.set_ylabel(f"right answers, %, ± sd of {self.accuracies.shape[1]} folds")
        ax.set_title(f"a linear classifier on each layer, {self.photos} photos")
        return figure

    def __str__(self) -> str:
        F = self.accuracies.shape[1]
        return "\n".join([f"{self.photos} photos, {self.classes} classes, right answers in %, mean "
                          f"± sd of {F} folds", *(
                              f"{name:<20}{count:>10,} features   {100 * a.mean():5.1f} ± "
                              f"{100 * a.std(ddof=1):.1f}" for name, count, a in
                              zip(self.layers, self.features, self.accuracies, strict=True))])


def probes(model: Sequential, data: Dataset, layers: Sequence[str] | None = None, *,
           folds: int = 5, groups: Sequence[int] | None = None, seed: int = 0,
           batch_size: int | None = None, progress: Progress = silent) -> Probes:
    """A linear classifier on each layer, learnt from the other folds and tested on each.

    data: photos of two classes or more, at least `folds` of each, at most 5,000.
    layers: None: visualize.targets.chosen_layers; of any shape. seed: draws the folds.
    groups: of near_duplicates; None: no two photos are taken for copies. A group stays in one fold.
    batch_size: None is what memory bears. progress counts photos, once for each layer.
    Raises ArgumentError for layers that do not exist, one class, too few photos of a class, too
    many photos, features that are not finite.
    """
    if len(data.classes) < 2:
        raise ArgumentError(f"probes: expected photos of two classes or more, received "
                            f"{len(data.classes)}. Put each class in a folder of its own.")
    if len(data) > MOST:
        raise ArgumentError(f"probes: expected at most {MOST:,} photos, received {len(data):,}. "
                            f"Take fewer of each class: data.take(per_class).")
    fold = data.folds(folds, seed, groups)
    names = chosen_layers(model) if layers is None else list(dict.fromkeys(layers))
    places = [layer_index(model, name) for name in names]
    Y = np.eye(len(data.classes))[data.labels]
    accuracies, strengths = np.zeros((2, len(names), folds))
    for row, (name, place) in enumerate(zip(names, places, strict=True)):
        G = products(model, data, place, batch_size, lambda done, total, row=row: progress(
            row * total + done, len(names) * total))
        if not np.isfinite(G).all():
            raise ArgumentError(f"{name}: expected finite features, received others. Are the "
                                f"weights finite?")
        for k in range(folds):
            train, test = fold != k, fold == k
            answers, strengths[row, k] = ridge(G[np.ix_(train, train)], G[np.ix_(test, train)],
                                               Y[train])
            accuracies[row, k] = (answers.argmax(axis=1) == data.labels[test]).mean()
    features = np.array([int(np.prod(model.shapes()[place + 1])) for place in places])
    return Probes(names, features, accuracies, strengths, len(data), len(data.classes))


def products(model: Sequential, data: Dataset, place: int, batch_size: int | None = None,
             progress: Progress = silent) -> np.ndarray:
    """G = X Xᵀ (N, N), float64, of the layer at `place`, its features less their mean over all
    photos: a shift that leaves the classifier as it is, and float32 enough."""
    layers, X = copies(model.layers[:place + 1]), None
    for indices, _, x in photo_batches(model, data, bounded(model, place + 1, batch_size),
                                       progress):
        for layer in layers:
            x = layer.forward(x, keep=False)
        y = to_cpu(x).reshape(len(x), -1)
        X = storage((len(data), y.shape[1]), y.dtype, BUDGET) if X is None else X
        X[indices] = y
    G = np.zeros((len(X), len(X)))
    for start in range(0, X.shape[1], COLUMNS):
        part = X[:, start:start + COLUMNS]
        part = part - part.mean(axis=0)
        G += part @ part.T
    return G


def ridge(G: np.ndarray, between: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, float]:
    """G (n, n), products of the training photos; between (m, n), of the test photos with them;
    Y (n, K) -> answers for the test photos (m, K); λ as a share of mean g."""
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
        return np.tile(mean, (len(between), 1)), 0.0  # all photos alike: nothing to read

    def error(share: float) -> float:
        kept = g / (g + share * scale)
        left_out = (Y - Q @ (kept[:, None] * QY)) / (1 - (Q ** 2 @ kept) - 1 / len(Y))[:, None]
        return float((left_out ** 2).sum())

    best = min(STRENGTHS, key=error)
    return mean + between @ (Q @ (QY / (g + best * scale)[:, None])), float(best)
