"""Slopes of L = <y, dy> by differences, their precision, and the kinks where there are none."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .noise import noise_of_slope
from .point import Point


@dataclass(frozen=True)
class Precision:
    """The step ε of the differences, the largest relative error that rounding explains, and the
    unit of rounding u. The step nearly balances ε² (the series cut off) with u/ε (rounding)."""

    eps: float
    tolerance: float
    rounding: float

    @property
    def is_float32(self) -> bool:
        """Whether forward computes in float32."""
        return self.rounding > 1e-10


FLOAT64 = Precision(1e-6, 1e-6, float(np.finfo(np.float64).eps))
FLOAT32 = Precision(8e-3, 1e-3, float(np.finfo(np.float32).eps))
FLOAT32_BACKWARD = Precision(1e-6, 1e-4, float(np.finfo(np.float64).eps))
KINK = 1e-3  # of the slope: by how much both sides may differ unexamined, in float64


@dataclass
class Slopes:
    """Along each direction: the slope that backward expects, the measured one, their scale, the
    noise (noise.py), and whether there is a kink, so that nothing can be said."""

    expected: np.ndarray
    measured: np.ndarray
    scale: np.ndarray
    noise: np.ndarray
    kinks: np.ndarray

    def errors(self, tolerance: float) -> np.ndarray:
        """Of each direction, relative to its scale: at most `tolerance` if it is right."""
        return relative_error(self.expected, self.measured, self.scale, self.noise, tolerance)


def relative_error(expected: Any, measured: Any, scale: Any, noise: Any, tolerance: float) -> Any:
    """At most `tolerance` if the two slopes agree up to that much of their scale, and the noise."""
    size = np.maximum(scale + noise / tolerance, np.finfo(np.float64).tiny)
    return np.abs(expected - measured) / size


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
    return Sides(right, left, np.where(bend < 20 * sigma / eps, 0, bend))


def measure(point: Point, name: str, gradient: np.ndarray, directions: list[np.ndarray],
            precision: Precision, y: np.ndarray, sigma: np.ndarray, largest: float) -> Slopes:
    """The slopes of L along the directions, and what the gradient says of them.

    The two sides of a smooth L differ by ε·L″, a fourth of it for a step ε/4. At a kink (ReLU at 0,
    two equal maxima) they differ as much for any step; beside it not at all for a small one. What
    differs much, or is off, is examined with that second step. Where both steps are smooth but do
    not agree, ε² is too large, and Richardson's combination of them has no term of ε².
    largest: of all gradients; if no y moves at all, rounding in backward may leave u times that.
    """
    value, dy, is_float32 = point.values[name], point.dy, precision.is_float32
    rows = []
    for direction in directions:
        sides = sides_of(point, value, direction, precision.eps, y, sigma)
        expected = float((gradient * direction).sum(dtype=np.float64))
        row = [expected, *_weigh(sides.central, sides.moved, dy, precision, sigma), False]
        _, measured, scale, noise, _ = row
        error, gap = abs(expected - measured), (sides.bend * np.abs(dy)).sum()
        is_off = sides.moved.any() and not error <= precision.tolerance * scale + noise
        if is_off or (not is_float32 and gap > KINK * scale):
            near = sides_of(point, value, direction, precision.eps / 4, y, sigma)
            if is_float32:
                unclear = _unclear(sides, near, precision, sigma)
                row[4] = bool(unclear.any())
            else:
                row[4] = bool((is_off and error <= gap or gap > KINK * scale) and
                              not 0.15 < (near.bend * np.abs(dy)).sum() / gap < 0.4)
            close = (near.central * dy).sum(dtype=np.float64)
            if not row[4] and abs(close - measured) > error / 2:
                row[1] = (16 * close - measured) / 15
                row[3] = noise_of_slope(sides.moved | near.moved, dy, sigma, precision.eps / 5,
                                        is_float32)
            if row[4] and is_float32:
                pair = without_outputs(point, name, direction, unclear, sides, precision, sigma)
                row = [*pair, False] if pair else row
        rows.append(row)
    columns = np.array(rows, np.float64).T
    columns[3, (columns[2] == 0) & (columns[3] == 0)] = 50 * precision.rounding * largest
    return Slopes(*columns[:4], columns[4] > 0)


def _weigh(slopes: np.ndarray, moved: np.ndarray, dy: np.ndarray, precision: Precision,
           sigma: np.ndarray) -> tuple[float, float, float]:
    """(slope of L, its scale, its noise), for the slopes of each y."""
    terms = (slopes * dy).astype(np.float64)
    total = float(terms.sum())
    return (total, max(abs(total), float(np.sqrt((terms**2).sum()))),
            noise_of_slope(moved, dy, sigma, precision.eps, precision.is_float32))


def _unclear(far: Sides, near: Sides, precision: Precision, sigma: np.ndarray) -> np.ndarray:
    """Which outputs of a layer in float32 have a kink: neither do their slopes agree for a step ε
    and ε/4, nor is their bend a fourth, beyond what rounding explains."""
    change = np.maximum(np.abs(far.central - near.central),
                        np.abs((near.right - near.left) - (far.right - far.left) / 4))
    unclear = change > 30 * sigma / precision.eps + precision.tolerance * np.abs(far.central)
    is_curved = unclear.sum() > 1 and unclear.sum() > far.moved.sum() / 2 and (
        near.bend < far.bend / 2)[unclear].all()  # all of them: no kink, but a steep function
    return np.zeros_like(unclear) if is_curved else unclear


def without_kinks(point: Point, name: str, direction: np.ndarray, precision: Precision,
                  y: np.ndarray, sigma: np.ndarray) -> tuple[float, float, float, float] | None:
    """(what backward says of the slope, the slope, its scale, its noise) for a dy that is 0 for
    each y that has a kink; None if more than a fourth of those that move have one."""
    sides = sides_of(point, point.values[name], direction, precision.eps, y, sigma)
    size = np.maximum(np.abs(sides.right), np.abs(sides.left))
    return without_outputs(point, name, direction, sides.bend > 0.01 * size, sides, precision,
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
            *_weigh(sides.central, sides.moved & ~excluded, other.dy, precision, sigma))


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
    their channel's size, or in float32 by more than ten steps."""
    mask = np.any([directions[k] != 0 for k in np.flatnonzero(kinks)], axis=0)
    largest = np.abs(value).max(tuple(range(value.ndim - 1)), keepdims=True)  # of each channel
    size = np.maximum(0.05 * np.where(largest > 0, largest, np.abs(value).max() or 1.0), 10 * eps)
    value[mask] += (rng.uniform(0.5, 1.5, value.shape) * rng.choice((-1, 1), value.shape)
                    * size)[mask]
