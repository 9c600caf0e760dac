"""Slopes of L = <y, dy> by differences, their precision, and the kinks where there are none."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace

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
FLOAT32 = Precision(5e-4, 1e-2, float(np.finfo(np.float32).eps))
FLOAT32_BACKWARD = Precision(1e-6, 1e-4, float(np.finfo(np.float64).eps))
STEEP = 1e-2  # of the largest slope: an error below may be that of the step, beside a pole
KINK = 1e-3  # of the largest slope: by how much both sides may differ unexamined, in float64


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


def random_vectors(shape: tuple[int, ...], count: int, num_moved: int | None,
                   rng: np.random.Generator) -> Iterator[np.ndarray]:
    """`count` random directions, which move all elements at once, or `num_moved` of them."""
    for _ in range(count):
        direction = rng.normal(size=shape)
        if num_moved is not None and direction.size > num_moved:
            still = rng.permutation(direction.size)[num_moved:]
            direction.reshape(-1)[still] = 0
        yield direction


def one_sided(point: Point, value: np.ndarray, direction: np.ndarray, precision: Precision,
              y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each y: ((y(v + ε d) − y(v)) / ε, (y(v) − y(v − ε d)) / ε, by how much these two differ,
    or 0 if rounding explains it). value is moved in place, and back."""
    original, outputs = value.copy(), []
    for sign in (1, -1):
        value[...] = original + sign * precision.eps * direction
        outputs.append(point.output().astype(np.float64))
    value[...] = original
    right, left = (outputs[0] - y) / precision.eps, (y - outputs[1]) / precision.eps
    bend = np.abs(right - left)
    noise = 20 * precision.rounding * np.abs(y).max(initial=0) / precision.eps
    return right, left, np.where(bend < noise, 0, bend)


def measure(point: Point, value: np.ndarray, directions: list[np.ndarray], expected: np.ndarray,
            precision: Precision, y: np.ndarray, floor: float) -> Slopes:
    """The slopes of L along the directions; `expected` is what backward says of them.

    The two sides of a smooth L differ by ε·L″, a fourth of it for a step ε/4. At a kink (ReLU at 0,
    two equal maxima) they differ as much for any step; beside it not at all for a small one. What
    differs much, or no less than backward is off, is examined with that second step. In float32
    rounding hides it, and nothing else bends so much.
    """
    dy, tolerance = point.dy, precision.tolerance
    sides = []
    for direction in directions:
        right, left, bend = one_sided(point, value, direction, precision, y)
        sides.append(((right * dy).sum(), (left * dy).sum(), (bend * np.abs(dy)).sum()))
    right, left, gap = np.array(sides, np.float64).T
    scale = max(np.abs(right).max(), np.abs(left).max(), floor)
    error = np.abs((right + left) / 2 - expected)
    if precision.rounding == FLOAT32.rounding:
        return Slopes(right, left, (error > tolerance / 5 * scale) & (error <= gap))
    kinks = np.zeros(len(directions), bool)
    suspicious = (gap > KINK * scale) | ((error > tolerance * scale) & (error <= gap))
    steep = (error > tolerance * scale) & (error < STEEP * scale)
    smaller = replace(precision, eps=precision.eps / 4)
    for k in np.flatnonzero(suspicious | steep):
        near_right, near_left, bend = one_sided(point, value, directions[k], smaller, y)
        if suspicious[k]:
            kinks[k] = not 0.15 < (bend * np.abs(dy)).sum() / gap[k] < 0.4
        near, far = ((near_right + near_left) / 2 * dy).sum(), (right[k] + left[k]) / 2
        if not kinks[k] and abs(near - far) > error[k] / 2:  # the step is too long for ε² here
            right[k] = left[k] = (16 * near - far) / 15  # Richardson: without the term of ε²
    return Slopes(right, left, kinks)


def without_kinks(point: Point, name: str, direction: np.ndarray, precision: Precision,
                  y: np.ndarray) -> tuple[float, float] | None:
    """(what backward says of the slope, the slope) for a dy that is 0 for each y that has a kink;
    None if more than a fourth of those that move have one."""
    right, left, bend = one_sided(point, point.values[name], direction, precision, y)
    bends, moves = bend > 0.01, (right != 0) | (left != 0)
    if bends.sum() > moves.sum() / 4:
        return None
    other = copy.copy(point)
    other.dy = np.where(bends, 0, point.dy)
    gradient = other.gradients(other.run()[0])[name]
    return (float((gradient * direction).sum()), float(((right + left) / 2 * other.dy).sum()))


def rounding_of_slope(y: np.ndarray, dy: np.ndarray, precision: Precision) -> float:
    """How far off rounding can put a slope: 4·u·Σ|y·dy| / ε; of float32, where u is no longer
    small, what is likely: 4·u·√Σ(y·dy)² / ε."""
    terms = np.abs(y * dy).astype(np.float64)
    total = np.sqrt((terms ** 2).sum()) if precision.rounding > 1e-10 else terms.sum()
    return float(4 * precision.rounding * total / precision.eps)


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
