"""Compares the gradients of a layer with its slopes, at one point after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ops import to_cpu, to_device
from ..utils.language import gettext as _
from .checkable import Checkable
from .kinks import shift, without_kinks
from .noise import rounding_of_outputs
from .point import FIRST, Point, layers_of
from .precision import FLOAT32_BACKWARD, FLOAT64, Precision, precision_of
from .sides import random_vectors, unit_vectors
from .slopes import measure, relative_error

DIRECTIONS = 20  # along which a large gradient is checked
FEWER_DIRECTIONS = 6  # at the points after the first
DECADES = 3  # gradients that differ by more are also checked apart, as the sum hides small ones
ELEMENTS_IN_FLOAT32 = 16  # that a random direction moves: more would always meet a kink
MAX_SHIFTS = 4  # of a point that lies on kinks


@dataclass
class Row:
    """One gradient: its name, shape, how it was checked, relative error and a verdict in words;
    and the point where it was checked, or is wrong."""

    name: str
    shape: tuple[int, ...]
    method: str
    error: float
    note: str
    point: Point | None = None


class Comparison:
    """What holds at every point of a layer: its precision, and what is to be remarked.

    first: the point that shows how precisely the layer computes. eps and tolerance: the user's,
    or None. max_elements: of an array of which each element is moved by itself.
    """

    def __init__(self, first: Point, eps: float | None, tolerance: float | None, max_elements: int,
                 rng: np.random.Generator) -> None:
        self.first, self.max_elements, self.rng = first, max_elements, rng
        precision = precision_of(first, first.output(), rng)
        if precision is FLOAT64 and any(a is not None and a.dtype == np.float32 for a in
                                        first.gradients(first.run()[0]).values()):
            precision = FLOAT32_BACKWARD
        self.precision = Precision(eps or precision.eps, tolerance or precision.tolerance,
                                   precision.rounding)
        self.lowered_for = ("" if precision is FLOAT64 else "backward" if precision is
                            FLOAT32_BACKWARD else "forward")
        self.largest = 0.0
        self.states: list[str] = []
        self.shifted: list[str] = []

    def remarks(self) -> list[str]:
        """What was special about this layer, a line each."""
        lines = []
        if self.lowered_for:
            lines.append(_("{method} computes in float32: checked with a step of {eps:.0e} and a "
                           "bound of {tolerance:.0e} (float64: 1e-06 and 1e-06).",
                           method=self.lowered_for, eps=self.precision.eps,
                           tolerance=self.precision.tolerance))
        if self.shifted:
            names = ", ".join(".".join([*layer, name[1:]]) for *layer, name in
                              (shifted.split(".") for shifted in self.shifted))
            lines.append(_("Numbers of {names} lay on a kink of forward (ReLU at 0, equal maxima), "
                           "which has no derivative: they were shifted.", names=names))
        if self.states:
            lines.append(_("Not checked: {names}, as backward computes none and y of training does "
                           "not depend on it. Statistics?", names=", ".join(self.states)))
        return lines

    def changed_in_place(self, point: Point) -> list[Row]:
        """A row for x or dy if the layer writes into it, one for a parameter that backward changes
        or that dx shares memory with, and one for a forward whose y is not finite, or differs from
        call to call."""
        rows = []
        x = to_device(point.x.copy(), point.device)
        replica, y = point.run(x)
        y = to_cpu(y)
        if not np.array_equal(y, point.output(), equal_nan=True):
            return [Row("forward", y.shape, "", np.inf, _(
                "wrong: y of the same x differs from call to call: draw from a generator that the "
                "layer keeps"))]
        if not np.isfinite(y).all():
            return [Row("forward", y.shape, "", np.inf, _(
                "wrong: y is not finite in {count} elements, so there is no slope",
                count=(~np.isfinite(y)).sum()))]
        dy = to_device(point.dy.copy(), point.device)
        before = {"x": point.x, "dy": point.dy, **_copies_of_parameters(replica)}
        gradients = point.gradients(replica, dy)
        after = {"x": to_cpu(x), "dy": to_cpu(dy), **_copies_of_parameters(replica)}
        for name, array in before.items():
            if not np.array_equal(after[name], array):
                rows.append(Row(name, array.shape, "", np.inf,
                                _("changed in place: work on a copy")))
        return rows or self._shared_memory(point, gradients)

    def _shared_memory(self, point: Point, gradients: dict[str, Any]) -> list[Row]:
        """A row for dx if the layer's parameters, gradients or cache change with it: code that
        works on dx in place would corrupt them."""
        if point.device != "cpu":
            return []
        replica = point.run()[0]
        dx = replica.backward(point.dy.copy())
        if not isinstance(dx, np.ndarray) or not dx.flags.writeable:
            return []
        dx[...] = 7.0
        fresh = _copies_of_parameters(point.run()[0])
        spoilt = [name for name, array in _copies_of_parameters(replica).items()
                  if not np.array_equal(array, fresh[name])]
        spoilt += [name for name, array in point.kept_gradients(replica).items()
                   if array is not None and not np.array_equal(array, gradients[name],
                                                               equal_nan=True)]
        if not spoilt and (_second_backward(point, spoil=True)
                           != _second_backward(point, spoil=False)):
            spoilt = [_("what forward keeps")]
        note = _("shares memory with {names}: return a copy", names=", ".join(spoilt))
        return [Row("dx", dx.shape, "", np.inf, note)] if spoilt else []

    def rows(self, point: Point, directions: int, names: list[str] | None = None) -> list[Row]:
        """A row for each gradient, or for those of `names`. A point that lies on kinks is shifted
        and examined again; along a direction that still has kinks, nothing is compared."""
        for attempt in range(MAX_SHIFTS + 1):
            rows, on_kinks = self._compare(point, directions, names, last=attempt == MAX_SHIFTS)
            if not on_kinks:
                break
            self.shifted += [name for name in on_kinks if name not in self.shifted]
        return rows

    def _compare(self, point: Point, directions: int, names: list[str] | None, last: bool
                 ) -> tuple[list[Row], list[str]]:
        """(rows, the names of the arrays that lay on kinks and have been shifted)."""
        replica, y = point.run()
        y = np.array(to_cpu(y))
        gradients = point.gradients(replica)
        sigma = rounding_of_outputs(point, y, self.precision.rounding)
        self.largest = max((np.abs(a).max(initial=0) for a in [point.dy, *gradients.values()]
                            if a is not None), default=0.0)
        rows, on_kinks = [], []
        for name in point.values:
            if name in self.states or (names is not None and name not in names):
                continue
            row, kinked = self._row(point, name, gradients[name], directions, y, sigma, last)
            rows += [row] if row else []
            on_kinks += [name] if kinked else []
        return rows, on_kinks

    def _row(self, point: Point, name: str, analytic: np.ndarray | None, count: int,
             y: np.ndarray, sigma: np.ndarray, last: bool) -> tuple[Row | None, bool]:
        """(the row, whether the array lay on kinks); no row for a state, which has no gradient."""
        precision, value = self.precision, point.values[name]
        every = value.size <= self.max_elements and point.label == FIRST
        method = _("every element") if every else _("{count} directions", count=count)
        if analytic is None or analytic.shape != value.shape:
            if analytic is None and self._is_state(point, name, y, sigma):
                self.states.append(name)
                return None, False
            note = (_("expected {shape}, received nothing", shape=value.shape)
                    if analytic is None else
                    _("expected {shape}, received shape {received}", shape=value.shape,
                      received=analytic.shape))
            return Row(name, value.shape, "", np.inf, note, point), False
        directions = (list(unit_vectors(value)) if every
                      else self._random_directions(value, analytic, count))
        slopes = measure(point, name, analytic, directions, precision, y, sigma,
                         self.largest)
        if slopes.kinks.any() and not last:
            shift(value, directions, slopes.kinks, precision.eps, self.rng)
            return None, True
        smooth, errors = ~slopes.kinks, slopes.errors(precision.tolerance)
        for k in np.flatnonzero(slopes.kinks):  # outputs have kinks whatever the point
            other = without_kinks(point, name, directions[k], precision, y, sigma)
            if other is not None:
                smooth[k] = True
                errors[k] = relative_error(*other, precision.tolerance)
        if not smooth.any():
            return Row(name, value.shape, method, np.inf,
                       _("wrong: forward jumps or bends wherever its slope was tried"),
                       point), False
        error = float(errors[smooth].max())
        is_ok = error <= precision.tolerance  # not if NaN
        return Row(name, value.shape, method, error,
                   "ok" if is_ok else _("wrong: above {bound:.0e}", bound=precision.tolerance),
                   point), False

    def _random_directions(self, value: np.ndarray, analytic: np.ndarray, count: int
                           ) -> list[np.ndarray]:
        """Random directions: some that move all elements, and some that move only those where
        backward says that the gradient is 0, or of one size up to three decades."""
        num_moved = ELEMENTS_IN_FLOAT32 if self.precision.is_float32 else None
        directions = list(random_vectors(value, count, num_moved, self.rng))
        with np.errstate(all="ignore"):
            size = np.log10(np.abs(analytic) / np.abs(analytic).max(initial=0))
        group = np.where(np.isfinite(size), np.floor(size / DECADES), -np.inf)
        groups = np.unique(group)
        for number in groups[-4:] if len(groups) > 1 else ():
            directions += random_vectors(value, 2, num_moved, self.rng, group == number)
        return directions

    def _is_state(self, point: Point, name: str, y: np.ndarray, sigma: np.ndarray) -> bool:
        """Whether y of training does not depend on that array, a running mean for example."""
        value = point.values[name]
        if not point.training or name == "dx":
            return False
        directions = list(random_vectors(value, FEWER_DIRECTIONS, None, self.rng))
        slopes = measure(point, name, np.zeros(value.shape), directions, self.precision, y,
                         sigma, self.largest)
        return not slopes.measured.any()


def _copies_of_parameters(layer: Checkable) -> dict[str, np.ndarray]:
    """{"W": …}, or {"conv.W": …} of a network."""
    parts = layers_of(layer)
    return {f"{part.name}.{key}" if len(parts) > 1 else key: np.array(to_cpu(p))
            for part in parts for key, p in getattr(part, "params", {}).items()}


def _second_backward(point: Point, spoil: bool) -> bytes:
    """dx of a second backward after one forward, with the first dx overwritten or not; empty if
    there is no second one."""
    replica, _ = point.run()
    dx = replica.backward(point.dy.copy())
    if spoil and dx is not None:
        dx[...] = 7.0
    try:
        return np.array(to_cpu(replica.backward(point.dy.copy()))).tobytes()
    except Exception:  # the user's, for one call only
        return b""
