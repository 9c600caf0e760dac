"""The small network of the course, and the head and loss for a number of classes."""

from __future__ import annotations

from ..layers import Conv2D, Dense, Dropout, Flatten, Layer, MaxPool2D, Sigmoid, Softmax
from ..losses import BinaryCrossEntropy, CategoricalCrossEntropy, Loss
from ..model import Sequential
from ..preprocessing import Preprocessing
from ..utils.errors import ArgumentError


def head(classes: int, kernel_initializer: str = "glorot_uniform", dropout: float = 0.0
         ) -> list[Layer]:
    """Two classes: Dense(1) + sigmoid, p(second class). n classes: Dense(n) + softmax.

    dropout: the rate of a Dropout before it; 0 for none.
    """
    if classes < 2:
        raise ArgumentError(f"head: expected 2 classes or more, received {classes}.")
    units, activation = (1, Sigmoid()) if classes == 2 else (classes, Softmax())
    return [*([Flatten(), Dropout(dropout)] if dropout else []),
            Dense(units, kernel_initializer=kernel_initializer), activation]


def loss_for(classes: int, label_smoothing: float = 0.0) -> Loss:
    """The loss that belongs to head(classes)."""
    kind = BinaryCrossEntropy if classes == 2 else CategoricalCrossEntropy
    return kind(label_smoothing=label_smoothing)


def SmallCNN(classes: int, input_shape: tuple[int, int, int] = (28, 28, 3),
             seed: int = 0) -> Sequential:
    """Two convolutions, two poolings, two dense layers: trained from scratch in seconds.

    After LeNet-5 (LeCun et al. 1998), with ReLU and max pooling. Pixels are scaled to −1 … 1; with
    one channel, photos become grey.
    """
    layers = [Conv2D(16, 3, padding="same", activation="relu", kernel_initializer="he_normal"),
              MaxPool2D(2),
              Conv2D(32, 3, padding="same", activation="relu", kernel_initializer="he_normal"),
              MaxPool2D(2),
              Flatten(),
              Dense(64, activation="relu", kernel_initializer="he_normal"),
              *head(classes)]
    orders = {1: "GREY", 3: "RGB"}
    recipe = Preprocessing(orders[input_shape[2]]) if input_shape[2] in orders else None
    return Sequential(layers, input_shape, seed, "small_cnn", recipe)
