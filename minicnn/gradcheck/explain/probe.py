"""Probe: a layer on one x with one dy, measured by central differences. GradientError: what
separates a computed gradient from the measured one."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

EPS, TOLERANCE = 1e-6, 1e-6  # as in gradcheck
AXES = {("dx", 2): "N D", ("dx", 4): "N H W C", ("dW", 2): "D F", ("dW", 4): "KH KW C F",
        ("y", 2): "N F", ("y", 4): "N OH OW F"}


def axes_of(name: str, ndim: int) -> list[str]:
    """The names of an array's axes: ["N", "H", "W", "C"] for a dx of four dimensions."""
    return AXES.get((name, ndim), " ".join(f"axis_{k}" for k in range(ndim))).split()


class Probe:
    """A layer (copied, in float64) on one x (N, …), with one random dy of y's shape."""

    def __init__(self, layer: Any, x: np.ndarray, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.layer, self.x = copy.deepcopy(layer), np.array(x, np.float64)
        if hasattr(self.layer, "build"):
            self.layer.build(self.x.shape[1:], rng)
        params = {key: np.array(p, np.float64)
                  for key, p in getattr(self.layer, "params", {}).items()}
        if params:
            self.layer.params = params
        fixed = getattr(self.layer, "non_trainable", ())  # without a gradient
        self.params = {key: p for key, p in params.items() if key not in fixed}
        self.y = np.array(self.run()[1])
        self.dy = rng.normal(size=self.y.shape)
        self.directions = rng.normal(size=(5, *self.x.shape))
        self.noise = 4 * np.finfo(float).eps * np.abs(self.y * self.dy).sum() / EPS + 1e-14

    def run(self) -> tuple[Any, np.ndarray]:
        """(a fresh copy of the layer, y): Dropout draws the same mask each time."""
        replica = copy.deepcopy(self.layer)
        return replica, np.asarray(replica.forward(self.x.copy(), training=True))

    def gradients(self, layer: Any) -> dict[str, np.ndarray | None]:
        """{"dx": …, "dW": …} as `layer` computes them after its forward; None if it does not."""
        dx = layer.backward(self.dy.copy())
        computed = {"dx": dx, **{f"d{key}": layer.grads.get(key) for key in self.params}}
        return {name: None if a is None else np.array(a) for name, a in computed.items()}

    def reach(self) -> np.ndarray:
        """(*y.shape, *x.shape): whether a y depends on that element of x at all, tested by a change
        that is large enough to become the maximum of every window."""
        large, changes, flat = 1e3 * np.abs(self.x).max(), [], self.x.reshape(-1)
        for k, before in enumerate(flat.copy()):
            flat[k] = large
            changes.append(self.run()[1] != self.y)
            flat[k] = before
        return np.stack(changes, -1).reshape(self.y.shape + self.x.shape)

    def slope(self, value: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Of every y, when value (self.x or one of self.params) moves in that direction."""
        before, y = value.copy(), []
        for sign in (1, -1):
            value[...] = before + sign * EPS * direction
            y.append(self.run()[1])
        value[...] = before
        return (y[0] - y[1]) / (2 * EPS)

    def terms(self, value: np.ndarray) -> np.ndarray:
        """(*y.shape, *value.shape): what each dy adds to each element of the gradient of value."""
        slopes = [self.slope(value, np.eye(1, value.size, k).reshape(value.shape))
                  for k in range(value.size)]
        return (np.stack(slopes, -1) * self.dy[..., None]).reshape(self.y.shape + value.shape)


class GradientError:
    """What the rules compare: name, a (the gradient as computed), g (as it should be), and the
    terms whose sum over dy is g."""

    def __init__(self, probe: Probe, name: str, value: np.ndarray, a: np.ndarray) -> None:
        self.probe, self.name, self.value, self.a = probe, name, value, a
        self.terms = probe.terms(value)
        self.g = self.terms.sum(axis=tuple(range(probe.y.ndim)))
        self.axes = axes_of(name, self.g.ndim)

    def close(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Elementwise: whether u and v agree up to rounding."""
        return np.abs(u - v) <= TOLERANCE * np.abs(v).max(initial=0) + self.probe.noise

    def same(self, u: np.ndarray, v: np.ndarray) -> bool:
        """u and v agree everywhere, and not only because both are zero."""
        return (u.shape == v.shape and np.abs(v).max(initial=0) > 1e3 * self.probe.noise
                and bool(self.close(u, v).all()))

    def elements(self) -> tuple[np.ndarray, np.ndarray]:
        """(whether a agrees with g, small numbers no less than large; whether one is not zero)."""
        difference, size = np.abs(self.a - self.g), np.abs(self.g)
        return (difference <= TOLERANCE * size + self.probe.noise,
                (self.a != 0) | (size > self.probe.noise))

    @property
    def is_zero(self) -> bool:
        """There is no error: a agrees with g, which may be zero."""
        return self.a.shape == self.g.shape and bool(self.close(self.a, self.g).all())
