"""What does a layer still know of the photo? An image with the same features, made from noise.

    p* = argmin_p  ‖f(p) − f₀‖² / ‖f₀‖² + tv · TV(p) / (H Wd),    p within 0 … 1

f₀ the features of the photo. What differs between p* and the photo, the layer has thrown away:
place and colour go first, what kind of thing it is stays longest. The gradient of the first part is
dy = 2 (f − f₀) / ‖f₀‖² at the layer, brought down to the pixels by the chain rule.

Adam's steps hardly shrink with the gradient, so they would circle around the minimum: lr falls to a
third and to a tenth on the way.

Source: Mahendran & Vedaldi 2015, "Understanding deep image representations by inverting them",
section 2 and figure 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...model import Sequential
from ...ops import to_cpu
from ...optimizers import Adam
from ...plotting import drawing
from ...utils.errors import ArgumentError, check_int
from ..photos import Progress, silent
from ..propagation import backward
from ..result import Result
from ..target import chosen_layers, copies, layer_index, photo_input, run
from .ascent import Brakes, as_pixels, climb, plain, to_image, to_input, variation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STAGES = (1, 1 / 3, 1 / 10)  # lr of each third of the steps


@dataclass
class Inversion(Result):
    """photo (H, Wd, 3) uint8; of L layers: layers, their names; pixels (L, H, Wd, 3) uint8, the
    images; distances (L,): ‖f − f₀‖ / ‖f₀‖ that is left; errors (L,): root mean square of image −
    photo, in grey levels."""

    photo: np.ndarray
    layers: list[str]
    pixels: np.ndarray
    distances: np.ndarray
    errors: np.ndarray

    def figure(self) -> Figure:
        """The photo, then what each layer has kept of it."""
        shown = len(self.layers) + 1
        columns = min(shown, 3)
        rows = -(-shown // columns)
        figure = drawing.new_figure(4.3 * columns, 4.7 * rows)
        axes = figure.subplots(rows, columns, squeeze=False).flat
        for ax in axes:
            ax.axis("off")
        drawing.show_image(axes[0], self.photo, "photo")
        for ax, name, pixels, left in zip(axes[1:], self.layers, self.pixels, self.distances,
                                          strict=False):
            drawing.show_image(ax, pixels, f"{name}: distance left {left:.2f}")
        figure.suptitle("images from noise with the same features")
        return figure

    def __str__(self) -> str:
        return "\n".join(f"{name}: relative distance of features left {left:.3f}; pixels differ by "
                         f"{error:.1f} of 255 (root mean square)" for name, left, error
                         in zip(self.layers, self.distances, self.errors, strict=True))


def inversion(model: Sequential, image: np.ndarray, layers: Sequence[str] | None = None, *,
              steps: int = 150, lr: float = 0.05, tv: float = 0.02, seed: int = 0,
              progress: Progress = silent) -> Inversion:
    """For each layer an image, from noise, whose features are the photo's.

    image: a photo, uint8 (H', Wd', 3), or network input, floats (H, Wd, C).
    layers: None: visualize.targets.chosen_layers. steps: for each layer, at least 3. lr: of Adam,
    in pixels of 0 … 1. tv: weight of the variation of a pixel beside the relative distance squared.
    Raises ArgumentError for layers that do not exist or that give zeros only.
    """
    check_int(steps, "inversion, steps", len(STAGES))
    names = chosen_layers(model, layers)
    photo, x0 = photo_input(model, image)
    if model.preprocessing is None or x0.shape[3] != 3:
        photo = as_pixels((to_cpu(x0)[0] + 1) / 2)  # as to_input: what lies beyond −1 … 1 is cut
    rng, none = np.random.default_rng(seed), Brakes()
    if not 0 <= tv < np.inf:
        raise ArgumentError(f"inversion: expected tv of 0 or more, received {tv!r}.")
    pixels, distances = [], []
    for row, name in enumerate(names):
        above = copies(model.layers[:layer_index(model, name) + 1])
        f0 = run(above, x0)
        norm = float((f0 ** 2).sum())
        if not 0 < norm < np.inf:
            raise ArgumentError(f"{name}: expected features that are finite and not all zero, "
                                f"received a sum of squares of {norm}. Choose another layer.")

        def uphill(p: np.ndarray, above=above, f0=f0, norm=norm) -> tuple[float, np.ndarray]:
            difference = run(above, to_input(model, p), keep=True) - f0
            total, slope = variation(p)
            d = float((difference ** 2).sum()) / norm
            dp = to_image(model, backward(above, difference * (2 / norm)))
            weight = tv / p[..., 0].size
            return -d - weight * total, -dp - weight * slope

        noise = rng.normal(0, 0.05, x0.shape[1:]).astype(np.float32)
        p = np.clip(plain(model, x0.shape[1:3]) + noise, 0, 1)
        for k, share in enumerate(STAGES):
            each = (k + 1) * steps // len(STAGES) - k * steps // len(STAGES)
            done = row * steps + k * steps // len(STAGES)
            p, _, _ = climb(p, uphill, Adam(lr * share), each, none, rng,
                            progress=lambda n, _, done=done: progress(done + n,
                                                                      len(names) * steps))
        difference = run(above, to_input(model, p)) - f0
        distances.append(float(np.sqrt(to_cpu((difference ** 2).sum()) / norm)))
        pixels.append(as_pixels(p))
    pixels = np.stack(pixels)
    errors = np.sqrt(((pixels.astype(float) - photo) ** 2).mean(axis=(1, 2, 3)))
    return Inversion(photo, names, pixels, np.array(distances), errors)
