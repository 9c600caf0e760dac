"""Where forward has no derivative: outputs with a kink (ReLU at 0, equal maxima) are left out, or
the point is shifted."""

from __future__ import annotations

import copy

import numpy as np

from .point import Point
from .precision import Precision
from .sides import Sides, sides_of, weigh

ROUNDING = 30  # times σ/ε; unclear_outputs derives it
BEND = 0.01  # of a slope; without_kinks derives it


def unclear_outputs(far: Sides, near: Sides, precision: Precision, sigma: np.ndarray
                    ) -> np.ndarray:
    """Which outputs of a layer in float32 have a kink: neither do their slopes agree for a step ε
    and ε/4, nor is their bend a fourth, beyond what rounding explains.

    The bend for ε/4 is (y⁺ − 2y + y⁻) / (ε/4): if the three roundings are independent and of size
    σ, it is off by √6 · 4 · σ/ε = 9.8 σ/ε, that for ε by a sixteenth. Three times as much is 30.
    """
    change = np.maximum(np.abs(far.central - near.central),
                        np.abs((near.right - near.left) - (far.right - far.left) / 4))
    return change > ROUNDING * sigma / precision.eps + precision.tolerance * np.abs(far.central)


def without_kinks(point: Point, name: str, direction: np.ndarray, precision: Precision,
                  y: np.ndarray, sigma: np.ndarray) -> tuple[float, float, float, float] | None:
    """(what backward says of the slope, the slope, its scale, its noise) for a dy that is 0 for
    each y that has a kink; None if more than a fourth of those that move have one: what is left
    would say little of the gradient.

    A kink: both sides differ by more than BEND of the larger one. Those of a smooth y differ by
    ε·|y″|, which is less as long as |y″| < 10⁴ |y′| in float64. A y with a smaller bend stays, and
    its error counts.
    """
    sides = sides_of(point, point.values[name], direction, precision.eps, y, sigma)
    size = np.maximum(np.abs(sides.right), np.abs(sides.left))
    return without_outputs(point, name, direction, sides.bend > BEND * size, sides, precision,
                           sigma)


def without_outputs(point: Point, name: str, direction: np.ndarray, excluded: np.ndarray,
                    sides: Sides, precision: Precision, sigma: np.ndarray
                    ) -> tuple[float, float, float, float] | None:
    """As without_kinks, for outputs that are given."""
    if excluded.sum() > sides.moved.sum() / 4:
        return None
    other = copy.copy(point)
    other.dy = np.where(excluded, 0, point.dy)
    gradient = other.gradients(other.run()[0])[name]
    if gradient is None or gradient.shape != direction.shape:
        return None
    return (float((gradient * direction).sum(dtype=np.float64)),
            *weigh(sides, other.dy, sigma, precision, ~excluded))


def shift(value: np.ndarray, directions: list[np.ndarray], kinks: np.ndarray, eps: float,
          rng: np.random.Generator) -> None:
    """Moves the elements along whose directions there are kinks, in place: by a few hundredths of
    their channel's size, or in float32 by at least five steps."""
    mask = np.any([directions[k] != 0 for k in np.flatnonzero(kinks)], axis=0)
    largest = np.abs(value).max(tuple(range(value.ndim - 1)), keepdims=True)  # of each channel
    size = np.maximum(0.05 * np.where(largest > 0, largest, np.abs(value).max() or 1.0), 10 * eps)
    value[mask] += (rng.uniform(0.5, 1.5, value.shape) * rng.choice((-1, 1), value.shape)
                    * size)[mask]
