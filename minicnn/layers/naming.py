"""Names of the layers of a network: those that were given, and Keras' names for the others."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from ..utils.errors import ArgumentError
from .base import Layer

KERAS_NAMES = {"batchnormalization": "batch_normalization", "prelu": "p_re_lu"}  # of two words


def layer_names(layers: Sequence[Layer]) -> list[str]:
    """A name for each layer: its own, or if it has none conv2d, conv2d_1, …: the names that Keras
    gives the layers with parameters in the first model of a session.

    Raises ArgumentError for something that is not a layer, and for a layer or a name that occurs
    twice.
    """
    names: list[str] = []
    for i, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            raise ArgumentError(f"Sequential: expected layers, received {layer!r} as number {i}.")
        if any(layer is other for other in layers[:i]):
            raise ArgumentError(f"Sequential: expected each layer once, received {layer!r} twice. "
                                f"It keeps what its backward needs: make a second one.")
        names.append("" if layer.auto_named else layer.name)
        if names[-1] and names.count(names[-1]) > 1:
            raise ArgumentError(f"Sequential: expected a different name for each layer, received "
                                f"{names[-1]!r} twice. Rename one.")
    for i, layer in enumerate(layers):
        kind = type(layer).__name__.lower()
        kind = KERAS_NAMES.get(kind, kind)
        numbered = (f"{kind}_{k}" if k else kind for k in count())
        names[i] = names[i] or next(name for name in numbered if name not in names)
    return names
