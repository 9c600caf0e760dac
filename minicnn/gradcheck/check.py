"""Is a backward right? Compare it with central differences of its forward.

For a random upstream gradient dy, L(x) = <forward(x), dy> has the gradient dx = backward(dy), and
    ∂L/∂x_k ≈ (L(x + ε e_k) − L(x − ε e_k)) / 2ε      with an error of order ε² + u/ε (u: rounding),
near 1e-9 in float64 at ε = 1e-6. A random dy, never ones: ones hide permutations. Random
parameters, never the zeros that biases begin with: γ = 0 hides dx. And more than one point:
point.py makes them, slopes.py has the differences, compare.py compares.
"""

from __future__ import annotations

import numpy as np

from ..utils.language import gettext as _
from .checkable import Checkable
from .compare import DIRECTIONS, FEWER_DIRECTIONS, Comparison, Row
from .extremes import extreme_points
from .point import (
    CALLED_TWICE,
    FORWARD_TWICE,
    INFERENCE,
    SECOND,
    Point,
    kept_random_state,
    make_points,
)
from .precision import Precision


class Gradcheck:
    """The result of gradcheck: .rows, .ok, .remarks (what else the reader should know), .points
    (where it was checked), .precision (how precisely), and str() as a table."""

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


@kept_random_state()
def gradcheck(layer: Checkable, x: np.ndarray, *, eps: float | None = None,
              tolerance: float | None = None, max_elements: int = 600, seed: int = 0,
              device: str = "cpu") -> Gradcheck:
    """Checks dx and the gradient of every parameter of a layer or Sequential, in float64.

    layer: anything with forward(x, training=True), backward(dy) and, if it has parameters, dicts
           params and grads. gradcheck works on copies, with parameters that it draws; `layer` and
           `x` stay as they are.
    x:     (N, …). Each element is checked up to max_elements, beyond that 20 random directions.
    device: where the layer computes; a layer that is moved needs a method to(device).
    eps, tolerance: the step and the bound of the error; by default 1e-6 both, and more for a layer
           that computes in float32, which is detected and reported in the remarks.
    error: |analytic − numeric| relative to the numeric one's own terms, the largest of all
           elements; wrong above tolerance. Rounding of the slope is allowed for: noise.py.

    It checks: x as it is; another x with other parameters, in a second call of forward and
    backward, and after two forwards; inference, forward(x, training=False); numbers 4 to 10 times
    as large; one sample alone. A point that the layer cannot take is reported in the remarks.
    Numbers of x that lie on a kink of forward (ReLU at 0, equal maxima) are shifted first, as there
    is no derivative; that is reported, too.
    """
    points = make_points(layer, x, seed, device)
    added, remarks, misshapen = extreme_points(points, seed)
    points += added
    rng = np.random.default_rng((seed, 2))
    comparison = Comparison(points[0], eps, tolerance, max_elements, rng)
    rows = comparison.changed_in_place(points[0])
    if not rows:
        rows = _changed_in_inference(comparison, points)
    if not any(row.name == "forward" for row in rows):  # else there are no slopes
        rows += comparison.rows(points[0], DIRECTIONS)
        for point in points[1:]:
            _add_point(rows, comparison, point, points)
        rows += misshapen
    return Gradcheck(getattr(layer, "name", type(layer).__name__), rows,
                     [*comparison.remarks(), *remarks], points, comparison.precision)


def _changed_in_inference(comparison: Comparison, points: list[Point]) -> list[Row]:
    """Rows of changed_in_place in inference; none if backward stops, which is reported later."""
    point, = (point for point in points if point.label == INFERENCE)
    try:
        return comparison.changed_in_place(point)
    except Exception:  # the user's own
        return []


def _add_point(rows: list[Row], comparison: Comparison, point: Point, points: list[Point]) -> None:
    """Checks at a later point the gradients that have been right so far; adds a row or a note for
    those that are wrong there."""
    right = {row.name: row for row in rows if row.note == "ok"} | {
        row.name: None for row in rows if row.note != "ok"}
    names = [name for name, row in right.items() if row is not None]
    if not names or (point.label == SECOND and point.device == "cpu"):  # CALLED_TWICE looks there
        return
    try:
        later = comparison.rows(point, FEWER_DIRECTIONS, names)
    except Exception as error:  # the user's backward, which has worked at the first point
        rows.append(Row("dx", points[0].x.shape, point.label, np.inf,
                        _("wrong: {error}", error=f"{type(error).__name__}: {error}"), point))
        return
    wrong = [row for row in later if row.note != "ok"]
    if wrong and point.label in (CALLED_TWICE, FORWARD_TWICE):  # or is it only the other numbers?
        fresh = comparison.rows(points[1], FEWER_DIRECTIONS, [row.name for row in wrong])
        for row in fresh:
            if row.note != "ok" and (first := right[row.name]) is not None:
                first.error = row.error
                first.note = _("{note}, for other numbers", note=row.note)
                first.point = points[1]
        wrong = [row for row in wrong
                 if any(other.name == row.name and other.note == "ok" for other in fresh)]
    for row in wrong:
        if point.label == CALLED_TWICE:
            row.note = (_("wrong: added to that of the call before; assign it")
                        if _is_added(points[1], point, row.name) else
                        _("wrong: it depends on the call before"))
        if point.label == FORWARD_TWICE:
            row.note = _("wrong: it depends on a forward before that had no backward")
        rows.append(Row(row.name, row.shape, point.label, row.error, row.note, point))
    for row in later:
        if row.note == "ok" and (first := right.get(row.name)) is not None:
            first.error = max(first.error, row.error)


def _is_added(fresh: Point, used: Point, name: str) -> bool:
    """Whether a used layer's gradient is that of a fresh one plus that of the call before."""
    before = getattr(used.layer, "grads", {}).get(name[1:])
    right, added = (point.gradients(point.run()[0])[name] for point in (fresh, used))
    return (before is not None and right is not None and added is not None
            and np.shape(before) == np.shape(right) == np.shape(added)
            and np.allclose(added, right + before, 1e-6, 1e-9))
