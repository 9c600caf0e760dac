"""A network as a table, and the receptive fields of its layers."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from types import ModuleType
from typing import cast

import numpy as np

from .layers import Layer
from .layers.base import ActivatedLayer
from .layers.network import Network
from .ops import ops_for
from .ops.precision import current_precision
from .utils.language import fill_in
from .utils.language import gettext as _
from .utils.language import gettext_noop as N_


def receptive_fields(layers: Sequence[Layer], input_shape: tuple[int, ...]
                     ) -> list[tuple[int, int] | None]:
    """For each layer the patch (height, width) of the input that one output sees; None: all of it.

    Neighbouring outputs are j input pixels apart: a kernel K adds (K − 1)·j, then j grows by s.
    """
    fields: list[tuple[int, int] | None] = []
    field: tuple[int, int] | None = (1, 1)
    jump = (1, 1)
    shape = input_shape
    for layer in layers:
        window = layer.window(shape) if field and len(input_shape) == 3 else None
        if window is None or field is None:
            field = None
        else:
            (KH, KW), (sh, sw) = window.kernel, window.strides
            field = (field[0] + (KH - 1) * jump[0], field[1] + (KW - 1) * jump[1])
            jump = (jump[0] * sh, jump[1] * sw)
        fields.append(field)
        shape = layer.output_shape(shape)
    return fields


HEADER = (N_("layer"), N_("kind"), N_("output"), N_("parameters"), "", N_("sees"))


def rows(model: Network) -> list[tuple[str, ...]]:
    """The table's cells, a row per layer with the columns of HEADER."""
    shapes = model.shapes()[1:]
    table_rows: list[tuple[str, ...]] = []
    fields = receptive_fields(model.layers, model.input_shape)
    for layer, shape, field in zip(model.layers, shapes, fields, strict=True):
        count = sum(p.size for p in layer.params.values())
        kind = type(layer).__name__ + (f" + {layer.activation_name}"
                                       if isinstance(layer, ActivatedLayer) and layer.activation
                                       else "")
        state = _("trainable") if layer.trainable else _("frozen")
        table_rows.append((layer.name, kind, str(shape),
                           fill_in("{count:,}", {"count": count}) if count else "",
                           state if count else "",
                           _("the whole input") if field is None else f"{field[0]} × {field[1]}"))
    return table_rows


def header() -> list[str]:
    """The names of the columns."""
    return [_(name) if name else "" for name in HEADER]


def backend_name() -> str:
    """Which backend computes with NumPy's arrays: "native", "fast" or "reference"."""
    return cast(ModuleType, ops_for(np.zeros(1))).__name__.rpartition(".")[2]


def footer(model: Network) -> list[str]:
    """The lines below the table: the number of parameters, backend, preprocessing, classes,
    weights."""
    counts = {True: 0, False: 0}
    for layer in model.layers:
        for key, p in layer.params.items():
            counts[layer.trainable and key not in layer.non_trainable] += p.size
    tf32 = model.device != "cpu" and current_precision() == "tf32"
    extras = {_("precision"): _("TF32 in matrix products, about 3e-4") if tf32 else None,
              _("backend"): backend_name() if model.device == "cpu" else None,
              _("preprocessing"): model.preprocessing,
              _("classes"): ", ".join(model.classes or []), _("weights"): model.weights_note}
    return [_("{total:,} parameters: {trainable:,} trainable, {frozen:,} frozen",
              total=sum(counts.values()), trainable=counts[True], frozen=counts[False]),
            *(f"{key}{_(': ')}{value}" for key, value in extras.items() if value)]


def title(model: Network) -> str:
    """The line above the table."""
    return _("{model}: input {shape}", model=model.name, shape=model.input_shape)


def table(model: Network) -> str:
    """A table: name, kind, shape, parameters, trainable or frozen, receptive field."""
    lines = [f"{name:<22} {kind:<20} {shape:<18} {count:>12}  {state:<9} {sees}"
             for name, kind, shape, count, state, sees in [header(), *rows(model)]]
    return "\n".join([title(model), *lines, *footer(model)])


def html(model: Network) -> str:
    """The same table for Jupyter."""
    def row(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}" for cell in cells)

    body = "".join(row(cells, "td") for cells in rows(model))
    return (f"<p>{escape(title(model))}</p>"
            f"<table>{row(header(), 'th')}{body}</table>"
            f"<p>{'<br>'.join(map(escape, footer(model)))}")
