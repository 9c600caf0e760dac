"""Training: the loop (loop.py), what it works with (state.py), what comes before it (prepare.py),
all that is not forward, loss, backward and step (callbacks/), and how the result is measured.

Features: features.py (of a data set, in memory or in a temporary file); of folders of very many
photos feature_shards.py (computed in pieces that survive a kill), feature_merge.py (into one file)
and feature_file.py (what is in it, and reading it)."""

from .batches import ArrayDataset
from .callbacks import (
    SCHEDULES,
    Callback,
    Checkpoint,
    EarlyStopping,
    FeatureCache,
    HeldOut,
    LearningRateSchedule,
    ProgressBar,
    TerminateOnNaN,
)
from .cross_validation import cross_validate
from .evaluate import evaluate_photos
from .features import extract_features
from .history import History
from .label_check import check_labels
from .loop import fit
from .lr_finder import LearningRates, find_lr, initial_learning_rate
from .prepare import fuse
from .scratch import MIN_EPOCHS, comparable_training, from_scratch
from .state import TrainingState, Weights, get_weights, set_weights
from .transfer import TransferResult, base_with_head, class_weights, transfer
from .transfer_config import Setting, TransferConfig

__all__ = ["MIN_EPOCHS", "SCHEDULES", "ArrayDataset", "Callback", "Checkpoint", "EarlyStopping",
           "FeatureCache", "HeldOut", "History", "LearningRateSchedule", "LearningRates",
           "ProgressBar", "Setting", "TerminateOnNaN", "TrainingState", "TransferConfig",
           "TransferResult", "Weights", "base_with_head", "check_labels", "class_weights",
           "comparable_training", "cross_validate", "evaluate_photos", "extract_features",
           "find_lr", "fit", "from_scratch", "fuse", "get_weights", "initial_learning_rate",
           "set_weights", "transfer"]
