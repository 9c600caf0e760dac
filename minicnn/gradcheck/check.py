"""Is a backward right? Compare it with central differences of its forward.

For a random upstream gradient dy, L(x) = <forward(x), dy> has the gradient dx = backward(dy), and
    ∂L/∂x_k ≈ (L(x + ε e_k) − L(x − ε e_k)) / 2ε      with an error of order ε² + u/ε (u: rounding),
near 1e-9 in float64 at ε = 1e-6. A random dy, never ones: ones hide permutations.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ops import to_cpu, to_device


@dataclass
class Row:
    """One gradient: its name, shape, how it was checked, relative error and a verdict in words."""

    name: str
    shape: tuple[int, ...]
    method: str
    error: float
    note: str


class Gradcheck:
    """What gradcheck found: .rows, .ok, and str() as a table."""

    def __init__(self, title: str, rows: list[Row]) -> None:
        self.title, self.rows = title, rows

    @property
    def ok(self) -> bool:
        """True where every gradient agrees."""
        return bool(self.rows) and all(row.note == "ok" for row in self.rows)

    def __repr__(self) -> str:  # str() takes it, too; Jupyter shows it
        return "\n".join(f"{self.title if i == 0 else '':<34} {row.name:<16} {str(row.shape):<16} "
                         f"{row.method:<14} {row.error:8.1e}  {row.note}"
                         for i, row in enumerate(self.rows))


def gradcheck(layer: Any, x: np.ndarray, *, eps: float = 1e-6, tolerance: float = 1e-6,
              max_elements: int = 600, seed: int = 0, device: str = "cpu") -> Gradcheck:
    """Checks dx and the gradient of every parameter of a layer or Sequential, in float64.

    layer: anything with forward(x, training=True), backward(dy) and, where it has parameters,
           dicts params and grads. It works on copies; `layer` and `x` stay as they are.
    x:     (N, …). Each element is checked up to max_elements, beyond that 20 random directions.
    device: where the layer computes; a layer that is moved needs a method to(device).
    error: max |analytic − numeric| / max |numeric|, above tolerance wrong; differences within the
           rounding of the numeric slope, 4·u·Σ|y·dy| / ε, are not.
    """
    rng = np.random.default_rng(seed)
    layer, x = copy.deepcopy(layer), np.array(x, np.float64)
    parts = getattr(layer, "layers", [layer])
    if parts == [layer] and hasattr(layer, "build"):
        layer.build(x.shape[1:], rng)
    for part in parts:
        part.params = {key: np.array(to_cpu(p), np.float64)
                       for key, p in getattr(part, "params", {}).items()}

    def run(x: np.ndarray):
        again = copy.deepcopy(layer)  # a fresh copy, so that Dropout draws the same mask each time
        if hasattr(again, "to"):
            again.to(device)
        return again, again.forward(to_device(x, device), training=True)

    given_x = to_device(np.array(x), device)
    ran, y = run(given_x)
    y = to_cpu(y)
    dy = rng.normal(size=np.shape(y))
    given_dy = to_device(np.array(dy), device)
    found = {"dx": (x, ran.backward(given_dy))}
    for part, done in zip(parts, getattr(ran, "layers", [ran]), strict=True):
        for key, p in part.params.items() if getattr(part, "trainable", True) else ():
            found[f"{part.name}.d{key}" if len(parts) > 1 else f"d{key}"] = p, done.grads.get(key)

    noise = 4 * np.finfo(float).eps * np.abs(y * dy).sum() / eps  # rounding of a slope
    rows = [Row(name, before.shape, "", np.inf, "changed in place: work on a copy")
            for name, given, before in (("x", given_x, x), ("dy", given_dy, dy))
            if not np.array_equal(to_cpu(given), before)]
    for name, (value, analytic) in found.items():
        if np.shape(analytic) != value.shape:
            got = "nothing" if analytic is None else f"shape {np.shape(analytic)}"
            rows.append(Row(name, value.shape, "", np.inf,
                            f"expected {value.shape}, received {got}"))
            continue
        every, analytic = value.size <= max_elements, to_cpu(analytic)
        numeric, projected = [], []
        for k in range(value.size if every else 20):
            direction = np.zeros(value.shape) if every else rng.normal(size=value.shape)
            if every:
                direction.flat[k] = 1
            projected.append((analytic * direction).sum())
            original, slopes = value.copy(), []
            for sign in (1, -1):
                value[...] = original + sign * eps * direction  # moved in place, and back
                slopes.append((to_cpu(run(x)[1]) * dy).sum())
            value[...] = original
            numeric.append((slopes[0] - slopes[1]) / (2 * eps))
        scale = max(np.abs(numeric).max(), noise / tolerance, 1e-8)  # never 0 / 0
        error = float(np.abs(np.subtract(projected, numeric)).max() / scale)
        rows.append(Row(name, value.shape, "every element" if every else "20 directions", error,
                        "ok" if error <= tolerance else f"wrong: above {tolerance:.0e}"))  # or NaN
    return Gradcheck(getattr(layer, "name", type(layer).__name__), rows)
