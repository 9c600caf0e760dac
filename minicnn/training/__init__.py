"""The loop, where its batches come from, and how the result is measured."""

from .best import Best, Weights, set_weights, weights_of
from .callbacks import Callback
from .checkpoints import Checkpoints
from .fusing import fuse
from .history import History
from .loop import fit
from .lr_finder import LearningRates, find_lr
from .metrics import Evaluation, class_probabilities, evaluate_photos, wilson_interval
from .schedules import SCHEDULES
from .scores import (
    average_precision,
    brier_score,
    calibration_curve,
    choose_threshold,
    class_scores,
    expected_calibration_error,
    mcnemar,
    most_confused,
    one_versus_rest,
    pr_curve,
    roc_auc,
    roc_curve,
)
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

__all__ = ["SCHEDULES", "Best", "Callback", "Checkpoints", "Evaluation", "History",
           "LearningRates", "Recipe", "Trained", "Weights", "average_precision", "base_with_head",
           "brier_score",
           "calibration_curve", "choose_threshold", "class_probabilities", "class_scores",
           "class_weights", "cross_validate", "evaluate_photos", "expected_calibration_error",
           "features", "find_lr", "fit", "from_scratch", "fuse", "mcnemar", "most_confused",
           "one_versus_rest", "pr_curve", "roc_auc", "roc_curve", "set_weights", "step_size",
           "transfer", "weights_of", "wilson_interval"]
