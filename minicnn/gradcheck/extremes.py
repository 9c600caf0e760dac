"""Two points that other random numbers miss: large numbers, and one sample alone."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from ..utils.language import gettext as _
from .compare import Row
from .point import LARGE, SECOND, SINGLE, Point, other_input

SIZES = (4.0, 10.0)  # how many times as large as the given x, between these two
HUGE = 1e100  # a y whose square is too large to be compared


def extreme_points(points: list[Point], seed: int) -> tuple[list[Point], list[str], list[Row]]:
    """(the points, remarks on those that are left out, rows for a y of a wrong shape).

    LARGE:  numbers of the first x, 4 to 10 times as large, and such a dy: there ReLU6 clips and
            tanh saturates. Left out silently if x are probabilities.
    SINGLE: the first sample alone, where a squeeze removes one axis too many and N − 1 is 0.
    """
    rng = np.random.default_rng((seed, 3))
    first, second = points[0], next(point for point in points if point.label == SECOND)
    added: list[Point] = []
    remarks: list[str] = []
    rows: list[Row] = []
    if first.x.min(initial=0) < 0 or first.x.max(initial=0) > 1:
        x = other_input(first.x, rng) * rng.uniform(*SIZES, first.x.shape)
        large, problem = _point(LARGE, second, x, rng)
        if large:
            large.dy *= rng.uniform(*SIZES)
            added.append(large)
        else:
            remarks.append(_("Not checked: x 4 to 10 times as large; {problem}.",
                             problem=problem))
    if first.x.ndim > 1 and len(first.x) > 1:
        single, problem = _point(SINGLE, second, second.x[:1].copy(), rng)
        problem = _only_for_batches(single) if single else problem
        if single is None or problem:
            remarks.append(_("Not checked: x of one sample (N = 1); {problem}.", problem=problem))
        elif (row := _wrong_shape(single, second)) is not None:
            rows.append(row)
        else:
            added.append(single)
    return added, remarks, rows


def _point(label: str, second: Point, x: np.ndarray, rng: np.random.Generator
           ) -> tuple[Point | None, str]:
    """(the point of a fresh layer with this x, why there is none)."""
    with np.errstate(all="ignore"):
        try:
            point = Point(label, copy.deepcopy(second.layer), x, rng, second.device)
            if (np.abs(point.output()) < HUGE).all():  # not if NaN
                return point, ""
        except Exception as error:  # the user's forward, which need not take any x
            return None, _("forward raises {kind} ({error})", kind=type(error).__name__,
                           error=error)
    return None, _("y is not finite or overflows there")


def _only_for_batches(single: Point) -> str:
    """Why a layer cannot be checked on one sample; "" if it can.

    It may keep numbers for each of N samples, a mask for example. Or y does not depend on x, as
    x minus its mean over N is 0, and its standard deviation, 0, cannot be divided by.
    """
    if single.dy.ndim == single.x.ndim and len(single.dy) != 1:
        return _("y has {count} samples, whatever N is", count=len(single.dy))
    replica, y = single.run()
    with np.errstate(all="ignore"):
        try:
            gradients: dict[str, Any] = single.gradients(replica)
        except Exception:  # the comparison says so
            return ""
        if all(a is None or np.isfinite(a).all() for a in gradients.values()):
            return ""
        other = single.with_input(single.x * 1.25 + 0.25)
        is_constant = np.allclose(other.output(), single.output(), 1e-9, 1e-9)
    return (_("y does not depend on x then, and its gradient is not finite: a division by a "
              "standard deviation over N, which is 0?") if is_constant else "")


def _wrong_shape(single: Point, second: Point) -> Row | None:
    """A row for a y of one sample that has lost its first axis."""
    shape, expected = single.dy.shape, (1, *second.dy.shape[1:])
    if second.dy.shape[:1] != second.x.shape[:1] or shape == expected:
        return None
    return Row("forward", shape, SINGLE, np.inf, _(
        "wrong: y of one sample (N = 1) has shape {shape} where {expected} is expected: name the "
        "axes of squeeze and reshape", shape=shape, expected=expected))
