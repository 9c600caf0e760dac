"""DeepDream: a photo changed so that a layer responds more strongly to it.

    S(x) = ½ mean_{i,j,k} y[i, j, k]²,    dS/dy = y / size(y)

so weak responses of the layer are amplified: a cloud that looks a little like a dog becomes one.
With a unit, only that map counts. Octaves do the same at several sizes: the photo is made small and
changed, then its change d = p − photo is enlarged and added to the next larger photo, so that the
photo's own details are not lost. Steps and shifts are those of ascent.py.

Source: Mordvintsev, Olah & Tyka 2015, "Inceptionism: Going deeper into neural networks".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...layers.sharing import copy_layers
from ...model import Sequential
from ...ops import to_cpu
from ...optimizers import SGD
from ...plotting import drawing
from ...utils.errors import ArgumentError, check_int
from ...utils.language import gettext
from ...utils.language import gettext as _
from ..photos import Progress, image_size, offset_progress, silent
from ..propagation import backward
from ..target import check_unit, chosen_layers, forward, layer_index, photo_input
from .ascent import (
    Regularisation,
    SyntheticImage,
    as_pixels,
    ascend,
    fixed_size,
    octave_sizes,
    resize,
    to_image,
    to_input,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class Dream(SyntheticImage):
    """photo (H, Wd, 3) uint8, as cropped; before, after: S of the whole photo and of its dream."""

    photo: np.ndarray
    before: float
    after: float

    def figure(self) -> Figure:
        """The photo beside its dream."""
        figure = drawing.new_figure(13, 7)
        titles = (_("photo: activity {activity:.4g}", activity=self.before),
                  _("dream: {activity:.4g}", activity=self.after))
        for ax, pixels, title in zip(figure.subplots(1, 2), (self.photo, self.pixels), titles,
                                     strict=True):
            drawing.show_image(ax, pixels, title)
        figure.suptitle(_("a dream of {target}", target=self.target))
        return figure

    def __str__(self) -> str:
        return _("{target}: activity ½ mean y² {before:.4g} in the photo, {after:.4g} in its "
                 "dream, after {steps} steps, octaves: {octaves}", target=self.target,
                 before=self.before, after=self.after, steps=len(self.scores),
                 octaves=len(self.sizes))


def dream(model: Sequential, image: np.ndarray, layer: str | None = None, unit: int | None = None,
          *, steps: int = 10, octaves: int = 4, ratio: float = 1.4, lr: float = 0.015,
          shift: float = 8, seed: int = 0, progress: Progress = silent) -> Dream:
    """Increases the activity of a layer, or of one map, in the photo.

    image: a photo, uint8 (H', Wd', 3), or network input, floats (H, Wd, C).
    layer: of feature maps; None: the last but one of chosen_layers, which shows more than the last.
    steps: per octave. lr: learning rate in pixel values of 0 … 1, for a gradient whose root mean
           square is 1. shift: pixels, the bound of the random shift in each step.
    Raises ArgumentError for layers and units that do not exist and a map that is zero for the
    photo, which no gradient can change.
    """
    steps, rng = check_int(steps, "dream, steps"), np.random.default_rng(seed)
    layer = chosen_layers(model, None if layer is None else [layer])[-2:][0]
    layers = copy_layers(model.layers[:layer_index(model, layer) + 1])
    part = slice(None) if unit is None else check_unit(model, layer, unit)
    name = layer if unit is None else gettext("{layer}, map {unit}", layer=layer, unit=unit)
    photo, _ = photo_input(model, image)
    channels = model.input_shape[-1]
    if channels not in (1, 3):
        raise ArgumentError(f"dream: expected a network of photos of 3 channels, or grey ones, "
                            f"received one of {channels} channels. Choose another network.")
    base = (photo[..., :channels] / 255).astype(np.float32)

    def objective(p: np.ndarray) -> tuple[float, np.ndarray]:
        y = forward(layers, to_input(model, p), keep=True)
        dy = y * 0
        dy[..., part] = y[..., part] / y[..., part].size
        return float(to_cpu((y * dy).sum())) / 2, to_image(model, backward(layers, dy))

    before, _ = objective(base)
    if not before > 0:
        raise ArgumentError(f"{name}: expected a positive activity ½ mean y² in the photo, "
                            f"received {before}. Choose another layer, unit or photo.")
    size = image_size(model)
    sizes = octave_sizes(size, octaves, ratio)
    network_size = size if fixed_size(layers) else None
    change, scores, frames = np.zeros_like(base), [], []
    for k, octave_size in enumerate(sizes):
        small = resize(base, octave_size)
        start = np.clip(small + resize(change, octave_size), 0, 1)
        p, octave_scores, octave_frames = ascend(
            start, objective, SGD(lr), steps, Regularisation(shift), rng, network_size,
            progress=offset_progress(progress, k * steps, len(sizes) * steps))
        change = p - small
        scores += octave_scores
        frames += [as_pixels(base + resize(frame - small, size)) for frame in octave_frames]
    after, _ = objective(p)
    return Dream(name, as_pixels(p), np.array(scores), np.stack(frames), sizes, photo, before,
                 after)
