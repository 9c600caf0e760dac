"""Invariance: how much do the features change when the photo is shifted, scaled, rotated? (Z6)

For a photo x, its transformed copy T_a x and the features f of a layer, the relative distance

    d(a) = ‖f(T_a x) − f(x)‖ / ‖f(x)‖    (Euclidean, over all positions and maps)

is 0 for the unchanged photo. The division by ‖f(x)‖ makes layers comparable: their scales and sizes
differ. Beside it p(class): the photo's true class if the labels are the network's classes, or the
most probable class of the unchanged photo; a network without classes gives its score S(x).

The photo is cropped to the network's size, then sampled backwards: output pixel (i, j) interpolates
(bilinearly) at the position A⁻¹ ((i, j) − centre − shift) + centre. Positions outside the photo
take the nearest pixel of its border: a constant colour would create an edge there.

Source: Zeiler & Fergus 2014, section 4 and figure 5 (layers 1 and 7; 5 photos; vertical shifts,
scales 1 … 1.8, rotations 0 … 350°).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ... import data as builtin
from ...data import Dataset
from ...evaluation import class_probabilities
from ...layers import Conv2D, Dense
from ...layers.sharing import copy_layers, last_activation
from ...model import Sequential
from ...ops import to_cpu
from ...plotting import drawing
from ...utils.errors import ArgumentError
from ...utils.language import fill_in, local_number, ngettext
from ...utils.language import gettext as _
from ...utils.language import gettext_noop as N_
from ..photos import (
    ImageInput,
    Progress,
    as_dataset,
    batch_size_for,
    crop_photos,
    image_size,
    silent,
)
from ..result import Result
from ..target import Score, Target, Unit, has_classes, layer_index, maps_layer, score_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = (N_("shift"), N_("scale"), N_("rotation"))
UNITS = (N_("pixels downward"), N_("times"), N_("degrees, counter-clockwise"))
SHARES = np.array([1, 2, 4, 8, 12, 16]) / 64  # shifts, of the network's height
COLOURS = (drawing.BLUE, drawing.ORANGE, "#009e73", "#cc79a7", "#56b4e9")  # Okabe & Ito 2008


@dataclass
class Invariance(Result):
    """layers: their names; amounts: {kind: (A,)}; distances: {kind: (L, P, A)}, relative, of L
    layers and P photos; values: {kind: (P, A)}, p(class) or the score; measure says which;
    targets: the class or map of each photo; photos: their names; examples: {kind: (H, Wd, 3)}, the
    first photo with the largest amount."""

    layers: list[str]
    amounts: dict[str, np.ndarray]
    distances: dict[str, np.ndarray]
    values: dict[str, np.ndarray]
    measure: str
    targets: list[str]
    photos: list[str]
    examples: dict[str, np.ndarray]

    def figure(self) -> Figure:
        """Three columns: an example, the distance of each layer, p(class) of each photo."""
        figure = drawing.new_figure(14, 11)
        axes = figure.subplots(3, 3, sharey="row")
        for column, (kind, unit) in enumerate(zip(KINDS, UNITS, strict=True)):
            top, middle, bottom = axes[:, column]
            a = self.amounts[kind]
            drawing.show_image(top, self.examples[kind], fill_in(
                "{kind}{colon}{amount:g} {unit}", {"kind": _(kind), "colon": _(": "),
                                                   "amount": a[-1], "unit": _(unit)}))
            for layer, d, colour in zip(self.layers, self.distances[kind],
                                        np.resize(COLOURS, len(self.layers)), strict=True):
                middle.plot(a, d.mean(axis=0), "o-", ms=4, lw=2.5, color=colour,
                            label=drawing.shortened(layer))
                middle.plot(a, d.T, lw=0.8, alpha=0.4, color=colour)
            for name, value in zip(self.photos, self.values[kind], strict=True):
                bottom.plot(a, value, lw=1.8, label=drawing.shortened(name))
            bottom.set_xlabel(f"{_(kind)}, {_(unit)}")
        axes[1, 0].set_ylabel(_("relative distance of features"))
        beside = {"loc": "center left", "bbox_to_anchor": (1.02, 0.5),
                  "fontsize": drawing.MIN_TYPE}  # a legend in the axes would cover a curve
        axes[1, 2].legend(**beside)
        axes[2, 0].set_ylabel(_(self.measure))
        if len(self.photos) <= 6:
            axes[2, 2].legend(**beside)
        figure.suptitle(ngettext("{num} photo (thin), mean (thick)",
                                 "{num} photos (thin), mean (thick)", len(self.photos)))
        return figure

    def __str__(self) -> str:
        lines = [ngettext("{num} photo: mean relative distance of features, mean {measure}",
                          "{num} photos: mean relative distance of features, mean {measure}",
                          len(self.photos), measure=_(self.measure))]
        for kind, unit in zip(KINDS, UNITS, strict=True):
            rows = [[f"{_(kind)}, {_(unit)}",
                     *(local_number(f"{a:.4g}") for a in self.amounts[kind])],
                    *([name, *(local_number(f"{v:.3f}") for v in d.mean(axis=0))]
                      for name, d in zip(self.layers, self.distances[kind], strict=True)),
                    [_(self.measure), *(local_number(f"{v:.3g}")
                                        for v in self.values[kind].mean(axis=0))]]
            shown = np.unique(np.linspace(0, len(rows[0]) - 2, 9).astype(int)) + 1
            lines += [f"{row[0]:<38}" + "".join(f"{row[k]:>9}" for k in shown) for row in rows]
        return "\n".join(lines)


def invariance(model: Sequential, photos: ImageInput | None = None, target: Target = None, *,
               layers: Sequence[str] | None = None, batch_size: int | None = None,
               progress: Progress = silent) -> Invariance:
    """Shifts, scales and rotates each photo; distances of the features, p(class) or the score.

    photos: a Dataset or uint8 photos; the paper uses five. None: the four built-in ones.
    target: None is each photo's true class, or the most probable one.
    layers: None is the first convolution and the last layer before the head's Dense (without a
            head: the last layer).
    Raises ArgumentError for layers and targets that do not exist, or if the features of an
    unchanged photo are all zero.
    """
    if photos is None:
        photos = builtin.read_photos([str(path) for path in builtin.photos().values()])[0]
    data = as_dataset(photos)
    if not len(data):
        raise ArgumentError(f"{model.name}: expected at least one photo, received none.")
    images, H = crop_photos(model, data), image_size(model)[0]
    names = list(layers) if layers is not None else low_and_high(model)
    for name in names:
        layer_index(model, name)  # raises if there is no such layer
    if not names:
        raise ArgumentError(f"{model.name}: expected the names of one layer or more, received "
                            f"{layers!r}.")
    shifts = np.unique(np.maximum(np.rint(SHARES * H), 1)).astype(int)
    amounts = {"shift": np.concatenate([-shifts[::-1], [0], shifts]),
               "scale": np.linspace(1, 1.8, 9), "rotation": np.arange(0, 360, 15)}
    transformations = [(kind, a) for kind in KINDS for a in amounts[kind]]
    batch_size = batch_size_for(model, len(model.layers), batch_size)
    measure = _measure(model, target)
    distances, values, targets = [], [], []
    for n, image in enumerate(images):
        score = score_of(model, model.to_input(image[None]), _target(model, data, n, target))
        targets.append(score.name)
        unchanged = _features_and_value(model, image[None], names, score, measure)[0]
        norms = [float(np.linalg.norm(f)) for f in unchanged]
        for name, norm in zip(names, norms, strict=True):
            if not 0 < norm < np.inf:
                raise ArgumentError(f"{name}: expected features that are finite and not all zero, "
                                    f"received the length {norm} for {data.names[n]}. Choose "
                                    f"another layer.")
        for start in range(0, len(transformations), batch_size):
            batch = np.stack([transform(image, kind, a)
                              for kind, a in transformations[start:start + batch_size]])
            features, value = _features_and_value(model, batch, names, score, measure)
            distances.append(np.stack([np.linalg.norm(f - f0, axis=1) / norm for f, f0, norm
                                       in zip(features, unchanged, norms, strict=True)]))
            values.append(value)
            progress(n * len(transformations) + start + len(batch),
                     len(images) * len(transformations))
    A = len(transformations)
    d = np.concatenate(distances, axis=1).reshape(len(names), len(images), A)
    v = np.concatenate(values).reshape(len(images), A)
    columns = {kind: [k for k, (other, _) in enumerate(transformations) if other == kind]
               for kind in KINDS}
    return Invariance(names, amounts, {kind: d[..., k] for kind, k in columns.items()},
                      {kind: v[:, k] for kind, k in columns.items()}, measure, targets,
                      list(data.names),
                      {kind: transform(images[0], kind, amounts[kind][-1]) for kind in KINDS})


def _features_and_value(model: Sequential, pixels: np.ndarray, names: list[str], score: Score,
                        measure: str) -> tuple[list[np.ndarray], np.ndarray]:
    """pixels (n, H, Wd, 3) -> features of each layer (n, D), p or S (n,)."""
    x, outputs = model.to_input(pixels), {}
    for layer in copy_layers(model.layers):
        x = layer.forward(x, keep=False)
        if layer.name in (*names, score.layer):
            outputs[layer.name] = x
    if measure == "p(class)":
        value = class_probabilities(to_cpu(x))[:, score.unit]
    else:
        value = to_cpu(score.values(outputs[score.layer]))
    return [to_cpu(outputs[name]).reshape(len(pixels), -1) for name in names], value


def low_and_high(model: Sequential) -> list[str]:
    """The first convolution, and the last layer before the head."""
    maps_layer(model)  # raises if there is no convolution
    first = next(layer.name for layer in model.layers if isinstance(layer, Conv2D))
    dense = [k for k, layer in enumerate(model.layers) if isinstance(layer, Dense)]
    high = model.layers[dense[-1] - 1 if dense and has_classes(model) else -1].name
    return [first, high] if first != high else [first]


def _target(model: Sequential, data: Dataset, n: int, target: Target) -> Target:
    """The target; if None, the photo's true class, if the network knows it."""
    if target is None and model.classes and data.classes == model.classes:
        return int(data.labels[n])
    return target


def _measure(model: Sequential, target: Target) -> str:
    """What is measured beside the distances: p(class), or the score if there is no probability."""
    has_probability = last_activation(model.layers) is not None and has_classes(model)
    return N_("p(class)") if has_probability and not isinstance(target, Unit) else N_("score")


def transform(image: np.ndarray, kind: str, amount: float) -> np.ndarray:
    """image (H, Wd, C) uint8 -> a new one, shifted down by `amount` pixels, scaled by that factor
    around the centre, or rotated by that many degrees counter-clockwise."""
    H, Wd = image.shape[:2]
    centre = np.array([(H - 1) / 2, (Wd - 1) / 2])
    shift, inverse = np.zeros(2), np.eye(2)
    if kind == "shift":
        shift[0] = amount
    elif kind == "scale":
        inverse /= amount
    elif kind == "rotation":
        c, s = np.cos(np.deg2rad(amount)), np.sin(np.deg2rad(amount))
        inverse = np.array([[c, s], [-s, c]])  # rows count downward
    else:
        raise ArgumentError(f"transform: expected {', '.join(KINDS)}, received {kind!r}.")
    grid = np.stack(np.meshgrid(np.arange(H), np.arange(Wd), indexing="ij"), axis=-1)
    position = (grid - centre - shift) @ inverse.T + centre  # (H, Wd, 2)
    position = np.clip(np.round(position, 9), 0, [H - 1, Wd - 1])
    i, j = np.floor(position).astype(int).transpose(2, 0, 1)  # (H, Wd) each
    u, v = (position - np.floor(position)).transpose(2, 0, 1)[..., None]  # (H, Wd, 1) each
    below, right = np.minimum(i + 1, H - 1), np.minimum(j + 1, Wd - 1)
    mixed = ((1 - u) * ((1 - v) * image[i, j] + v * image[i, right])
             + u * ((1 - v) * image[below, j] + v * image[below, right]))
    return np.rint(mixed).astype(np.uint8)
