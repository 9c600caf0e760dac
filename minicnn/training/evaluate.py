"""A model's predictions for the photos of a data set, as an Evaluation."""

from __future__ import annotations

from ..data import Augmented, Dataset
from ..evaluation import Evaluation, class_probabilities
from ..model import Sequential
from ..utils.errors import ArgumentError
from .features import extract_features


def evaluate_photos(model: Sequential, data: Dataset, batch_size: int = 32) -> Evaluation:
    """Predicts every photo of `data`, in its order, none augmented or shuffled.

    Raises ArgumentError for Augmented data.
    """
    if isinstance(data, Augmented):
        raise ArgumentError("evaluate_photos: expected the photos as they are, received random "
                            "views of them (Augmented). Give the data that these were made of.")
    y = extract_features(model, data, batch_size=batch_size).x
    return Evaluation(class_probabilities(y), data.labels, data.classes)
