"""Which layers compute each sample of a batch independently of the others.

The samples of a batch may then be computed separately, a few at a time or by several threads, with
the same result.
"""

from __future__ import annotations

from .activations import ReLU, Sigmoid, Softmax
from .base import Layer
from .batch_normalization import BatchNormalization
from .clipped_activations import HardSigmoid, LeakyReLU, ReLU6
from .conv2d import Conv2D
from .dense import Dense
from .exponential_activations import ELU, SELU, SiLU, Softplus, Tanh
from .flatten import Flatten
from .pooling import AveragePool2D, GlobalAveragePool2D, GlobalMaxPool2D, MaxPool2D
from .prelu import PReLU
from .rescaling import Normalization, Rescaling
from .reshaping import CenterCrop, Permute, Reshape, Resizing, ZeroPadding2D

SAMPLEWISE = (Conv2D, MaxPool2D, AveragePool2D, GlobalAveragePool2D, GlobalMaxPool2D, Flatten,
              Dense, ReLU, Sigmoid, Softmax, Tanh, ELU, LeakyReLU, PReLU, ReLU6, HardSigmoid, SELU,
              SiLU, Softplus, Rescaling, Normalization,
              Reshape, Permute, ZeroPadding2D, CenterCrop, Resizing)


def is_samplewise(layer: Layer, training: bool = False) -> bool:
    """Whether this layer is known to compute each sample independently, in a training step or
    outside.

    Only the layers of SAMPLEWISE are known to, and BatchNormalization if it takes the moving
    averages: in a training step, unless frozen, it mixes the samples. A subclass, or a layer whose
    forward or backward was replaced on the object, might mix them, too.
    """
    if {"forward", "backward"} & vars(layer).keys():
        return False
    if type(layer) is BatchNormalization:
        return not (training and layer.trainable)
    return type(layer) in SAMPLEWISE
