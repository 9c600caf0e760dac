"""Training: the loop (loop.py), what it works with (state.py), what comes before it (prepare.py),
all that is not forward, loss, backward and step (callbacks/), and how the result is measured."""

from .batches import ArrayDataset
from .callbacks import (
    SCHEDULES,
    Callback,
    Checkpoint,
    EarlyStopping,
    FeatureCache,
    LearningRateSchedule,
    ProgressBar,
    TerminateOnNaN,
)
from .evaluation import Evaluation, class_probabilities, evaluate_photos, wilson_interval
from .features import extract_features
from .history import History
from .loop import fit
from .lr_finder import LearningRates, find_lr
from .metrics import (
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
from .prepare import fuse
from .state import TrainingState, Weights, get_weights, set_weights
from .transfer import (
    TransferResult,
    base_with_head,
    class_weights,
    cross_validate,
    from_scratch,
    initial_learning_rate,
    transfer,
)
from .transfer_config import TransferConfig

__all__ = ["SCHEDULES", "ArrayDataset", "Callback", "Checkpoint", "EarlyStopping", "Evaluation",
           "FeatureCache", "History", "LearningRateSchedule", "LearningRates", "ProgressBar",
           "TerminateOnNaN", "TrainingState", "TransferConfig", "TransferResult", "Weights",
           "average_precision", "base_with_head", "brier_score", "calibration_curve",
           "choose_threshold", "class_probabilities", "class_scores", "class_weights",
           "cross_validate", "evaluate_photos", "expected_calibration_error", "extract_features",
           "find_lr", "fit", "from_scratch", "fuse", "get_weights", "initial_learning_rate",
           "mcnemar", "most_confused", "one_versus_rest", "pr_curve", "roc_auc", "roc_curve",
           "set_weights", "transfer", "wilson_interval"]
