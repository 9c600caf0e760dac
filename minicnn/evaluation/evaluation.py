"""How good is it, and how sure can we be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..plotting.drawing import Drawn
from ..plotting.training import confusion_figure
from ..utils.errors import ArgumentError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def wilson_interval(right: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a share right / n that was measured on n photos.

    All shares p whose distance to right / n is at most z standard errors √(p (1 − p) / n); unlike
    p ± z·se it stays within 0 … 1. Source: Wilson 1927.
    """
    if not 0 <= right <= n or n < 1:
        raise ArgumentError(f"wilson_interval: expected 0 ≤ right ≤ n and n ≥ 1, "
                            f"received {right} and {n}.")
    centre = (right + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * np.sqrt(right * (n - right) / n + z * z / 4)
    p = right / n  # within, whatever the rounding: at 0 and n it is an end of the interval
    return max(0.0, min(p, float(centre - half))), min(1.0, max(p, float(centre + half)))


def class_probabilities(y: np.ndarray) -> np.ndarray:
    """Outputs of a head -> (N, K) probabilities: one sigmoid output p becomes 1 − p, p."""
    return np.concatenate([1 - y, y], axis=1) if y.shape[1] == 1 else y


@dataclass
class Evaluation(Drawn):
    """What a model says of a data set: probabilities (N, K), predicted (N,), labels (N,). In
    Jupyter it shows the confusion matrix."""

    probabilities: np.ndarray
    labels: np.ndarray
    classes: list[str]
    predicted: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.predicted = self.probabilities.argmax(axis=1)

    @property
    def right(self) -> int:
        """Number of photos classified right."""
        return int((self.predicted == self.labels).sum())

    @property
    def accuracy(self) -> float:
        """Share of photos classified right."""
        return self.right / len(self.labels)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy."""
        return wilson_interval(self.right, len(self.labels))

    @property
    def confusion(self) -> np.ndarray:
        """(K, K) counts: row = true class, column = predicted class."""
        K = len(self.classes)
        return np.bincount(self.labels * K + self.predicted, minlength=K * K).reshape(K, K)

    def __str__(self) -> str:
        low, high = self.interval
        return (f"{self.right} of {len(self.labels)} photos right: {100 * self.accuracy:.1f} % "
                f"(95 % interval {100 * low:.1f} … {100 * high:.1f} %)")

    def figure(self) -> Figure:
        """The confusion matrix."""
        return confusion_figure(self.confusion, self.classes, str(self).replace(": ", "\n"))
