"""Slopes of L = <y, dy> by differences, compared with what backward says about them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .kinks import unclear_outputs, without_outputs
from .noise import noise_of_slope
from .point import Point
from .precision import Precision
from .sides import Sides, sides_of, weigh

# Steps, to see which outputs depend on a number at all: the step of y, 100 ε·|∂y/∂v|, is longer
# than its rounding, u·|y|, unless |∂y/∂v| < u·|y| / 100 ε, which is below the noise by that factor.
WIDE = 100
# Of the slope: by how much both sides may differ unexamined, in float64. Those of a smooth L differ
# by ε·|L″|, which is less as long as |L″| < 1000 |L′|. A kink that bends L less turns the central
# slope by up to half as much; where that is more than the tolerance, the error has the line
# examined.
KINK = 1e-3
# How much of the bend for a step ε is left for ε/4: 1/4 if L is smooth; of a kink all if the point
# is on it, nothing if it is more than ε/4 away. So up to 1/5 of a bend may be of a kink at the
# point (1/4 · 4/5 + 1/5 = 0.4), and up to 2/5 of one beside it (1/4 · 3/5 = 0.15).
SMOOTH = 0.15, 0.4
# Times u and the largest gradient: what is left of a sum that is 0 but for rounding. Errors of n
# terms add up like √n, and the checks have sums of up to 5 · 8 · 9 · 7 = 2,520 terms.
ROUNDING_OF_A_SUM = 50
# Times ε: the step of the second look at a slope that rounding blurs. Rounding, u/ε, is an eighth;
# what the series leaves out is 64 ε²/6 = 1e-11 of L‴, which rounding at ε, 2e-10 of y, still hides.
LONGER = 8
BLURRED = 0.1  # of what the tolerance allows: the noise from which on there is a second look


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


def measure(point: Point, name: str, gradient: np.ndarray, directions: list[np.ndarray],
            precision: Precision, y: np.ndarray, sigma: np.ndarray, largest: float) -> Slopes:
    """The slopes of L along the directions, and what the gradient says of them.

    What is off is examined with a step ε/4, too, which tells a kink from a steep function. Where
    both steps are smooth but do not agree, ε² is too large, and Richardson's combination of them
    has no term of ε².
    largest: of all gradients; if no y moves at all, rounding in backward may leave u times that.
    """
    line = _line_in_float32 if precision.is_float32 else _line_in_float64
    columns = np.array([line(point, name, gradient, direction, precision, y, sigma)
                        for direction in directions], np.float64).T
    still = (columns[2] == 0) & (columns[3] == 0)
    columns[3, still] = ROUNDING_OF_A_SUM * precision.rounding * largest
    expected, measured, scale, noise, kinks = columns
    return Slopes(expected, measured, scale, noise, kinks > 0)


def _line_in_float64(point: Point, name: str, gradient: np.ndarray, direction: np.ndarray,
                     precision: Precision, y: np.ndarray, sigma: np.ndarray
                     ) -> tuple[float, float, float, float, bool]:
    """(expected, measured, scale, noise, whether there is a kink) along one direction.

    The two sides of a smooth L differ by ε·L″, a fourth of it for a step ε/4. At a kink (ReLU at 0,
    two equal maxima) they differ as much for any step; next to one, not at all for a small step.
    """
    value, dy = point.values[name], point.dy
    far = sides_of(point, value, direction, precision.eps, y, sigma)
    expected = float((gradient * direction).sum(dtype=np.float64))
    measured, scale, noise = weigh(far, dy, sigma, precision)
    error, gap = abs(expected - measured), float((far.bend * np.abs(dy)).sum())
    is_off = not error <= precision.tolerance * scale + noise  # or NaN
    if is_off:
        noise = _noise_of_all(point, value, direction, far, y, sigma, precision)
        is_off = noise > 0 and not error <= precision.tolerance * scale + noise
    if not is_off and gap <= KINK * scale:
        if noise > BLURRED * precision.tolerance * scale:
            measured = _with_a_longer_step(point, value, direction, measured, noise, precision, y,
                                           sigma)
        return expected, measured, scale, noise, False
    near = sides_of(point, value, direction, precision.eps / 4, y, sigma)
    is_bent = gap > KINK * scale or (is_off and error <= gap)
    if is_bent and not SMOOTH[0] < (near.bend * np.abs(dy)).sum() / gap < SMOOTH[1]:
        return expected, measured, scale, noise, True
    measured, scale, noise_of_both = _richardson(far, near, expected, dy, sigma, precision)
    if not is_off:  # right within the noise of all outputs that depend on v
        noise_of_both = max(noise_of_both, noise)
    return expected, measured, scale, noise_of_both, False


def _line_in_float32(point: Point, name: str, gradient: np.ndarray, direction: np.ndarray,
                     precision: Precision, y: np.ndarray, sigma: np.ndarray
                     ) -> tuple[float, float, float, float, bool]:
    """The same in float32, whose steps are so long that some y nearly always has a kink between.
    If the slopes for ε and ε/4 do not agree, then those for ε/4 and ε/16 may; if not either, the
    outputs with a kink are left out, with a dy of 0."""
    value, dy = point.values[name], point.dy
    expected = float((gradient * direction).sum(dtype=np.float64))
    for finer in (precision, replace(precision, eps=precision.eps / 4)):
        far = sides_of(point, value, direction, finer.eps, y, sigma)
        measured, scale, noise = weigh(far, dy, sigma, finer)
        if not abs(expected - measured) <= finer.tolerance * scale + noise:
            noise = _noise_of_all(point, value, direction, far, y, sigma, finer)
        if noise == 0 or abs(expected - measured) <= finer.tolerance * scale + noise:
            return expected, measured, scale, noise, False
        near = sides_of(point, value, direction, finer.eps / 4, y, sigma)
        unclear = unclear_outputs(far, near, finer, sigma)
        if not unclear.any():
            return expected, *_richardson(far, near, expected, dy, sigma, finer), False
    rest = without_outputs(point, name, direction, unclear, far, finer, sigma)
    return (*rest, False) if rest else (expected, measured, scale, noise, True)


def _with_a_longer_step(point: Point, value: np.ndarray, direction: np.ndarray, measured: float,
                        noise: float, precision: Precision, y: np.ndarray, sigma: np.ndarray
                        ) -> float:
    """The slope by a step LONGER times as long, if both agree up to the rounding of the shorter one
    (neither a kink nor a steep curve is between): the longer one has less of it. Otherwise
    `measured`, the slope by the shorter one."""
    sides = sides_of(point, value, direction, LONGER * precision.eps, y, sigma)
    longer = float((sides.central * point.dy).sum(dtype=np.float64))
    return longer if abs(longer - measured) <= noise / 2 else measured


def _noise_of_all(point: Point, value: np.ndarray, direction: np.ndarray, sides: Sides,
                  y: np.ndarray, sigma: np.ndarray, precision: Precision) -> float:
    """The noise of all outputs that depend on v: some move only when v moves much, as their steps
    of rounding are larger than ε times their slope."""
    wide = sides_of(point, value, direction, WIDE * precision.eps, y, sigma)
    return noise_of_slope(sides.moved | wide.moved, point.dy, sigma, precision.eps,
                          precision.is_float32)


def _richardson(far: Sides, near: Sides, expected: float, dy: np.ndarray, sigma: np.ndarray,
                precision: Precision) -> tuple[float, float, float]:
    """(the slope of L, its scale, its noise) from two steps, ε and ε/4, if that explains an error:
    (16 near − far) / 15. Otherwise those of the step ε, which have less noise.

    far is off by c₂ε² + c₄ε⁴, near by c₂ε²/16 + c₄ε⁴/256. So their difference, `change`, is 15/16
    of c₂ε²: if that is the error of far, change is more than half of it. What is left is c₄ε⁴/16,
    less than a twentieth of change as long as c₄ε⁴ is less than three quarters of c₂ε².
    Rounding is σ/ε in far, 4σ/ε in near, and (16 · 4 + 1) / 15 = 4.3 < 5 times σ/ε in the result.
    """
    measured, scale, noise = weigh(far, dy, sigma, precision)
    change = float((near.central * dy).sum(dtype=np.float64)) - measured
    if abs(change) <= abs(measured - expected) / 2:
        return measured, scale, noise
    noise = noise_of_slope(far.moved | near.moved, dy, sigma, precision.eps / 5,
                           precision.is_float32)
    return measured + 16 / 15 * change, scale, noise + abs(change) / 20
