"""A model's predictions for a data set: accuracy, its confidence interval, confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..plotting.drawing import HasFigure
from ..plotting.training import confusion_figure
from ..utils.errors import ArgumentError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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


def class_probabilities(y: np.ndarray) -> np.ndarray:
    """Outputs of a head -> (N, K) probabilities: one sigmoid output p becomes 1 − p, p."""
    return np.concatenate([1 - y, y], axis=1) if y.shape[1] == 1 else y


@dataclass
class Evaluation(HasFigure):
    """A model's predictions for a data set: probabilities (N, K), predicted (N,), labels (N,).
    Jupyter shows it as the confusion matrix."""

    probabilities: np.ndarray
    labels: np.ndarray
    classes: list[str]
    predicted: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.predicted = self.probabilities.argmax(axis=1)

    @property
    def num_correct(self) -> int:
        """Number of images classified correctly."""
        return int((self.predicted == self.labels).sum())

    @property
    def accuracy(self) -> float:
        """Share of images classified correctly."""
        return self.num_correct / len(self.labels)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the accuracy."""
        return wilson_interval(self.num_correct, len(self.labels))

    @property
    def confusion(self) -> np.ndarray:
        """(K, K) counts: row = true class, column = predicted class."""
        K = len(self.classes)
        return np.bincount(self.labels * K + self.predicted, minlength=K * K).reshape(K, K)

    def __str__(self) -> str:
        low, high = self.interval
        return (f"{self.num_correct} of {len(self.labels)} photos right: "
                f"{100 * self.accuracy:.1f} % (95 % interval {100 * low:.1f} … {100 * high:.1f} %)")

    def figure(self) -> Figure:
        """The confusion matrix."""
        return confusion_figure(self.confusion, self.classes, str(self).replace(": ", "\n"))
