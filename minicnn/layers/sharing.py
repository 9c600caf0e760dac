"""Layers that share their parameters with others, and the activation at the end of a network."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from .activations import Sigmoid, Softmax
from .base import Layer


def copy_layer(layer: Layer) -> Layer:
    """The same layer with the same parameters, but with a cache and gradients of its own, so that
    an analysis does not disturb a training step, nor one thread another."""
    copied = copy.copy(layer)
    copied.cache, copied.grads = None, {}
    if layer.activation is not None:
        copied.activation = copy_layer(layer.activation)
    return copied


def copy_layers(layers: Sequence[Layer]) -> list[Layer]:
    """copy_layer of each."""
    return [copy_layer(layer) for layer in layers]


def last_activation(layers: Sequence[Layer]) -> Layer | None:
    """The Sigmoid or Softmax with which these layers end, alone or as a layer's activation."""
    last = layers[-1] if layers else None
    if last is not None and last.activation is not None:
        last = last.activation
    return last if isinstance(last, (Sigmoid, Softmax)) else None


def without_last_activation(layers: list[Layer]) -> list[Layer]:
    """The layers up to the logits: without a Sigmoid or Softmax at the end. Parameters and
    gradients stay those of the layers."""
    if last_activation(layers) is None:
        return layers
    if layers[-1].activation is None:
        return layers[:-1]
    linear = copy.copy(layers[-1])  # shares the dicts of parameters and gradients
    linear.activation = None
    return [*layers[:-1], linear]
