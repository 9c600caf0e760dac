"""Files a person opens: figures and tables of a run."""

from .figures import confusion, curves
from .runs import FILES, run_folder, write_csv, write_evaluation, write_run

__all__ = ["FILES", "confusion", "curves", "run_folder", "write_csv",
           "write_evaluation", "write_run"]
