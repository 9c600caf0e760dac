"""Files a person opens: figures and tables of a run."""

from .figures import confusion, curves
from .runs import (
    CHECKPOINTS,
    FILES,
    resumed_folder,
    run_folder,
    write_csv,
    write_evaluation,
    write_run,
)

__all__ = ["CHECKPOINTS", "FILES", "confusion", "curves", "resumed_folder", "run_folder",
           "write_csv", "write_evaluation", "write_run"]
