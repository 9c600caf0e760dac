"""What is wrong with a gradient, in words, for who has written the backward.

Central differences give more than the gradient: moving one element of x (or of W, b) shows what it
does to every y. So the gradient of every wrong backward that people write (one sample only, windows
that overwrite each other, W turned) can be computed too, and compared. A hint is given only where
that comparison, or the right gradient with that mistake put in, agrees to six digits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .probe import Trial, Wrong
from .rules import RULES, listed

LARGEST = 10_000_000  # elements of the table "each element of x against each y"


def hints(layer: Any, x: np.ndarray, seed: int = 0) -> list[str]:
    """What is right and what is wrong with the gradients of a layer at x, a sentence each.

    layer: as for gradcheck, a single one; it works on a copy. x (N, …).
    Returns one sentence for all gradients that are right, and one for each wrong one of which
    anything can be told; nothing where that is none.
    """
    trial = Trial(layer, x, seed)
    values = {"dx": trial.x, **{f"d{key}": p for key, p in trial.params.items()}}
    if trial.y.size * max(value.size for value in values.values()) > LARGEST:
        return [f"For hints x {trial.x.shape} is too large; take a smaller one."]
    right, said = [], []
    for name, a in trial.gradients(trial.run()[0]).items():
        wrong = Wrong(trial, name, values[name], a)
        if wrong.right:
            right.append(name)
        elif hint := next(filter(None, (rule(wrong) for rule in RULES)), None):
            said.append(f"Your {name} {hint}")
    if right:
        said.insert(0, f"Your {listed(right)} {'is' if len(right) == 1 else 'are'} right.")
    return said


def accumulated(layer: Any, x: np.ndarray, seed: int = 0) -> list[str]:
    """Names of the gradients that a second forward and backward doubles: added, not assigned."""
    trial = Trial(layer, x, seed)
    ran, _ = trial.run()
    first = trial.gradients(ran)
    ran.forward(trial.x.copy(), training=True)
    second = trial.gradients(ran)
    return [name for name, a in first.items() if a is not None and a.any()
            and np.shape(second[name]) == a.shape and np.allclose(second[name], 2 * a, 1e-9, 0)]
