"""The curves of a training as a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..utils.language import gettext as _
from ..utils.language import gettext_noop as N_
from .drawing import BLUE, MIN_TYPE, ORANGE, new_figure, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

History = Mapping[str, Sequence[float]]


def second_prefix(history: History) -> str:
    """The keys of the photos that were not trained on begin with it: "val_" or "held_out_"."""
    return "held_out_" if "held_out_loss" in history else "val_"


def curves_figure(history: History, held_out: str = "", *, scratch: History | None = None,
                  best: int | None = None) -> Figure:
    """Loss and accuracy by epoch, for training and held-out photos.

    held_out: how these are called in the legend; by default as the history calls them. scratch:
    the history of the network from scratch, whose held-out photos are drawn, too. best: the epoch,
    counted from 1, whose weights were kept; None: no mark.
    """
    prefix, scratch = second_prefix(history), scratch or {}
    held_out = _(held_out or {"val_": N_("validation"), "held_out_": N_("held-out")}[prefix])
    kinds = [kind for kind in ("loss", "accuracy") if kind in history]
    figure = new_figure(6.2 * len(kinds), 5.1)
    for ax, kind in zip(np.atleast_1d(figure.subplots(1, len(kinds))), kinds, strict=True):
        lines = [(history.get(kind), _("training"), BLUE, "-"),
                 (history.get(f"{prefix}{kind}"), held_out, ORANGE, "--"),
                 (scratch.get(f"{second_prefix(scratch)}{kind}"),
                  _("{photos}, from scratch", photos=held_out), "0.45", ":")]
        for values, label, colour, style in lines:
            if values is not None:
                epochs = range(1, len(values) + 1)
                ax.plot(epochs, values, style, color=colour, lw=2.5, label=label,
                        marker="o" if len(epochs) == 1 else None)
        ax.set(xlabel=_("epoch"), title=_("loss (cross-entropy)") if kind == "loss" else
               _("accuracy"))
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.set_xlim(left=0.5)
        ax.grid(alpha=0.3)
        if kind == "loss":
            ax.set_ylim(bottom=0)
        else:
            ax.set_ylim(top=1.005)
            ax.yaxis.set_major_formatter(percent)
        if best is not None:
            _mark_best(ax, best, history.get(f"{prefix}{kind}", history[kind]))
    if kinds:  # one legend below, where it covers no curve
        figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center",
                      ncols=4, frameon=False)
    return figure


def _mark_best(ax: Axes, best: int, values: Sequence[float]) -> None:
    """A circle at the epoch whose weights were kept, if these values reach it."""
    if 1 <= best <= len(values):
        ax.axvline(best, color="0.6", lw=1, zorder=0)
        ax.plot(best, values[best - 1], "o", ms=12, mfc="none", mec="black", mew=2.2,
                label=_("best epoch: {best}", best=best))
        ax.tick_params(labelsize=MIN_TYPE)
