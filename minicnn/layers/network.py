"""A network as the rooms below model.py know it: a Sequential fits, and so does anything else with
its members. These are types only; nothing inherits from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..preprocessing import Preprocessing
from .base import Layer


class LayerStack(Protocol):
    """Layers in a row, which is all that an optimizer needs."""

    @property
    def layers(self) -> Sequence[Layer]:
        """From the input to the output."""


class NamedStack(LayerStack, Protocol):
    """Layers in a row with a name for errors: a Sequential, or ThreadParallel around one."""

    name: str


class Network(NamedStack, Protocol):
    """What inference, the summary and the writers of files need."""

    input_shape: tuple[int, ...]
    classes: list[str] | None
    weights_note: str

    @property
    def preprocessing(self) -> Preprocessing | None:
        """The recipe from pixels to x."""

    @property
    def device(self) -> str:
        """Of the parameters."""

    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes without N: of the input, then of every layer's output."""
