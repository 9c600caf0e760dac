"""Nothing hangs: what ends all ranks when one fails, or when the process that started them dies.

MPI waits for a rank for ever. So a rank that cannot go on ends all others (Abort), and so does one
that waits for a rank whose program has come to its end, by sys.exit() or otherwise; a rank whose
launcher was killed ends itself; a rank that is killed is noticed by mpiexec, which ends the rest.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from types import TracebackType

import numpy as np

from .mpi_ranks import MPIEXEC_SECONDS, MPIRanks, wait

LEFT_SECONDS = 2.0  # that a rank waits at one point once another has left: it may be on its way out
LOOK_SECONDS = 0.5  # between two looks whether a rank has left
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


def end_with_those_who_left(ranks: MPIRanks) -> None:
    """From now on a rank that waits for one whose program has ended says so, and ends all.

    A program may end early on a rank that has nothing more to do, while rank 0 still draws a
    picture; so that alone ends nobody. Each rank tells the others that it leaves, before mpi4py
    finalizes MPI; a thread of each other rank listens, which needs an MPI that threads may call.
    """
    from mpi4py import MPI

    if MPI.Query_thread() < MPI.THREAD_MULTIPLE:
        return
    leaving, done, nothing = ranks.leaving, threading.Event(), np.empty(0, np.uint8)
    others = [rank for rank in range(ranks.size) if rank != ranks.rank]
    # Of several that wait, the first prints and ends the others before they do: as agree_on_end.
    patience = LEFT_SECONDS + 2 * MPIEXEC_SECONDS * min(ranks.rank, 4)

    def watch() -> None:
        gone, noticed, status = -1, 0.0, MPI.Status()
        while not done.wait(LOOK_SECONDS):
            if gone < 0 and leaving.Iprobe(status=status):  # received only by leave()
                gone, noticed = status.source, time.monotonic()
            since = ranks.waiting_since
            if gone >= 0 and since is not None and (
                    time.monotonic() - max(since, noticed) > patience):
                ranks.abort(1, f"minicnn: {ranks.name}: expected {ranks.name_of(gone)}, which has "
                               f"ended, in a computation that all ranks share. Let the program end "
                               f"on all ranks at the same point.")

    thread = threading.Thread(target=watch, name="minicnn-ranks", daemon=True)

    def leave() -> None:
        done.set()
        thread.join()
        sent = [leaving.Isend(nothing, other) for other in others]
        wait(leaving.Ibarrier())  # all leave
        for other in others:
            leaving.Recv(nothing, other)
        MPI.Request.Waitall(sent)

    thread.start()
    atexit.register(leave)
