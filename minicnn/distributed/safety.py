"""Nothing hangs: what ends all ranks when one fails, or when the process that started them dies.

MPI waits for a rank for ever. So a rank that cannot go on ends all others (Abort), and a rank whose
launcher was killed ends itself; a rank that is killed is noticed by mpiexec, which ends the rest.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from types import TracebackType

from .mpi_ranks import MPIRanks

LAUNCHER_SECONDS = 1.0  # between two looks whether the launcher is alive


def abort_on_uncaught_errors(ranks: MPIRanks) -> None:
    """From now on an exception that nobody catches ends all ranks, after its traceback and a line
    that names this rank. Without it Python would wait at its end, in MPI_Finalize, for the others.
    """
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        before(kind, error, trace)
        ranks.abort(130 if issubclass(kind, KeyboardInterrupt) else 1,
                    f"minicnn: {ranks.name} has failed, which ends all.")

    sys.excepthook = hook


def end_with_launcher() -> None:
    """From now on this process ends once the one that started it is gone: mpiexec may be killed,
    too, and nobody else would end its ranks."""
    launcher = os.getppid()

    def watch() -> None:
        while os.getppid() == launcher:
            time.sleep(LAUNCHER_SECONDS)
        os._exit(1)  # at once: what is open belongs to a job that is over

    threading.Thread(target=watch, name="minicnn-launcher", daemon=True).start()
