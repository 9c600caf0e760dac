"""What would this unit like best? An image that excites it, made from noise.

    p* = argmax_p  S(x(p)) / s − decay · ½ Σ (p − p₀)² − tv · TV(p),    p within 0 … 1

s keeps the gradient of S at a root mean square of 1, so the weights mean the same for every unit.
What ascent.py lists (shifts, zooms, octaves, blur) keeps the image from becoming noise. One such
image is one answer: another seed gives another. A network that takes any size sees the small image
of a low octave as it is; one that takes one size only (with Flatten) sees it enlarged.

Source: Erhan et al. 2009; Simonyan et al. 2014, section 2; Yosinski et al. 2015; Olah et al. 2017.
"""

from __future__ import annotations

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
from ..target import Asked, run, score_of
from .ascent import (
    Brakes,
    Made,
    as_pixels,
    climb,
    fixed_size,
    octave_sizes,
    plain,
    resized,
    to_image,
    to_input,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class Maximised(Made):
    """scores: S of what the network sees at each step, of a map its mean over the places; unit: the
    number of the unit, map or class; layer: its layer."""

    layer: str
    unit: int

    def figure(self) -> Figure:
        """The image, how it grew, and the score."""
        figure = drawing.new_figure(13, 7)
        left, right = figure.subfigures(1, 2, width_ratios=(7, 6))
        drawing.show_image(left.subplots(), self.pixels)
        above, below = right.subfigures(2, 1, height_ratios=(2, 3))
        shown = np.linspace(0, len(self.frames) - 1, min(5, len(self.frames))).astype(int)
        for ax, k in zip(above.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
            drawing.show_image(ax, self.frames[k], f"{(k + 1) / len(self.frames):.0%}")
        ax = below.subplots()
        ax.plot(np.arange(1, len(self.scores) + 1), self.scores, color=drawing.ORANGE, lw=2)
        each = len(self.scores) // len(self.sizes)
        for k, (h, w) in enumerate(self.sizes):
            ax.axvline(k * each + 0.5, color="black", lw=0.8, ls=":")
            ax.text(k * each + 1.5, 0.02, f"{h} × {w}", transform=ax.get_xaxis_transform(),
                    fontsize=11)
        ax.set(xlabel="step (dotted: a larger image begins)", ylabel="score")
        figure.suptitle(f"what excites {self.target} most")
        return figure

    def __str__(self) -> str:
        H, Wd = self.pixels.shape[:2]
        return (f"{self.target}: score {self.scores[0]:.4g} at first, {self.scores[-1]:.4g} after "
                f"{len(self.scores)} steps; {H} × {Wd} pixels, octaves: {len(self.sizes)}")


def maximise(model: Sequential, target: Asked = None, *, steps: int = 64, octaves: int = 3,
             ratio: float = 1.5, lr: float = 0.03, shift: float = 4, zoom: float = 0.05,
             decay: float = 0.7, tv: float = 0.3, blur: float = 0, seed: int = 0,
             progress: Progress = silent) -> Maximised:
    """An image of the network's size that makes the target's score large.

    target: a class, or Unit(layer, k, position); None: the strongest for noise.
    steps: of each octave. ratio: of an octave's size to the one before. lr: of Adam, in pixels of
    0 … 1. shift, zoom, decay, tv, blur: see ascent.Brakes.
    Raises ArgumentError for targets that do not exist and a network that takes no images.
    """
    if len(model.input_shape) != 3:
        raise ArgumentError(f"maximise: expected a network of images (H, W, C), received one of "
                            f"inputs {model.input_shape}. There is nothing to draw.")
    steps, rng = check_int(steps, "maximise, steps"), np.random.default_rng(seed)
    size, brakes = model.input_shape[:2], Brakes(shift, zoom, decay, tv, blur)
    sizes, C = octave_sizes(size, octaves, ratio), model.input_shape[2]

    def start(h: int, w: int) -> np.ndarray:
        noise = rng.normal(0, 0.05, (h, w, C)).astype(np.float32)
        return np.clip(plain(model, (h, w)) + noise, 0, 1)

    score = score_of(model, to_input(model, start(*size)), target)
    # a position, and rows after Flatten, belong to one size
    seen = size if fixed_size(score.layers) or score.weight.ndim > 1 else None

    slopes = []  # was there any, at each step?

    def uphill(p: np.ndarray) -> tuple[float, np.ndarray]:
        y = run(score.layers, to_input(model, p), keep=True)
        places = y[0, ..., 0].size if score.weight.ndim == 1 else 1
        dx = backward(score.layers, score.dy(y))
        if not np.isfinite(to_cpu(score.values(y))).all():
            raise ArgumentError(f"{score.name}: expected a finite score to climb, received "
                                f"{float(score.values(y)[0])}. Are the weights finite?")
        slopes.append(bool((dx != 0).any()))
        return float(score.values(y)[0]) / places, to_image(model, dx)

    p, scores, frames = start(*sizes[0]), [], []
    for k, (h, w) in enumerate(sizes):
        p, found, grown = climb(
            resized(p, (h, w)), uphill, Adam(lr, beta1=0.5), steps, brakes, rng, seen,
            plain(model, (h, w)),
            lambda done, total, k=k: progress(k * steps + done, len(sizes) * steps))
        scores += found
        frames += [resized(one, size) for one in grown]
    if not any(slopes):
        raise ArgumentError(f"{score.name}: expected a score that some pixel changes, received one "
                            f"without a slope at every step. Is it dead? Choose another unit or "
                            f"seed.")
    return Maximised(score.name, as_pixels(p), np.array(scores),
                     np.stack([as_pixels(one) for one in frames]), sizes, score.layer, score.unit)
