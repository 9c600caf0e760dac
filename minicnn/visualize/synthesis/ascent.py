"""Images that are made: pixels p (H, Wd, C), 0 … 1, climb a score by its gradient.

Left alone, gradient ascent finds a fine noise that excites the unit and shows nothing. What holds
it back, all by hand:

    shift, zoom   the network sees p through A p Bᵀ, A and B drawn anew each step: what excites the
                  unit in one place and size only does not last   Mordvintsev et al. 2015
    decay         ½ Σ (p − p₀)², whose gradient p − p₀ pulls to the plain image p₀
                                                            Simonyan et al. 2014, section 2
    variation     TV(p) = Σ_ij √(Σ_c (p_i+1,j − p_ij)² + (p_i,j+1 − p_ij)² + ε²), which grows with
                  every edge                                Mahendran & Vedaldi 2015, equation 4
    blur          p ← G p Gᵀ, G a Gaussian's matrix         Yosinski et al. 2015, section 3
    octaves       the image begins small and is enlarged: coarse shapes first, then detail

Everything linear is a matrix for each axis, so its way back is the transpose: y = A p Bᵀ gives
dp = Aᵀ dy B.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...layers import Flatten, Layer
from ...model import Sequential
from ...ops import to_cpu, to_device
from ...optimizers import Optimizer
from ...utils.errors import ArgumentError, check_int
from ..photos import Progress
from ..result import Result

Uphill = Callable[[np.ndarray], tuple[float, np.ndarray]]  # p -> S, dS/dp
SMALLEST = 24  # pixels, of the first octave's shorter side
FRAMES = 12  # of each octave
EPSILON = 1e-3  # of the variation: differences of pixels far below it cost nothing


@dataclass
class Made(Result):
    """pixels (H, Wd, 3) uint8: the image; scores (steps,): S before each step; frames (F, H, Wd, 3)
    uint8: how it grew; sizes (octaves, 2): heights and widths that it had."""

    target: str
    pixels: np.ndarray
    scores: np.ndarray
    frames: np.ndarray
    sizes: np.ndarray

    def more_suffixes(self) -> tuple[str, ...]:
        """The picture as it grows."""
        return (".gif",)

    def write(self, path: Path) -> None:
        """A .gif of the frames, small ones enlarged to 256 pixels or more; else as every result."""
        if path.suffix != ".gif":
            return super().write(path)
        from PIL import Image

        times = max(1, -(-256 // min(self.frames.shape[1:3])))
        first, *others = (Image.fromarray(frame.repeat(times, 0).repeat(times, 1))
                          for frame in self.frames)
        first.save(path, save_all=True, append_images=others, loop=0,
                   duration=[100] * len(others) + [2000])


# The way from pixels to the network and back


def to_input(model: Sequential, p: np.ndarray) -> np.ndarray:
    """p (H, Wd, C) -> network input (1, H, Wd, C): by the model's recipe; without one, or for other
    than three channels, 0 … 1 becomes −1 … 1."""
    recipe = model.preprocessing
    x = recipe(255 * p[None]) if recipe and p.shape[-1] == 3 else (2 * p[None] - 1)
    return to_device(x.astype(p.dtype), model.device)


def to_image(model: Sequential, dx: np.ndarray) -> np.ndarray:
    """dx (1, H, Wd, C) -> dp (H, Wd, C), the derivative of to_input."""
    recipe, dx = model.preprocessing, to_cpu(dx)[0]
    if not recipe or dx.shape[-1] != 3:
        return 2 * dx
    return 255 * recipe.scale * (dx[..., ::-1] if recipe.channel_order == "BGR" else dx)


def plain(model: Sequential, size: tuple[int, int]) -> np.ndarray:
    """p of network input 0, the mean colour of the training: (*size, C)."""
    recipe, C = model.preprocessing, model.input_shape[2]
    mean = np.full(C, 127.5)
    if recipe and C == 3:
        mean = np.asarray(recipe.mean)[::-1 if recipe.channel_order == "BGR" else 1]
    return np.tile((mean / 255).astype(np.float32), (*size, 1))


def as_pixels(p: np.ndarray) -> np.ndarray:
    """p (H, Wd, C) -> (H, Wd, 3) uint8; one channel becomes grey."""
    p = p[..., :3] if p.shape[-1] >= 3 else np.repeat(p[..., :1], 3, axis=-1)
    return np.rint(255 * np.clip(p, 0, 1)).astype(np.uint8)


# Matrices for one axis


def through(p: np.ndarray, A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """A p Bᵀ for each channel: p (H, Wd, C), A (h, H), B (w, Wd) -> (h, w, C)."""
    return B @ np.tensordot(A, p, axes=1)  # (w, Wd)·(h, Wd, C)


def sampling(out: int, size: int, zoom: float = 1.0, shift: float = 0.0) -> np.ndarray:
    """(out, size): `size` pixels seen as `out`, enlarged by zoom about the centre and shifted by
    `shift` pixels; bilinear, the border repeated."""
    at = ((np.arange(out) + 0.5) / out - 0.5) * size / zoom + (size - 1) / 2 - shift
    at = np.clip(at, 0, size - 1)
    low = np.minimum(at.astype(int), max(size - 2, 0))
    A, rows = np.zeros((out, size), np.float32), np.arange(out)
    A[rows, low] = 1 - (at - low)
    A[rows, np.minimum(low + 1, size - 1)] += at - low
    return A


def resized(p: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """p (H, Wd, C) -> (*size, C)."""
    return through(p, sampling(size[0], p.shape[0]), sampling(size[1], p.shape[1]))


def gaussian(size: int, sigma: float) -> np.ndarray:
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


# Climbing


def fixed_size(layers: list[Layer]) -> bool:
    """Do these layers take images of one size only?"""
    return any(isinstance(layer, Flatten) for layer in layers)


def octave_sizes(size: tuple[int, int], octaves: int, ratio: float) -> np.ndarray:
    """(octaves, 2): the sizes of an image that grows by `ratio` to `size`; those whose shorter side
    has fewer than SMALLEST pixels are left out."""
    octaves = check_int(octaves, "octaves")
    if not 1 < ratio < 10:
        raise ArgumentError(f"octaves: expected a ratio above 1 and below 10, received {ratio!r}.")
    scale = ratio ** -np.arange(octaves - 1, -1, -1.0)
    sizes = np.maximum(np.rint(np.outer(scale, size)).astype(int), 1)
    return sizes[(sizes.min(axis=1) >= SMALLEST) | (np.arange(octaves) == octaves - 1)]


@dataclass(frozen=True)
class Brakes:
    """What holds the climb back (above). shift: pixels, each way, and zoom: a share, each way, of
    the draw at each step; decay, tv: weights beside a gradient whose root mean square is 1; blur:
    sigma in pixels, every tenth step but for the last ten, which sharpen."""

    shift: float = 0
    zoom: float = 0
    decay: float = 0
    tv: float = 0
    blur: float = 0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value < np.inf:
                raise ArgumentError(f"{name}: expected 0 or more, received {value!r}.")


def climb(p: np.ndarray, uphill: Uphill, optimizer: Optimizer, steps: int, brakes: Brakes,
          rng: np.random.Generator, seen: tuple[int, int] | None = None,
          rest: np.ndarray | None = None, progress: Progress = lambda done, total: None
          ) -> tuple[np.ndarray, list[float], list[np.ndarray]]:
    """`steps` steps uphill from p (H, Wd, C) -> p, S before each step, FRAMES images on the way.

    uphill gets the image as the network sees it, of the size `seen` (None: p's own); its gradient
    is divided by its root mean square, so that one rate serves units of any strength.
    rest: the plain image to which decay pulls.
    """
    p, state, scores, frames = p.copy(), {}, [], []
    H, Wd = p.shape[:2]
    h, w = seen or (H, Wd)
    for step in range(steps):
        zoom = 1 + brakes.zoom * rng.uniform(-1, 1)
        A, B = (sampling(out, size, zoom, brakes.shift * rng.uniform(-1, 1))
                for out, size in ((h, H), (w, Wd)))
        S, dq = uphill(through(p, A, B))
        dp = through(dq, A.T, B.T)
        dp = dp / max(float(np.sqrt((dp ** 2).mean())), 1e-20)
        if brakes.decay:
            dp -= brakes.decay * (p - rest)
        if brakes.tv:
            dp -= brakes.tv * variation(p)[1]
        optimizer.update(p, (-dp).astype(p.dtype), state)  # optimizers go downhill
        if brakes.blur and step % 10 == 9 and step <= steps - 10:
            p = through(p, gaussian(H, brakes.blur), gaussian(Wd, brakes.blur))
        np.clip(p, 0, 1, out=p)
        scores.append(S)
        if (step + 1) * FRAMES // steps > step * FRAMES // steps:
            frames.append(p.copy())
        progress(step + 1, steps)
    return p, scores, frames
