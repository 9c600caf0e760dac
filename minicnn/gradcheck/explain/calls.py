"""Mistakes that the first call in training does not show: in inference, and in a second call."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from ...utils.language import gettext
from ..checkable import Checkable
from ..point import forward
from .probe import GradientError
from .words import subsets


def cause_in_inference(w: GradientError) -> str | None:
    """What is right in training, or after the forward before."""
    other = GradientError(type(w.probe)(w.probe.point.with_training(), w.probe.precision), w.name,
                          w.value, w.a)
    if w.a.shape == other.g.shape and w.same(w.a, other.g):
        return gettext("is what is right in training: backward has to know which mode forward "
                       "had.")
    if _left_over(w):
        return gettext("is that of the forward before, which was one of training: forward has to "
                       "keep what backward needs in inference, too.")
    trained = w.probe.point.with_training().run()[0]
    if name := _stale_attribute(w, trained):
        return gettext("is wrong, though right in training: self.{name} is still what the forward "
                       "before has left; forward has to keep it in inference, too.", name=name)
    if w.name == "dx" and w.a.shape == w.probe.x.shape and _statistics_as_in_training(w):
        return gettext("is off by what mean and variance add in training: in inference they are "
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
    """Added to that of the first call, or computed from what the first forward has left behind."""
    before = getattr(w.probe.layer, "grads", {}).get(w.name[1:]) if w.name != "dx" else None
    if before is not None and np.shape(before) == w.g.shape and w.same(w.a, w.g + before):
        return gettext("is added to that of the first: assign it.")
    if _left_over(w):
        return gettext("is that of the first forward: forward has to replace the cache in every "
                       "call.")
    if name := _stale_attribute(w, _fresh(w)):
        return gettext("is wrong, though right in the first: self.{name} is still what the first "
                       "forward has left.", name=name)
    return None


def _fresh(w: GradientError) -> Checkable:
    """The layer as it would be if this forward were its first."""
    fresh: Any = copy.deepcopy(w.probe.point.before)  # params: with_drawn_parameters gives them
    fresh.params = copy.deepcopy(getattr(w.probe.layer, "params", {}))
    forward(fresh, w.probe.x.copy(), training=True)
    return fresh


def _left_over(w: GradientError) -> bool:
    """Whether backward computes the same without this point's forward."""
    try:
        a = w.probe.point.gradients(w.probe.point.untouched())[w.name]
    except Exception:  # the user's own; without its forward it may stop anywhere
        return False
    return a is not None and a.shape == w.a.shape and np.array_equal(a, w.a) and bool(a.any())


def _stale_attribute(w: GradientError, other: Checkable) -> str | None:
    """The attribute that forward has not updated, and that makes the gradient right if it is
    replaced by that of `other`, where it has been updated."""
    used, after = vars(w.probe.layer), vars(w.probe.run()[0])
    names = [name for name, value in vars(other).items()
             if name in used and name not in ("params", "grads")
             and _equal(used[name], after[name]) and not _equal(used[name], value)]
    for name in names:
        replica = w.probe.run()[0]
        setattr(replica, name, copy.deepcopy(vars(other)[name]))
        try:
            a = w.probe.point.gradients(replica)[w.name]
        except Exception:  # shapes of two calls need not fit together
            continue
        if a is not None and w.same(a, w.g):
            return name
    return None


def _equal(u: Any, v: Any) -> bool:
    """The same numbers; False if they are not numbers."""
    try:
        return bool(np.array_equal(u, v))
    except Exception:  # attributes of the user's, of any kind: what cannot be compared differs
        return False
