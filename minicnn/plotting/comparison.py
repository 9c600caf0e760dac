"""The figure of `minicnn compare`: several runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..utils.language import gettext as _
from .drawing import COLOURS, STYLES, new_figure, percent, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_NAME = 28  # characters of a run's name
LABEL_SPACE = 0.055  # of the height of the axes, between two labels at the ends of lines


def comparison_figure(names: Sequence[str], histories: Sequence[Sequence[float]],
                      results: Sequence[tuple[float, float, float]], validated: Sequence[bool],
                      differences: Sequence[str] = ()) -> Figure:
    """The accuracy of each run by epoch, and the final accuracy with its interval, both on an axis
    from 0 or from 50 to 100 %, so that a difference of one photo looks small.

    histories: the accuracies of each run's epochs; empty for a run without epochs. validated:
    whether these are of validation photos, or else of the held-out ones. results: (accuracy, low,
    high) of each run. differences: the options in which each run differs from the others.
    """
    ends = [name if len(name) <= MAX_NAME else f"…{name[1 - MAX_NAME:]}" for name in names]
    R, labels = len(names), [f"{k}  {shortened(name, MAX_NAME)}" for k, name in enumerate(ends, 1)]
    labels = [label + f"\n{shortened(words, 44)}" * bool(words) for label, words in
              zip(labels, differences or [""] * R, strict=True)]
    longest = max(len(line) for label in labels for line in label.split("\n"))
    figure = new_figure(11 + 0.1 * longest, max(4.6, 1.8 + 0.8 * R))
    left, right = figure.subplots(1, 2)
    low = 0.5 if min([value for history in histories for value in history]
                     + [interval[1] for interval in results]) >= 0.5 else 0.0
    styles = [(COLOURS[k % len(COLOURS)], STYLES[k % len(STYLES)]) for k in range(R)]
    colours = [colour for colour, style in styles]
    drawn = []
    for k, (history, (colour, style)) in enumerate(zip(histories, styles, strict=True)):
        if len(history):
            left.plot(range(1, len(history) + 1), history, style, color=colour, lw=2.5,
                      marker="o" if len(history) == 1 else None, clip_on=False)
            kind = _("validation") if validated[k] else _("held-out")
            drawn.append((len(history), history[-1], f"{k + 1}  {kind}", colour))
    left.set(xlabel=_("epoch"), title=_("accuracy by epoch"), ylim=(low, 1))
    if drawn:
        _label_ends(left, drawn, 1 - low)
    else:
        left.text(0.5, 0.5, _("no epochs in these runs"), ha="center", va="center",
                  transform=left.transAxes)
    left.xaxis.get_major_locator().set_params(integer=True)
    for k, ((accuracy, lower, upper), colour) in enumerate(zip(results, colours, strict=True)):
        right.errorbar(accuracy, k, xerr=[[accuracy - lower], [upper - accuracy]], fmt="o", ms=10,
                       color=colour, lw=3, capsize=7, capthick=3, clip_on=False)
        is_far_right = accuracy > 0.5 + low / 2
        right.annotate(_("{number:.1f} %", number=100 * accuracy), (accuracy, k),
                       (-4 if is_far_right else 4, 12), textcoords="offset points",
                       ha="right" if is_far_right else "left")
    right.set_yticks(range(R), labels)
    right.set(title=_("accuracy with 95 % interval"), ylim=(R - 0.5, -0.6), xlim=(low, 1))
    right.xaxis.set_major_formatter(percent)
    right.xaxis.get_major_locator().set_params(nbins=5)
    left.yaxis.set_major_formatter(percent)
    left.grid(alpha=0.3)
    right.grid(alpha=0.3, axis="x")
    return figure


def _label_ends(ax: Axes, ends: Sequence[tuple[int, float, str, str]], height: float) -> None:
    """Names each line at its end, (epoch, value, words, colour); moved apart if they would touch.
    """
    space, above = LABEL_SPACE * height, float("-inf")
    last = max(epoch for epoch, *_rest in ends)
    first = ax.get_ylim()[0]
    heights = []
    for value in sorted(value for _epoch, value, _words, _colour in ends):
        above = max(value, above + space, first + space / 2)
        heights.append(above)
    for k in range(len(heights) - 1, -1, -1):
        heights[k] = min(heights[k], first + height - space * (len(heights) - 1 - k))
    ordered = sorted(ends, key=lambda end: end[1])
    for (_epoch, _value, words, colour), at in zip(ordered, heights, strict=True):
        ax.text(last + 0.02 * max(last - 1, 1), at, words, color=colour, va="center", ha="left")
