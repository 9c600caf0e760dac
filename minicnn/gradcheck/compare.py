"""Compares the gradients of a layer with its slopes, at one point after the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..ops import to_cpu, to_device
from .checkable import Checkable
from .point import FIRST, Point, layers_of
from .slopes import (
    FLOAT32,
    FLOAT32_BACKWARD,
    FLOAT64,
    Precision,
    measure,
    precision_of,
    random_vectors,
    rounding_of_slope,
    shift,
    unit_vectors,
    without_kinks,
)

DIRECTIONS = 20  # along which a large gradient is checked
FEWER_DIRECTIONS = 6  # at the points after the first
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
    """What is the same at every point of a layer: its precision, and what was remarkable.

    first: the point that says how precisely the layer computes. eps and tolerance of the user's, or
    None. max_elements: of an array of which each element is moved by itself.
    """

    def __init__(self, first: Point, eps: float | None, tolerance: float | None, max_elements: int,
                 rng: np.random.Generator) -> None:
        self.first, self.max_elements, self.rng = first, max_elements, rng
        precision = precision_of(first, first.output(), rng)
        if precision is FLOAT64 and any(a is not None and a.dtype == np.float32 for a in
                                        first.gradients(first.run()[0]).values()):
            precision = FLOAT32_BACKWARD
        self.is_float32 = precision is FLOAT32
        self.precision = Precision(eps or precision.eps, tolerance or precision.tolerance,
                                   precision.rounding)
        self.lowered_for = ("" if precision is FLOAT64 else "backward" if precision is
                            FLOAT32_BACKWARD else "forward")
        self.states: list[str] = []
        self.shifted: list[str] = []

    def remarks(self) -> list[str]:
        """What was special about this layer, a line each."""
        lines = []
        if self.lowered_for:
            lines.append(f"{self.lowered_for} computes in float32: checked with a step of "
                         f"{self.precision.eps:.0e} and a bound of {self.precision.tolerance:.0e} "
                         f"(float64: 1e-06 and 1e-06).")
        if self.shifted:
            names = ", ".join(".".join([*layer, name[1:]]) for *layer, name in
                              (shifted.split(".") for shifted in self.shifted))
            lines.append(f"Numbers of {names} lay on a kink of forward (ReLU at 0, equal maxima), "
                         f"which has no derivative: they were shifted.")
        if self.states:
            lines.append(f"Not checked: {', '.join(self.states)}, as backward computes none and y "
                         f"of training does not depend on it. Statistics?")
        return lines

    def changed_in_place(self) -> list[Row]:
        """A row for x or dy if the layer writes into it, one for a parameter that backward changes,
        and one for a forward whose y is not finite, or differs from call to call."""
        point, rows = self.first, []
        x = to_device(point.x.copy(), point.device)
        replica, y = point.run(x)
        y = to_cpu(y)
        if not np.array_equal(y, point.output(), equal_nan=True):
            return [Row("forward", y.shape, "", np.inf, "wrong: y of the same x differs from call "
                        "to call: draw from a generator that the layer keeps")]
        if not np.isfinite(y).all():
            return [Row("forward", y.shape, "", np.inf, f"wrong: y is not finite in "
                        f"{(~np.isfinite(y)).sum()} elements, so there is no slope")]
        dy = to_device(point.dy.copy(), point.device)
        before = {"x": point.x, "dy": point.dy, **_copies_of_parameters(replica)}
        point.gradients(replica, dy)
        after = {"x": to_cpu(x), "dy": to_cpu(dy), **_copies_of_parameters(replica)}
        for name, array in before.items():
            if not np.array_equal(after[name], array):
                rows.append(Row(name, array.shape, "", np.inf, "changed in place: work on a copy"))
        return rows

    def rows(self, point: Point, directions: int, names: list[str] | None = None) -> list[Row]:
        """A row for each gradient, or for those of `names`. A point that lies on kinks is shifted
        and examined again; along a direction that has them still, nothing is compared."""
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
        noise = rounding_of_slope(y, point.dy, self.precision)
        floor = max(noise / self.precision.tolerance, 1e-8)  # never 0 / 0
        rows, on_kinks = [], []
        for name, value in point.values.items():
            if name in self.states or (names is not None and name not in names):
                continue
            row, kinked = self._row(point, name, value, gradients[name], directions, y, floor, last)
            rows += [row] if row else []
            on_kinks += [name] if kinked else []
        return rows, on_kinks

    def _row(self, point: Point, name: str, value: np.ndarray, analytic: np.ndarray | None,
             count: int, y: np.ndarray, floor: float, last: bool) -> tuple[Row | None, bool]:
        """(the row, whether value lay on kinks); no row for a state, which has no gradient."""
        precision, tolerance = self.precision, self.precision.tolerance
        every = value.size <= self.max_elements and point.label == FIRST
        method = "every element" if every else f"{count} directions"
        num_moved = ELEMENTS_IN_FLOAT32 if self.is_float32 else None
        directions = list(unit_vectors(value.shape) if every
                          else random_vectors(value.shape, count, num_moved, self.rng))
        if analytic is None or analytic.shape != value.shape:
            if analytic is None and self._is_state(point, value, directions, y, floor):
                self.states.append(name)
                return None, False
            received = "nothing" if analytic is None else f"shape {analytic.shape}"
            return Row(name, value.shape, "", np.inf,
                       f"expected {value.shape}, received {received}", point), False
        projected = np.array([(analytic * d).sum(dtype=np.float64) for d in directions])
        slopes = measure(point, value, directions, projected, precision, y, floor)
        if slopes.kinks.any() and not last:
            shift(value, directions, slopes.kinks, precision.eps, self.rng)
            return None, True
        smooth, central = ~slopes.kinks, slopes.central
        for k in np.flatnonzero(slopes.kinks):  # outputs have kinks whatever the point
            if (pair := without_kinks(point, name, directions[k], precision, y)) is not None:
                smooth[k], (projected[k], central[k]) = True, pair
        if not smooth.any():
            return Row(name, value.shape, method, np.inf,
                       "wrong: forward jumps or bends wherever its slope was tried", point), False
        scale = max(np.abs(central[smooth]).max(), floor)
        error = float(np.abs(projected - central)[smooth].max() / scale)
        note = "ok" if error <= tolerance else f"wrong: above {tolerance:.0e}"  # or NaN
        return Row(name, value.shape, method, error, note, point), False

    def _is_state(self, point: Point, value: np.ndarray, directions: list[np.ndarray],
                  y: np.ndarray, floor: float) -> bool:
        """Whether y of training does not depend on value, a running mean for example."""
        if not point.training or value is point.x:
            return False
        zeros = np.zeros(len(directions))
        slopes = measure(point, value, directions, zeros, self.precision, y, floor)
        return not slopes.right.any() and not slopes.left.any()


def _copies_of_parameters(layer: Checkable) -> dict[str, np.ndarray]:
    """{"W": …}, or {"conv.W": …} of a network."""
    parts = layers_of(layer)
    return {f"{part.name}.{key}" if len(parts) > 1 else key: np.array(to_cpu(p))
            for part in parts for key, p in getattr(part, "params", {}).items()}
