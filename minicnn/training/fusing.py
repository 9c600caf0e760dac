"""The last activation and the loss as one function of the logits, or why they are no pair."""

from __future__ import annotations

import copy

from ..errors import ArgumentError
from ..layers import Conv2D, Dense, Layer, ReLU, Sigmoid, Softmax
from ..losses import BinaryCrossEntropy, CategoricalCrossEntropy, Loss


def fuse(layers: list[Layer], loss: Loss) -> tuple[list[Layer], Loss]:
    """(layers without the last activation, the loss from logits) where the two are a pair; both
    unchanged where they are not. Parameters and gradients stay shared with the originals.

    Raises ArgumentError for pairs that cannot learn, and says why.
    """
    last = layers[-1]
    inner = getattr(last, "activation", None)  # Dense(1, activation="sigmoid")
    activation = type(inner or last)
    if loss.from_logits and activation in (Sigmoid, Softmax):
        raise ArgumentError(f"{last.name}: expected logits for {loss!r}, received the output of "
                            f"{activation.__name__}. Leave from_logits out; training fuses them.")
    if activation is Sigmoid and isinstance(loss, CategoricalCrossEntropy):
        raise ArgumentError(
            f"{last.name}: expected BinaryCrossEntropy after Sigmoid, received "
            f"CategoricalCrossEntropy, which chooses among outputs that sum to 1: of a single one "
            f"it learns nothing. For several classes end with Softmax.")
    if activation is Softmax and isinstance(loss, BinaryCrossEntropy):
        raise ArgumentError(
            f"{last.name}: expected CategoricalCrossEntropy after Softmax, received "
            f"BinaryCrossEntropy, which takes every output for a question of its own. For two "
            f"classes Dense(1) with Sigmoid will do.")
    if loss.fused_activation and not loss.from_logits and activation in (Conv2D, Dense, ReLU):
        raise ArgumentError(
            f"{last.name}: expected probabilities for {type(loss).__name__}, received the output "
            f"of {activation.__name__}. End with {loss.fused_activation.__name__}(), or say "
            f"{type(loss).__name__}(from_logits=True).")
    if loss.from_logits or activation is not loss.fused_activation:
        return layers, loss
    fused_loss = copy.copy(loss)
    fused_loss.from_logits = True
    if inner is None:
        return layers[:-1], fused_loss
    linear = copy.copy(last)  # shares the dicts of parameters and gradients
    linear.activation = None
    return [*layers[:-1], linear], fused_loss
