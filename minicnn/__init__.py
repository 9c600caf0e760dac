"""minicnn: convolutional networks from scratch, small enough to read, real enough to use.

Reading order, and what runs with MINICNN_BACKEND=reference: layers/dense.py and activations.py (one
layer, forward and backward), losses.py, optimizers.py, layers/conv2d.py and ops/reference/conv.py
(convolution as a matrix product), layers/pooling.py, gradcheck/check.py (is it right?), model.py
(layers in a row), training/loop.py and training/callbacks/ (training), models/vgg16.py (the true
network), training/transfer.py (a new head on it). Then the machinery behind ops/__init__.py:
ops/fast/ (the same on a processor, fast), ops/native/ (with compiled kernels), ops/cuda/ and
kernels/*.cu (the same on a GPU, and in the simulator without one).
"""

from . import data, losses, ops, optimizers
from .gradcheck import gradcheck
from .layers import (
    ELU,
    SELU,
    AveragePool2D,
    BatchNormalization,
    CenterCrop,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GaussianDropout,
    GaussianNoise,
    GlobalAveragePool2D,
    GlobalMaxPool2D,
    HardSigmoid,
    Layer,
    LeakyReLU,
    MaxPool2D,
    Normalization,
    Permute,
    PReLU,
    ReLU,
    ReLU6,
    Rescaling,
    Reshape,
    Resizing,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    SpatialDropout2D,
    Tanh,
    ZeroPadding2D,
)
from .model import Sequential
from .models import VGG16, SmallCNN, load
from .ops import to_cpu, to_device
from .preprocessing import Preprocessing
from .training import Callback, fit
from .utils.errors import MiniCNNError


def __getattr__(name: str) -> object:
    """mc.visualize, mc.experiments and mc.distributed, imported when first used: `import minicnn`
    stays fast."""
    if name in ("visualize", "experiments", "distributed"):
        from importlib import import_module

        return import_module(f".{name}", __name__)
    raise AttributeError(f"module 'minicnn' has no attribute {name!r}")


__version__ = "0.2.0"

__all__ = ["AveragePool2D", "BatchNormalization", "Callback", "CenterCrop", "Conv2D", "Dense",
           "Dropout", "ELU", "Flatten", "GaussianDropout", "GaussianNoise", "GlobalAveragePool2D",
           "GlobalMaxPool2D", "HardSigmoid", "Layer", "LeakyReLU", "MaxPool2D", "MiniCNNError",
           "Normalization", "PReLU", "Permute", "Preprocessing", "ReLU", "ReLU6", "Rescaling",
           "Reshape", "Resizing", "SELU", "Sequential", "SiLU", "Sigmoid", "SmallCNN", "Softmax",
           "Softplus", "SpatialDropout2D", "Tanh", "VGG16", "ZeroPadding2D", "data", "fit",
           "gradcheck", "load", "losses", "ops", "optimizers", "to_cpu", "to_device"]
