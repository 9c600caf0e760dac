"""Is a backward right? Compare it with central differences of its forward.

For a random upstream gradient dy, L(x) = <forward(x), dy> has the gradient dx = backward(dy), and
    ∂L/∂x_k ≈ (L(x + ε e_k) − L(x − ε e_k)) / 2ε      with an error of order ε² + u/ε (u: rounding),
near 1e-9 in float64 at ε = 1e-6. A random dy, never ones: ones hide permutations. Random
parameters, never the zeros that biases begin with: γ = 0 hides dx. And more than one point:
point.py says which, slopes.py computes the differences and finds kinks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ops import to_cpu, to_device
from .point import CALLED_TWICE, FIRST, SECOND, Point, make_points
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


class Gradcheck:
    """The result of gradcheck: .rows, .ok, .remarks (what else is to be known), .points (where it
    was checked) with which .precision, and str() as a table."""

    def __init__(self, title: str, rows: list[Row], remarks: list[str], points: list[Point],
                 precision: Precision) -> None:
        self.title, self.rows, self.remarks = title, rows, remarks
        self.points, self.precision = points, precision

    @property
    def ok(self) -> bool:
        """True if every gradient agrees."""
        return bool(self.rows) and all(row.note == "ok" for row in self.rows)

    def __repr__(self) -> str:  # str() takes it, too; Jupyter shows it
        table = [f"{self.title if i == 0 else '':<34} {row.name:<16} {str(row.shape):<16} "
                 f"{row.method:<14} {row.error:8.1e}  {row.note}"
                 for i, row in enumerate(self.rows)]
        return "\n".join([*table, *(f"  {remark}" for remark in self.remarks)])


def gradcheck(layer: Any, x: np.ndarray, *, eps: float | None = None,
              tolerance: float | None = None, max_elements: int = 600, seed: int = 0,
              device: str = "cpu") -> Gradcheck:
    """Checks dx and the gradient of every parameter of a layer or Sequential, in float64.

    layer: anything with forward(x, training=True), backward(dy) and, if it has parameters, dicts
           params and grads. gradcheck works on copies, with parameters that it draws; `layer` and
           `x` stay as they are.
    x:     (N, …). Each element is checked up to max_elements, beyond that 20 random directions.
    device: where the layer computes; a layer that is moved needs a method to(device).
    eps, tolerance: the step and the bound of the error; by default 1e-6 both, and more for a layer
           that computes in float32, which is recognised and remarked.
    error: max |analytic − numeric| / max |numeric|, wrong above tolerance; differences within the
           rounding of the numeric slope, 4·u·Σ|y·dy| / ε, are not.

    Checked are: x as it is; another x with other parameters, in a second call of forward and
    backward; and inference, forward(x, training=False). Numbers of x that lie on a kink of forward
    (ReLU at 0, equal maxima) are shifted first, which is remarked: there is no derivative.
    """
    points = make_points(layer, x, seed, device)
    rng = np.random.default_rng((seed, 2))
    examiner = _Examiner(points[0], eps, tolerance, max_elements, rng)
    rows = examiner.changed_in_place()
    if not any(row.name == "forward" for row in rows):  # else there are no slopes
        rows += examiner.rows(points[0], DIRECTIONS)
        for point in points[1:]:
            _add_point(rows, examiner, point, points)
    return Gradcheck(getattr(layer, "name", type(layer).__name__), rows,
                     examiner.remarks(), points, examiner.precision)


def _add_point(rows: list[Row], examiner: _Examiner, point: Point, points: list[Point]) -> None:
    """Checks at a later point the gradients that have been right so far; adds a row or a note for
    those that are wrong there."""
    right = {row.name: row for row in rows if row.note == "ok"} | {
        row.name: None for row in rows if row.note != "ok"}
    names = [name for name, row in right.items() if row is not None]
    if not names or (point.label == SECOND and point.device == "cpu"):  # CALLED_TWICE looks there
        return
    try:
        later = examiner.rows(point, FEWER_DIRECTIONS, names)
    except Exception as error:  # the user's backward, which has worked at the first point
        later = [Row("dx", points[0].x.shape, "", np.inf,
                     f"wrong: {type(error).__name__}: {error}")]
    wrong = [row for row in later if row.note != "ok"]
    if wrong and point.label == CALLED_TWICE:  # or is it only the other numbers?
        fresh = examiner.rows(points[1], FEWER_DIRECTIONS, [row.name for row in wrong])
        for row in fresh:
            if row.note != "ok" and (first := right[row.name]) is not None:
                first.error, first.note = row.error, f"{row.note}, for other numbers"
                first.point = points[1]
        wrong = [row for row in wrong
                 if any(other.name == row.name and other.note == "ok" for other in fresh)]
    for row in wrong:
        if point.label == CALLED_TWICE:
            row.note = ("wrong: added to that of the call before; assign it"
                        if _is_added(points[1], point, row.name) else
                        "wrong: it depends on the call before")
        rows.append(Row(row.name, row.shape, point.label, row.error, row.note, point))
    for row in later:
        if row.note == "ok" and (first := right.get(row.name)) is not None:
            first.error = max(first.error, row.error)


def _is_added(fresh: Point, used: Point, name: str) -> bool:
    """Whether a used layer's gradient is that of a fresh one plus that of the call before."""
    before = getattr(used.layer, "grads", {}).get(name[1:])
    right, added = (point.gradients(point.run()[0])[name] for point in (fresh, used))
    return (before is not None and np.shape(before) == np.shape(right) == np.shape(added)
            and np.allclose(added, right + before, 1e-6, 1e-9))


class _Examiner:
    """Compares a layer's gradients with its slopes at one point after the other."""

    def __init__(self, point: Point, eps: float | None, tolerance: float | None, max_elements: int,
                 rng: np.random.Generator) -> None:
        self.max_elements, self.rng = max_elements, rng
        y = point.output()
        precision = precision_of(point, y, rng)
        if precision is FLOAT64 and any(a is not None and a.dtype == np.float32 for a in
                                        point.gradients(point.run()[0]).values()):
            precision = FLOAT32_BACKWARD
        self.is_float32 = precision is FLOAT32
        self.precision = Precision(eps or precision.eps, tolerance or precision.tolerance,
                                   precision.rounding)
        self.lowered_for = ("" if precision is FLOAT64 else "backward" if precision is
                            FLOAT32_BACKWARD else "forward")
        self.states: list[str] = []
        self.shifted: list[str] = []
        self.first = point

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
        """A row for x or dy if the layer writes into it, and one for a forward whose y differs
        from call to call."""
        point, rows = self.first, []
        x = to_device(point.x.copy(), point.device)
        replica, y = point.run(x)
        y = to_cpu(y)
        if not np.array_equal(y, point.output(), equal_nan=True):
            return [Row("forward", y.shape, "", np.inf, "wrong: y of the same x differs from call "
                        "to call: draw from a generator that the layer keeps")]
        dy = to_device(point.dy.copy(), point.device)
        point.gradients(replica, dy)
        for name, after, before in (("x", x, point.x), ("dy", dy, point.dy)):
            if not np.array_equal(to_cpu(after), before):
                rows.append(Row(name, before.shape, "", np.inf, "changed in place: work on a copy"))
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
        few = ELEMENTS_IN_FLOAT32 if self.is_float32 else None
        directions = list(unit_vectors(value.shape) if every
                          else random_vectors(value.shape, count, few, self.rng))
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
