"""Evaluating a classifier: its predictions and accuracy (evaluation.py), metrics beyond accuracy
(metrics.py), confidence intervals and McNemar's test (significance.py), and what may have gone
wrong in training (diagnosis.py)."""

from .diagnosis import diagnose
from .evaluation import Evaluation, class_probabilities
from .metrics import (
    average_precision,
    brier_score,
    calibration_curve,
    choose_threshold,
    class_scores,
    expected_calibration_error,
    most_confused,
    one_versus_rest,
    pr_curve,
    roc_auc,
    roc_curve,
)
from .significance import mcnemar, wilson_interval

__all__ = ["Evaluation", "average_precision", "brier_score", "calibration_curve",
           "choose_threshold", "class_probabilities", "class_scores", "diagnose",
           "expected_calibration_error", "mcnemar", "most_confused", "one_versus_rest", "pr_curve",
           "roc_auc", "roc_curve", "wilson_interval"]
