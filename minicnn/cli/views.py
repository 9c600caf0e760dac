"""--tta: the mean of several views of each photo, test-time augmentation."""

from __future__ import annotations

import numpy as np

from ..evaluation import class_probabilities
from ..evaluation.metrics import MAX_VIEWS, view
from ..model import Sequential
from ..utils.errors import ArgumentError


def check_views(views: int) -> None:
    """Raises ArgumentError unless there are that many views."""
    if not 1 <= views <= MAX_VIEWS:
        raise ArgumentError(f"--tta: expected 1 to {MAX_VIEWS} views, received {views}.")


def mean_of_views(model: Sequential, pixels: np.ndarray, views: int, batch_size: int) -> np.ndarray:
    """The probabilities (N, K) of the photos, pixels (N, H, Wd, C), as the mean of their views."""
    if views == 1:
        return class_probabilities(model.predict(pixels, batch_size))
    return np.mean([class_probabilities(model.predict(view(pixels, k), batch_size))
                    for k in range(views)], axis=0)
