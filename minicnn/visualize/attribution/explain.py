"""Explaining a prediction: the whole photo, what in it speaks for the class, and the probabilities.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...data.visible_region import visible_region
from ...model import Sequential
from ...plotting import drawing
from ...utils.language import gettext as _
from ..photos import crop_photo, image_size
from ..target import class_names
from .cam import decision_map, enlarge

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN_SIDE = 448  # pixels: about the shorter side of the shown photo, whatever the network's size
BARS = 5  # classes that get a bar


def explanation(model: Sequential, photo: np.ndarray, p: np.ndarray, name: str = "") -> Figure:
    """photo (H', W', 3) uint8, as read -> the whole photo with the part that the network sees in a
    frame, that part under its decision_map (red speaks for the most probable class, blue against
    it), and bars of the most probable classes.

    p (K,): the probabilities of the classes; name: of the photo. Raises the errors of decision_map.
    """
    target = int(p.argmax())
    attribution = decision_map(model, photo, target)
    H, Wd = attribution.pixels.shape[:2]
    sharp = crop_photo(model, photo, times=max(1, round(SHOWN_SIDE / min(H, Wd))))
    heat = enlarge(attribution.values, (sharp.shape[0], sharp.shape[1]))
    across = [max(photo.shape[1] / photo.shape[0], 0.5), Wd / H, 1.1]
    figure = drawing.new_figure(min(max(4.2 * sum(across), 12), 18) + 0.5, 5.6)
    left, middle, right = figure.subplots(1, 3, width_ratios=across)
    _show_framed(left, model, photo, drawing.shortened(drawing.printable_line(name), 34))
    if reason := drawing.why_blank(heat):
        drawing.show_map(middle, heat, reason)
    else:
        drawing.show_image(middle, drawing.heat_over(heat, sharp))
        middle.set_title(_("red speaks for it, blue against it"), fontsize=drawing.MIN_TYPE)
    method = _("{method}, {height} × {width} pixels", method=_(attribution.method), height=H,
               width=Wd)
    middle.text(0, -0.03, method, va="top", transform=middle.transAxes, fontsize=drawing.MIN_TYPE)
    _draw_bars(right, p, class_names(model))
    label = drawing.shortened(drawing.printable_line(attribution.target), 40)
    figure.suptitle(label + _(": ") + drawing.percent_text(float(p[target])), fontsize=20)
    return figure


def _show_framed(ax: Axes, model: Sequential, photo: np.ndarray, title: str) -> None:
    """The whole photo; what the network sees is framed and the rest paler, if there is a rest."""
    top, left, bottom, right = visible_region(photo.shape, image_size(model), model.preprocessing)
    H, Wd = photo.shape[:2]
    ax.imshow(photo, interpolation="bilinear", extent=(0, Wd, H, 0))
    ax.set_title(title, fontsize=drawing.MIN_TYPE)
    ax.axis("off")
    if top < 1 and left < 1:
        return
    for x, y, width, height in ((0, 0, Wd, top), (0, bottom, Wd, H - bottom),
                                (0, top, left, bottom - top), (right, top, Wd - right,
                                                               bottom - top)):
        ax.add_patch(drawing.rectangle(x, y, width, height, facecolor="white", alpha=0.55))
    ax.add_patch(drawing.rectangle(left, top, right - left, bottom - top, fill=False, lw=3,
                                   edgecolor=drawing.ORANGE))
    ax.text(0, -0.03, _("framed: what the network sees"), va="top", transform=ax.transAxes,
            fontsize=drawing.MIN_TYPE)


def _draw_bars(ax: Axes, p: np.ndarray, classes: list[str]) -> None:
    """The most probable classes, the first on top, with their probabilities."""
    best = np.argsort(-p, kind="stable")[:BARS]
    rows = np.arange(len(best))
    ax.barh(rows, p[best], 0.45, color=[drawing.RED] + ["0.7"] * (len(best) - 1))
    for row, k in enumerate(best):
        name = drawing.shortened(drawing.printable_line(classes[k]), 22)
        ax.text(0, row - 0.3, f"{name}  {drawing.percent_text(float(p[k]))}", va="bottom",
                fontsize=15)
    ax.set(xlim=(0, 1), ylim=(max(len(best), 3) - 0.5, -0.9))
    ax.axis("off")
