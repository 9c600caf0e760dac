"""Data parallelism: the photos of a training step shared out among the threads.

Threads that share the work of a layer wait for each other after every one, and what is too little
to be shared (a pooling, a mask) one does alone. Here each goes through all layers, forward and
back, with photos of its own and copies of the layers that share the weights; they meet twice: at
the loss, and where their gradients are added, always in the same order. It pays where the weights,
of which each has gradients of its own, are few beside the numbers that flow.

Source: Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np

from . import layers, ops
from .ops import ops_for
from .ops.fast import threads

EACH_BY_ITSELF = (layers.Conv2D, layers.MaxPool2D, layers.AveragePool2D, layers.GlobalAveragePool2D,
                  layers.Flatten, layers.Dense, layers.ReLU, layers.Sigmoid, layers.Softmax)


def by_itself(layer: layers.Layer) -> bool:
    """Whether it is known to take each photo alone; not one of a reader's own, or with a method
    exchanged."""
    return type(layer) in EACH_BY_ITSELF and not {"forward", "backward"} & vars(layer).keys()


def parts(model: Any, x: np.ndarray) -> list:
    """A copy of `model` for each thread, with the same weights; none where model.shared does not
    ask for it or it does not pay, on a GPU, or with layers that might mix photos or draw random
    numbers."""
    workers = threads.num_threads() if ops_for(x) is ops.fast else 1
    weights = sum(p.size for layer in model.layers for p in layer.params.values())
    numbers = len(x) * sum(map(math.prod, model.shapes()))
    if (not model.shared or workers < 2 or len(x) < 4 * workers or 4 * weights > numbers
            or not all(map(by_itself, model.layers))):
        return []
    return [model.view([_copied(layer) for layer in model.layers], model.input_shape)
            for _ in range(workers)]


def _copied(layer: layers.Layer) -> layers.Layer:
    layer.cache = None  # what it kept is of another batch now
    one = copy.copy(layer)
    one.grads = {}
    if getattr(layer, "activation", None):
        layer.activation.cache = None
        one.activation = copy.copy(layer.activation)
    return one


def _pieces(parts: list, array: np.ndarray) -> list[tuple]:
    return list(zip(parts, threads.chunk_slices(len(array), len(array), len(parts)), strict=True))


def forward(parts: list, x: np.ndarray) -> np.ndarray:
    """x (N, …) -> y, each part with its photos."""
    y = threads.parallel_map(lambda mine: [part.forward(x[some]) for part, some in mine],
                      _pieces(parts, x), len(parts))
    return np.concatenate(sum(y, []))


def backward(model: Any, parts: list, dy: np.ndarray, input_gradient: bool) -> np.ndarray | None:
    """dy -> dx or None; assigns the sums of the parts' gradients to the layers of model."""
    for part in parts:
        for layer, one in zip(model.layers, part.layers, strict=True):
            one.trainable = layer.trainable
    dx = threads.parallel_map(lambda mine: [part.backward(dy[some], input_gradient)
                                     for part, some in mine], _pieces(parts, dy), len(parts))
    for layer, *ones in zip(model.layers, *(part.layers for part in parts), strict=True):
        layer.grads.update({key: sum(one.grads[key] for one in ones) for key in ones[0].grads})
    return np.concatenate(sum(dx, [])) if input_gradient else None
