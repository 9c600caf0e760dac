"""Inversion: which information about the photo does a layer keep? An image with the same features.

    p* = argmin_p  ‖f(p) − f₀‖² / ‖f₀‖² + tv · TV(p) / (H Wd),    p within 0 … 1

f₀ the features of the photo; p starts as noise. The layer has discarded whatever differs between p*
and the photo: position and colour go first, the kind of object stays longest. The gradient of the
first term is dy = 2 (f − f₀) / ‖f₀‖² at the layer, and goes back to the pixels by the chain rule.

Adam's steps hardly shrink with the gradient, so they would circle around the minimum: the learning
rate falls to a third and to a tenth on the way.

Source: Mahendran & Vedaldi 2015, "Understanding deep image representations by inverting them",
section 2 and figure 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...layers import Layer
from ...layers.sharing import copy_layers
from ...model import Sequential
from ...ops import to_cpu
from ...optimizers import Adam
from ...plotting import drawing
from ...utils.errors import ArgumentError, check_int
from ...utils.language import gettext as _
from ..photos import Progress, image_size, offset_progress, silent
from ..propagation import backward
from ..result import Result
from ..target import chosen_layers, forward, layer_index, photo_input
from .ascent import (
    Objective,
    Regularisation,
    as_pixels,
    ascend,
    mean_image,
    to_image,
    to_input,
    variation,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STAGES = (1, 1 / 3, 1 / 10)  # factors of the learning rate in each third of the steps


@dataclass
class Inversion(Result):
    """photo (H, Wd, 3) uint8; of L layers: layers, their names; pixels (L, H, Wd, 3) uint8, the
    images; distances (L,): the remaining ‖f − f₀‖ / ‖f₀‖; errors (L,): root mean square of image −
    photo, in grey levels."""

    photo: np.ndarray
    layers: list[str]
    pixels: np.ndarray
    distances: np.ndarray
    errors: np.ndarray

    def figure(self) -> Figure:
        """The photo, then the image for each layer."""
        shown = len(self.layers) + 1
        columns = min(shown, 3)
        rows = -(-shown // columns)
        figure = drawing.new_figure(4.3 * columns, 4.7 * rows)
        axes = figure.subplots(rows, columns, squeeze=False).flat
        for ax in axes:
            ax.axis("off")
        drawing.show_image(axes[0], self.photo, _("photo"))
        for ax, name, pixels, distance in zip(axes[1:], self.layers, self.pixels, self.distances,
                                              strict=False):
            drawing.show_image(ax, pixels, _("{layer}: remaining distance {distance:.2f}",
                                           layer=name, distance=distance))
        figure.suptitle(_("images from noise with the same features"))
        return figure

    def __str__(self) -> str:
        rows = zip(self.layers, self.distances, self.errors, strict=True)
        return "\n".join(_("{layer}: remaining relative distance of features {distance:.3f}; "
                           "pixels differ by {error:.1f} of 255 (root mean square)", layer=name,
                           distance=distance, error=error)
                         for name, distance, error in rows)


def inversion(model: Sequential, image: np.ndarray, layers: Sequence[str] | None = None, *,
              steps: int = 150, lr: float = 0.05, tv: float = 0.02, seed: int = 0,
              progress: Progress = silent) -> Inversion:
    """For each layer an image, made from noise, with the features of the photo.

    image: a photo, uint8 (H', Wd', 3), or network input, floats (H, Wd, C).
    layers: None: visualize.target.chosen_layers. steps: per layer, at least 3. lr: learning rate of
    Adam, in pixel values of 0 … 1. tv: weight of the mean variation relative to the squared
    relative distance.
    Raises ArgumentError for layers that do not exist or whose outputs are all zero.
    """
    check_int(steps, "inversion, steps", len(STAGES))
    names = chosen_layers(model, layers)
    photo, x0 = photo_input(model, image)
    if model.preprocessing is None:
        photo = as_pixels((to_cpu(x0)[0] + 1) / 2)  # as in to_input: beyond −1 … 1 is clipped
    rng = np.random.default_rng(seed)
    if not 0 <= tv < np.inf:
        raise ArgumentError(f"inversion: expected tv of 0 or more, received {tv!r}.")
    images, distances = [], []
    for row, name in enumerate(names):
        layers_below = copy_layers(model.layers[:layer_index(model, name) + 1])
        f0 = forward(layers_below, x0)
        norm = float((f0 ** 2).sum())
        if not 0 < norm < np.inf:
            raise ArgumentError(f"{name}: expected features that are finite and not all zero, "
                                f"received a sum of squares of {norm}. Choose another layer.")
        objective = _objective(model, layers_below, f0, norm, tv)
        noise = rng.normal(0, 0.05, x0.shape[1:]).astype(np.float32)
        p = np.clip(mean_image(model, image_size(model)) + noise, 0, 1)
        for k, factor in enumerate(STAGES):
            first, last = (stage * steps // len(STAGES) for stage in (k, k + 1))
            p, _, _ = ascend(p, objective, Adam(lr * factor), last - first, Regularisation(), rng,
                             progress=offset_progress(progress, row * steps + first,
                                                      len(names) * steps))
        difference = forward(layers_below, to_input(model, p)) - f0
        distances.append(float(np.sqrt(to_cpu((difference ** 2).sum()) / norm)))
        images.append(as_pixels(p))
    pixels = np.stack(images)
    errors = np.sqrt(((pixels.astype(float) - photo) ** 2).mean(axis=(1, 2, 3)))
    return Inversion(photo, names, pixels, np.array(distances), errors)


def _objective(model: Sequential, layers: list[Layer], f0: np.ndarray, norm: float, tv: float
               ) -> Objective:
    """p -> minus the sum to minimise, and its gradient; norm: ‖f₀‖²."""
    def objective(p: np.ndarray) -> tuple[float, np.ndarray]:
        difference = forward(layers, to_input(model, p), keep=True) - f0
        distance = float((difference ** 2).sum()) / norm
        dp = to_image(model, backward(layers, difference * (2 / norm)))
        total_variation, slope = variation(p)
        weight = tv / p[..., 0].size
        return -distance - weight * total_variation, -dp - weight * slope

    return objective
