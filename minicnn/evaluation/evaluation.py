"""A model's predictions for a data set: accuracy, its confidence interval, confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..plotting.confusion import confusion_figure
from ..plotting.drawing import HasFigure
from ..utils.arrays import FloatArray, IntArray
from ..utils.language import gettext as _
from .significance import wilson_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def class_probabilities(y: FloatArray) -> FloatArray:
    """Outputs of a head -> (N, K) probabilities: one sigmoid output p becomes 1 − p, p."""
    return np.concatenate([1 - y, y], axis=1) if y.shape[1] == 1 else y


@dataclass
class Evaluation(HasFigure):
    """A model's predictions for a data set: probabilities (N, K), predicted (N,), labels (N,).
    Jupyter shows it as the confusion matrix."""

    probabilities: FloatArray
    labels: IntArray
    classes: list[str]
    predicted: IntArray = field(init=False)

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
    def confusion(self) -> IntArray:
        """(K, K) counts: row = true class, column = predicted class."""
        K = len(self.classes)
        return np.bincount(self.labels * K + self.predicted, minlength=K * K).reshape(K, K)

    def __str__(self) -> str:
        low, high = self.interval
        return _("{correct} of {count} photos right: {accuracy:.1f} % (95 % interval {low:.1f} … "
                 "{high:.1f} %)", correct=self.num_correct, count=len(self.labels),
                 accuracy=100 * self.accuracy, low=100 * low, high=100 * high)

    def figure(self) -> Figure:
        """The confusion matrix."""
        low, high = self.interval
        title = _("{correct} of {count} {photos} right", correct=self.num_correct,
                  count=len(self.labels), photos=_("photos"))
        title += "\n" + _("{accuracy:.1f} % (95 % interval {low:.1f} … {high:.1f} %)",
                          accuracy=100 * self.accuracy, low=100 * low, high=100 * high)
        return confusion_figure(self.confusion, self.classes, title)
