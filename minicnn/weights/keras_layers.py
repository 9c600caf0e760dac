"""Keras' layers and minicnn's, class by class, both ways.

A layer of Keras' is its class' name and a dict of settings. Those of Keras 1 have other names,
which are brought up to date first.
"""

from __future__ import annotations

from collections.abc import Callable
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
from ..layers.activations import ACTIVATIONS, make_activation
from ..utils.errors import FileError

# Settings that minicnn's layers always have; a config with others computes something else.
FIXED_SETTINGS: dict[str, tuple] = {
    "data_format": ("channels_last", None), "dilation_rate": (1, [1, 1]), "groups": (1,),
    "keepdims": (False,), "noise_shape": (None,)}
WHOLE_CHANNELS = [None, 1, 1, None]  # the noise_shape of a Dropout that is a SpatialDropout2D
FIXED_SETTINGS_OF: dict[str, dict[str, tuple]] = {  # the same, of one class
    "Dropout": {"noise_shape": (None, WHOLE_CHANNELS)},
    "ReLU": {"max_value": (None, 6), "threshold": (0,)},
    "Resizing": {"fill_mode": ("constant",), "fill_value": (0,)},
    "Softmax": {"axis": (-1,)}, "Normalization": {"invert": (False,)},
    "BatchNormalization": {"mode": (0,), "renorm": (False,), "virtual_batch_size": (None,)}}


# What draws random numbers in training, and in predicting returns its input.
ONLY_IN_TRAINING = frozenset(f"Random{what}" for what in (
    "Flip Rotation Zoom Translation Contrast Brightness Shear Hue Saturation ColorJitter "
    "ColorDegeneration Grayscale GaussianBlur Sharpness Posterization Invert Erasing Perspective "
    "ElasticTransform Height Width").split()) | {
    "AlphaDropout", "RandAugment", "AugMix", "ActivityRegularization", "MixUp", "CutMix"}


# What Keras 1 calls classes, settings and values otherwise.
KERAS_1_CLASSES = {"Convolution2D": "Conv2D"}
KERAS_1_SETTINGS = {"nb_filter": "filters", "subsample": "strides", "border_mode": "padding",
                    "output_dim": "units", "p": "rate", "bias": "use_bias",
                    "dim_ordering": "data_format"}
KERAS_1_VALUES = {"tf": "channels_last", "th": "channels_first"}  # of dim_ordering


def modern_class(kind: str) -> str:
    """The name of a class of Keras 1 since Keras 2; any other name itself."""
    return KERAS_1_CLASSES.get(kind, kind)


def modern(kind: str, config: dict) -> dict:
    """The settings of a layer of Keras 1 under the names they have since Keras 2; those of any
    other layer as they are."""
    modernized = {}
    for key, value in config.items():
        if KERAS_1_SETTINGS.get(key, key) in config.keys() - {key}:
            continue  # both names: the new one counts
        value = KERAS_1_VALUES.get(value, value) if key == "dim_ordering" else value
        modernized[KERAS_1_SETTINGS.get(key, key)] = value
    if "nb_row" in config and "kernel_size" not in config:
        modernized["kernel_size"] = [config["nb_row"], config["nb_col"]]
    padding = config.get("padding")
    if kind == "ZeroPadding2D" and isinstance(padding, list) and len(padding) == 4:
        modernized["padding"] = [padding[:2], padding[2:]]
    return modernized


class UnsupportedSettingError(Exception):
    """Its args: the setting's key, its value in the file, the values that minicnn has."""


def check_settings(kind: str, config: dict) -> None:
    """Raises UnsupportedSettingError for a layer that computes something else than minicnn's."""
    fixed = FIXED_SETTINGS | FIXED_SETTINGS_OF.get(kind, {})
    for key in fixed.keys() & config.keys():
        if config[key] not in fixed[key]:
            raise UnsupportedSettingError(key, config[key], fixed[key])


def _arguments(config: dict, *keys: str, **defaults: Any) -> dict:
    """The entries of a config that are also constructor arguments here; lists become tuples.
    defaults: of entries that older files lack."""
    arguments = {key: config[key] for key in ("name", *keys)}
    arguments |= {key: config.get(key, value) for key, value in defaults.items()}
    plain = {key: _without_numpy(value) for key, value in arguments.items()}
    return {key: tuple(v) if isinstance(v, list) else v for key, v in plain.items()}


def _without_numpy(value: Any) -> Any:
    """The numbers of an array of NumPy's as Keras 3 and as Keras 2 write it; else the value."""
    if isinstance(value, dict) and value.get("class_name") in ("__numpy__", "__tensor__"):
        return value["config"]["value"]
    if isinstance(value, dict) and value.get("type") == "ndarray":
        return value["value"]
    return value


def _activation_name(config: dict) -> str | None:
    """The activation of a config; "linear" is None here."""
    activation = config.get("activation", "linear")
    known = ("linear", *ACTIVATIONS)
    activation = "silu" if activation == "swish" else activation  # its name until Keras 2.2
    if not isinstance(activation, str) or activation not in known:
        raise UnsupportedSettingError("activation", activation, known)
    return None if activation == "linear" else activation


def _affine(config: dict, *keys: str) -> dict:
    """Arguments of Conv2D and Dense."""
    arguments = _arguments(config, *keys, use_bias=True)
    if not isinstance(arguments["use_bias"], bool):
        raise UnsupportedSettingError("use_bias", arguments["use_bias"], (True, False))
    return arguments | {"activation": _activation_name(config)}


def _activation(config: dict) -> Layer | None:
    """Activation("relu") -> ReLU(); "linear" -> nothing to do."""
    return make_activation(_activation_name(config), config["name"])


def _leaky_relu(config: dict) -> LeakyReLU:
    """LeakyReLU, whose slope Keras 2 calls alpha."""
    slope = config.get("negative_slope", config.get("alpha", 0.3))
    return LeakyReLU(_without_numpy(slope), config["name"])


def _relu(config: dict) -> Layer:
    """ReLU, of which Keras' has a slope below 0 and a maximum, of 6 here."""
    slope, maximum = config.get("negative_slope"), config.get("max_value")
    if slope and maximum is not None:
        raise UnsupportedSettingError("negative_slope", slope, (0, "max_value None"))
    if slope:
        return _leaky_relu(config)
    return ReLU(config["name"]) if maximum is None else ReLU6(config["name"])


def _seed(config: dict) -> int:
    """The seed of a layer that draws random numbers."""
    return config.get("seed") or 0


POOL = ("pool_size", "strides", "padding")
READERS: dict[str, Callable[[dict], Layer | None]] = {
    "Conv2D": lambda c: Conv2D(**_affine(c, "filters", "kernel_size", "strides", "padding")),
    "Dense": lambda c: Dense(**_affine(c, "units")),
    "MaxPooling2D": lambda c: MaxPool2D(**_arguments(c, *POOL)),
    "AveragePooling2D": lambda c: AveragePool2D(**_arguments(c, *POOL)),
    "GlobalAveragePooling2D": lambda c: GlobalAveragePool2D(**_arguments(c)),
    "GlobalMaxPooling2D": lambda c: GlobalMaxPool2D(**_arguments(c)),
    "BatchNormalization": lambda c: BatchNormalization(**_arguments(
        c, axis=-1, momentum=0.99, epsilon=0.001, center=True, scale=True)),
    "ZeroPadding2D": lambda c: ZeroPadding2D(**_arguments(c, "padding")),
    "Flatten": lambda c: Flatten(**_arguments(c)),
    "Reshape": lambda c: Reshape(**_arguments(c, "target_shape")),
    "Permute": lambda c: Permute(**_arguments(c, "dims")),
    "Rescaling": lambda c: Rescaling(**_arguments(c, "scale", offset=0.0)),
    "Normalization": lambda c: Normalization(**_arguments(c, axis=-1, mean=None, variance=None)),
    "CenterCrop": lambda c: CenterCrop(**_arguments(c, "height", "width")),
    "Resizing": lambda c: Resizing(**_arguments(
        c, "height", "width", interpolation="bilinear", crop_to_aspect_ratio=False,
        pad_to_aspect_ratio=False, antialias=False)),
    "ReLU": _relu,
    "LeakyReLU": _leaky_relu,
    "ELU": lambda c: ELU(**_arguments(c, alpha=1.0)),
    "PReLU": lambda c: PReLU(**_arguments(c, shared_axes=None)),
    "Softmax": lambda c: Softmax(**_arguments(c)),
    "Activation": _activation,
    "Dropout": lambda c: (SpatialDropout2D if c.get("noise_shape") else Dropout)(
        **_arguments(c, "rate"), seed=_seed(c)),
    "SpatialDropout2D": lambda c: SpatialDropout2D(**_arguments(c, "rate"), seed=_seed(c)),
    "GaussianDropout": lambda c: GaussianDropout(**_arguments(c, "rate"), seed=_seed(c)),
    "GaussianNoise": lambda c: GaussianNoise(**_arguments(c, "stddev"), seed=_seed(c)),
}


def read_layer(kind: str, config: dict, keras_2: bool) -> list[Layer]:
    """The layers that compute a layer of Keras', of a class in READERS: one, or none for a linear
    Activation.

    keras_2: in a file of Keras 1 or 2, whose hard_sigmoid is x / 5 + ½ between 0 and 1, in Keras 3
             x / 6 + ½. There it becomes a layer of its own.
    """
    old = (keras_2 and kind in ("Conv2D", "Dense", "Activation")
           and config.get("activation") == "hard_sigmoid")
    layer = READERS[kind](config | {"activation": "linear"} if old else config)
    layers = [] if layer is None else [layer]
    if old:
        name = config["name"] if layer is None else f"{config['name']}_hard_sigmoid"
        layers.append(HardSigmoid(1 / 5, name))
    return layers


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
