"""Files a person opens: figures and tables of a run, and pages that hold them together."""

from .evaluations import scores_of, write_evaluation
from .figures import confusion, curves
from .run_page import write_run_page
from .runs import (
    CHECKPOINTS,
    EVALUATION_FILES,
    FILES,
    check_interrupted,
    resumed_folder,
    run_folder,
    write_csv,
    write_curves,
    write_run,
)

__all__ = ["CHECKPOINTS", "EVALUATION_FILES", "FILES", "check_interrupted", "confusion", "curves",
           "resumed_folder", "run_folder", "scores_of", "write_csv", "write_curves",
           "write_evaluation", "write_run", "write_run_page"]
