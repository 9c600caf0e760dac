"""How precisely a layer computes, and the steps and bounds that fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .point import Point


@dataclass(frozen=True)
class Precision:
    """The step ε of the differences, the largest relative error that rounding explains, and the
    unit of rounding u. The step nearly balances ε² (the series cut off) with u/ε (rounding)."""

    eps: float
    tolerance: float
    rounding: float

    @property
    def is_float32(self) -> bool:
        """Whether forward computes in float32."""
        return self.rounding > 1e-10


FLOAT64 = Precision(1e-6, 1e-6, float(np.finfo(np.float64).eps))
FLOAT32 = Precision(8e-3, 1e-3, float(np.finfo(np.float32).eps))
FLOAT32_BACKWARD = Precision(1e-6, 1e-4, float(np.finfo(np.float64).eps))


def precision_of(point: Point, y: np.ndarray, rng: np.random.Generator) -> Precision:
    """FLOAT32 if y is float32, or does not move where a float64 layer's y would: x or a parameter
    is moved by 1e-11 of its size, which float32 does not resolve."""
    if y.dtype == np.float32:
        return FLOAT32
    for value in point.values.values():
        direction = rng.normal(size=value.shape) * (np.abs(value).max(initial=0) or 1.0)
        original, moved = value.copy(), []
        for step in (1e-3, 1e-11):
            value[...] = original + step * direction
            moved.append(np.abs(point.output() - y))
        value[...] = original
        moves = moved[0] > 1e-6 * np.abs(y)
        if moves.any() and (moved[1][moves] == 0).mean() > 0.5:
            return FLOAT32
    return FLOAT64
