"""Attribution: how much each pixel matters for a score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...plotting import drawing
from ...utils.errors import ArgumentError
from ...utils.language import gettext as _
from ...utils.language import gettext_noop as N_
from ..result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIGNS = ("positive", "negative", "absolute", "both")
SHOWN = {"positive": N_("what speaks for it (positive part)"),
         "negative": N_("what speaks against it (negative part)"),
         "absolute": N_("how much each pixel matters (no sign)"),
         "both": N_("red speaks for it, blue against it")}
PARTS = {"positive": N_("positive values"), "negative": N_("negative values, without their sign,"),
         "absolute": N_("absolute values"), "both": N_("values")}


@dataclass
class Attribution(Result):
    """pixels (H, Wd, 3): the photo; values (H, Wd, C), channels red, green, blue, or (H, Wd);
    score: S(x) of the target (see target.py); sign: the part of the values that is shown; note: how
    it was computed; warning: why not to trust the picture, "" if there is no reason; kind: what the
    score is, such as "logit, before softmax". Notes and warnings are shown below the figure."""

    method: str
    target: str
    pixels: np.ndarray
    values: np.ndarray
    score: float
    sign: str = "both"
    note: str = ""
    warning: str = ""
    kind: str = ""

    def __post_init__(self) -> None:
        check_sign(self.method, self.sign)

    def heat(self) -> np.ndarray:
        """(H, Wd), depending on the sign; with a = Σ_c values:
        both a; positive max(a, 0); negative max(−a, 0); absolute Σ_c |values|."""
        values = self.values if self.values.ndim == 3 else self.values[..., None]
        if self.sign == "absolute":
            return np.abs(values).sum(axis=-1)
        total = values.sum(axis=-1)
        if self.sign == "both":
            return total
        return np.maximum(total if self.sign == "positive" else -total, 0)

    def figure(self) -> Figure:
        """The photo, the map, and the map over the photo."""
        below = "\n".join(filter(None, (self.note, self.warning)))
        figure = drawing.new_figure(13, 4.9 + 0.3 * len(below.splitlines()))
        axes, heat = figure.subplots(1, 3), self.heat()
        is_map = self.values.ndim == 2  # smooth, as it was enlarged; pixels stay pixels
        drawing.show_image(axes[0], self.pixels, _("what the network sees"), smooth=True)
        drawing.show_map(axes[1], heat, _(SHOWN[self.sign]), smooth=is_map)
        if is_map and not drawing.why_blank(heat):
            signed = -heat if self.sign == "negative" else heat  # blue speaks against
            drawing.show_image(axes[2], drawing.heat_over(signed, self.pixels),
                               _("over the photo"), smooth=True)
        else:
            drawing.show_map(axes[2], heat, _("over the photo"), over=self.pixels, bar=False)
        figure.suptitle(_("{method}: {target}, score {score:.4g}", method=_(self.method),
                          target=drawing.shortened(self.target, 40), score=self.score)
                        + (f" ({self.kind})" if self.kind else ""))
        if below:
            figure.supxlabel(below, fontsize=drawing.MIN_TYPE)
        return figure

    def __str__(self) -> str:
        heat = self.heat()
        text = _("{method} of {target}: score {score:.4g}", method=_(self.method),
                 target=self.target, score=self.score)
        text += f" ({self.kind})" if self.kind else ""
        text += _("; ") + _(PARTS[self.sign]) + " "
        if reason := drawing.why_blank(heat):
            text += reason
        else:
            i, j = np.unravel_index(np.abs(heat).argmax(), heat.shape)
            text += _("from {low:.4g} to {high:.4g}, the strongest at row {row}, column {column} "
                      "of the {height} × {width} pixels that the network sees",
                      low=heat.min(), high=heat.max(), row=i, column=j, height=heat.shape[0],
                      width=heat.shape[1])
        return "\n".join(filter(None, (text, self.note, self.warning)))


def check_sign(where: str, sign: str) -> str:
    """sign, if it is one of SIGNS; raises ArgumentError for others."""
    if sign not in SIGNS:
        raise ArgumentError(f"{where}: expected a sign of {', '.join(SIGNS)}, received {sign!r}.")
    return sign
