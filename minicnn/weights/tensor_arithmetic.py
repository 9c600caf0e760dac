"""Arithmetic in a Functional model, such as x / 255.0: the layer of Keras' to write instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# Of a number c beside the tensor x: the formula, and the layer that computes it.
X_FIRST: dict[str, Callable[[float], tuple[str, str]]] = {
    "TrueDivide": lambda c: (f"x / {c:g}", f"Rescaling(1 / {c:g})"),
    "Multiply": lambda c: (f"x * {c:g}", f"Rescaling({c:g})"),
    "Add": lambda c: (f"x + {c:g}", f"Rescaling(1, offset={c:g})"),
    "Subtract": lambda c: (f"x - {c:g}", f"Rescaling(1, offset={-c:g})")}
X_SECOND: dict[str, Callable[[float], tuple[str, str]]] = {
    "Multiply": lambda c: (f"{c:g} * x", f"Rescaling({c:g})"),
    "Add": lambda c: (f"{c:g} + x", f"Rescaling(1, offset={c:g})"),
    "Subtract": lambda c: (f"{c:g} - x", f"Rescaling(-1, offset={c:g})")}
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
    formula, layer = formulas[kind](number)
    return f"It is {formula}: use keras.layers.{layer} in its place, which computes the same"


def _class_of(argument: Any) -> str | None:
    """What Keras wrote an argument of a call as, if it is no plain value."""
    return argument.get("class_name") if isinstance(argument, dict) else None
