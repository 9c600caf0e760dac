"""The confusion matrix as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..utils.arrays import IntArray
from ..utils.language import gettext as _
from .drawing import new_figure, percent, shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def confusion_figure(counts: IntArray, classes: Sequence[str], title: str) -> Figure:
    """Counts (K, K), true classes in rows, predicted in columns; the colour is the count's share of
    its row."""
    K, names = len(classes), [shortened(name) for name in classes]
    longest = max(map(len, names))
    rotated = longest * K > 26  # side by side, the names would touch
    side = max(4.2, 0.62 * K)
    figure = new_figure(side + 1.9 + 0.11 * longest, side + 0.3 + 0.07 * longest * rotated)
    ax = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(counts) if K <= 25 else ():
        ax.text(j, i, str(count), ha="center", va="center",
                color="white" if shares[i, j] > 0.55 else "black", fontsize=18 if K < 5 else 13)
    ax.set_xticks(range(K), names, rotation=40 * rotated, ha="right" if rotated else "center")
    ax.set_yticks(range(K), names)
    ax.set(xlabel=_("predicted"), ylabel=_("true"))
    ax.set_title(title, fontsize=13, pad=12)
    ax.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=ax, shrink=0.8, label=_("share of the true class"))
    bar.ax.yaxis.set_major_formatter(percent)
    return figure
