"""Figures of a classifier's measures: ROC, precision and recall, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from ..utils.arrays import FloatArray, IntArray
from ..utils.language import gettext as _
from ..utils.language import local_number, ngettext
from .drawing import (
    BLUE,
    COLOURS,
    MIN_TYPE,
    ORANGE,
    STYLES,
    new_figure,
    percent,
    probability,
    shortened,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEW = 50  # photos: with fewer, a curve is mostly chance, and its figure says so
MAX_NAMED = 6  # curves with a colour and a name: if there are more, those of the lowest area


class ClassCurve(NamedTuple):
    """The curve of a class against the rest: its area, and at each threshold, from the highest
    down, its point."""

    name: str
    area: float
    x: FloatArray
    y: FloatArray
    thresholds: FloatArray


def named_curves(curves: Sequence[ClassCurve]) -> Sequence[ClassCurve]:
    """Those with a colour and a name: all, unless they are many more than MAX_NAMED."""
    return curves if len(curves) <= MAX_NAMED + 1 else curves[:MAX_NAMED]


def few_photos(photos: int) -> str:
    """A second line of the title if there are too few photos for a curve, else ""."""
    if photos >= FEW:
        return ""
    return "\n" + ngettext("only {num} photo: read the steps, not the shape",
                           "only {num} photos: read the steps, not the shape", photos)


def roc_figure(curves: Sequence[ClassCurve], binary: bool, photos: int,
               threshold: float | None = None) -> Figure:
    """The curves of roc_curve of so many photos, the lowest area first: of two classes (binary)
    that of the second, else of each class against the rest. threshold: its point is marked if
    binary."""
    figure = new_figure(8.4, 5.6)
    ax = figure.subplots()
    ax.plot([0, 1], [0, 1], ":", color="grey", lw=2, label=_("{area:.3f}  chance", area=0.5))
    _draw_curves(ax, curves, {"lw": 2.5}, threshold if binary else None)
    ax.set(xlabel=_("false positive rate"), ylabel=_("true positive rate (recall)"),
           title=(_("ROC curve") if binary else _("ROC, each class against the rest"))
           + few_photos(photos))
    return _formatted(ax, _("area"))


def precision_recall_figure(curves: Sequence[ClassCurve], photos: int,
                            positive_share: float | None = None, threshold: float | None = None
                            ) -> Figure:
    """The curves of pr_curve of so many photos, with recall as x, in steps, the lowest area first:
    of two classes that of the second, whose share of the photos is positive_share, else (None) of
    each class against the rest. threshold: its point is marked if there are two classes."""
    figure = new_figure(8.4, 5.6)
    ax = figure.subplots()
    binary = positive_share is not None
    if positive_share is not None:
        ax.axhline(positive_share, color="grey", ls=":", lw=2,
                   label=_("{area:.3f}  chance", area=positive_share))
    _draw_curves(ax, curves, {"lw": 2.5, "drawstyle": "steps-pre"}, threshold if binary else None)
    ax.set(xlabel=_("recall (share of the class that is predicted as such)"),
           ylabel=_("precision (share of these predictions that are correct)"),
           title=(_("precision and recall") if binary else _("precision and recall, each class"))
           + few_photos(photos))
    return _formatted(ax, _("average precision"))


def _draw_curves(ax: Axes, curves: Sequence[ClassCurve], style: dict, threshold: float | None
                 ) -> None:
    """Draws the curves, the lowest areas in colour."""
    if not curves:
        ax.text(0.5, 0.5, _("no curve: it needs photos\nof a class and of others"),
                ha="center", va="center", transform=ax.transAxes)
    named = len(named_curves(curves))
    line_styles = zip(COLOURS, cycle(STYLES), strict=False)
    for rank, curve in enumerate(curves):
        if rank >= named:
            ax.plot(curve.x, curve.y, color="silver", zorder=1, **{**style, "lw": 1.2},
                    label=_("{count} others", count=len(curves) - named)
                    if rank == named else None)
            continue
        colour, dashes = next(line_styles)
        ax.plot(curve.x, curve.y, dashes, color=colour, **style,
                label=f"{local_number(f'{curve.area:.3f}')}  {shortened(curve.name)}")
        if threshold is None:
            continue
        at = np.searchsorted(-curve.thresholds, -threshold, "right") - 1
        if at >= 0:
            ax.plot(curve.x[at], curve.y[at], "o", ms=13, mfc="none", mec="black", mew=2.5,
                    clip_on=False, zorder=5,
                    label=_("at threshold {threshold}", threshold=probability(threshold)))


def _formatted(ax: Axes, heading: str) -> Figure:
    """The figure, with percent axes and a legend beside them."""
    ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    ax.xaxis.set_major_formatter(percent)
    ax.yaxis.set_major_formatter(percent)
    ax.grid(alpha=0.3)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), title=heading, frameon=False)
    return cast("Figure", ax.figure)


def calibration_figure(confidence: FloatArray, accuracy: FloatArray, count: IntArray,
                       intervals: FloatArray, error: float) -> Figure:
    """Accuracy against confidence in bins of equal width, and the number of photos in each, all
    (bins,). intervals (bins, 2): of the accuracies, where there are photos. error: the expected
    calibration error. Source: Guo et al. 2017, figure 1."""
    bins = len(count)
    figure = new_figure(7.2, 6.4)
    ax, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    centres, used = (np.arange(bins) + 0.5) / bins, count > 0
    ax.plot([0, 1], [0, 1], ":", color="grey", lw=2, label=_("perfectly calibrated"))
    ax.bar(centres[used], accuracy[used], 0.9 / bins, color=BLUE, alpha=0.35)
    for x, (low, high) in zip(confidence[used], intervals[used], strict=True):
        ax.plot([x, x], [low, high], color=BLUE, lw=2, alpha=0.7, clip_on=False)
    line = "o" if count.sum() < FEW else "o-"  # through few photos there is no line
    ax.plot(confidence[used], accuracy[used], line, color=BLUE, lw=2.5, ms=8,
            clip_on=False, label=_("measured, with 95 % interval"))
    ax.set(ylabel=_("accuracy"), ylim=(0, 1), xlim=(0, 1),
           title=_("Calibration of {count} photos\nexpected calibration error {error:.1f} %",
                   count=count.sum(), error=100 * error))
    ax.yaxis.set_major_formatter(percent)
    ax.legend(loc="upper left", fontsize=12, handlelength=1.2)
    ax.grid(alpha=0.3)
    below.bar(centres, count, 0.9 / bins, color=ORANGE)
    for x, photos in zip(centres[used], count[used], strict=True):
        below.annotate(str(int(photos)), (x, photos), (0, 2), ha="center", fontsize=MIN_TYPE,
                       textcoords="offset points")
    below.margins(y=0.3)
    below.set(xlabel=_("confidence (probability of the predicted class)"), ylabel=_("photos"))
    below.xaxis.set_major_formatter(percent)
    below.yaxis.get_major_locator().set_params(integer=True, nbins=3)
    return figure
