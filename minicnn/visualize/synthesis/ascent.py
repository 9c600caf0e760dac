"""Gradient ascent on an image: pixels p (H, Wd, C), 0 … 1, follow the gradient of a score.

Without regularisation, gradient ascent finds a fine noise that activates the unit and shows
nothing. The regularisers, all written by hand:

    shift, zoom   the network sees A p Bᵀ with new random A and B in each step: patterns that
                  activate the unit at one position and size only vanish   Mordvintsev et al. 2015
    decay         ½ Σ (p − p₀)², whose gradient p − p₀ pulls towards the mean image p₀
                                                            Simonyan et al. 2014, section 2
    variation     TV(p) = Σ_ij √(Σ_c (p_i+1,j − p_ij)² + (p_i,j+1 − p_ij)² + ε²), which grows with
                  every edge                                Mahendran & Vedaldi 2015, equation 4
    blur          p ← G p Gᵀ, G a Gaussian's matrix         Yosinski et al. 2015, section 3
    octaves       the image starts small and is enlarged: coarse shapes first, then details

Every linear operation is a matrix per axis, so its backward is the transpose: y = A p Bᵀ gives
dp = Aᵀ dy B.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...layers import Flatten, Layer
from ...model import Sequential
from ...ops import to_cpu, to_device
from ...optimizers import Optimizer
from ...utils.errors import ArgumentError, check_int
from ..photos import Progress, silent
from ..result import Result
from ..target import as_rgb

Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]  # p -> S, dS/dp
MIN_SIDE = 24  # pixels: the shorter side of the first octave
FRAMES = 12  # per octave
EPSILON = 1e-3  # of the variation: pixel differences far below it cost nothing


@dataclass
class SyntheticImage(Result):
    """pixels (H, Wd, 3) uint8: the image; scores (steps,): S before each step; frames (F, H, Wd, 3)
    uint8: how it developed; sizes (octaves, 2): its height and width in each octave."""

    target: str
    pixels: np.ndarray
    scores: np.ndarray
    frames: np.ndarray
    sizes: np.ndarray

    def more_suffixes(self) -> tuple[str, ...]:
        """An animation of the frames."""
        return (".gif",)

    def write(self, path: Path) -> None:
        """A .gif of the frames, small ones enlarged to 256 pixels or more; others as any result."""
        if path.suffix != ".gif":
            super().write(path)
            return
        from PIL import Image

        times = max(1, -(-256 // min(self.frames.shape[1:3])))
        first, *others = (Image.fromarray(frame.repeat(times, 0).repeat(times, 1))
                          for frame in self.frames)
        first.save(path, save_all=True, append_images=others, loop=0,
                   duration=[100] * len(others) + [2000])


# From pixels to network input and back


def to_input(model: Sequential, p: np.ndarray) -> np.ndarray:
    """p (H, Wd, C) -> network input (1, H, Wd, C): by the model's preprocessing; without one,
    0 … 1 becomes −1 … 1."""
    if model.preprocessing is not None:
        x = model.preprocessing(255 * p[None])
    else:
        x = 2 * p[None] - 1
    return to_device(x.astype(p.dtype), model.device)


def to_image(model: Sequential, dx: np.ndarray) -> np.ndarray:
    """dx (1, H, Wd, C) -> dp (H, Wd, C), the derivative of to_input."""
    preprocessing, dx = model.preprocessing, to_cpu(dx)[0]
    if preprocessing is None:
        return 2 * dx
    return 255 * preprocessing.scale * as_rgb(model, dx)


def mean_image(model: Sequential, size: tuple[int, int]) -> np.ndarray:
    """p of network input 0, the mean colour of the preprocessing: (*size, C)."""
    mean = np.full(model.input_shape[2], 127.5)
    if model.preprocessing is not None:
        mean = as_rgb(model, np.asarray(model.preprocessing.mean))
    return np.tile((mean / 255).astype(np.float32), (*size, 1))


def as_pixels(p: np.ndarray) -> np.ndarray:
    """p (H, Wd, C) -> (H, Wd, 3) uint8; one channel becomes grey."""
    p = p[..., :3] if p.shape[-1] >= 3 else np.repeat(p[..., :1], 3, axis=-1)
    return np.rint(255 * np.clip(p, 0, 1)).astype(np.uint8)


# A matrix per axis


def apply_along_axes(p: np.ndarray, A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """A p Bᵀ for each channel: p (H, Wd, C), A (h, H), B (w, Wd) -> (h, w, C)."""
    return B @ np.tensordot(A, p, axes=1)  # (w, Wd)·(h, Wd, C)


def resize_matrix(out: int, size: int, zoom: float = 1.0, shift: float = 0.0) -> np.ndarray:
    """(out, size): resamples `size` pixels as `out`, enlarged by zoom around the centre and shifted
    by `shift` pixels; bilinear, the border repeated."""
    position = ((np.arange(out) + 0.5) / out - 0.5) * size / zoom + (size - 1) / 2 - shift
    position = np.clip(position, 0, size - 1)
    low = np.minimum(position.astype(int), max(size - 2, 0))
    A, rows = np.zeros((out, size), np.float32), np.arange(out)
    A[rows, low] = 1 - (position - low)
    A[rows, np.minimum(low + 1, size - 1)] += position - low
    return A


def resize(p: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """p (H, Wd, C) -> (*size, C)."""
    return apply_along_axes(p, resize_matrix(size[0], p.shape[0]),
                            resize_matrix(size[1], p.shape[1]))


def blur_matrix(size: int, sigma: float) -> np.ndarray:
    """(size, size): each pixel becomes a mean of its neighbours, weighted by a Gaussian."""
    G = np.exp(-(np.arange(size)[:, None] - np.arange(size)) ** 2 / (2 * sigma ** 2))
    return (G / G.sum(axis=1, keepdims=True)).astype(np.float32)


def variation(p: np.ndarray) -> tuple[float, np.ndarray]:
    """p (H, Wd, C) -> TV(p), dTV/dp.

    Derivation: with n_ij the root at (i, j), the differences v = p_i+1,j − p_ij and h = p_i,j+1 −
    p_ij get dv = v / n and dh = h / n; p_ij takes −dv − dh, its two neighbours +dv and +dh.
    """
    v, h = np.zeros_like(p), np.zeros_like(p)
    v[:-1], h[:, :-1] = np.diff(p, axis=0), np.diff(p, axis=1)
    n = np.sqrt((v ** 2 + h ** 2).sum(axis=-1, keepdims=True) + EPSILON ** 2)
    dv, dh = v / n, h / n
    dp = -dv - dh
    dp[1:] += dv[:-1]
    dp[:, 1:] += dh[:, :-1]
    return float(n.sum()), dp


# The ascent


def fixed_size(layers: list[Layer]) -> bool:
    """Whether these layers take images of a single size only."""
    return any(isinstance(layer, Flatten) for layer in layers)


def octave_sizes(size: tuple[int, int], octaves: int, ratio: float) -> np.ndarray:
    """(octaves, 2): the sizes of an image that grows by `ratio` up to `size`, without those whose
    shorter side has fewer than MIN_SIDE pixels."""
    octaves = check_int(octaves, "octaves")
    if not 1 < ratio < 10:
        raise ArgumentError(f"octaves: expected a ratio above 1 and below 10, received {ratio!r}.")
    scale = ratio ** -np.arange(octaves - 1, -1, -1.0)
    sizes = np.maximum(np.rint(np.outer(scale, size)).astype(int), 1)
    return sizes[(sizes.min(axis=1) >= MIN_SIDE) | (np.arange(octaves) == octaves - 1)]


@dataclass(frozen=True)
class Regularisation:
    """Strengths of the regularisers (above). shift: pixels, and zoom: a fraction, each the bound of
    a random draw in both directions; decay, tv: weights relative to a gradient whose root mean
    square is 1; blur: sigma in pixels, applied in every tenth step except the last ten, which
    sharpen."""

    shift: float = 0
    zoom: float = 0
    decay: float = 0
    tv: float = 0
    blur: float = 0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value < np.inf:
                raise ArgumentError(f"{name}: expected 0 or more, received {value!r}.")


def ascend(p: np.ndarray, objective: Objective, optimizer: Optimizer, steps: int,
           regularisation: Regularisation, rng: np.random.Generator,
           network_size: tuple[int, int] | None = None, mean: np.ndarray | None = None,
           progress: Progress = silent) -> tuple[np.ndarray, list[float], list[np.ndarray]]:
    """`steps` steps of gradient ascent from p (H, Wd, C) -> p, S before each step, FRAMES images on
    the way.

    objective: gets the image as the network sees it, of the size `network_size` (None: p's own);
               its gradient is divided by its root mean square, so that one learning rate fits units
               of any strength.
    mean:      the image to which decay pulls; None: a black one.
    """
    p, scores, frames = p.copy(), [], []
    state: dict[str, Any] = {}
    H, Wd = p.shape[:2]
    h, w = network_size or (H, Wd)
    for step in range(steps):
        zoom = 1 + regularisation.zoom * rng.uniform(-1, 1)
        A, B = (resize_matrix(out, size, zoom, regularisation.shift * rng.uniform(-1, 1))
                for out, size in ((h, H), (w, Wd)))
        S, dq = objective(apply_along_axes(p, A, B))
        dp = apply_along_axes(dq, A.T, B.T)
        dp = dp / max(float(np.sqrt((dp ** 2).mean())), 1e-20)
        if regularisation.decay:
            dp -= regularisation.decay * (p if mean is None else p - mean)
        if regularisation.tv:
            dp -= regularisation.tv * variation(p)[1]
        optimizer.update(p, (-dp).astype(p.dtype), state)  # optimizers descend
        if regularisation.blur and step % 10 == 9 and step <= steps - 10:
            p = apply_along_axes(p, blur_matrix(H, regularisation.blur),
                                 blur_matrix(Wd, regularisation.blur))
        np.clip(p, 0, 1, out=p)
        scores.append(S)
        if (step + 1) * FRAMES // steps > step * FRAMES // steps:
            frames.append(p.copy())
        progress(step + 1, steps)
    return p, scores, frames
