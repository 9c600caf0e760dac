"""The charts of a run's page: the accuracy with its interval, learning curves, ROC, calibration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..evaluation import wilson_interval
from ..plotting.drawing import percent_text
from ..utils.language import gettext as _
from ..utils.language import local_number
from .html import Markup, element, join, percent
from .svg import (
    PHONE,
    PHONE_TYPE,
    TYPE,
    Plot,
    both_sizes,
    chart,
    number_ticks,
    percent_ticks,
    text_width,
)

MIN_CALIBRATION = 50  # photos: with fewer, the bars are noise
BINS = 25  # of the histogram of probabilities


class Curve(NamedTuple):
    """A line of the learning curves: the network's short name, which photos it is of ("training",
    "test", …, in the page's language), its classes in the style sheet, and its values by epoch."""

    network: str
    photos: str
    kind: str
    values: Sequence[float]

    @property
    def of_training(self) -> bool:
        """Whether it is for the photos that the network learned from."""
        return self.kind.endswith("train")


class Accuracy(NamedTuple):
    """A network's accuracy: its short name, correct of total photos."""

    name: str
    correct: int
    total: int


def _anchor(share: float) -> str:
    """Of a number below an axis from 0 to 1: its ends stay inside the drawing."""
    return "start" if share == 0 else "end" if share == 1 else "middle"


# The number


def accuracy_bar(rows: Sequence[Accuracy], chance: tuple[str, float]) -> Markup:
    """Each accuracy as a dot in its 95 % interval on an axis from 0 to 100 %, and the accuracy of
    always giving the same answer, (its words, its share), as a dashed line."""
    def draw(width: int) -> Plot:
        phone = width == PHONE
        row = 66 if phone else 62
        plot = Plot(_("Accuracy with its 95 % interval"), width, 50 + row * len(rows) + 40, (0, 1),
                    (0, 1), (42, 16, 40, 16))
        for share, label in percent_ticks(step=0.5 if phone else 0.25):
            plot.draw("line", class_="grid", x1=plot.px(share), x2=plot.px(share), y1=plot.top,
                      y2=plot.bottom)
            plot.text(plot.px(share), plot.bottom + 26, label,
                      _anchor(share), "soft")
        words, share = chance
        plot.draw("line", class_="chance", x1=plot.px(share), x2=plot.px(share), y1=plot.top - 10,
                  y2=plot.bottom)
        plot.text(plot.px(share), 22, f"{words}{_(': ')}{percent_text(share)}", "middle", "soft")
        for k, (name, correct, total) in enumerate(rows):
            low, high = wilson_interval(correct, total)
            at, kind, y = correct / total, f"k{k}", plot.top + row * k + (44 if phone else 34)
            plot.draw("rect", class_=f"band {kind}", x=plot.px(low), y=y - 13, rx=13, height=26,
                      width=max(round(plot.px(high) - plot.px(low), 1), 8))
            plot.draw("circle", class_=f"dot {kind}", cx=plot.px(at), cy=y, r=11)
            label = f"{name} {percent_text(at)}"
            if phone:
                plot.text(plot.px(0), y - 22, label, kind=f"end {kind}", halo=True)
            elif low > 0.45:
                plot.text(plot.px(low) - 12, y + 6, label, "end", f"end {kind}", halo=True)
            else:
                plot.text(plot.px(high) + 12, y + 6, label, kind=f"end {kind}", halo=True)
        return plot
    return both_sizes(draw, 780, class_="accuracy")


# Learning


def best_epoch(curves: Sequence[Curve]) -> int | None:
    """The epoch, counted from 1, with the lowest loss of the first curve that is not of training
    photos; None without one."""
    for curve in curves:
        if not curve.of_training and len(curve.values) and np.isfinite(curve.values).all():
            return int(np.argmin(curve.values)) + 1
    return None


def learning_chart(title: str, note: str, curves: Sequence[Curve], shares: bool,
                   best: tuple[int, str] | None, classes: int) -> Markup:
    """Curves of one kind by epoch. shares: accuracies, on an axis from 0, or of two classes from
    50 % if no value lies below, which the note says; or else losses. best: an epoch of the first
    held-out curve to mark, and its words."""
    epochs = max(len(curve.values) for curve in curves)
    values = [value for curve in curves for value in curve.values if math.isfinite(value)]
    if shares:
        low, high = 0.5 if classes == 2 and min(values) >= 0.5 else 0.0, 1.0
        note += _("; the axis begins at 50 %") if low else ""
    else:  # a network that diverges leaves the frame instead of flattening all others
        low, high = 0.0, min(max(values), max(4 * math.log(classes), 2 * curves[0].values[0])) or 1

    def draw(width: int) -> Plot:
        phone = width == PHONE
        labels = [_end_label(curve, shares, phone) for curve in curves]
        longest = max(text_width(label, PHONE_TYPE if phone else TYPE, bold=True)
                      for label in labels)
        plot = Plot(title, width, 340 if phone else 420, (min(1, epochs - 1), max(epochs, 2)),
                    (low, high), (36, math.ceil(longest) + 14, 62, 62))
        ticks = (percent_ticks(low, 0.25 if low == 0 else 0.1) if shares
                 else number_ticks(low, high))
        plot.axes(number_ticks(*plot.x, 3 if phone else 6, integer=True), ticks, _("epoch"))
        for curve in curves:
            plot.line(range(1, len(curve.values) + 1), curve.values, curve.kind)
        if best:
            epoch, words = best
            words = words.split(_(": "))[-1] if phone else words
            held_out = next(curve for curve in curves if not curve.of_training)
            x, y = plot.px(epoch), plot.py(held_out.values[epoch - 1])
            plot.draw("circle", class_="best", cx=x, cy=y, r=9)
            plot.draw("line", class_="chance", x1=x, x2=x, y1=plot.top - 6, y2=y - 9)
            third = (plot.right - plot.left) / 3  # above the curves, where it covers none
            anchor = ("start" if x < plot.left + third else
                      "end" if x > plot.right - third else "middle")
            plot.text(x, plot.top - 12, words, anchor)
        plot.labels([(curve.values[-1], label, curve.kind)
                     for curve, label in zip(curves, labels, strict=True)])
        plot.draw("line", class_="cursor", x1=0, x2=0, y1=plot.top, y2=plot.bottom,
                  visibility="hidden")
        return plot
    hover = "accuracy" if shares else "loss"
    return chart(title, note, both_sizes(draw, data_hover=hover),
                 element("p", class_="readout", aria_live="off", data_readout=hover))


def _end_label(curve: Curve, shares: bool, phone: bool) -> str:
    value = percent_text(curve.values[-1]) if shares else (
        local_number(f"{curve.values[-1]:.2f}"))
    if phone:  # colour and weight say the rest
        return value
    # short: the key above the chart has the whole name
    network = _("scratch") if curve.network == _("from scratch") else curve.network
    name = curve.photos if not network else f"{network}{_(': ')}{curve.photos}"
    return f"{name} {value}"


def rates_chart(rates: Mapping[str, Any]) -> Markup:
    """The loss while the learning rate grew, and the rate that was chosen."""
    x, y, top = rates["x"], np.minimum(rates["y"], rates["top"]), rates["top"]
    suggestion = 10 ** rates["best"]

    def draw(width: int) -> Plot:
        plot = Plot(_("Loss by learning rate"), width, 360, (min(x), max(x)), (0, top),
                    (16, 24, 62, 62))
        plot.axes([(v, f"1e{v:g}") for v, _label in number_ticks(min(x), max(x), integer=True)],
                  number_ticks(0, top), _("learning rate"))
        plot.line(x, y.tolist(), "k0 held")
        plot.line([rates["best"]] * 2, [0, top], "k1 thin")
        plot.text(plot.px(rates["best"]) - 8, plot.top + 22,
                  _("steepest fall: {rate:.2g}", rate=suggestion), "end", halo=True)
        return plot
    return chart(_("Learning rate search"), _("The loss while the learning rate grew"),
                 both_sizes(draw))


# The threshold


def histogram(q: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> Markup:
    """How many photos of the second of two classes (up) and of the first (down) got which
    probability q (N,) of the second."""
    counts = [np.histogram(q[labels == k], BINS, (0, 1))[0] for k in (0, 1)]
    top = max(int(np.max(counts)), 1)

    def draw(width: int) -> Plot:
        plot = Plot(_("Photos by their probability of {name}", name=classes[1]), width, 250, (0, 1),
                    (-top, top), (30, 10, 56, 10))
        for k, sign in ((1, 1), (0, -1)):
            for b in np.flatnonzero(counts[k]):
                left, right = plot.px(b / BINS) + 1, plot.px((b + 1) / BINS) - 1
                edges = sorted((plot.py(0), plot.py(sign * int(counts[k][b]))))
                plot.draw("rect", class_=f"bar k{k}", x=left, width=round(right - left, 1),
                          y=edges[0], height=max(round(edges[1] - edges[0], 1), 3))
        plot.draw("line", class_="grid", x1=plot.left, x2=plot.right, y1=plot.py(0), y2=plot.py(0))
        names = [name if len(name) < 24 else name[:22] + "…" for name in classes]
        plot.text(plot.left, 20, f"↑ {names[1]}", kind="end k1")
        plot.text(plot.right, plot.bottom + 4, f"↓ {names[0]}", "end", "end k0")
        for share, label in percent_ticks(step=0.5 if width == PHONE else 0.25):
            plot.text(plot.px(share), plot.bottom + 28, label,
                      _anchor(share), "soft")
        plot.text((plot.left + plot.right) / 2, plot.bottom + 52,
                  _("probability of {name}", name=names[1]), "middle", "soft")
        plot.draw("line", class_="cut", data_cut=True, x1=plot.px(0.5), x2=plot.px(0.5), y1=26,
                  y2=plot.bottom)
        return plot
    return both_sizes(draw, 380)


def score_chart(title: str, note: str, x_label: str, lines: Sequence[Mapping[str, Any]],
                chance: tuple[Sequence[float], Sequence[float]] | None, *, steps: bool = False,
                mark: str = "", wide: int = 332) -> Markup:
    """ROC curves, or precision by recall: lines {name, area, x, y}. chance: (x, y) of a dashed
    line. mark: the name of the ring that the script moves with the threshold."""
    def draw(width: int) -> Plot:
        height = round((0.92 if width < 500 else 0.66) * width) + 20
        plot = Plot(title, width, height, (0, 1), (0, 1), (14, 26, 62, 66))
        plot.axes(percent_ticks(step=0.5 if width == PHONE else 0.25), percent_ticks(), x_label)
        if chance:
            plot.line(*chance, "chance")
        for k, row in enumerate(lines):
            plot.line(row["x"], row["y"], f"k{k} d{k}", steps)
        if mark:
            plot.mark(mark)
        return plot
    key = [element("li", Markup(f'<svg viewBox="0 0 48 16"><path class="line k{k} d{k}" '
                                f'd="M0 8H48"/></svg>'),
                   row["name"] + _(": ") + percent(row["area"]))
           for k, row in enumerate(lines)] if len(lines) > 1 else []
    return chart(title, note, both_sizes(draw, wide),
                 element("ul", *key, class_="legend") if key else None)


# Calibration


def calibration_chart(curve: Mapping[str, Sequence], classes: int) -> Markup:
    """A bar for each range of confidence: the share that was right, its 95 % interval, how many
    photos; the dashed line is where the share equals the confidence."""
    bins = [b for b, count in enumerate(curve["count"]) if count]
    width_of = 1 / len(curve["count"])
    low = 0.5 if classes == 2 and min(bins) * width_of >= 0.5 else min(bins) * width_of

    def draw(width: int) -> Plot:
        plot = Plot(_("Calibration"), width, 360 if width == PHONE else 420, (low, 1), (0, 1),
                    (40, 20, 62, 66))
        ticks = [(low + k * width_of, percent(low + k * width_of, 0))
                 for k in range(round((1 - low) / width_of) + 1)]
        plot.axes(ticks[::2 if width == PHONE or len(ticks) > 6 else 1], percent_ticks(),
                  _("confidence") if width == PHONE else
                  _("confidence: the probability of the predicted class"))
        for b in bins:
            count, share = curve["count"][b], curve["accuracy"][b]
            ends = wilson_interval(round(count * share), count)
            left, right = plot.px(b * width_of) + 5, plot.px((b + 1) * width_of) - 5
            middle = (left + right) / 2
            plot.draw("rect", class_="bar k0", x=left, width=round(right - left, 1),
                      y=plot.py(share), height=round(plot.bottom - plot.py(share), 1))
            plot.draw("path", class_="whisker", d=(
                f"M{middle} {plot.py(ends[0])}V{plot.py(ends[1])}M{middle - 9} {plot.py(ends[0])}"
                f"h18M{middle - 9} {plot.py(ends[1])}h18"))
            plot.text(middle, plot.bottom - 10, count, "middle", halo=True)
        plot.line([low, 1], [low, 1], "chance")
        return plot
    return chart(_("Share that was right, by confidence"),
                 _("The number in a bar: how many photos. The thin line: its 95 % interval. "
                   "Dashed: as often right as it is sure."), both_sizes(draw))


def key_of_networks(curves: Sequence[Curve]) -> Markup:
    """Which colour is which network, and which line is of which photos."""
    networks = dict.fromkeys((curve.network, curve.kind.split()[0]) for curve in curves)
    if len(networks) < 2:
        return Markup("")
    return element("p", join(element("span", f"● {name}", class_=f"key {kind}")
                             for name, kind in networks), class_="keys")
