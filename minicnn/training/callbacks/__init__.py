"""Callbacks: all of the training that is not forward, loss, backward and step."""

from .base import Callback, features_progress
from .checkpoint import Checkpoint, StopWhenAsked
from .early_stopping import EarlyStopping
from .feature_cache import FeatureCache
from .held_out import HeldOut
from .lr_schedule import SCHEDULES, LearningRateSchedule
from .progress import ProgressBar
from .terminate_on_nan import TerminateOnNaN

__all__ = ["SCHEDULES", "Callback", "Checkpoint", "EarlyStopping", "FeatureCache",
           "HeldOut", "LearningRateSchedule", "ProgressBar", "StopWhenAsked", "TerminateOnNaN",
           "features_progress"]
