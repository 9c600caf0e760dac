"""Every layer of minicnn once or more, ready for the claims that hold for all of them."""

import numpy as np
from reference import array

from minicnn.layers import (
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

IMAGES, ROWS = (2, 5, 6, 3), (4, 5)
LAYERS = {  # name: (a new layer, shape of x)
    "Conv2D": (lambda: Conv2D(4, (3, 2)), IMAGES),
    "Conv2D same, strided": (lambda: Conv2D(2, (2, 3), strides=(2, 1), padding="same"), IMAGES),
    "Conv2D padded + relu": (lambda: Conv2D(4, 3, padding=(2, 1), activation="relu"), IMAGES),
    "Conv2D + softmax": (lambda: Conv2D(3, (1, 2), strides=4, activation="softmax"), IMAGES),
    "Conv2D same, (1, 2) + relu": (lambda: Conv2D(4, (3, 2), (1, 2), "same", "relu"), IMAGES),
    "Conv2D without bias + relu": (
        lambda: Conv2D(4, 3, activation="relu", use_bias=False), IMAGES),
    "Dense": (lambda: Dense(3), ROWS),
    "Dense without bias": (lambda: Dense(3, use_bias=False), ROWS),
    "Conv2D + tanh": (lambda: Conv2D(3, 2, activation="tanh"), IMAGES),
    "Dense + elu": (lambda: Dense(4, activation="elu"), ROWS),
    "Dense + leaky_relu": (lambda: Dense(4, activation="leaky_relu"), ROWS),
    "Dense + sigmoid": (lambda: Dense(1, activation="sigmoid"), ROWS),
    "BatchNormalization": (lambda: BatchNormalization(epsilon=0.1), IMAGES),
    "BatchNormalization of rows": (lambda: BatchNormalization(momentum=0.5), (7, 4)),
    "BatchNormalization, moments only": (
        lambda: BatchNormalization(center=False, scale=False), IMAGES),
    "MaxPool2D": (lambda: MaxPool2D(2), IMAGES),
    "MaxPool2D same, overlapping": (lambda: MaxPool2D(3, strides=2, padding="same"), IMAGES),
    "AveragePool2D": (lambda: AveragePool2D((2, 3), strides=1, padding=1), IMAGES),
    "AveragePool2D same": (lambda: AveragePool2D(3, strides=(1, 2), padding="same"), IMAGES),
    "GlobalAveragePool2D": (GlobalAveragePool2D, IMAGES),
    "GlobalMaxPool2D": (GlobalMaxPool2D, IMAGES),
    "Flatten": (Flatten, IMAGES),
    "Reshape": (lambda: Reshape((9, -1)), IMAGES),
    "Reshape of rows": (lambda: Reshape((2, 3, 2)), (3, 12)),
    "Permute": (lambda: Permute((3, 1, 2)), IMAGES),
    "ZeroPadding2D": (lambda: ZeroPadding2D(((1, 0), (2, 3))), IMAGES),
    "CenterCrop": (lambda: CenterCrop(4, 3), IMAGES),
    "Resizing": (lambda: Resizing(5, 6), IMAGES),
    "Rescaling": (lambda: Rescaling(0.5, -1), IMAGES),
    "Rescaling of channels": (lambda: Rescaling((0.5, 2, 3), (1, 2, 3)), IMAGES),
    "Normalization": (lambda: Normalization(-1, (1, 2, 3), (4, 5, 6)), IMAGES),
    "Normalization of all": (lambda: Normalization(None, 0.3, 0.25), ROWS),
    "ReLU": (ReLU, IMAGES),
    "Sigmoid": (Sigmoid, IMAGES),
    "Tanh": (Tanh, IMAGES),
    "ELU": (lambda: ELU(0.7), IMAGES),
    "LeakyReLU": (lambda: LeakyReLU(0.1), IMAGES),
    "PReLU": (PReLU, IMAGES),
    "PReLU, shared by pixels": (lambda: PReLU((1, 2)), IMAGES),
    "PReLU, shared by columns": (lambda: PReLU(2), IMAGES),
    "PReLU of rows": (PReLU, ROWS),
    "ReLU6": (ReLU6, IMAGES),
    "HardSigmoid": (HardSigmoid, IMAGES),
    "SELU": (SELU, IMAGES),
    "SiLU": (SiLU, IMAGES),
    "Softplus": (Softplus, ROWS),
    "Conv2D + silu": (lambda: Conv2D(3, 2, activation="silu"), IMAGES),
    "Dense + selu": (lambda: Dense(4, activation="selu"), ROWS),
    "Dense + relu6": (lambda: Dense(4, activation="relu6"), ROWS),
    "Dense + hard_sigmoid": (lambda: Dense(4, activation="hard_sigmoid"), ROWS),
    "Dense + softplus": (lambda: Dense(4, activation="softplus"), ROWS),
    "Softmax": (Softmax, ROWS),
    "Softmax of images": (Softmax, (2, 2, 3, 3)),
    "Dropout": (lambda: Dropout(0.4), IMAGES),
    "SpatialDropout2D": (lambda: SpatialDropout2D(0.4), (3, 4, 2, 5)),
    "GaussianDropout": (lambda: GaussianDropout(0.4), IMAGES),
    "GaussianNoise": (lambda: GaussianNoise(0.3), IMAGES),
}


def built(layer, x_shape, rng, dtype=np.float64):
    """The layer with random parameters, biases too, of that dtype."""
    for key, shape in layer.param_shapes(x_shape[1:]).items():
        layer.params[key] = array(rng, *shape, dtype=dtype)
        if key.endswith("variance"):
            layer.params[key] = 0.5 + layer.params[key] ** 2
    return layer


def trained(layer):
    """The keys of the parameters that have gradients."""
    return [key for key in layer.params if key not in layer.non_trainable]


def run(layer, x, dy):
    """y, dx, and dW, db where there are any: one forward and one backward."""
    y = layer.forward(x, training=True)
    dx = layer.backward(dy)
    return [y, dx, *(layer.grads[key] for key in trained(layer))]
