"""From Keras' layers to minicnn's, class by class; layer_entries.py is the way back.

A layer of Keras' is its class' name and a dict of settings. Those of Keras 1 have other names,
which are brought up to date first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..layers import (
    ELU,
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
    Softmax,
    SpatialDropout2D,
    ZeroPadding2D,
)
from ..layers.activations import ACTIVATIONS, make_activation

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


# Layers that draw random numbers in training, and return their input in prediction.
ONLY_IN_TRAINING = frozenset(f"Random{what}" for what in (
    "Flip Rotation Zoom Translation Contrast Brightness Shear Hue Saturation ColorJitter "
    "ColorDegeneration Grayscale GaussianBlur Sharpness Posterization Invert Erasing Perspective "
    "ElasticTransform Height Width").split()) | {
    "AlphaDropout", "RandAugment", "AugMix", "ActivityRegularization", "MixUp", "CutMix"}


# Classes, settings and values that have other names in Keras 1.
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


def is_of_keras(entry: dict) -> bool:
    """Whether a class is Keras' own, by the module and the name that the file states."""
    module = (entry.get("module") or "keras").partition(".")[0]
    return module in ("keras", "tf_keras") and ">" not in (entry.get("registered_name") or "")


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


OWN_ACTIVATIONS = ("ReLU", "LeakyReLU", "ELU", "Softmax")  # that other layers take as activation
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
    "Identity": lambda c: None,
    "Dropout": lambda c: (SpatialDropout2D if c.get("noise_shape") else Dropout)(
        **_arguments(c, "rate"), seed=_seed(c)),
    "SpatialDropout2D": lambda c: SpatialDropout2D(**_arguments(c, "rate"), seed=_seed(c)),
    "GaussianDropout": lambda c: GaussianDropout(**_arguments(c, "rate"), seed=_seed(c)),
    "GaussianNoise": lambda c: GaussianNoise(**_arguments(c, "stddev"), seed=_seed(c)),
}


def read_layer(kind: str, config: dict, keras_2: bool) -> list[Layer]:
    """The layers that compute a layer of Keras', of a class in READERS: one, or none for a linear
    Activation, or two if its activation has a number of its own: a hard_sigmoid of Keras 1 or 2,
    x / 5 + ½ between 0 and 1, in Keras 3 x / 6 + ½; or a layer, as in
    Conv2D(…, activation=LeakyReLU(0.1)).
    """
    activation = None
    if kind in ("Conv2D", "Dense", "Activation"):
        activation = _own_activation(config.get("activation"), keras_2, config["name"])
    layer = READERS[kind](config | {"activation": "linear"} if activation else config)
    if activation and layer is None:  # an Activation
        activation.name = config["name"]
    return [layer for layer in (layer, activation) if layer is not None]


def _own_activation(activation: Any, keras_2: bool, layer_name: str) -> Layer | None:
    """The layer of an activation that no name in ACTIVATIONS stands for; None for all others."""
    if keras_2 and activation == "hard_sigmoid":
        return HardSigmoid(1 / 5, f"{layer_name}_hard_sigmoid")
    if (isinstance(activation, dict) and activation.get("class_name") in OWN_ACTIVATIONS
            and isinstance(activation.get("config"), dict) and is_of_keras(activation)):
        kind, config = activation["class_name"], activation["config"]
        check_settings(kind, config)
        return READERS[kind](config | {"name": f"{layer_name}_{kind.lower()}"})
    return None
