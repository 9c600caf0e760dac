"""A network as a table, and how much of the image each of its outputs sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .layers import Layer


def receptive_fields(layers: Sequence[Layer], input_shape: tuple[int, ...]
                     ) -> list[tuple[int, int] | None]:
    """Per layer the patch (height, width) of the input that one output sees; None means all.

    One step of an output is j input pixels: a kernel K adds (K − 1)·j, then j grows by s.
    """
    field, step, fields = [1, 1], [1, 1], []
    for layer in layers:
        window = layer.window if field and len(input_shape) == 3 else None
        if window is None:
            field = None
        else:
            field = [r + (K - 1) * j for r, K, j in zip(field, window[0], step, strict=True)]
            step = [j * s for j, s in zip(step, window[1], strict=True)]
        fields.append(field and tuple(field))
    return fields


def table(model: Any) -> str:
    """A table: name, kind, shape, parameters, trainable or frozen, receptive field."""
    shapes, fields = model.shapes()[1:], receptive_fields(model.layers, model.input_shape)
    lines = [f"{model.name}: input {model.input_shape}",
             f"{'layer':<22} {'kind':<20} {'output':<18} {'parameters':>12}  {'':<9} sees"]
    counts = {True: 0, False: 0}
    for layer, shape, field in zip(model.layers, shapes, fields, strict=True):
        count = sum(p.size for p in layer.params.values())
        counts[layer.trainable] += count
        kind = type(layer).__name__ + (f" + {layer.activation_name}"
                                       if getattr(layer, "activation", None) else "")
        number, state = f"{count:,}", "trainable" if layer.trainable else "frozen"
        sees = "the whole input" if field is None else f"{field[0]} × {field[1]}"
        lines.append(f"{layer.name:<22} {kind:<20} {str(shape):<18} "
                     f"{number if count else '':>12}  {state if count else '':<9} {sees}")
    lines.append(f"{sum(counts.values()):,} parameters: {counts[True]:,} trainable, "
                 f"{counts[False]:,} frozen")
    extras = {"preprocessing": model.preprocessing, "classes": ", ".join(model.classes or []),
              "weights": model.weights_note}
    return "\n".join(lines + [f"{key}: {value}" for key, value in extras.items() if value])
