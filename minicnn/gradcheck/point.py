"""Where a backward is checked: a layer with drawn parameters, in one mode, at one x with one dy.

One point can hide a mistake. With γ = 0, as vectors begin, dx is 0 whatever backward computes; with
γ = 1 nobody notices that it is missing; a cache of the call before is right in the first call. So
there are several points, and every number of them is drawn.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..ops import to_cpu, to_device
from .checkable import Checkable

FIRST, SECOND, CALLED_TWICE, INFERENCE = "first", "second", "called twice", "inference"
FORWARD_TWICE, LARGE, SINGLE = "forward twice", "large", "one sample"


def layers_of(layer: Checkable) -> list[Any]:
    """The layers of a Sequential; a layer is a list of itself."""
    return list(getattr(layer, "layers", [layer]))


@contextmanager
def kept_random_state() -> Iterator[None]:
    """Restores NumPy's global generator afterwards: forward seeds it, and saving its state in each
    call would cost more than many a forward."""
    state = np.random.get_state()
    try:
        yield
    finally:
        np.random.set_state(state)


def forward(layer: Checkable, x: np.ndarray, training: bool) -> np.ndarray:
    """y, with NumPy's global generator in the same state each time (see kept_random_state)."""
    np.random.seed(0)
    return layer.forward(x, training=training)


class Point:
    """A layer in float64, an x (N, …), a mode, and a random dy of y's shape.

    label:  which of the points that make_points lists
    values: {"dx": x, "dW": W, …}: what the gradients are of; numbers changed there in place are
            what the next run sees
    """

    def __init__(self, label: str, layer: Checkable, x: np.ndarray, rng: np.random.Generator,
                 device: str = "cpu") -> None:
        self.label, self.layer, self.x, self.device = label, layer, x, device
        self.training = label != INFERENCE
        self.before: Any = None  # the layer before its first call, if `layer` has had one
        self.values = {"dx": x}
        parts = layers_of(layer)
        for part in parts:
            prefix = f"{part.name}." if len(parts) > 1 else ""
            if getattr(part, "trainable", True):
                self.values |= {f"{prefix}d{key}": p for key, p in
                                getattr(part, "params", {}).items()
                                if key not in getattr(part, "non_trainable", ())}
        y = self.output()
        self.dy = rng.normal(size=y.shape)
        if y.dtype == np.float32:
            self.dy = self.dy.astype(np.float32)

    def run(self, x: np.ndarray | None = None) -> tuple[Checkable, np.ndarray]:
        """(a copy of the layer, its y): a fresh copy each time, so Dropout draws the same mask."""
        replica = copy.deepcopy(self.layer)
        if hasattr(replica, "to") and self.device != "cpu":  # to() forgets the cache
            replica.to(self.device)
        x = to_device(self.x.copy(), self.device) if x is None else x
        return replica, forward(replica, x, self.training)

    def untouched(self) -> Checkable:
        """A copy of the layer as it was before this point's forward."""
        return copy.deepcopy(self.layer)

    def output(self) -> np.ndarray:
        """y, on the processor."""
        return np.array(to_cpu(self.run()[1]))

    def gradients(self, replica: Any, dy: np.ndarray | None = None) -> dict[str, Any]:
        """{"dx": …, "dW": …} as backward of `replica` computes them; None if it does not."""
        dx = replica.backward(to_device(self.dy.copy(), self.device) if dy is None else dy)
        return {"dx": None if dx is None else np.array(to_cpu(dx)), **self.kept_gradients(replica)}

    def kept_gradients(self, replica: Any) -> dict[str, Any]:
        """{"dW": …} as they stand in .grads after backward; None if they do not."""
        computed: dict[str, Any] = {}
        parts = layers_of(replica)
        for part in parts:
            prefix = f"{part.name}." if len(parts) > 1 else ""
            grads = getattr(part, "grads", {})
            computed |= {f"{prefix}d{key}": grads.get(key) for key in getattr(part, "params", {})}
        return {name: None if computed[name] is None else np.array(to_cpu(computed[name]))
                for name in self.values if name != "dx"}

    def with_input(self, x: np.ndarray) -> Point:
        """The same layer and mode at another x."""
        return Point(self.label, self.layer, x, np.random.default_rng(0), self.device)

    def with_training(self) -> Point:
        """The same point in training mode."""
        other = copy.copy(self)
        other.training = True
        return other


def make_points(layer: Checkable, x: np.ndarray, seed: int = 0, device: str = "cpu") -> list[Point]:
    """The points at which gradcheck checks `layer`, all of copies.

    FIRST:         x as it is, a fresh layer, training
    SECOND:        another x, other parameters
    CALLED_TWICE:  the same, but the layer has computed a forward and a backward of the first point
                   before (on the processor only)
    INFERENCE:     forward(x, training=False) of that layer: running statistics have moved
    FORWARD_TWICE: as CALLED_TWICE, without that backward (on the processor only)

    extremes.py adds two: numbers that are large, and one sample alone.
    """
    rng = np.random.default_rng(seed)
    layer, x = copy.deepcopy(layer), np.array(x, np.float64)
    if layers_of(layer) == [layer] and hasattr(layer, "build"):
        layer.build(x.shape[1:], rng)
    first = Point(FIRST, with_drawn_parameters(layer, x, rng), x, rng, device)
    second = Point(SECOND, with_drawn_parameters(layer, x, rng), other_input(x, rng), rng, device)
    if not np.isfinite(second.output()).all():  # a layer for a narrow range of x
        second = Point(SECOND, second.layer, x.copy(), rng, device)
    points = [first, second]
    if device == "cpu":
        points += _after_other_calls(first, second, rng)
    else:
        points.append(Point(INFERENCE, copy.deepcopy(second.layer), second.x.copy(), rng, device))
    return points


def _after_other_calls(first: Point, second: Point, rng: np.random.Generator) -> list[Point]:
    """CALLED_TWICE, INFERENCE and FORWARD_TWICE: layers with the parameters of `second` that have
    computed something for `first` before."""
    points = []
    used, only_forward = first.run()[0], first.run()[0]
    used.backward(first.dy.copy())
    for replica in (used, only_forward):
        for part, other in zip(layers_of(replica), layers_of(second.layer), strict=True):
            part.params = copy.deepcopy(getattr(other, "params", {}))
    for label, replica in ((CALLED_TWICE, used), (INFERENCE, copy.deepcopy(used)),
                           (FORWARD_TWICE, only_forward)):
        point = Point(label, replica, second.x.copy(), rng)
        point.before = first.layer
        if label != INFERENCE:
            point.dy = second.dy
        points.append(point)
    return points


def with_drawn_parameters(layer: Checkable, x: np.ndarray, rng: np.random.Generator) -> Checkable:
    """A copy of the layer with drawn parameters in float64: of any sign, or positive if y would
    otherwise not be finite (a variance), or else its own. Those that are not trained (moving
    averages) are positive."""
    for signs in ((-1, 1), (1,), ()):
        drawn = copy.deepcopy(layer)
        for part in layers_of(drawn):
            fixed = getattr(part, "non_trainable", ())
            part.params = {key: draw(np.shape(p), (1,) if key in fixed else signs, rng) if signs
                           else np.array(to_cpu(p), np.float64)
                           for key, p in getattr(part, "params", {}).items()}
        with np.errstate(all="ignore"):
            if all(np.isfinite(forward(copy.deepcopy(drawn), x.copy(), training)).all()
                   for training in (True, False)):
                break
    return drawn


def draw(shape: tuple[int, ...], signs: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Numbers that hide nothing: none near 0, none near 1, no two alike.

    A kernel's are divided by the root of its fan-in, so that y stays as large as x.
    """
    fan_in = int(np.prod(shape[:-1]))
    size = (rng.uniform(0.3, 0.8, shape) + (0.9 * rng.integers(2, size=shape) if fan_in == 1 else 0)
            if fan_in < 3 else rng.uniform(0.5, 1.6, shape) / np.sqrt(fan_in))
    return np.array(rng.choice(signs, shape) * size, np.float64)


def other_input(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Other numbers in the range of x: its own in another order, 70 to 95 % of each, so that signs
    and maxima move; drawn if all are 0."""
    if not x.any():
        return rng.normal(0, 0.1, x.shape)
    return rng.permutation(x.reshape(-1)).reshape(x.shape) * rng.uniform(0.7, 0.95, x.shape)
