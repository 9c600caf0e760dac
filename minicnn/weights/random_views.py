"""What Keras' layers of augmentation are in minicnn.data.Augment: a suggestion, nothing is changed.

    Keras                                          Augment             the same views?
    RandomFlip("horizontal")                       flip                yes
    RandomRotation(f)                              rotate=360·f        yes: Keras counts turns
    RandomTranslation(f, f)                        shift=f             yes
    RandomZoom(f)                                  zoom=f              nearly: sizes 1 − f … 1 + f,
                                                                       here e⁻ᶠ … eᶠ
    RandomFlip("vertical"), the standard one (both directions), RandomContrast, RandomBrightness
    (to which colour adds saturation), limits of unequal size, and all others: none

each with Keras' standards fill_mode "reflect" (mirrored beyond the edges) and bilinear.
Source: Keras' layers/preprocessing/image_preprocessing (3.15), data/augment.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

MAX_AMOUNTS = {"rotate": 180.0, "shift": 0.5, "zoom": 1.0}  # Augment's


def suggestion(layers: Sequence[tuple[str, dict]]) -> str:
    """A remark such as " (to train on with such views: Augment.parse('flip,rotate=36'))" on layers
    as (class, settings) of Keras; "" if Augment has none of their views."""
    views: dict[str, str] = {}
    lacking = []
    for kind, config in layers:
        name, amount = equal_view(kind, config)
        if name is None or name in views:
            lacking.append(config["name"])
        else:
            views[name] = name if amount is None else f"{name}={amount:g}"
    if not views:
        return ""
    nearly = ", the zoom nearly" * ("zoom" in views)
    rest = f", and nothing for {', '.join(lacking)}" if lacking else ""
    return (f" (to train on with such views{nearly}: Augment.parse({','.join(views.values())!r})"
            f"{rest})")


def equal_view(kind: str, config: dict) -> tuple[str | None, float | None]:
    """(name of an amount of Augment's, its value; None for flip); (None, None) if it has none."""
    if kind == "RandomFlip":
        return ("flip", None) if config.get("mode") == "horizontal" else (None, None)
    if (config.get("fill_mode", "reflect"), config.get("interpolation", "bilinear")) != (
            "reflect", "bilinear"):
        return None, None
    name, amount = None, None
    if kind == "RandomRotation" and (turns := limit(config.get("factor"))) is not None:
        name, amount = "rotate", 360 * turns
    elif kind == "RandomTranslation":
        amount = limit(config.get("height_factor"))
        name = "shift" if amount == limit(config.get("width_factor")) else None
    elif kind == "RandomZoom" and config.get("width_factor") is None:
        name, amount = "zoom", limit(config.get("height_factor"))
    if name is None or amount is None or not 0 < amount <= MAX_AMOUNTS[name]:
        return None, None
    return name, amount


def limit(factor: Any) -> float | None:
    """f of Keras' factor f or (-f, f); None for anything else."""
    if isinstance(factor, (list, tuple)) and len(factor) == 2:
        low, factor = factor
        if not is_number(low) or not is_number(factor) or low != -factor:
            return None
    return float(factor) if is_number(factor) else None


def is_number(value: Any) -> bool:
    """Whether it is an int or a float, and one that a float can hold."""
    return isinstance(value, (int, float)) and abs(value) < 1e9
