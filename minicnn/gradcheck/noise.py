"""How much a backward that is right may differ from the measured slope, because of rounding.

The slope of L = Σ_j dy_j·y_j along a direction is measured as (L⁺ − L⁻) / 2ε, from two calls of
forward. Two things are rounded, and both are allowed for:

    |analytic − numeric|  ≤  tolerance · scale + noise

noise: forward's rounding. A computed y_j is off by about σ_j, so y_j⁺ − y_j⁻ is off by up to 2σ_j,
and the slope of L by up to Σ_j |dy_j| σ_j / ε, taken SAFETY times. The sum is over those outputs
that the direction moves: others are computed twice from the same numbers, and their error cancels.
So a channel of size 1 is not judged by the rounding of another of size 10⁷. In float32 steps are
long, many outputs move, and this sum would allow too much: there the errors are taken as
independent, and add up to √Σ_j (dy_j σ_j)² / ε.

scale: backward's rounding. It adds the terms t_j = dy_j·∂y_j/∂v, and each is rounded relative to
its own size. Where they cancel, that is much more than a rounding of their sum. Hence the error is
relative to max(|Σ_j t_j|, √Σ_j t_j²).
"""

from __future__ import annotations

import numpy as np

from .point import Point

SAFETY = 4  # times σ, since σ is an estimate
ULPS, ULPS_IN_FLOAT32 = 4096, 16  # by how many times u each number is moved, times −3 … 3


def rounding_of_outputs(point: Point, y: np.ndarray, unit: float) -> np.ndarray:
    """σ of each y, for the unit of rounding u (2⁻⁵² or 2⁻²³).

    It is at least u·|y|, and at least u·min(1, max |y|): log(1 + p) may be small, but the 1 + p
    that is rounded in it is not. It is larger if intermediate results are larger than y: then y
    deviates from a straight line when x and the parameters are moved by small amounts, up to some
    thousand times u.
    """
    size = np.abs(y).astype(np.float64)
    sigma = unit * np.maximum(size, min(1.0, size.max(initial=0)))
    rng, steps = np.random.default_rng(0), np.arange(-3, 4)
    ulps = ULPS_IN_FLOAT32 if unit > 1e-10 else ULPS  # more would often meet a kink
    original = {name: value.copy() for name, value in point.values.items()}
    for _ in range(2):
        directions = {name: rng.normal(size=value.shape) for name, value in original.items()}
        outputs = []
        for step in steps:
            for name, value in point.values.items():
                value[...] = original[name] * (1 + ulps * unit * step * directions[name])
            outputs.append(point.output().astype(np.float64) - y)
        moved, along = np.stack(outputs, -1), steps / np.sqrt((steps**2).sum())
        line = (moved @ along)[..., None] * along + moved.mean(-1, keepdims=True)
        sigma = np.maximum(sigma, np.abs(moved - line).max(-1))
    for name, value in point.values.items():
        value[...] = original[name]
    return sigma


def noise_of_slope(moved: np.ndarray, dy: np.ndarray, sigma: np.ndarray, eps: float,
                   independent: bool) -> float:
    """The largest error of the slope of L if only the outputs where `moved` is True have
    changed."""
    terms = (np.abs(dy) * sigma)[moved].astype(np.float64)
    return float(SAFETY * (np.sqrt((terms**2).sum()) if independent else terms.sum()) / eps)


def rounding_of_slope(y: np.ndarray, dy: np.ndarray, unit: float, eps: float) -> float:
    """The same for all outputs at once, and σ = u·|y|: what the hints compare with."""
    return noise_of_slope(np.ones(y.shape, bool), dy, unit * np.abs(y), eps, unit > 1e-10)
