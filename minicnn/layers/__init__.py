"""One file per layer: the mathematics, forward and backward side by side."""

from .activations import ReLU, Sigmoid, Softmax
from .base import Layer
from .batch_normalization import BatchNormalization
from .clipped_activations import HardSigmoid, LeakyReLU, ReLU6
from .conv2d import Conv2D
from .dense import Dense
from .dropout import Dropout, GaussianDropout, GaussianNoise, SpatialDropout2D
from .exponential_activations import ELU, SELU, SiLU, Softplus, Tanh
from .flatten import Flatten
from .pooling import AveragePool2D, GlobalAveragePool2D, GlobalMaxPool2D, MaxPool2D, Pool2D
from .prelu import PReLU
from .rescaling import Normalization, Rescaling
from .reshaping import CenterCrop, Permute, Reshape, Resizing, ZeroPadding2D

ACTIVATION_LAYERS = (ReLU, Sigmoid, Softmax, Tanh, ELU, LeakyReLU, PReLU, ReLU6, HardSigmoid, SELU,
                     SiLU, Softplus)
NOISE_LAYERS = (Dropout, SpatialDropout2D, GaussianDropout, GaussianNoise)  # y = x but in training
