"""How good is a classifier, and how sure can we be: Evaluation with its interval, the metrics
beyond accuracy, and what a training's curves and figures tell (diagnosis)."""

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
