"""Figures of an evaluation (ROC, precision and recall, calibration), and of several runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..evaluation import (
    Evaluation,
    average_precision,
    calibration_curve,
    expected_calibration_error,
    one_versus_rest,
    pr_curve,
    roc_auc,
    roc_curve,
)
from ..plotting.drawing import BLUE, ORANGE, new_figure, save, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = (BLUE, ORANGE, "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "black")  # Okabe & Ito 2008
STYLES = ("-", "--", "-.", ":")
NAMED = 6  # curves with a colour and a name; where there are more, those of the lowest area


def percent(value: float, _: object = None) -> str:
    """0.5 -> "50 %", 0.925 -> "92.5 %"."""
    return f"{100 * value:.3g} %"


def probability(t: float) -> str:
    """Three digits, or as many as keep it from becoming 1: 0.99995 -> "0.99995"."""
    return f"{t:.{max(3, -math.floor(math.log10(1 - t or 1)))}g}"


def by_recall(p: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """pr_curve with recall, its x axis, first."""
    precision, recall, thresholds = pr_curve(p, positive)
    return recall, precision, thresholds


def roc(result: Evaluation, path: Path, threshold: float | None = None) -> None:
    """The ROC curve as a PNG: of the second of two classes, else of each class against the rest.

    threshold: of the second of two classes; its point is marked.
    """
    figure = new_figure(8.4, 5.6)
    ax = figure.subplots()
    ax.plot([0, 1], [0, 1], ":", color="grey", lw=2, label="0.500  chance")
    _class_curves(ax, result, roc_curve, roc_auc, {"lw": 2.5}, threshold)
    ax.set(xlabel="false alarms (share of the others taken for it)",
           ylabel="found (share of the class taken for it)",
           title="ROC curve" if len(result.classes) == 2 else "ROC, each class against the rest")
    _finish(ax, path, "area")


def precision_recall(result: Evaluation, path: Path, threshold: float | None = None) -> None:
    """Precision against recall as a PNG, in steps: of the second of two classes, else of each class
    against the rest. threshold: of the second of two classes; its point is marked."""
    figure = new_figure(8.4, 5.6)
    ax = figure.subplots()
    if len(result.classes) == 2:
        share = (result.labels == 1).mean()
        ax.axhline(share, color="grey", ls=":", lw=2, label=f"{share:.3f}  chance")
    _class_curves(ax, result, by_recall, average_precision, {"lw": 2.5, "drawstyle": "steps-pre"},
                  threshold)
    ax.set(xlabel="recall (share of the class that is found)",
           ylabel="precision (share of the found that is right)",
           title="precision and recall" + ", each class" * (len(result.classes) > 2))
    _finish(ax, path, "average precision")


def ranked(result: Evaluation, area: Callable) -> tuple[np.ndarray, list[int], int]:
    """(The area of each class (K,), the classes that have a curve, the lowest area first, how many
    of them are named): of two classes the second alone."""
    areas = one_versus_rest(result.probabilities, result.labels, area)
    drawn = [int(k) for k in np.argsort(areas, kind="stable") if np.isfinite(areas[k])
             and (k == 1 or len(areas) != 2)]
    return areas, drawn, len(drawn) if len(drawn) <= NAMED + 1 else NAMED


def _class_curves(ax: Axes, result: Evaluation, points: Callable, area: Callable, look: dict,
                  threshold: float | None) -> None:
    """points(p, positive) -> (x, y, thresholds), a line a class: the lowest areas with a colour."""
    two = len(result.classes) == 2
    areas, drawn, named = ranked(result, area)
    if not drawn:
        ax.text(0.5, 0.5, "no curve: it needs photos\nof a class and of others", ha="center",
                va="center", transform=ax.transAxes)
    looks = zip(COLOURS, cycle(STYLES), strict=False)
    for rank, k in enumerate(drawn):
        x, y, thresholds = points(result.probabilities[:, k], result.labels == k)
        if rank >= named:
            ax.plot(x, y, color="silver", zorder=1, **{**look, "lw": 1.2},
                    label=f"{len(drawn) - named} others" if rank == named else None)
            continue
        colour, style = next(looks)
        ax.plot(x, y, style, color=colour, **look, label=f"{areas[k]:.3f}  "
                                                         f"{shortened(result.classes[k])}")
        at = -1 if threshold is None else np.searchsorted(-thresholds, -threshold, "right") - 1
        if two and at >= 0:
            ax.plot(x[at], y[at], "o", ms=13, mfc="none", mec="black", mew=2.5, clip_on=False,
                    zorder=5, label=f"at threshold {probability(threshold)}")


def _finish(ax: Axes, path: Path, heading: str) -> None:
    ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    ax.xaxis.set_major_formatter(percent)
    ax.yaxis.set_major_formatter(percent)
    ax.grid(alpha=0.3)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), title=heading, frameon=False)
    save(ax.figure, path)


def calibration(result: Evaluation, path: Path, bins: int = 10) -> None:
    """Accuracy against confidence in bins of equal width, and how many photos are in each, as a
    PNG. Source: Guo et al. 2017, figure 1."""
    curve = calibration_curve(result.probabilities, result.labels, bins)
    error = expected_calibration_error(result.probabilities, result.labels, bins)
    figure = new_figure(7.2, 6.4)
    ax, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    centres, used = (np.arange(bins) + 0.5) / bins, curve.count > 0
    ax.plot([0, 1], [0, 1], ":", color="grey", lw=2, label="as it should be")
    ax.bar(centres[used], curve.accuracy[used], 0.9 / bins, color=BLUE, alpha=0.35)
    ax.plot(curve.confidence[used], curve.accuracy[used], "o-", color=BLUE, lw=2.5, ms=8,
            clip_on=False, label="measured")
    ax.set(ylabel="right", ylim=(0, 1), xlim=(0, 1),
           title=f"How sure, and how often right?\nexpected calibration error {100 * error:.1f} %")
    ax.yaxis.set_major_formatter(percent)
    ax.legend(loc="upper left")
    ax.grid(alpha=0.3)
    below.bar(centres, curve.count, 0.9 / bins, color=ORANGE)
    below.set(xlabel="confidence (probability of the class it names)", ylabel="photos")
    below.xaxis.set_major_formatter(percent)
    below.yaxis.get_major_locator().set_params(integer=True, nbins=3)
    save(figure, path)


def comparison(names: Sequence[str], histories: Sequence[Sequence[float]],
               results: Sequence[tuple[float, float, float]], path: Path,
               validated: Sequence[bool]) -> None:
    """Runs side by side as a PNG: an accuracy by epoch, and accuracy, low, high.

    histories: an entry an epoch each; empty for a run without epochs. validated: whether it is the
    accuracy of validation photos; else it is that of the held-out ones.
    """
    ends = [name if len(name) <= 28 else f"…{name[-27:]}" for name in names]  # of paths, the end
    R, names = len(names), [f"{k}  {shortened(name, 28)}" for k, name in enumerate(ends, 1)]
    longest = max(map(len, names))
    figure = new_figure(10.5 + 0.1 * longest, max(4.4, 1.6 + 0.55 * R))
    left, right = figure.subplots(1, 2)
    looks = [(COLOURS[k % len(COLOURS)], STYLES[k % len(STYLES)]) for k in range(R)]
    for k, (history, of, (colour, style)) in enumerate(zip(
            histories, validated, looks, strict=True), 1):
        if len(history):
            left.plot(range(1, len(history) + 1), history, style, color=colour, lw=2.5,
                      label=f"{k}  {'validation' if of else 'held-out'}",
                      marker="o" if len(history) == 1 else None)
    if any(map(len, histories)):
        left.legend()
    else:
        left.text(0.5, 0.5, "no epochs in these runs", ha="center", va="center",
                  transform=left.transAxes)
    left.xaxis.get_major_locator().set_params(integer=True)
    left.set(xlabel="epoch", title="accuracy by epoch")
    for k, ((accuracy, low, high), (colour, _)) in enumerate(zip(results, looks, strict=True)):
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
    save(figure, path)
