"""The curves of a training as a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .drawing import BLUE, ORANGE, new_figure, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def second_prefix(history: Mapping[str, Sequence[float]]) -> str:
    """The keys of the photos that were not trained on begin with it: "val_" or "held_out_"."""
    return "held_out_" if "held_out_loss" in history else "val_"


def curves_figure(history: Mapping[str, Sequence[float]], held_out: str = "") -> Figure:
    """Loss and accuracy by epoch, for training and held-out photos. held_out: how these are called
    in the legend; by default as the history calls them."""
    prefix = second_prefix(history)
    held_out = held_out or {"val_": "validation", "held_out_": "held-out"}[prefix]
    kinds = [kind for kind in ("loss", "accuracy") if kind in history]
    figure = new_figure(5.5 * len(kinds), 4.2)
    for ax, kind in zip(np.atleast_1d(figure.subplots(1, len(kinds))), kinds, strict=True):
        for key, label, colour, style in ((kind, "training", BLUE, "-"),
                                          (f"{prefix}{kind}", held_out, ORANGE, "--")):
            if key in history:
                epochs = range(1, len(history[key]) + 1)
                ax.plot(epochs, history[key], style, color=colour, lw=2.5, label=label,
                        marker="o" if len(epochs) == 1 else None)
        ax.set(xlabel="epoch", title="loss (cross-entropy)" if kind == "loss" else "accuracy")
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.set_xlim(left=0.5)
        ax.grid(alpha=0.3)
        if kind == "loss":
            ax.set_ylim(bottom=0)
        else:
            ax.set_ylim(top=1.005)
            ax.yaxis.set_major_formatter(percent)
        ax.legend()
    return figure
