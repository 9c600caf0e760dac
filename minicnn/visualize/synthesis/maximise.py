"""Activation maximisation: an image, made from noise, that activates a unit most.

    p* = argmax_p  S(x(p)) / s − decay · ½ Σ (p − p₀)² − tv · TV(p),    p within 0 … 1

s scales the gradient of S to a root mean square of 1, so the weights mean the same for every unit.
The regularisers of ascent.py (shifts, zooms, octaves, blur) keep the image from becoming noise.
Every seed gives another image. A network that takes any size sees the small image of an early
octave as it is; one that takes a single size only (with Flatten) sees it enlarged.

Source: Erhan et al. 2009; Simonyan et al. 2014, section 2; Yosinski et al. 2015; Olah et al. 2017.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...model import Sequential
from ...optimizers import Adam
from ...plotting import drawing
from ...utils.errors import ArgumentError, check_int
from ...utils.language import fill_in
from ...utils.language import gettext as _
from ..photos import Progress, image_size, offset_progress, silent
from ..propagation import backward
from ..target import Target, forward, score_of
from .ascent import (
    Regularisation,
    SyntheticImage,
    as_pixels,
    ascend,
    fixed_size,
    mean_image,
    octave_sizes,
    resize,
    to_image,
    to_input,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class Maximised(SyntheticImage):
    """scores: S of what the network sees in each step, for a map its mean over all positions; unit:
    the number of the unit, map or class; layer: its layer."""

    layer: str
    unit: int

    def figure(self) -> Figure:
        """The image, how it developed, and the score."""
        figure = drawing.new_figure(13, 7)
        left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(7, 6))[0]
        drawing.show_image(left.subplots(), self.pixels)
        above, below = right.subfigures(2, 1, squeeze=False, height_ratios=(2, 3))[:, 0]
        shown = np.linspace(0, len(self.frames) - 1, min(5, len(self.frames))).astype(int)
        for ax, k in zip(above.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
            drawing.show_image(ax, self.frames[k], fill_in(
                "{share:.0%}", {"share": (k + 1) / len(self.frames)}))
        ax = below.subplots()
        ax.plot(np.arange(1, len(self.scores) + 1), self.scores, color=drawing.ORANGE, lw=2)
        steps = len(self.scores) // len(self.sizes)  # per octave
        for k, (h, w) in enumerate(self.sizes):
            ax.axvline(k * steps + 0.5, color="black", lw=0.8, ls=":")
            ax.text(k * steps + 1.5, 0.02, f"{h} × {w}", transform=ax.get_xaxis_transform(),
                    fontsize=drawing.MIN_TYPE)
        ax.set(xlabel=_("step (dotted: a larger image starts)"), ylabel=_("score"))
        figure.suptitle(_("an image that activates {target} most", target=self.target))
        return figure

    def __str__(self) -> str:
        H, Wd = self.pixels.shape[:2]
        return _("{target}: score {first:.4g} at first, {last:.4g} after {steps} steps; {height} × "
                 "{width} pixels, octaves: {octaves}", target=self.target, first=self.scores[0],
                 last=self.scores[-1], steps=len(self.scores), height=H, width=Wd,
                 octaves=len(self.sizes))


def maximise(model: Sequential, target: Target = None, *, steps: int = 64, octaves: int = 3,
             ratio: float = 1.5, lr: float = 0.03, shift: float = 4, zoom: float = 0.05,
             decay: float = 0.7, tv: float = 0.8, blur: float = 0, seed: int = 0,
             progress: Progress = silent) -> Maximised:
    """An image of the network's size with a large score of the target.

    target: a class, or Unit(layer, k, position); None: the strongest for noise.
    steps: per octave. ratio: of an octave's size to the one before. lr: learning rate of Adam, in
    pixel values of 0 … 1. shift, zoom, decay, tv, blur: see ascent.Regularisation.
    Raises ArgumentError for targets that do not exist and a network that takes no images.
    """
    size, C = image_size(model), model.input_shape[-1]
    steps, rng = check_int(steps, "maximise, steps"), np.random.default_rng(seed)
    regularisation = Regularisation(shift, zoom, decay, tv, blur)
    sizes = octave_sizes(size, octaves, ratio)

    def start(h: int, w: int) -> np.ndarray:
        noise = rng.normal(0, 0.05, (h, w, C)).astype(np.float32)
        return np.clip(mean_image(model, (h, w)) + noise, 0, 1)

    score = score_of(model, to_input(model, start(*size)), target)
    # positions, and vectors after Flatten, are those of a single size
    network_size = size if fixed_size(score.layers) or score.weight.ndim > 1 else None
    gradient_found = False

    def objective(p: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal gradient_found
        y = forward(score.layers, to_input(model, p), keep=True)
        positions = y[0, ..., 0].size if score.weight.ndim == 1 else 1
        dx = backward(score.layers, score.dy(y))
        S = float(score.values(y)[0])
        if not np.isfinite(S):
            raise ArgumentError(f"{score.name}: expected a finite score to increase, received "
                                f"{S}. Are the weights finite?")
        gradient_found |= bool((dx != 0).any())
        return S / positions, to_image(model, dx)

    p, scores, frames = start(*sizes[0]), [], []
    for k, (h, w) in enumerate(sizes):
        p, octave_scores, octave_frames = ascend(
            resize(p, (h, w)), objective, Adam(lr, beta1=0.5), steps, regularisation, rng,
            network_size, mean_image(model, (h, w)),
            offset_progress(progress, k * steps, len(sizes) * steps))
        scores += octave_scores
        frames += [as_pixels(resize(frame, size)) for frame in octave_frames]
    if not gradient_found:
        raise ArgumentError(f"{score.name}: expected a score that some pixel changes, received one "
                            f"with a zero gradient in every step. Is it dead? Choose another unit "
                            f"or seed.")
    return Maximised(score.name, as_pixels(p), np.array(scores), np.stack(frames), sizes,
                     score.layer, score.unit)
