"""The figure of `minicnn compare`: several runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

from ..utils.language import gettext as _
from .drawing import COLOURS, MIN_TYPE, STYLES, new_figure, percent, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_NAME, MAX_LINE, MAX_LINES = 44, 56, 2  # characters of a name and of a line of options; lines
LABEL_SPACE = 0.055  # of the height of the axes, between two labels at the ends of lines
LINE = 0.27  # inches, of a line of text
BAR_LINES = 2.2  # the height of an interval with the space below it, in lines


def comparison_figure(names: Sequence[str], histories: Sequence[Sequence[float]],
                      results: Sequence[tuple[float, float, float]], validated: Sequence[bool],
                      differences: Sequence[str] = ()) -> Figure:
    """The accuracy of each run by epoch, and the final accuracy with its interval, both on an axis
    from 0 or from 50 to 100 %, so that a difference of one photo looks small.

    histories: the accuracies of each run's epochs; empty for a run without epochs. validated:
    whether these are of validation photos, or else of the held-out ones. results: (accuracy, low,
    high) of each run. differences: the options in which each run differs from the others.
    """
    R = len(names)
    shown = [[f"{k}  {_end_of(name)}",
              *wrap(words, MAX_LINE, max_lines=MAX_LINES, placeholder=" …")]
             for k, (name, words) in enumerate(zip(names, differences or [""] * R, strict=True), 1)]
    rows = sum(len(lines) + BAR_LINES for lines in shown)
    figure = new_figure(14, max(4.8, 1.5 + LINE * rows))
    figure.set_layout_engine("constrained", h_pad=0.12)  # inches: titles do not touch the edge
    left, right = figure.subplots(1, 2)
    low = 0.5 if min([value for history in histories for value in history]
                     + [interval[1] for interval in results]) >= 0.5 else 0.0
    styles = [(COLOURS[k % len(COLOURS)], STYLES[k % len(STYLES)]) for k in range(R)]
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
    left.yaxis.set_major_formatter(percent)
    left.grid(alpha=0.3)
    top = 0.0  # in lines, downwards
    for lines, result, (colour, _style) in zip(shown, results, styles, strict=True):
        top = _draw_run(right, lines, result, colour, low, top)
    right.set(title=_("accuracy with 95 % interval"), ylim=(max(top, 8), -0.4), xlim=(low, 1),
              yticks=[])
    right.spines["left"].set_visible(False)
    right.xaxis.set_major_formatter(percent)
    right.xaxis.get_major_locator().set_params(nbins=5)
    right.grid(alpha=0.3, axis="x")
    return figure


def _end_of(name: str) -> str:
    """The end of a long name, which differs between runs more often than its beginning."""
    return shortened(name if len(name) <= MAX_NAME else f"…{name[1 - MAX_NAME:]}", MAX_NAME)


def _draw_run(ax: Axes, lines: Sequence[str], result: tuple[float, float, float], colour: str,
              left: float, top: float) -> float:
    """A run: its name, in bold, and its options from `top` on, below them its accuracy in its
    interval. Returns where the next one begins. left: where the axis begins."""
    for k, line in enumerate(lines):
        ax.text(left, top + k, line if k == 0 else shortened(line, MAX_LINE), va="top",
                weight="normal" if k else "bold", color="black" if k else colour,
                fontsize=MIN_TYPE if k else None)
    accuracy, lower, upper = result
    y = top + len(lines) + BAR_LINES / 4
    ax.errorbar(accuracy, y, xerr=[[accuracy - lower], [upper - accuracy]], fmt="o", ms=10,
                color=colour, lw=3, capsize=7, capthick=3, clip_on=False)
    is_far_right = upper > 0.8 + 0.2 * left
    ax.annotate(_("{number:.1f} %", number=100 * accuracy), (lower if is_far_right else upper, y),
                (-12 if is_far_right else 12, 0), textcoords="offset points", va="center",
                ha="right" if is_far_right else "left")
    return top + len(lines) + BAR_LINES


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
