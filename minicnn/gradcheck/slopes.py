"""Slopes of L = <y, dy> by differences, their precision, and the kinks where there are none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .point import Point


@dataclass(frozen=True)
class Precision:
    """The step ε of the differences, the largest relative error that rounding explains, and the
    unit of rounding u. The step nearly balances ε² (the series cut off) with u/ε (rounding)."""

    eps: float
    tolerance: float
    rounding: float


FLOAT64 = Precision(1e-6, 1e-6, float(np.finfo(np.float64).eps))
FLOAT32 = Precision(2e-3, 5e-3, float(np.finfo(np.float32).eps))
FLOAT32_BACKWARD = Precision(1e-6, 1e-4, float(np.finfo(np.float64).eps))
KINK = 1e-3  # of the largest slope: how much left and right may differ unexamined, in float64


@dataclass
class Slopes:
    """For each direction: the slope to the right of the point and to its left, and whether there is
    a kink between."""

    right: np.ndarray
    left: np.ndarray
    kinks: np.ndarray

    @property
    def central(self) -> np.ndarray:
        """(L(v + ε d) − L(v − ε d)) / 2ε."""
        return (self.right + self.left) / 2


def unit_vectors(shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """For each element of an array of that shape the direction that moves it alone."""
    for index in np.ndindex(shape):
        direction = np.zeros(shape)
        direction[index] = 1
        yield direction


def random_vectors(shape: tuple[int, ...], count: int, most: int | None,
                   rng: np.random.Generator) -> Iterator[np.ndarray]:
    """`count` random directions, which move all elements at once, or `most` of them."""
    for _ in range(count):
        direction = rng.normal(size=shape)
        if most is not None and direction.size > most:
            still = rng.permutation(direction.size)[most:]
            direction.reshape(-1)[still] = 0
        yield direction


def one_sided(point: Point, value: np.ndarray, direction: np.ndarray, eps: float, y: np.ndarray
              ) -> tuple[float, float]:
    """((L(v + ε d) − L(v)) / ε, (L(v) − L(v − ε d)) / ε); value is moved in place, and back."""
    original, outputs = value.copy(), []
    for sign in (1, -1):
        value[...] = original + sign * eps * direction
        outputs.append(point.output())
    value[...] = original
    plus, minus = outputs
    return (float(((plus - y) * point.dy).sum(dtype=np.float64) / eps),
            float(((y - minus) * point.dy).sum(dtype=np.float64) / eps))


def measure(point: Point, value: np.ndarray, directions: list[np.ndarray], expected: np.ndarray,
            precision: Precision, y: np.ndarray, floor: float) -> Slopes:
    """The slopes of L along the directions; `expected` is what backward says of them.

    The two sides of a smooth L differ by ε·L″, a fourth of it for a step ε/4. At a kink (ReLU at 0,
    two equal maxima) they differ as much for any step; beside it not at all for a small one. What
    differs much, or no less than backward is off, is examined with that second step.
    """
    eps, tolerance = precision.eps, precision.tolerance
    sides = [one_sided(point, value, direction, eps, y) for direction in directions]
    right, left = np.array(sides).T
    scale = max(np.abs(right).max(), np.abs(left).max(), floor)
    gap = np.abs(right - left)
    error = np.abs((right + left) / 2 - expected)
    suspicious = (gap > max(KINK, 10 * tolerance) * scale) | (
        (error > tolerance * scale) & (error <= gap))
    kinks = np.zeros(len(directions), bool)
    for k in np.flatnonzero(suspicious):
        near = np.subtract(*one_sided(point, value, directions[k], eps / 4, y))
        kinks[k] = not 0.15 < abs(near) / gap[k] < 0.4
    return Slopes(right, left, kinks)


def precision_of(point: Point, y: np.ndarray, rng: np.random.Generator) -> Precision:
    """FLOAT32 if y is float32, or stands still where a float64 layer's y would not: x or a
    parameter is moved by 1e-11 of its size, which is nothing to float32."""
    if y.dtype == np.float32:
        return FLOAT32
    for value in point.values.values():
        direction = rng.normal(size=value.shape) * (np.abs(value).max(initial=0) or 1.0)
        original, moved = value.copy(), []
        for step in (1e-3, 1e-11):
            value[...] = original + step * direction
            moved.append(np.abs(point.output() - y))
        value[...] = original
        moves = moved[0] > 1e-6 * np.abs(y)
        if moves.any() and (moved[1][moves] == 0).mean() > 0.5:
            return FLOAT32
    return FLOAT64


def shift(value: np.ndarray, directions: list[np.ndarray], kinks: np.ndarray, eps: float,
          rng: np.random.Generator) -> None:
    """Moves the elements along whose directions there are kinks, in place: by a few hundredths of
    the array's size, or in float32 by more than ten steps."""
    mask = np.any([directions[k] != 0 for k in np.flatnonzero(kinks)], axis=0)
    size = max(0.05 * (np.abs(value).max() or 1.0), 10 * eps)
    value[mask] += (rng.uniform(0.5, 1.5, value.shape) * rng.choice((-1, 1), value.shape)
                    * size)[mask]
