"""Figures of an evaluation (ROC, precision and recall, calibration), and of several runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, cast

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
    wilson_interval,
)
from ..plotting.drawing import BLUE, MIN_TYPE, ORANGE, new_figure, save, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = (BLUE, ORANGE, "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "black")  # Okabe & Ito 2008
STYLES = ("-", "--", "-.", ":")
FEW = 50  # photos: with fewer, a curve is mostly chance, and its figure says so
MAX_NAMED = 6  # curves with a colour and a name: if there are more, those of the lowest area


def percent(value: float, _: object = None) -> str:
    """0.5 -> "50 %", 0.925 -> "92.5 %"."""
    return f"{100 * value:.3g} %"


def probability(t: float) -> str:
    """Three digits, or as many as are needed not to round it to 1: 0.99995 -> "0.99995"."""
    return f"{t:.{max(3, -math.floor(math.log10(1 - t or 1)))}g}"


def few_photos(result: Evaluation) -> str:
    """A second line of the title if there are too few photos for a curve, else ""."""
    N = len(result.labels)
    return f"\nonly {N} photo{'s' * (N != 1)}: read the steps, not the shape" if N < FEW else ""


def by_recall(p: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """pr_curve with recall, its x axis, first."""
    precision, recall, thresholds = pr_curve(p, positive)
    return recall, precision, thresholds


def roc(result: Evaluation, path: Path, threshold: float | None = None) -> None:
    """Draws the ROC curve as a PNG: of two classes for the second, else for each class against the
    rest. threshold: for the second of two classes; its point is marked."""
    figure = new_figure(8.4, 5.6)
    ax = figure.subplots()
    ax.plot([0, 1], [0, 1], ":", color="grey", lw=2, label="0.500  chance")
    _class_curves(ax, result, roc_curve, roc_auc, {"lw": 2.5}, threshold)
    ax.set(xlabel="false positive rate", ylabel="true positive rate (recall)",
           title=("ROC curve" if len(result.classes) == 2 else
                  "ROC, each class against the rest") + few_photos(result))
    _format_and_save(ax, path, "area")


def precision_recall(result: Evaluation, path: Path, threshold: float | None = None) -> None:
    """Draws precision against recall as a PNG, in steps: of two classes for the second, else for
    each class against the rest. threshold: for the second of two classes; its point is marked."""
    figure = new_figure(8.4, 5.6)
    ax = figure.subplots()
    if len(result.classes) == 2:
        share = (result.labels == 1).mean()
        ax.axhline(share, color="grey", ls=":", lw=2, label=f"{share:.3f}  chance")
    _class_curves(ax, result, by_recall, average_precision, {"lw": 2.5, "drawstyle": "steps-pre"},
                  threshold)
    ax.set(xlabel="recall (share of the class that is predicted as such)",
           ylabel="precision (share of these predictions that are correct)",
           title="precision and recall" + ", each class" * (len(result.classes) > 2)
           + few_photos(result))
    _format_and_save(ax, path, "average precision")


def ranked(result: Evaluation, area: Callable) -> tuple[np.ndarray, list[int], int]:
    """(area of each class (K,), the classes that have a curve, lowest area first, how many of them
    are named). Of two classes only the second has a curve."""
    areas = one_versus_rest(result.probabilities, result.labels, area)
    drawn = [int(k) for k in np.argsort(areas, kind="stable") if np.isfinite(areas[k])
             and (k == 1 or len(areas) != 2)]
    return areas, drawn, len(drawn) if len(drawn) <= MAX_NAMED + 1 else MAX_NAMED


def _class_curves(ax: Axes, result: Evaluation, points: Callable, area: Callable, style: dict,
                  threshold: float | None) -> None:
    """Draws points(p, positive) -> (x, y, thresholds) for each class, the lowest areas in colour.
    """
    areas, drawn, named = ranked(result, area)
    if not drawn:
        ax.text(0.5, 0.5, "no curve: it needs photos\nof a class and of others", ha="center",
                va="center", transform=ax.transAxes)
    line_styles = zip(COLOURS, cycle(STYLES), strict=False)
    for rank, k in enumerate(drawn):
        x, y, thresholds = points(result.probabilities[:, k], result.labels == k)
        if rank >= named:
            ax.plot(x, y, color="silver", zorder=1, **{**style, "lw": 1.2},
                    label=f"{len(drawn) - named} others" if rank == named else None)
            continue
        colour, dashes = next(line_styles)
        ax.plot(x, y, dashes, color=colour, **style,
                label=f"{areas[k]:.3f}  {shortened(result.classes[k])}")
        if threshold is None or len(result.classes) != 2:
            continue
        at = np.searchsorted(-thresholds, -threshold, "right") - 1
        if at >= 0:
            ax.plot(x[at], y[at], "o", ms=13, mfc="none", mec="black", mew=2.5, clip_on=False,
                    zorder=5, label=f"at threshold {probability(threshold)}")


def _format_and_save(ax: Axes, path: Path, heading: str) -> None:
    """Percent axes, a legend beside them, and the file."""
    ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    ax.xaxis.set_major_formatter(percent)
    ax.yaxis.set_major_formatter(percent)
    ax.grid(alpha=0.3)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), title=heading, frameon=False)
    save(cast("Figure", ax.figure), path)


def calibration(result: Evaluation, path: Path, bins: int = 10) -> None:
    """Draws accuracy against confidence in bins of equal width, and the number of photos in each,
    as a PNG. Source: Guo et al. 2017, figure 1."""
    curve = calibration_curve(result.probabilities, result.labels, bins)
    error = expected_calibration_error(result.probabilities, result.labels, bins)
    figure = new_figure(7.2, 6.4)
    ax, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    centres, used = (np.arange(bins) + 0.5) / bins, curve.count > 0
    ax.plot([0, 1], [0, 1], ":", color="grey", lw=2, label="perfectly calibrated")
    ax.bar(centres[used], curve.accuracy[used], 0.9 / bins, color=BLUE, alpha=0.35)
    for x, accuracy, count in zip(curve.confidence[used], curve.accuracy[used],
                                  curve.count[used], strict=True):
        low, high = wilson_interval(round(accuracy * count), int(count))
        ax.plot([x, x], [low, high], color=BLUE, lw=2, alpha=0.7, clip_on=False)
    line = "o" if len(result.labels) < FEW else "o-"  # through few photos there is no line
    ax.plot(curve.confidence[used], curve.accuracy[used], line, color=BLUE, lw=2.5, ms=8,
            clip_on=False, label="measured, with 95 % interval")
    ax.set(ylabel="accuracy", ylim=(0, 1), xlim=(0, 1),
           title=f"Calibration of {len(result.labels)} photos\nexpected calibration error "
                 f"{100 * error:.1f} %")
    ax.yaxis.set_major_formatter(percent)
    ax.legend(loc="upper left", fontsize=12, handlelength=1.2)
    ax.grid(alpha=0.3)
    below.bar(centres, curve.count, 0.9 / bins, color=ORANGE)
    for x, count in zip(centres[used], curve.count[used], strict=True):
        below.annotate(str(int(count)), (x, count), (0, 2), ha="center", fontsize=MIN_TYPE,
                       textcoords="offset points")
    below.margins(y=0.3)
    below.set(xlabel="confidence (probability of the predicted class)", ylabel="photos")
    below.xaxis.set_major_formatter(percent)
    below.yaxis.get_major_locator().set_params(integer=True, nbins=3)
    save(figure, path)


def comparison(names: Sequence[str], histories: Sequence[Sequence[float]],
               results: Sequence[tuple[float, float, float]], path: Path,
               validated: Sequence[bool]) -> None:
    """Draws runs side by side as a PNG: the accuracy by epoch, and the final accuracy.

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
    save(figure, path)
