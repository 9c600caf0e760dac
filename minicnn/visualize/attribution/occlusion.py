"""A grey square swept over the photo: what does the network miss when it cannot see a place?

For each position (Zeiler & Fergus 2014, section 4.2 and figure 7; Z8 and Z9 of the course): the
score S and the probability of the class, the activity Σ_ij A_ijk of the map k that is
strongest for the untouched photo, and the most probable label. As an attribution, every pixel gets
the mean of S(x) − S(occluded) over the squares that cover it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...layers import Layer, Sigmoid, Softmax
from ...model import Sequential
from ...ops import to_cpu, to_device
from ...plotting import drawing
from ...utils.errors import ArgumentError, check_int
from ..photos import Progress, bounded, silent
from ..result import Result
from ..target import Asked, Score, Unit, copies, has_classes, layer_index, photo_input, score_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#e69f00", "#56b4e9", "#cc79a7", "#f0e442")


@dataclass
class Occlusion(Result):
    """pixels (H, Wd, 3); tops (R,), lefts (Q,): corners of the squares of `size` pixels, of the
    grey `fill`; scores, probabilities, activity, labels (R, Q): S, p(class), activity of the map
    `unit` of `layer`, most probable class, each with the square at that place; score, probability,
    clear, label: the same of the untouched photo; values (H, Wd): the mean drop of S at each pixel.
    probabilities and labels are None where the network or the target has none."""

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
        """Photo with one square, p(class) or S, activity, and the labels by colour."""
        figure = drawing.new_figure(15 if self.labels is not None else 12, 4.6)
        axes = figure.subplots(1, 4 if self.labels is not None else 3)
        middle = self.tops[len(self.tops) // 2], self.lefts[len(self.lefts) // 2]
        shown = self.pixels.copy()
        shown[middle[0]:middle[0] + self.size, middle[1]:middle[1] + self.size] = self.fill
        drawing.show_image(axes[0], shown, f"a square of {self.size} pixels")
        if self.probabilities is None:
            drawing.show_map(axes[1], self.scores, f"score ({self.score:.3g} without)")
        else:
            drawing.show_map(axes[1], self.probabilities, f"p ({self.probability:.3g} without)")
        drawing.show_map(axes[2], self.activity,
                         f"{self.layer}, map {self.unit}\n({self.clear:.3g} without)")
        if self.labels is not None:
            self._draw_labels(axes[3])
        figure.suptitle(f"occlusion: {drawing.shortened(self.target, 40)}; each place is a "
                        f"position of the square")
        return figure

    def _draw_labels(self, ax) -> None:
        kinds, counts = np.unique(self.labels, return_counts=True)
        picture = np.full((*self.labels.shape, 3), 0.7)
        for kind, colour in zip(kinds[np.argsort(-counts)], COLOURS, strict=False):
            picture[self.labels == kind] = [int(colour[k:k + 2], 16) / 255 for k in (1, 3, 5)]
            ax.plot([], [], "s", color=colour, ms=11,
                    label=drawing.shortened(self.classes[kind]))
        drawing.show_image(ax, picture, "most probable label" + (
            ", rest grey" if len(kinds) > len(COLOURS) else ""))
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), fontsize=11, frameon=False,
                  ncols=2 if len(kinds) > 1 else 1)

    def __str__(self) -> str:
        table = self.scores if self.probabilities is None else self.probabilities
        name, clear = ("score", self.score) if self.probabilities is None else (
            f"p({self.target})", self.probability)
        if not np.isfinite([table.sum(), clear, self.activity.sum()]).all():
            return f"occlusion of {self.target}: the network's outputs are not finite"
        i, j = np.unravel_index(table.argmin(), table.shape)
        m, n = np.unravel_index(self.activity.argmin(), self.activity.shape)
        lines = [f"occlusion of {self.target}: {table.size} positions of {self.size} pixels",
                 f"{name} {clear:.4g}, least {table.min():.4g} with the square at row "
                 f"{self.tops[i]}, column {self.lefts[j]}",
                 f"{self.layer}, map {self.unit}: activity {self.clear:.4g}, least "
                 f"{self.activity.min():.4g} at row {self.tops[m]}, column {self.lefts[n]}"]
        if self.labels is not None:
            kept = (self.labels == self.label).mean()
            lines.append(f"label {self.classes[self.label]} kept at {kept:.0%} of the positions")
        return "\n".join(lines)


def occlusion(model: Sequential, image: np.ndarray, target: Asked = None, *,
              size: int | None = None, stride: int | None = None, fill: float = 128,
              layer: str | None = None, batch_size: int | None = None,
              progress: Progress = silent) -> Occlusion:
    """Sweeps a square over the photo (Z8, Z9).

    image: uint8 (H', Wd', 3), or network input, floats (H, Wd, C).
    size, stride: in pixels; None is a fifth of the shorter side, and half of size. A last square
    touches the border. fill: grey, 0 … 255, brought to network input by the model's recipe; of a
    model without one, the range of x is 0 … 255. layer: of the activity, None: last convolution.
    Raises ArgumentError for sizes, fills, layers and targets that do not fit.
    """
    pixels, x = photo_input(model, image)
    score, place = score_of(model, x, target), layer_index(model, layer)
    if len(model.shapes()[place + 1]) != 3:
        raise ArgumentError(f"{layer}: expected a layer of feature maps (N, H, W, C), received "
                            f"one of shape {('N', *model.shapes()[place + 1])}.")
    H, Wd = x.shape[1:3]
    size = max(1, min(H, Wd) // 5) if size is None else check_int(size, "occlusion, size")
    stride = max(1, size // 2) if stride is None else check_int(stride, "occlusion, stride")
    if size > min(H, Wd):
        raise ArgumentError(f"occlusion: expected a size of at most {min(H, Wd)} pixels, that of "
                            f"the photo, received {size}.")
    if stride > size:
        raise ArgumentError(f"occlusion: expected a stride of at most the size, {size}, so that a "
                            f"square covers every pixel, received {stride}.")
    tops, lefts = (np.append(np.arange(0, n - size, stride), n - size) for n in (H, Wd))
    asks_class = has_classes(model) and not isinstance(target, Unit)
    tail = _tail(model, score, asks_class)
    grey, clean = _grey(model, x, fill), to_cpu(x)
    clear = _look(score, tail, place, x)
    unit = int(clear[1].argmax())
    corners = [(top, left) for top in tops for left in lefts]
    most = bounded(model, len(model.layers), batch_size)
    S, activity, outputs = [], [], []
    for first in range(0, len(corners), most):
        part = corners[first:first + most]
        hidden = np.repeat(clean, len(part), axis=0)
        for one, (top, left) in zip(hidden, part, strict=True):
            one[top:top + size, left:left + size] = grey
        s, maps, p = _look(score, tail, place, to_device(hidden, model.device))
        S.append(s)
        activity.append(maps[:, unit])
        outputs.append(p)
        progress(first + len(part), len(corners))
    S, activity, outputs = (np.concatenate(found) for found in (S, activity, outputs))
    drop, covered = np.zeros((H, Wd)), np.zeros((H, Wd))
    for (top, left), s in zip(corners, S, strict=True):
        drop[top:top + size, left:left + size] += clear[0][0] - s
        covered[top:top + size, left:left + size] += 1
    grid, K = (len(tops), len(lefts)), outputs.shape[-1]
    p, labels = None, None
    if has_classes(model):
        labels = _labels(model, np.append(clear[2], outputs, axis=0))
        names = model.classes or [str(k) for k in range(max(K, 2))]
        if asks_class and _last_activation(model) is not None:
            p = np.append(clear[2], outputs, axis=0)[:, score.unit if K > 1 else 0]
            p = 1 - p if K == 1 and score.unit == 0 else p
    return Occlusion(
        score.name, pixels, size, fill, tops, lefts, S.reshape(grid), None if p is None else
        p[1:].reshape(grid), activity.reshape(grid), None if labels is None else
        labels[1:].reshape(grid), drop / np.maximum(covered, 1), float(clear[0][0]),
        None if p is None else float(p[0]), float(clear[1][0, unit]),
        None if labels is None else int(labels[0]), model.layers[place].name, unit,
        [] if labels is None else list(names))


def _grey(model: Sequential, x: np.ndarray, fill: float) -> np.ndarray:
    """fill as network input, (C,) or a number: the photo's pixels are 0 … 255 in to_pixels, too."""
    if not 0 <= fill <= 255:
        raise ArgumentError(f"occlusion: expected a fill from 0 (black) to 255 (white), received "
                            f"{fill!r}.")
    if model.preprocessing is not None and x.shape[-1] == 3:
        return model.preprocessing(np.full((1, 1, 1, 3), fill, np.float32))[0, 0, 0]
    x = to_cpu(x)
    return x.min() + fill / 255 * np.ptp(x)


def _last_activation(model: Sequential) -> Layer | None:
    last = model.layers[-1]
    last = getattr(last, "activation", None) or last
    return last if isinstance(last, (Sigmoid, Softmax)) else None


def _tail(model: Sequential, score: Score, asks_class: bool) -> list[Layer]:
    """The layers from the score's y to the network's output."""
    if not asks_class:
        return copies(model.layers[len(score.layers):])
    last = _last_activation(model)
    return [] if last is None else copies([last])


def _look(score: Score, tail: list[Layer], place: int, x: np.ndarray
          ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x (N, …) -> S (N,), the sum of each map of the layer at `place` (N, K), output (N, …)."""
    S = maps = None
    for at, layer in enumerate([*score.layers, *tail]):
        x = layer.forward(x, keep=False)
        if at == place:
            maps = to_cpu(x.sum(axis=(1, 2)))
        if at == len(score.layers) - 1:
            S = to_cpu(score.values(x))
    return S, maps, to_cpu(x)


def _labels(model: Sequential, outputs: np.ndarray) -> np.ndarray:
    """outputs (N, K) -> class (N,); of one output p, or a logit, 1 above 1/2, or 0."""
    if outputs.shape[1] > 1:
        return outputs.argmax(axis=1)
    return (outputs[:, 0] > (0.5 if _last_activation(model) is not None else 0)).astype(int)
