"""Mistakes that the first call in training does not show: in inference, and in a second call."""

from __future__ import annotations

import numpy as np

from .probe import GradientError
from .words import subsets


def cause_in_inference(w: GradientError) -> str | None:
    """What is right in training, or after the forward before."""
    other = GradientError(type(w.probe)(w.probe.point.with_training(), w.probe.precision), w.name,
                          w.value, w.a)
    if w.a.shape == other.g.shape and w.same(w.a, other.g):
        return "is what is right in training: backward has to know which mode forward had."
    if _left_over(w):
        return ("is that of the forward before, which was one of training: forward has to keep "
                "what backward needs in inference, too.")
    if w.name == "dx" and w.a.shape == w.probe.x.shape and _statistics_as_in_training(w):
        return ("is off by what mean and variance add in training: in inference they are "
                "constants.")
    return None


def _statistics_as_in_training(w: GradientError) -> bool:
    """Whether the error is p + q·x along some axes, as the parts of mean and variance are."""
    d, x = w.a - w.g, w.probe.x
    for axes in subsets(d.ndim):
        if np.prod([d.shape[k] for k in axes]) < 5:
            continue
        z = x - x.mean(axes, keepdims=True)
        slope = (d * z).sum(axes, keepdims=True) / (z * z).sum(axes, keepdims=True)
        if slope.any() and w.same(d, d.mean(axes, keepdims=True) + slope * z):
            return True
    return False


def cause_in_second_call(w: GradientError) -> str | None:
    """Added to that of the first call, or computed from what the first forward has left."""
    before = getattr(w.probe.layer, "grads", {}).get(w.name[1:]) if w.name != "dx" else None
    if before is not None and np.shape(before) == w.g.shape and w.same(w.a, w.g + before):
        return "is added to that of the first: assign it."
    if _left_over(w):
        return "is that of the first forward: forward has to replace the cache in every call."
    if names := stale_attributes(w):
        return (f"is wrong, though right in the first: {names} is still what the first forward "
                f"has left.")
    return None


def _left_over(w: GradientError) -> bool:
    """Whether backward computes the same without this point's forward."""
    try:
        a = w.probe.point.gradients(w.probe.point.untouched())[w.name]
    except Exception:  # the user's own; without its forward it may stop anywhere
        return False
    return a is not None and a.shape == w.a.shape and np.array_equal(a, w.a) and bool(a.any())


def stale_attributes(w: GradientError) -> str:
    """The attributes, arrays, that the first forward has set and the second has not, by name."""
    used, after = w.probe.layer.__dict__, w.probe.run()[0].__dict__
    fresh = w.probe.point.before.__dict__ if w.probe.point.before is not None else used
    names = [name for name, value in used.items()
             if isinstance(value, np.ndarray) and not _same(fresh.get(name), value)
             and _same(after.get(name), value)]
    return " and ".join(f"self.{name}" for name in names)


def _same(u: object, v: object) -> bool:
    return isinstance(u, np.ndarray) and isinstance(v, np.ndarray) and np.array_equal(u, v)
