"""The loop, where its batches come from, and how the result is measured."""

from .best import Best, Weights, set_weights, weights_of
from .fusing import fuse
from .loop import Callback, History, fit
from .lr_finder import LearningRates, find_lr
from .metrics import Evaluation, class_probabilities, evaluate_photos, wilson_interval
from .schedules import SCHEDULES
from .sources import features
from .transfer import (
    Recipe,
    Trained,
    base_with_head,
    class_weights,
    cross_validate,
    from_scratch,
    step_size,
    transfer,
)

__all__ = ["SCHEDULES", "Best", "Callback", "Evaluation", "History", "LearningRates", "Recipe",
           "Trained", "Weights", "base_with_head", "class_probabilities", "class_weights",
           "cross_validate", "evaluate_photos", "features", "find_lr", "fit", "from_scratch",
           "fuse", "set_weights", "step_size", "transfer", "weights_of", "wilson_interval"]
