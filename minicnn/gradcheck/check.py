"""Is a backward right? Compare it with central differences of its forward.

For a random upstream gradient dy, L(x) = <forward(x), dy> has the gradient dx = backward(dy), and
    ∂L/∂x_k ≈ (L(x + ε e_k) − L(x − ε e_k)) / 2ε      with an error of order ε² + u/ε (u: rounding),
near 1e-9 in float64 at ε = 1e-6. A random dy, never ones: ones hide permutations.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ops import to_cpu, to_device

DIRECTIONS = 20  # along which a large gradient is checked


@dataclass
class Row:
    """One gradient: its name, shape, how it was checked, relative error and a verdict in words."""

    name: str
    shape: tuple[int, ...]
    method: str
    error: float
    note: str


class Gradcheck:
    """The result of gradcheck: .rows, .ok, and str() as a table."""

    def __init__(self, title: str, rows: list[Row]) -> None:
        self.title, self.rows = title, rows

    @property
    def ok(self) -> bool:
        """True if every gradient agrees."""
        return bool(self.rows) and all(row.note == "ok" for row in self.rows)

    def __repr__(self) -> str:  # str() takes it, too; Jupyter shows it
        return "\n".join(f"{self.title if i == 0 else '':<34} {row.name:<16} {str(row.shape):<16} "
                         f"{row.method:<14} {row.error:8.1e}  {row.note}"
                         for i, row in enumerate(self.rows))


def gradcheck(layer: Any, x: np.ndarray, *, eps: float = 1e-6, tolerance: float = 1e-6,
              max_elements: int = 600, seed: int = 0, device: str = "cpu") -> Gradcheck:
    """Checks dx and the gradient of every parameter of a layer or Sequential, in float64.

    layer: anything with forward(x, training=True), backward(dy) and, if it has parameters, dicts
           params and grads. gradcheck works on copies; `layer` and `x` stay as they are.
    x:     (N, …). Each element is checked up to max_elements, beyond that 20 random directions.
    device: where the layer computes; a layer that is moved needs a method to(device).
    error: max |analytic − numeric| / max |numeric|, wrong above tolerance; differences within the
           rounding of the numeric slope, 4·u·Σ|y·dy| / ε, are not.
    """
    rng = np.random.default_rng(seed)
    layer, x = copy.deepcopy(layer), np.array(x, np.float64)
    layers = getattr(layer, "layers", [layer])
    if layers == [layer] and hasattr(layer, "build"):
        layer.build(x.shape[1:], rng)
    for part in layers:
        part.params = {key: np.array(to_cpu(p), np.float64)
                       for key, p in getattr(part, "params", {}).items()}

    def run(x: np.ndarray) -> tuple[Any, np.ndarray]:
        replica = copy.deepcopy(layer)  # a fresh copy: Dropout draws the same mask each time
        if hasattr(replica, "to"):
            replica.to(device)
        return replica, replica.forward(to_device(x, device), training=True)

    x_device = to_device(np.array(x), device)
    replica, y = run(x_device)
    y = to_cpu(y)
    dy = rng.normal(size=np.shape(y))
    dy_device = to_device(np.array(dy), device)
    gradients = {"dx": (x, replica.backward(dy_device))}
    for part, replica_part in zip(layers, getattr(replica, "layers", [replica]), strict=True):
        if getattr(part, "trainable", True):
            prefix = f"{part.name}." if len(layers) > 1 else ""
            for key, p in part.params.items():
                if key not in getattr(part, "non_trainable", ()):
                    gradients[f"{prefix}d{key}"] = p, replica_part.grads.get(key)

    noise = 4 * np.finfo(float).eps * np.abs(y * dy).sum() / eps  # rounding of a slope
    rows = [Row(name, before.shape, "", np.inf, "changed in place: work on a copy")
            for name, after, before in (("x", x_device, x), ("dy", dy_device, dy))
            if not np.array_equal(to_cpu(after), before)]

    def loss() -> float:
        return float((to_cpu(run(x)[1]) * dy).sum())

    for name, (value, analytic) in gradients.items():
        if np.shape(analytic) != value.shape:
            received = "nothing" if analytic is None else f"shape {np.shape(analytic)}"
            rows.append(Row(name, value.shape, "", np.inf,
                            f"expected {value.shape}, received {received}"))
            continue
        every, analytic = value.size <= max_elements, to_cpu(analytic)
        method = "every element" if every else f"{DIRECTIONS} directions"
        projected, numeric = [], []
        for direction in unit_vectors(value.shape) if every else random_vectors(value.shape, rng):
            projected.append((analytic * direction).sum())
            numeric.append(slope(loss, value, direction, eps))
        scale = max(np.abs(numeric).max(), noise / tolerance, 1e-8)  # never 0 / 0
        error = float(np.abs(np.subtract(projected, numeric)).max() / scale)
        rows.append(Row(name, value.shape, method, error,
                        "ok" if error <= tolerance else f"wrong: above {tolerance:.0e}"))  # or NaN
    return Gradcheck(getattr(layer, "name", type(layer).__name__), rows)


def unit_vectors(shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """For each element of an array of that shape the direction that moves it alone."""
    for index in np.ndindex(shape):
        direction = np.zeros(shape)
        direction[index] = 1
        yield direction


def random_vectors(shape: tuple[int, ...], rng: np.random.Generator) -> Iterator[np.ndarray]:
    """DIRECTIONS random directions, which move all elements at once."""
    return (rng.normal(size=shape) for _ in range(DIRECTIONS))


def slope(loss: Callable[[], float], value: np.ndarray, direction: np.ndarray, eps: float) -> float:
    """(L(value + ε direction) − L(value − ε direction)) / 2ε; value is moved in place, and back."""
    original, losses = value.copy(), []
    for sign in (1, -1):
        value[...] = original + sign * eps * direction
        losses.append(loss())
    value[...] = original
    return (losses[0] - losses[1]) / (2 * eps)
