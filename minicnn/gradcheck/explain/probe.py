"""Probe: a layer on one x with one dy, measured by central differences. GradientError: what
separates a computed gradient from the measured one."""

from __future__ import annotations

import numpy as np

from ...ops import to_cpu
from ..checkable import Checkable
from ..noise import rounding_of_slope
from ..point import Point
from ..precision import Precision

AXES = {("dx", 2): "N D", ("dx", 4): "N H W C", ("dW", 2): "D F", ("dW", 4): "KH KW C F",
        ("y", 2): "N F", ("y", 4): "N OH OW F"}


def axes_of(name: str, ndim: int) -> list[str]:
    """The names of an array's axes: ["N", "H", "W", "C"] for a dx of four dimensions."""
    return AXES.get((name, ndim), " ".join(f"axis_{k}" for k in range(ndim))).split()


class Probe:
    """A layer at one of gradcheck's points, measured output by output."""

    def __init__(self, point: Point, precision: Precision) -> None:
        self.point, self.precision = point, precision
        self.layer, self.x, self.dy = point.layer, point.x, point.dy
        self.params = ({} if hasattr(point.layer, "layers") else
                       {name[1:]: p for name, p in point.values.items() if name != "dx"})
        self.y = point.output()
        self.directions = np.random.default_rng(0).normal(size=(5, *self.x.shape))
        self.noise = rounding_of_slope(self.y, self.dy, precision.rounding,
                                       precision.eps) + 1e-14

    def run(self) -> tuple[Checkable, np.ndarray]:
        """(a fresh copy of the layer, y): Dropout draws the same mask each time."""
        replica, y = self.point.run()
        return replica, np.array(to_cpu(y))

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
            value[...] = before + sign * self.precision.eps * direction
            y.append(self.run()[1])
        value[...] = before
        return (y[0] - y[1]) / (2 * self.precision.eps)

    def right(self, name: str) -> np.ndarray:
        """The right gradient of that name."""
        value = self.point.values[name]
        return self.terms(value).sum(axis=tuple(range(self.y.ndim)))

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
        self.tolerance = probe.precision.tolerance
        self.terms = probe.terms(value)
        self.g = self.terms.sum(axis=tuple(range(probe.y.ndim)))
        self.axes = self._axes()

    def _axes(self) -> list[str]:
        """The names of the axes; those of x or y for a parameter whose shape ends theirs, alone."""
        x, y = ((axes_of(name, array.ndim), array.shape) for name, array in
                (("dx", self.probe.x), ("y", self.probe.y)))
        shape, ndim = self.g.shape, self.g.ndim
        if self.name != "dx" and (self.name, ndim) not in AXES and ndim:
            for names, of in (x, y):
                if ndim < len(of) and of[-ndim:] == shape and not names[0].startswith("axis"):
                    return names[-ndim:]
        return axes_of(self.name, ndim)

    @property
    def jacobian(self) -> np.ndarray:
        """(*y.shape, *value.shape): the derivative of each y."""
        dy = self.probe.dy
        return self.terms / dy.reshape(dy.shape + (1,) * self.g.ndim)

    def gradient_for(self, dy: np.ndarray) -> np.ndarray:
        """What would be right for another dy of the same shape."""
        return np.tensordot(dy, self.jacobian, dy.ndim)

    def close(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Elementwise: whether u and v agree up to rounding."""
        return np.abs(u - v) <= self.tolerance * np.abs(v).max(initial=0) + self.probe.noise

    def same(self, u: np.ndarray, v: np.ndarray) -> bool:
        """u and v agree everywhere, and not only because both are zero."""
        clear = 1e3 if self.probe.precision.rounding < 1e-10 else 10  # times the noise
        return (u.shape == v.shape and np.abs(v).max(initial=0) > clear * self.probe.noise
                and bool(self.close(u, v).all()))

    def elements(self) -> tuple[np.ndarray, np.ndarray]:
        """(whether a agrees with g, small numbers no less than large; whether one is not zero)."""
        difference, size = np.abs(self.a - self.g), np.abs(self.g)
        noise = self.noise_of_elements()
        return difference <= self.tolerance * size + noise, (self.a != 0) | (size > noise)

    def noise_of_elements(self) -> np.ndarray:
        """As probe.noise, but for each element that of the outputs that it moves: a small channel
        is not lost in the rounding of a large one."""
        probe = self.probe
        each = 4 * probe.precision.rounding * np.abs(probe.y * probe.dy) / probe.precision.eps
        moved = (self.terms != 0).astype(np.float64)
        total = (np.sqrt(np.tensordot(each**2, moved, each.ndim)) if probe.precision.is_float32
                 else np.tensordot(each, moved, each.ndim))
        return np.asarray(total) + 1e-14

    @property
    def is_small(self) -> bool:
        """Only elements are wrong that are small beside the largest."""
        return self.a.shape == self.g.shape and bool(self.close(self.a, self.g).all())

    @property
    def is_zero(self) -> bool:
        """There is no error: a agrees with g, which may be zero."""
        return self.a.shape == self.g.shape and bool(self.elements()[0].all())
