"""Several runs side by side as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .drawing import COLOURS, STYLES, new_figure, percent, shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def comparison_figure(names: Sequence[str], histories: Sequence[Sequence[float]],
                      results: Sequence[tuple[float, float, float]], validated: Sequence[bool]
                      ) -> Figure:
    """The accuracy of each run by epoch, and its final accuracy.

    histories: the accuracies of each run's epochs; empty for a run without epochs. validated:
    whether these are of validation photos, or else of the held-out ones. results: (accuracy, low,
    high) of each run.
    """
    ends = [name if len(name) <= 28 else f"…{name[-27:]}" for name in names]  # of long paths
    R, names = len(names), [f"{k}  {shortened(name, 28)}" for k, name in enumerate(ends, 1)]
    longest = max(map(len, names))
    figure = new_figure(10.5 + 0.1 * longest, max(4.4, 1.6 + 0.55 * R))
    left, right = figure.subplots(1, 2)
    styles = [(COLOURS[k % len(COLOURS)], STYLES[k % len(STYLES)]) for k in range(R)]
    for k, (history, is_validation, (colour, style)) in enumerate(zip(
            histories, validated, styles, strict=True), 1):
        if len(history):
            left.plot(range(1, len(history) + 1), history, style, color=colour, lw=2.5,
                      label=f"{k}  {'validation' if is_validation else 'held-out'}",
                      marker="o" if len(history) == 1 else None)
    if any(map(len, histories)):
        left.legend()
    else:
        left.text(0.5, 0.5, "no epochs in these runs", ha="center", va="center",
                  transform=left.transAxes)
    left.xaxis.get_major_locator().set_params(integer=True)
    left.set(xlabel="epoch", title="accuracy by epoch")
    for k, ((accuracy, low, high), (colour, _)) in enumerate(zip(results, styles, strict=True)):
        right.errorbar(accuracy, k, xerr=[[accuracy - low], [high - accuracy]], fmt="o", ms=10,
                       color=colour, lw=3, capsize=7, capthick=3)
        right.annotate(f"{100 * accuracy:.1f} %", (accuracy, k), (0, 11), ha="center",
                       textcoords="offset points")
    right.set_yticks(range(R), names)
    right.set(title="accuracy with 95 % interval", ylim=(R - 0.5, -0.6))
    right.xaxis.set_major_formatter(percent)
    right.xaxis.get_major_locator().set_params(nbins=5)
    left.yaxis.set_major_formatter(percent)
    left.grid(alpha=0.3)
    right.grid(alpha=0.3, axis="x")
    return figure
