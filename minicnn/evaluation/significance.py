"""How sure is an accuracy? The confidence interval of one, a test for the difference of two."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..utils.arrays import BoolArray
from ..utils.errors import ArgumentError, ShapeError


def wilson_interval(correct: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % confidence interval of a share correct / n that was measured on n images.

    All shares p whose distance to correct / n is at most z standard errors √(p (1 − p) / n); unlike
    p ± z·se it stays within 0 … 1. Source: Wilson 1927.
    """
    if not 0 <= correct <= n or n < 1:
        raise ArgumentError(f"wilson_interval: expected 0 ≤ correct ≤ n and n ≥ 1, "
                            f"received {correct} and {n}.")
    centre = (correct + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * np.sqrt(correct * (n - correct) / n + z * z / 4)
    p = correct / n  # inside despite rounding: for 0 and n it is an end of the interval
    return max(0.0, min(p, float(centre - half))), min(1.0, max(p, float(centre + half)))


class McNemar(NamedTuple):
    """How many images only the first or only the second classifier gets right, and the p value."""

    only_a: int
    only_b: int
    p: float


def mcnemar(correct_a: BoolArray, correct_b: BoolArray) -> McNemar:
    """Do two classifiers differ? correct_a, correct_b (N,) bool: which images each gets right.

    Only the n images count that exactly one of them gets right, a of them the first and b the
    second. If both were equally good, each image would be like the toss of a coin:
    p = min(1, 2 Σ_{i ≤ min(a, b)} C(n, i) / 2ⁿ), exact and two-sided; 1 if n is 0.
    Source: McNemar 1947; Dietterich 1998, section 3.1.
    """
    correct_a, correct_b = np.asarray(correct_a), np.asarray(correct_b)
    if not correct_a.dtype == correct_b.dtype == bool or correct_a.shape != correct_b.shape:
        raise ShapeError(f"mcnemar: expected two bool arrays (N,) of the same photos, received "
                         f"{correct_a.dtype} {correct_a.shape} and {correct_b.dtype} "
                         f"{correct_b.shape}.")
    a, b = int((correct_a & ~correct_b).sum()), int((correct_b & ~correct_a).sum())
    term = total = 1  # C(n, 0)
    for i in range(1, min(a, b) + 1):
        term = term * (a + b - i + 1) // i  # C(n, i) from C(n, i − 1), in integers
        total += term
    return McNemar(a, b, min(1.0, 2 * total / 2 ** (a + b)))
