"""When a number is no number any more: which one was the first, and what to do."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import xp_of
from ..errors import NotFiniteError
from ..losses import Loss
from ..model import Sequential


def all_finite(network: Sequential, loss: float, what: str) -> bool:
    """Whether the loss and the trainable layers' "params" or "grads" are finite."""
    return np.isfinite(loss) and all(_finite(a) for layer in network.layers if layer.trainable
                                     for a in getattr(layer, what).values())


def not_finite(network: Sequential, x: np.ndarray, t: np.ndarray, loss: Loss, when: str
               ) -> NotFiniteError:
    """The error that names the first layer where it went wrong, for a batch x with targets t."""
    with np.errstate(all="ignore"):
        found = _first(network, x, t, loss)
    return NotFiniteError(
        f"{network.name}: {when}: expected finite numbers, received NaN or infinity in {found}. "
        f"Most often the step size is too large (try a tenth), or the input has not gone through "
        f"the model's preprocessing. The weights of the beginning of this epoch are kept.")


def _first(network: Sequential, x: np.ndarray, t: np.ndarray, loss: Loss) -> str:
    if not _finite(x):
        return "its input"
    for layer in network.layers:
        for key, p in layer.params.items():
            if not _finite(p):
                return f"{key} of {layer.name}"
        x = layer.forward(x)
        if not _finite(x):
            return f"the output of {layer.name}"
    if not np.isfinite(loss.forward(x, t)):
        return "the loss"
    dy = loss.backward()
    for layer in reversed(network.layers):
        dy = layer.backward(dy)
        for key, g in layer.grads.items():
            if not _finite(g):
                return f"d{key} of {layer.name}"
        if not _finite(dy):
            return f"dx of {layer.name}"
    return "the loss, with the inputs that Dropout left"


def _finite(x: Any) -> bool:
    """One pass; a second one only where the sum is not finite, as it may be of finite numbers."""
    return bool(np.isfinite(x.sum())) or bool(xp_of(x).isfinite(x).all())
