"""The loop, where its batches come from, and how the result is measured."""

from .fusing import fuse
from .loop import Callback, History, fit
from .metrics import Evaluation, class_probabilities, evaluate_photos, wilson_interval
from .sources import features
from .transfer import Trained, from_scratch, step_size, transfer

__all__ = ["Callback", "Evaluation", "History", "Trained", "class_probabilities", "evaluate_photos",
           "features", "fit", "fuse", "from_scratch", "step_size", "transfer", "wilson_interval"]
