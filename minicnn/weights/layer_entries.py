"""From minicnn's layers to those of Keras 3, class by class; keras_layers.py is the way back."""

from __future__ import annotations

from typing import Any

from ..layers import (
    ELU,
    NOISE_LAYERS,
    SELU,
    AveragePool2D,
    BatchNormalization,
    CenterCrop,
    Conv2D,
    Dense,
    Flatten,
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
from ..utils.errors import FileError
from .keras_layers import WHOLE_CHANNELS

ACTIVATION_NAMES: dict[type[Layer], str] = {  # of layers that are an Activation in Keras
    Sigmoid: "sigmoid", Tanh: "tanh", HardSigmoid: "hard_sigmoid", SELU: "selu", SiLU: "silu",
    Softplus: "softplus"}
KERAS_CLASSES: dict[type[Layer], str] = {
    Conv2D: "Conv2D", Dense: "Dense", MaxPool2D: "MaxPooling2D", AveragePool2D: "AveragePooling2D",
    GlobalAveragePool2D: "GlobalAveragePooling2D", GlobalMaxPool2D: "GlobalMaxPooling2D",
    BatchNormalization: "BatchNormalization", Flatten: "Flatten", ReLU: "ReLU",
    Softmax: "Softmax", ELU: "ELU", ReLU6: "ReLU",
    **dict.fromkeys(ACTIVATION_NAMES, "Activation"),
    **{kind: kind.__name__ for kind in (*NOISE_LAYERS, LeakyReLU, PReLU, ZeroPadding2D, Reshape,
                                        Permute, Rescaling, Normalization, CenterCrop, Resizing)}}


def keras_entries(layer: Layer) -> list[tuple[str, dict[str, Any]]]:
    """The layer as (class, settings) of Keras 3; a Conv2D with numbers as padding becomes a
    ZeroPadding2D and a valid Conv2D, a HardSigmoid of another slope a Rescaling and an Activation.
    Raises FileError for what Keras cannot express."""
    if type(layer) not in KERAS_CLASSES:
        raise FileError(f"layer {layer.name!r} is a {type(layer).__name__}, which Keras lacks, "
                        f"so a model file cannot hold it; save a .weights.h5 instead.")
    common = {"name": layer.name, "trainable": layer.trainable, "dtype": "float32"}
    config = common | layer.config()
    if "activation" in config:
        config["activation"] = config["activation"] or "linear"
    if type(layer) in ACTIVATION_NAMES:
        config = common | {"activation": ACTIVATION_NAMES[type(layer)]}
    if isinstance(layer, SpatialDropout2D):
        return [_spatial_dropout(layer, config)]
    if isinstance(layer, ReLU6):
        config["max_value"] = 6.0
    entries = [(KERAS_CLASSES[type(layer)], config)]
    if isinstance(layer, HardSigmoid) and layer.slope != 1 / 6:
        scale = {"name": f"{layer.name}_slope", "scale": 6 * layer.slope, "offset": 0.0}
        entries.insert(0, ("Rescaling", common | scale))
    padding = config.get("padding")
    if isinstance(layer, (Conv2D, MaxPool2D, AveragePool2D)) and isinstance(padding, tuple):
        config["padding"] = "valid"
        if isinstance(layer, Conv2D) and any(padding):
            zeros = {"name": f"{layer.name}_pad", "padding": [[p, p] for p in padding]}
            entries.insert(0, ("ZeroPadding2D", common | zeros))
        elif any(padding):
            raise FileError(f"layer {layer.name!r}: Keras' pooling knows padding 'valid' and "
                            f"'same', not {padding}; use one of them to save the model.")
    return entries


def _spatial_dropout(layer: SpatialDropout2D, config: dict) -> tuple[str, dict[str, Any]]:
    """Keras' SpatialDropout2D, or if it is frozen, the Dropout that computes the same: the former
    takes no trainable, alone of all Keras' layers."""
    if layer.trainable:
        del config["trainable"]
        return "SpatialDropout2D", config
    return "Dropout", config | {"noise_shape": WHOLE_CHANNELS}
