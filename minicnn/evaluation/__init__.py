"""Evaluating a classifier: accuracy with its confidence interval (evaluation.py), metrics beyond
accuracy (metrics.py), and what may have gone wrong in training (diagnosis.py)."""

from .diagnosis import diagnose
from .evaluation import Evaluation, class_probabilities, wilson_interval
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

__all__ = ["Evaluation", "average_precision", "brier_score", "calibration_curve",
           "choose_threshold", "class_probabilities", "class_scores", "diagnose",
           "expected_calibration_error", "mcnemar", "most_confused", "one_versus_rest", "pr_curve",
           "roc_auc", "roc_curve", "wilson_interval"]
