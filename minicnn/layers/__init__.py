"""One file per layer: the mathematics, forward and backward side by side."""

from .activations import ReLU, Sigmoid, Softmax
from .base import Layer
from .batch_normalization import BatchNormalization
from .conv2d import Conv2D
from .dense import Dense
from .dropout import Dropout
from .flatten import Flatten
from .pooling import AveragePool2D, GlobalAveragePool2D, MaxPool2D, Pool2D
