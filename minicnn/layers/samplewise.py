"""Which layers compute each sample of a batch independently of the others.

The samples of a batch may then be computed apart, a few at a time or by several threads, and give
the same numbers.
"""

from __future__ import annotations

from .activations import ReLU, Sigmoid, Softmax
from .base import Layer
from .conv2d import Conv2D
from .dense import Dense
from .flatten import Flatten
from .pooling import AveragePool2D, GlobalAveragePool2D, MaxPool2D

SAMPLEWISE = (Conv2D, MaxPool2D, AveragePool2D, GlobalAveragePool2D, Flatten, Dense, ReLU, Sigmoid,
              Softmax)


def is_samplewise(layer: Layer) -> bool:
    """Whether this layer is known to compute each sample by itself.

    Only the layers of SAMPLEWISE are known to. A subclass, or a layer whose forward or backward was
    replaced on the object, might mix the samples, as a batch normalisation does.
    """
    replaced = {"forward", "backward"} & vars(layer).keys()
    return type(layer) in SAMPLEWISE and not replaced
