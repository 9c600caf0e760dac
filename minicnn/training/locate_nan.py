"""Finding the first NaN or infinity of a training step."""

from __future__ import annotations

import numpy as np

from ..layers import Dropout
from ..layers.checks import required_dx
from ..layers.network import NamedStack
from ..losses import Loss
from ..ops import array_module, ops_for
from ..utils.errors import NotFiniteError

NOT_LOCATED = "a layer that draws random numbers"  # what is left when all others are finite


def is_finite(x: np.ndarray) -> bool:
    """Whether all numbers of x are finite. One pass; a second one only if the sum is not finite,
    which sums of finite numbers may be."""
    return bool(np.isfinite(x.sum())) or bool(array_module(x).isfinite(x).all())


def all_finite(network: NamedStack, *kinds: str) -> bool:
    """Whether the "params", the "grads" or both of the trainable layers are finite."""
    arrays = [array for kind in kinds for layer in network.layers if layer.trainable
              for array in getattr(layer, kind).values()]
    return not arrays or ops_for(*arrays).all_finite(arrays)


def not_finite_error(network: NamedStack, x: np.ndarray, when: str, t: np.ndarray | None = None,
                     loss: Loss | None = None, training: bool = False) -> NotFiniteError:
    """The error that says when it happened, which array was the first, and what to do.

    x: the batch. t, loss: its targets and the loss, if there is one. training: it was a training
    step, with a backward pass.
    """
    with np.errstate(all="ignore"):
        first = locate_nan(network, x, t, loss, training)
    cause = "the learning rate is too large (try a tenth), or " if loss is not None else ""
    return NotFiniteError(
        f"{network.name}: {when}: expected finite numbers, received NaN or infinity in {first}. "
        f"Most often {cause}the input has not gone through the model's preprocessing.")


def locate_nan(network: NamedStack, x: np.ndarray, t: np.ndarray | None, loss: Loss | None,
               training: bool) -> str:
    """Computes the step again, and names the first array that is not finite."""
    if not is_finite(x):
        return "its input"
    for layer in network.layers:
        for key, p in layer.params.items():
            if not is_finite(p):
                return f"{key} of {layer.name}"
        if training and isinstance(layer, Dropout):
            x = x * layer.cache  # the mask of that step, not a new one
        else:
            x = layer.forward(x, training=training and not layer.random)
        if not is_finite(x):
            return f"the output of {layer.name}"
    if loss is None or t is None:
        return "its outputs"
    if not np.isfinite(loss.forward(x, t)):
        return "the loss"
    dy = loss.backward()
    if not is_finite(dy):
        return "the gradient of the loss"
    for layer in reversed(network.layers):
        dx = layer.backward(dy)
        for key, g in layer.grads.items():
            if layer.trainable and not is_finite(g):
                return f"d{key} of {layer.name}"
        dy = required_dx(layer, dx)
        if not is_finite(dy):
            return f"dx of {layer.name}"
    return NOT_LOCATED
