"""A photo, changed towards what a layer sees in it already.

    S(x) = ½ mean_{i,j,k} y[i, j, k]²,    dS/dy = y / size(y)

so what the layer answers to a little it soon answers to much: a cloud that looks a little like a
dog becomes one. With a unit, only that map counts. Octaves let the same thing happen at several
sizes: the photo is made small, changed, and its change d = p − photo enlarged and added to the next
larger photo, so that nothing of the photo's own detail is lost on the way. Steps and shifts are
those of ascent.py.

Source: Mordvintsev, Olah & Tyka 2015, "Inceptionism: Going deeper into neural networks".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...model import Sequential
from ...ops import to_cpu
from ...optimizers import SGD
from ...plotting import drawing
from ...utils.errors import ArgumentError, check_int
from ..photos import Progress, silent
from ..propagation import backward
from ..target import check_unit, chosen_layers, copies, layer_index, photo_input, run
from .ascent import (
    Brakes,
    Made,
    as_pixels,
    climb,
    fixed_size,
    octave_sizes,
    resized,
    to_image,
    to_input,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class Dream(Made):
    """photo (H, Wd, 3) uint8, as cut; before, after: S of the whole photo and of its dream."""

    photo: np.ndarray
    before: float
    after: float

    def figure(self) -> Figure:
        """The photo beside its dream."""
        figure = drawing.new_figure(13, 7)
        for ax, pixels, text in zip(figure.subplots(1, 2), (self.photo, self.pixels), (
                f"photo: activity {self.before:.4g}", f"dream: {self.after:.4g}"), strict=True):
            drawing.show_image(ax, pixels, text)
        figure.suptitle(f"towards what {self.target} sees")
        return figure

    def __str__(self) -> str:
        return (f"{self.target}: activity ½ mean y² {self.before:.4g} in the photo, "
                f"{self.after:.4g} in its dream, after {len(self.scores)} steps, octaves: "
                f"{len(self.sizes)}")


def dream(model: Sequential, image: np.ndarray, layer: str | None = None, unit: int | None = None,
          *, steps: int = 10, octaves: int = 4, ratio: float = 1.4, lr: float = 0.015,
          shift: float = 8, seed: int = 0, progress: Progress = silent) -> Dream:
    """Makes a layer's, or one map's, activity in the photo large.

    image: a photo, uint8 (H', Wd', 3), or network input, floats (H, Wd, 3).
    layer: of feature maps; None: the one before the last of chosen_layers, which gives more to see
           than the last. steps: of each octave. lr: step in pixels of 0 … 1, for a gradient of root
           mean square 1. shift: pixels, of the draw at each step.
    Raises ArgumentError for layers and units that do not exist and a map that is zero for the
    photo, which no gradient can change.
    """
    steps, rng = check_int(steps, "dream, steps"), np.random.default_rng(seed)
    layer = chosen_layers(model, layer and [layer])[-2:][0]
    layers = copies(model.layers[:layer_index(model, layer) + 1])
    pick = np.s_[...] if unit is None else np.s_[..., check_unit(model, layer, unit)]
    name = layer if unit is None else f"{layer}, map {unit}"
    photo, _ = photo_input(model, image)
    base = (photo / 255).astype(np.float32)
    if base.shape[-1] != model.input_shape[-1]:
        raise ArgumentError(f"dream: expected a network of photos of 3 channels, received one of "
                            f"{model.input_shape[-1]}. There is no colour to change.")

    def uphill(p: np.ndarray) -> tuple[float, np.ndarray]:
        y = run(layers, to_input(model, p), keep=True)
        dy = y * 0
        dy[pick] = y[pick] / y[pick].size
        return float(to_cpu((y * dy).sum())) / 2, to_image(model, backward(layers, dy))

    before, _ = uphill(base)
    if not before > 0:
        raise ArgumentError(f"{name}: expected a positive activity ½ mean y² in the photo, "
                            f"received {before}. Choose another layer, unit or photo.")
    sizes = octave_sizes(base.shape[:2], octaves, ratio)
    seen = base.shape[:2] if fixed_size(layers) else None
    change, scores, frames = np.zeros_like(base), [], []
    for k, size in enumerate(sizes):
        small = resized(base, size)
        p, found, grown = climb(
            np.clip(small + resized(change, size), 0, 1), uphill, SGD(lr), steps, Brakes(shift),
            rng, seen, progress=lambda done, total, k=k: progress(k * steps + done,
                                                                  len(sizes) * steps))
        change = p - small
        scores += found
        frames += [as_pixels(base + resized(one - small, base.shape[:2])) for one in grown]
    after, _ = uphill(p)
    return Dream(name, as_pixels(p), np.array(scores), np.stack(frames), sizes, photo, before,
                 after)
