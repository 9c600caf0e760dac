"""When a number is no number any more: which one was the first, and what to do."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import NotFiniteError
from ..layers import Dropout
from ..losses import Loss
from ..model import Sequential
from ..ops import array_module


def all_finite(network: Sequential, loss: float, what: str) -> bool:
    """Whether the loss and the trainable layers' "params" or "grads" are finite."""
    return np.isfinite(loss) and all(finite(a) for layer in network.layers if layer.trainable
                                     for a in getattr(layer, what).values())


def not_finite(network: Sequential, x: np.ndarray, when: str, t: np.ndarray | None = None,
               loss: Loss | None = None, training: bool = False) -> NotFiniteError:
    """The error that names the first layer where it went wrong, for a batch x.

    t, loss: where the network has one. training: it was a step of training, with a way back.
    """
    with np.errstate(all="ignore"):
        found = _first(network, x, t, loss, training)
    cause = "the step size is too large (try a tenth), or " * (loss is not None)
    return NotFiniteError(
        f"{network.name}: {when}: expected finite numbers, received NaN or infinity in {found}. "
        f"Most often {cause}the input has not gone through the model's preprocessing.")


def _first(network: Sequential, x: np.ndarray, t: np.ndarray | None, loss: Loss | None,
           training: bool) -> str:
    """The step again, looking at each array as it comes."""
    if not finite(x):
        return "its input"
    for layer in network.layers:
        for key, p in layer.params.items():
            if not finite(p):
                return f"{key} of {layer.name}"
        if training and isinstance(layer, Dropout):
            x = x * layer.read_cache()  # what it left, not what it would leave now
        else:
            x = layer.forward(x)
        if not finite(x):
            return f"the output of {layer.name}"
    if loss is None:
        return "its outputs"
    if not np.isfinite(loss.forward(x, t)):
        return "the loss"
    dy = loss.backward()
    if not finite(dy):
        return "the gradient of the loss"
    for layer in reversed(network.layers):
        dy = layer.backward(dy)
        for key, g in layer.grads.items():
            if layer.trainable and not finite(g):
                return f"d{key} of {layer.name}"
        if not finite(dy):
            return f"dx of {layer.name}"
    return "a layer that draws random numbers"


def finite(x: Any) -> bool:
    """One pass; a second one only where the sum is not finite, as it may be of finite numbers."""
    return bool(np.isfinite(x.sum())) or bool(array_module(x).isfinite(x).all())
