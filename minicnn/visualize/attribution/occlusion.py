"""Occlusion: a grey square slides over the photo; how do the score and the label change?

For each position of the square (Zeiler & Fergus 2014, section 4.2 and figure 7; Z8 and Z9 of the
course): the score S and the probability of the class, the activity Σ_ij A_ijk of the map k that is
strongest for the unchanged photo, and the most probable label. As an attribution, every pixel gets
the mean of S(x) − S(occluded) over the squares that cover it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...layers import Layer
from ...layers.sharing import copy_layers, last_activation
from ...model import Sequential
from ...ops import to_cpu, to_device
from ...plotting import drawing
from ...utils.errors import ArgumentError, check_int
from ...utils.language import gettext as _
from ..photos import Progress, batch_size_for, image_size, silent
from ..result import Result
from ..target import (
    Score,
    Target,
    Unit,
    class_names,
    has_classes,
    layer_index,
    maps_shape,
    photo_input,
    score_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SCALES = (10, 50, 100)  # %: few, so that small changes look small
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#e69f00", "#56b4e9", "#cc79a7", "#f0e442")


@dataclass
class Occlusion(Result):
    """pixels (H, Wd, 3); tops (R,), lefts (Q,): corners of the squares of `size` pixels, of the
    grey `fill`; scores, probabilities, activity, labels (R, Q): S, p(class), activity of the map
    `unit` of `layer`, most probable class, each with the square at that position; score,
    probability, clear, label: the same for the unchanged photo; values (H, Wd): the mean drop of S
    at each pixel. probabilities and labels are None if the network or the target has none."""

    target: str
    pixels: np.ndarray
    size: int
    fill: float
    tops: np.ndarray
    lefts: np.ndarray
    scores: np.ndarray
    probabilities: np.ndarray | None
    activity: np.ndarray
    labels: np.ndarray | None
    values: np.ndarray
    score: float
    probability: float | None
    clear: float
    label: int | None
    layer: str
    unit: int
    classes: list[str]

    def figure(self) -> Figure:
        """The photo with one square; how much p(class), or S, and the activity fall with the square
        at each position, red where they fall; the labels by colour, if they differ."""
        name = _("{layer}, map {unit}", layer=self.layer, unit=self.unit)
        shows_activity = self.target != name  # else it is the score
        shows_labels = self.labels is not None and len(np.unique(self.labels)) > 1
        panels = 2 + shows_activity + shows_labels
        figure = drawing.new_figure(4.6 * panels, 5.7)
        axes = list(figure.subplots(1, panels))
        middle = self.tops[len(self.tops) // 2], self.lefts[len(self.lefts) // 2]
        shown = self.pixels.copy()
        shown[middle[0]:middle[0] + self.size, middle[1]:middle[1] + self.size] = self.fill
        drawing.show_image(axes.pop(0), shown,
                           _("a square of {size} pixels", size=self.size), smooth=True)
        if self.probabilities is None or self.probability is None:
            self._draw_drop(axes.pop(0), self.score - self.scores, self.score, _("score"))
        else:
            self._draw_drop(axes.pop(0), self.probability - self.probabilities, 1.0,
                            f"p = {drawing.percent_text(self.probability)}")
        if shows_activity:
            self._draw_drop(axes.pop(0), self.clear - self.activity, self.clear, name)
        if shows_labels and self.labels is not None:
            self._draw_labels(axes[0], self.labels)
        same = ("" if self.labels is None or shows_labels else
                _("; most probable at every position: {name}",
                  name=self._name(self.labels.flat[0])))
        figure.suptitle(_("occlusion: {target}", target=drawing.shortened(self.target, 40)) + same)
        figure.supxlabel(_("red: it falls with the square's centre there (this part speaks for "
                           "it); blue: it rises"), fontsize=drawing.MIN_TYPE)
        return figure

    def _name(self, label: int) -> str:
        return drawing.shortened(self.classes[label])

    def _draw_drop(self, ax: Axes, drop: np.ndarray, total: float, title: str) -> None:
        """drop (R, Q) in % of `total`, over the photo, on the first of SCALES that holds it."""
        drop = 100 * drop / (abs(total) or 1)
        if drawing.why_blank(drop):
            drawing.show_map(ax, drop, title)
            return
        half = (self.size - 1) / 2
        x, y = (np.append(corners, corners[-1] + 1) if len(corners) == 1 else corners
                for corners in (self.lefts, self.tops))  # of a single position: a cell of 1 pixel
        dx, dy = (np.diff(corners).mean() / 2 for corners in (x, y))
        scale = next((s for s in SCALES if np.abs(drop).max() <= s), SCALES[-1])
        ax.imshow(self.pixels.mean(axis=-1), cmap="gray", interpolation="bicubic")
        image = ax.imshow(drop, cmap="RdBu_r", vmin=-scale, vmax=scale,
                          interpolation="bilinear",
                          alpha=0.2 + 0.7 * np.minimum(np.abs(drop) / scale, 1),
                          extent=(self.lefts[0] + half - dx, self.lefts[-1] + half + dx,
                                  self.tops[-1] + half + dy, self.tops[0] + half - dy))
        H, Wd = self.pixels.shape[:2]
        ax.set(xlim=(-0.5, Wd - 0.5), ylim=(H - 0.5, -0.5))
        i, j = np.unravel_index(drop.argmax(), drop.shape)
        ax.plot(self.lefts[j] + half, self.tops[i] + half, "k+", ms=16, mew=2.5)
        ax.set_title(title + "\n" + _("largest drop {drop:.3g} %", drop=drop.max()),
                     fontsize=drawing.MIN_TYPE)
        ax.axis("off")
        bar = ax.figure.colorbar(image, ax=ax, shrink=0.75, alpha=1,
                                 ticks=(-scale, -scale / 2, 0, scale / 2, scale))
        bar.ax.yaxis.set_major_formatter(lambda value, pos: drawing.percent(value / 100))

    def _draw_labels(self, ax: Axes, labels: np.ndarray) -> None:
        """Each position in the colour of its most probable label, the most frequent labels first.
        """
        different, counts = np.unique(labels, return_counts=True)
        picture = np.full((*labels.shape, 3), 0.7)
        for label, colour in zip(different[np.argsort(-counts)], COLOURS, strict=False):
            picture[labels == label] = [int(colour[k:k + 2], 16) / 255 for k in (1, 3, 5)]
            ax.plot([], [], "s", color=colour, ms=11,
                    label=self._name(int(label)))
        drawing.show_image(ax, picture, _("most probable label") + (
            _(", others grey") if len(different) > len(COLOURS) else ""))
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), fontsize=drawing.MIN_TYPE,
                  frameon=False, ncols=2 if len(different) > 1 else 1)

    def __str__(self) -> str:
        if self.probabilities is None or self.probability is None:
            name, table, clear = _("score"), self.scores, self.score
        else:
            name, table, clear = f"p({self.target})", self.probabilities, self.probability
        if not np.isfinite([table.sum(), clear, self.activity.sum()]).all():
            return _("occlusion of {target}: the network's outputs are not finite",
                     target=self.target)
        i, j = np.unravel_index(table.argmin(), table.shape)
        m, n = np.unravel_index(self.activity.argmin(), self.activity.shape)
        lines = [_("occlusion of {target}: {count} positions of {size} pixels", target=self.target,
                   count=table.size, size=self.size),
                 _("{name} {clear:.4g}, lowest {lowest:.4g} with the square at row {row}, column "
                   "{column}", name=name, clear=clear, lowest=table.min(), row=self.tops[i],
                   column=self.lefts[j]),
                 _("{layer}, map {unit}: activity {clear:.4g}, lowest {lowest:.4g} at row {row}, "
                   "column {column}", layer=self.layer, unit=self.unit, clear=self.clear,
                   lowest=self.activity.min(), row=self.tops[m], column=self.lefts[n])]
        if self.labels is not None and self.label is not None:
            unchanged = (self.labels == self.label).mean()
            lines.append(_("label {label} unchanged at {share:.0%} of the positions",
                           label=self.classes[self.label], share=float(unchanged)))
        return "\n".join(lines)


def occlusion(model: Sequential, image: np.ndarray, target: Target = None, *,
              size: int | None = None, stride: int | None = None, fill: float = 128,
              layer: str | None = None, batch_size: int | None = None,
              progress: Progress = silent) -> Occlusion:
    """Slides a square over the photo (Z8, Z9).

    image: uint8 (H', Wd', 3), or network input, floats (H, Wd, C).
    size, stride: in pixels; None is a fifth of the shorter side, and half of size. The last square
    touches the border. fill: grey, 0 … 255, converted by the model's preprocessing; if it has none,
    the range of x is 0 … 255. layer: of the activity, None: the last convolution.
    Raises ArgumentError for sizes, fills, layers and targets that do not fit.
    """
    pixels, x = photo_input(model, image)
    score, index = score_of(model, x, target), layer_index(model, layer)
    maps_shape(model, index)
    H, Wd = image_size(model)
    size, stride = _check_square(size, stride, min(H, Wd))
    tops, lefts = (np.append(np.arange(0, n - size, stride), n - size) for n in (H, Wd))
    corners = [(top, left) for top in tops for left in lefts]
    is_class = has_classes(model) and not isinstance(target, Unit)
    end = _layers_after(model, score, is_class)
    grey, clean = _grey(model, x, fill), to_cpu(x)

    # The measurements of the unchanged photo, then with the square at each position
    clear = _measure(score, end, index, x)
    unit = int(clear.activity[0].argmax())
    batch_size = batch_size_for(model, len(model.layers), batch_size)
    occluded = []
    for first in range(0, len(corners), batch_size):
        batch = corners[first:first + batch_size]
        photos = np.repeat(clean, len(batch), axis=0)
        for photo, (top, left) in zip(photos, batch, strict=True):
            photo[top:top + size, left:left + size] = grey
        occluded.append(_measure(score, end, index, to_device(photos, model.device)))
        progress(first + len(batch), len(corners))
    S, activity, outputs = (np.concatenate(parts) for parts in zip(*occluded, strict=True))

    drop, covered = np.zeros((H, Wd)), np.zeros((H, Wd))
    for (top, left), s in zip(corners, S, strict=True):
        drop[top:top + size, left:left + size] += clear.score[0] - s
        covered[top:top + size, left:left + size] += 1
    grid = len(tops), len(lefts)
    result = Occlusion(
        score.name, pixels, size, fill, tops, lefts, S.reshape(grid), None,
        activity[:, unit].reshape(grid), None, drop / np.maximum(covered, 1),
        float(clear.score[0]), None, float(clear.activity[0, unit]), None,
        model.layers[index].name, unit, [])
    if has_classes(model):
        result.classes = list(class_names(model))
        result.label = int(_labels(model, clear.output)[0])
        result.labels = _labels(model, outputs).reshape(grid)
        if is_class and last_activation(model.layers) is not None:
            result.probability = float(_probabilities(clear.output, score.unit)[0])
            result.probabilities = _probabilities(outputs, score.unit).reshape(grid)
    return result


def _check_square(size: int | None, stride: int | None, side: int) -> tuple[int, int]:
    """size and stride, or their defaults, for a photo whose shorter side has `side` pixels."""
    size = max(1, side // 5) if size is None else check_int(size, "occlusion, size")
    stride = max(1, size // 2) if stride is None else check_int(stride, "occlusion, stride")
    if size > side:
        raise ArgumentError(f"occlusion: expected a size of at most {side} pixels, that of the "
                            f"photo, received {size}.")
    if stride > size:
        raise ArgumentError(f"occlusion: expected a stride of at most the size, {size}, so that a "
                            f"square covers every pixel, received {stride}.")
    return size, stride


def _grey(model: Sequential, x: np.ndarray, fill: float) -> np.ndarray:
    """fill as network input, (C,) or a number; without preprocessing, the range of x is 0 … 255 as
    in to_pixels."""
    if not 0 <= fill <= 255:
        raise ArgumentError(f"occlusion: expected a fill from 0 (black) to 255 (white), received "
                            f"{fill!r}.")
    if model.preprocessing is not None:
        return model.preprocessing(np.full((1, 1, 1, 3), fill, np.float32))[0, 0, 0]
    x = to_cpu(x)
    return x.min() + fill / 255 * np.ptp(x)


def _layers_after(model: Sequential, score: Score, is_class: bool) -> list[Layer]:
    """The layers from the score's y to the network's output."""
    if not is_class:
        return copy_layers(model.layers[len(score.layers):])
    last = last_activation(model.layers)
    return [] if last is None else copy_layers([last])


class _Measurements(NamedTuple):
    """Of N photos: score (N,), activity (N, K): the sum of each map, and output (N, …)."""

    score: np.ndarray
    activity: np.ndarray
    output: np.ndarray


def _measure(score: Score, end: list[Layer], index: int, x: np.ndarray) -> _Measurements:
    """x (N, …) through the score's layers and `end`; the maps are those of the layer at `index`."""
    for k, layer in enumerate([*score.layers, *end]):
        x = layer.forward(x, keep=False)
        if k == index:
            maps = x
        if k == len(score.layers) - 1:
            y = x
    return _Measurements(to_cpu(score.values(y)), to_cpu(maps.sum(axis=(1, 2))), to_cpu(x))


def _labels(model: Sequential, outputs: np.ndarray) -> np.ndarray:
    """outputs (N, K) -> class (N,); of a single output p, or logit, 1 if above 1/2, or 0."""
    if outputs.shape[1] > 1:
        return outputs.argmax(axis=1)
    return (outputs[:, 0] > (0 if last_activation(model.layers) is None else 0.5)).astype(int)


def _probabilities(outputs: np.ndarray, k: int) -> np.ndarray:
    """outputs (N, K) -> p of class k (N,); a single output is p of class 1."""
    if outputs.shape[1] > 1:
        return outputs[:, k]
    return outputs[:, 0] if k == 1 else 1 - outputs[:, 0]
