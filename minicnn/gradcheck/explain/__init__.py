"""Explains in words what is wrong with a hand-written backward.

Central differences give more than the gradient: moving one element of x (or of W, b) shows what it
does to every y. So the wrong gradients that people usually compute (from one sample only, with
windows that overwrite each other, with W rotated) can be computed too, and compared. A hint is
given only if that comparison, or the correct gradient with that mistake put in, agrees to six
digits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .probe import GradientError, Probe
from .rules import RULES, join_words, missing_gradient

MAX_ELEMENTS = 10_000_000  # of the table "each element of x against each y"


def hints(layer: Any, x: np.ndarray, seed: int = 0) -> list[str]:
    """Says which gradients of a layer at x are right, and what is wrong with the others.

    layer: as for gradcheck, a single layer; hints works on a copy. x (N, …).
    Returns a sentence for all gradients that are right, then one for each wrong gradient that a
    rule explains; none for the other wrong ones.
    """
    probe = Probe(layer, x, seed)
    values = {"dx": probe.x, **{f"d{key}": p for key, p in probe.params.items()}}
    if probe.y.size * max(value.size for value in values.values()) > MAX_ELEMENTS:
        return [f"For hints x {probe.x.shape} is too large; take a smaller one."]
    right, explanations = [], []
    for name, gradient in probe.gradients(probe.run()[0]).items():
        if gradient is None:
            explanations.append(f"Your {name} {missing_gradient(name)}")
            continue
        error = GradientError(probe, name, values[name], gradient)
        if error.is_zero:
            right.append(name)
        elif hint := next(filter(None, (rule(error) for rule in RULES)), None):
            explanations.append(f"Your {name} {hint}")
    if right:
        verb = "is" if len(right) == 1 else "are"
        explanations.insert(0, f"Your {join_words(right)} {verb} right.")
    return explanations


def accumulated(layer: Any, x: np.ndarray, seed: int = 0) -> list[str]:
    """Names of the gradients that a second forward and backward doubles: added, not assigned."""
    probe = Probe(layer, x, seed)
    replica, _ = probe.run()
    first = probe.gradients(replica)
    replica.forward(probe.x.copy(), training=True)
    second = probe.gradients(replica)
    return [name for name, a in first.items() if _is_doubled(a, second[name])]


def _is_doubled(first: np.ndarray | None, second: np.ndarray | None) -> bool:
    """Whether the second gradient is twice the first one, which is not zero."""
    if first is None or second is None or not first.any():
        return False
    return second.shape == first.shape and np.allclose(second, 2 * first, 1e-9, 0)
