"""The slopes of each y to the right of a point and to its left, along a direction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .noise import noise_of_slope
from .point import Point
from .precision import Precision

# Times σ/ε: a bend that rounding explains. (y⁺ − 2y + y⁻) / ε has four roundings, counting 2y
# twice, and each is allowed 5σ: σ is at least about one standard deviation of them, as the largest
# of 14 (noise.py), and one error in a million is larger than five.
BEND_OF_ROUNDING = 4 * 5


@dataclass
class Sides:
    """Of each y along one direction: the slopes to the right of the point and to its left, and by
    how much they differ, or 0 if rounding explains it."""

    right: np.ndarray
    left: np.ndarray
    bend: np.ndarray

    @property
    def central(self) -> np.ndarray:
        """(y(v + ε d) − y(v − ε d)) / 2ε."""
        return (self.right + self.left) / 2

    @property
    def moved(self) -> np.ndarray:
        """Where y depends on v at all."""
        return (self.right != 0) | (self.left != 0)


def unit_vectors(value: np.ndarray) -> Iterator[np.ndarray]:
    """For each element of an array the direction that moves it alone, large ones more."""
    for index in np.ndindex(value.shape):
        direction = np.zeros(value.shape)
        direction[index] = max(1.0, abs(value[index]))
        yield direction


def random_vectors(value: np.ndarray, count: int, num_moved: int | None, rng: np.random.Generator,
                   among: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """`count` random directions, which move all elements at once, large ones more; or those where
    `among` is True; or `num_moved` of them."""
    candidates = np.arange(value.size) if among is None else np.flatnonzero(among)
    for _ in range(count):
        direction = np.zeros(value.size)
        moved = rng.permutation(candidates)[:num_moved]
        direction[moved] = rng.normal(size=len(moved))
        yield direction.reshape(value.shape) * np.maximum(1, np.abs(value))


def sides_of(point: Point, value: np.ndarray, direction: np.ndarray, eps: float, y: np.ndarray,
             sigma: np.ndarray) -> Sides:
    """Each y's slopes along the direction; value is moved in place, and back."""
    original, outputs = value.copy(), []
    for sign in (1, -1):
        value[...] = original + sign * eps * direction
        outputs.append(point.output().astype(np.float64))
    value[...] = original
    right, left = (outputs[0] - y) / eps, (y - outputs[1]) / eps
    bend = np.abs(right - left)
    return Sides(right, left, np.where(bend < BEND_OF_ROUNDING * sigma / eps, 0, bend))


def weigh(sides: Sides, dy: np.ndarray, sigma: np.ndarray, precision: Precision,
          counted: np.ndarray | None = None) -> tuple[float, float, float]:
    """(the slope of L, its scale, its noise); of the outputs that are counted, or of all."""
    moved = sides.moved if counted is None else sides.moved & counted
    terms = np.where(moved, sides.central * dy, 0).astype(np.float64)
    total = float(terms.sum())
    return (total, max(abs(total), float(np.sqrt((terms**2).sum()))),
            noise_of_slope(moved, dy, sigma, precision.eps, precision.is_float32))
