"""VGG16 (configuration D of Simonyan & Zisserman, "Very Deep Convolutional Networks for Large-Scale
Image Recognition", ICLR 2015), with Keras' layer names and preprocessing.
"""

from __future__ import annotations

import csv
import os
from dataclasses import replace
from pathlib import Path

from ..layers import Conv2D, Dense, Flatten, Layer, MaxPool2D
from ..model import Sequential
from ..preprocessing import Preprocessing
from ..utils.errors import ArgumentError
from ..utils.suggest import layer_index
from ..weights import vgg16_base, vgg16_full

# The means of ImageNet's blue, green and red. The base sees the largest centre crop; the published
# accuracy of the complete network needs the shortest side at 256, then the centre 224 × 224.
PREPROCESSING = Preprocessing("BGR", (103.939, 116.779, 123.68), scale=1.0)
PREPROCESSING_TOP = replace(PREPROCESSING, crop_fraction=224 / 256)

BLOCKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))  # convolutions, filters


def imagenet_classes() -> list[str]:
    """The 1,000 class names, in the order of the outputs."""
    with Path(__file__).with_name("imagenet_classes.csv").open(encoding="utf-8") as file:
        return [row["name"] for row in csv.DictReader(file)]


def VGG16(include_top: bool = True, weights: str | os.PathLike | None = "imagenet",
          input_shape: tuple[int, int, int] = (224, 224, 3), seed: int = 0,
          progressbar: bool = False, cut: str | None = None) -> Sequential:
    """The network: 13 convolutions in five blocks, then three dense layers.

    include_top: with fc1, fc2 and the 1,000 classes; needs input_shape (224, 224, 3).
    weights:     "imagenet" (the base ships with minicnn; the complete network is downloaded once,
                 with a bar if progressbar), the path of a Keras weight file, or None for random.
    cut:         the last layer that is built, such as "block4_pool"; needs include_top=False.
    Raises:      ShapeError if the poolings leave nothing of the image (smallest_side),
                 FileError if the weights cannot be read or downloaded.
    """
    if include_top and cut is not None:
        raise ArgumentError(f"VGG16: expected cut=None with include_top, received {cut!r}. Only "
                            f"the base can be cut: use include_top=False.")
    if include_top and tuple(input_shape) != (224, 224, 3):
        raise ArgumentError(f"VGG16: expected input_shape (224, 224, 3) with include_top, received "
                            f"{tuple(input_shape)}: fc1 expects 7 × 7 × 512 inputs. For other "
                            f"sizes use include_top=False.")
    layers = base_layers(cut)
    if include_top:
        layers += [Flatten(name="flatten"),
                   Dense(4096, activation="relu", name="fc1"),
                   Dense(4096, activation="relu", name="fc2"),
                   Dense(1000, activation="softmax", name="predictions")]
    # Without a seed nothing is drawn: 15 million random numbers that the weights would replace.
    model = Sequential(layers, input_shape, seed if weights is None else None, "vgg16",
                       PREPROCESSING_TOP if include_top else PREPROCESSING,
                       imagenet_classes() if include_top else None)
    if weights == "imagenet":
        weights = vgg16_full(progressbar) if include_top else vgg16_base()
    if weights is not None:
        model.load_weights(weights)
    return model


def base_layers(cut: str | None = None) -> list[Layer]:
    """The five blocks, up to the layer `cut`. Raises ArgumentError if there is no such layer."""
    layers: list[Layer] = []
    for block, (convolutions, filters) in enumerate(BLOCKS, 1):
        layers += [Conv2D(filters, 3, padding="same", activation="relu",
                          kernel_initializer="he_normal", name=f"block{block}_conv{i}")
                   for i in range(1, convolutions + 1)]
        layers += [MaxPool2D(2, name=f"block{block}_pool")]
    if cut is None:
        return layers
    return layers[:layer_index(cut, [layer.name for layer in layers], "vgg16") + 1]


def smallest_side(cut: str | None = None) -> int:
    """The smallest side, in pixels, that survives the poolings up to `cut`: each halves the image.
    """
    return 2 ** sum(isinstance(layer, MaxPool2D) for layer in base_layers(cut))
