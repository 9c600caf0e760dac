"""A layer on one x with one dy, and what central differences tell about it."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

EPS, TOLERANCE = 1e-6, 1e-6  # as in gradcheck
AXES = {("dx", 2): "N D", ("dx", 4): "N H W C", ("dW", 2): "D F", ("dW", 4): "KH KW C F",
        ("y", 2): "N F", ("y", 4): "N OH OW F"}


def axes_of(name: str, ndim: int) -> list[str]:
    """The names of an array's axes: ["N", "H", "W", "C"] for a dx of four."""
    return AXES.get((name, ndim), " ".join(f"axis_{k}" for k in range(ndim))).split()


class Trial:
    """A layer (copied, in float64) on one x (N, …), with one random dy of y's shape."""

    def __init__(self, layer: Any, x: np.ndarray, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.layer, self.x = copy.deepcopy(layer), np.array(x, np.float64)
        if hasattr(self.layer, "build"):
            self.layer.build(self.x.shape[1:], rng)
        self.params = {key: np.array(p, np.float64)
                       for key, p in getattr(self.layer, "params", {}).items()}
        if self.params:
            self.layer.params = self.params
        self.y = np.array(self.run()[1])
        self.dy = rng.normal(size=self.y.shape)
        self.directions = rng.normal(size=(5, *self.x.shape))
        self.noise = 4 * np.finfo(float).eps * np.abs(self.y * self.dy).sum() / EPS + 1e-14

    def run(self) -> tuple[Any, np.ndarray]:
        """(a fresh copy of the layer, y): Dropout draws the same mask each time."""
        again = copy.deepcopy(self.layer)
        return again, np.asarray(again.forward(self.x.copy(), training=True))

    def gradients(self, ran: Any) -> dict[str, np.ndarray | None]:
        """{"dx": …, "dW": …} as `ran` computes them; None where there is nothing."""
        dx = ran.backward(self.dy.copy())
        found = {"dx": dx, **{f"d{key}": ran.grads.get(key) for key in self.params}}
        return {name: None if a is None else np.array(a) for name, a in found.items()}

    def reach(self) -> np.ndarray:
        """(*y.shape, *x.shape): whether a y looks at that element of x at all, to see by a change
        that is large enough to become the maximum of every window."""
        far, found, flat = 1e3 * np.abs(self.x).max(), [], self.x.reshape(-1)
        for k, before in enumerate(flat.copy()):
            flat[k] = far
            found.append(self.run()[1] != self.y)
            flat[k] = before
        return np.stack(found, -1).reshape(self.y.shape + self.x.shape)

    def slope(self, value: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Of every y, when value (self.x or one of self.params) moves in that direction."""
        before, y = value.copy(), []
        for sign in (1, -1):
            value[...] = before + sign * EPS * direction
            y.append(self.run()[1])
        value[...] = before
        return (y[0] - y[1]) / (2 * EPS)

    def parts(self, value: np.ndarray) -> np.ndarray:
        """(*y.shape, *value.shape): what each dy adds to each element of the gradient of value."""
        slopes = [self.slope(value, np.eye(1, value.size, k).reshape(value.shape))
                  for k in range(value.size)]
        return (np.stack(slopes, -1) * self.dy[..., None]).reshape(self.y.shape + value.shape)


class Wrong:
    """One wrong gradient: name, a (as computed), g (as it should be) and the parts that g sums."""

    def __init__(self, trial: Trial, name: str, value: np.ndarray, a: np.ndarray | None) -> None:
        self.trial, self.name, self.value, self.a = trial, name, value, a
        self.parts = trial.parts(value)
        self.g = self.parts.sum(axis=tuple(range(trial.y.ndim)))
        self.axes = axes_of(name, self.g.ndim)

    def close(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Where u and v agree, up to rounding."""
        return np.abs(u - v) <= TOLERANCE * np.abs(v).max(initial=0) + self.trial.noise

    def same(self, u: np.ndarray, v: np.ndarray) -> bool:
        """u and v agree everywhere, and not only since both are zero."""
        return (u.shape == v.shape and np.abs(v).max(initial=0) > 1e3 * self.trial.noise
                and bool(self.close(u, v).all()))

    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """(where a agrees with g, small numbers no less than large; where one is not zero)."""
        error, size = np.abs(self.a - self.g), np.abs(self.g)
        return (error <= TOLERANCE * size + self.trial.noise,
                (self.a != 0) | (size > self.trial.noise))

    @property
    def right(self) -> bool:
        """a agrees with g, which may be zero."""
        return self.a is not None and self.a.shape == self.g.shape and bool(
            self.close(self.a, self.g).all())
