"""Arithmetic in a Functional model, such as x / 255.0: the layer of Keras' to write instead."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any


def written(c: float) -> str:
    """All digits that count: 255 for 255.0, 0.00392156862745098 for 1 / 255."""
    return repr(c).removesuffix(".0")


# Of a number c beside the tensor x: the formula, and the layer that computes it.
X_FIRST: dict[str, Callable[[float], tuple[str, str]]] = {
    "TrueDivide": lambda c: (f"x / {written(c)}", f"Rescaling(1 / {written(c)})"),
    "Multiply": lambda c: (f"x * {written(c)}", f"Rescaling({written(c)})"),
    "Add": lambda c: (f"x + {written(c)}", f"Rescaling(1, offset={written(c)})"),
    "Subtract": lambda c: (f"x - {written(c)}", f"Rescaling(1, offset={written(-c)})")}
X_SECOND: dict[str, Callable[[float], tuple[str, str]]] = {
    "Multiply": lambda c: (f"{written(c)} * x", f"Rescaling({written(c)})"),
    "Add": lambda c: (f"{written(c)} + x", f"Rescaling(1, offset={written(c)})"),
    "Subtract": lambda c: (f"{written(c)} - x", f"Rescaling(-1, offset={written(c)})")}
SAME = {"Divide": "TrueDivide"}  # keras.ops.divide


def layer_instead(entry: dict) -> str:
    """A sentence for a layer that Keras 3 made of arithmetic with one number, or with an array of
    them: which layer of Keras' computes the same. "" for all else."""
    kind = SAME.get(entry["class_name"], entry["class_name"])
    if kind not in X_FIRST or not str(entry.get("module")).startswith("keras.src.ops"):
        return ""
    nodes = entry.get("inbound_nodes")
    call = nodes[0] if isinstance(nodes, list) and nodes else None
    arguments = call.get("args") if isinstance(call, dict) else None
    if not isinstance(arguments, list) or len(arguments) != 2:
        return ""
    tensors = [_class_of(argument) == "__keras_tensor__" for argument in arguments]
    if sum(tensors) != 1:
        return ""
    number, formulas = arguments[tensors.index(False)], X_FIRST if tensors[0] else X_SECOND
    if _class_of(number) == "__numpy__":
        return ("It is arithmetic with an array, as keras.layers.Normalization(mean=…, "
                "variance=…) or Rescaling computes it: use that in its place")
    if kind not in formulas or isinstance(number, bool) or not isinstance(number, (int, float)):
        return ""
    if abs(number) > 1e30 or not math.isfinite(number) or (kind == "TrueDivide" and number == 0):
        return ""
    formula, layer = formulas[kind](number)
    return f"It is {formula}: use keras.layers.{layer} in its place, which computes the same"


def _class_of(argument: Any) -> str | None:
    """What Keras wrote an argument of a call as, if it is no plain value."""
    return argument.get("class_name") if isinstance(argument, dict) else None
