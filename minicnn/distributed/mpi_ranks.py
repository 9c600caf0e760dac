"""The ranks of MPI: what they tell each other, and how they end."""

from __future__ import annotations

import pickle
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from ..utils.errors import ArgumentError, MiniCNNError
from ..utils.ranks import Ranks
from .shared_rows import gather_rows, map_rows

Answer = TypeVar("Answer")
GRACE_SECONDS = 2.0  # that a failed rank waits for the others, which may have failed alike
POLL_SECONDS = 0.02
ALONE_VARIABLE = "MINICNN_ALONE"  # =1: processes that a launcher has started are not ranks
MPIEXEC_SECONDS = 0.5  # that mpiexec has to pass on what a rank has printed, before it ends all


class MPIRanks(Ranks):
    """The processes of an MPI communicator.

    comm: for the work, ending: for how it ends, leaving: for the end of the processes (safety.py),
    so that none takes another's messages. node: the ranks on this machine. local_rank, local_size:
    of them; max_local_size: on any machine. name: "rank 1 of 4 (host)". waiting_since: when this
    rank has begun to wait for the others, of time.monotonic; None: it does not.
    """

    def __init__(self, comm: Any) -> None:
        from mpi4py import MPI

        self.rank, self.size = comm.rank, comm.size
        self.comm, self.ending, self.leaving = comm.Dup(), comm.Dup(), comm.Dup()
        self.waiting_since: float | None = None
        self.node = comm.Split_type(MPI.COMM_TYPE_SHARED)
        self.local_rank, self.local_size = self.node.rank, self.node.size
        self.hosts = comm.allgather(MPI.Get_processor_name())
        self.max_local_size = max(comm.allgather(self.local_size))

    @property
    def name(self) -> str:
        """For messages."""
        return self.name_of(self.rank)

    def name_of(self, rank: int) -> str:
        """The name of any rank."""
        return f"rank {rank} of {self.size} ({self.hosts[rank]})"

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """In the body of the with, this rank waits for the others, each of which must come."""
        self.waiting_since, before = time.monotonic(), self.waiting_since
        try:
            yield
        finally:
            self.waiting_since = before

    def gather(self, part: Answer) -> list[Answer]:
        """What each rank has given, in their order, for all of them: any object that pickle takes.
        """
        with self.waiting():
            return self.comm.allgather(part)

    def gather_numbers(self, numbers: np.ndarray) -> np.ndarray:
        """numbers (n,) float64 -> (size, n). Whoever adds them up does so in the order of the
        ranks: the sum is the same to the last bit on all of them, and in every run."""
        own = np.ascontiguousarray(numbers, np.float64)
        together = np.empty((self.size, len(own)))
        with self.waiting():
            self.comm.Allgather(own, together)
        return together

    def from_first(self, function: Callable[[], Answer]) -> Answer:
        """What the function returns on rank 0, which alone calls it; its error is raised on all."""
        answer: Any = None
        error: Exception | None = None
        if self.is_first:
            try:
                answer = function()
            except Exception as problem:
                error = as_sent(problem)
        with self.waiting():
            answer, error = self.comm.bcast((answer, error))
        if error is not None:
            raise error
        return answer

    def wait_for_all(self) -> None:
        """Returns once every rank is here. MPI's own barrier would busy-wait."""
        with self.waiting():
            wait(self.comm.Ibarrier())

    def assemble(self, part: np.ndarray, count: int, memory_budget: int) -> np.ndarray:
        """The rows (count, …) of which each rank has computed its part_of. The ranks of a machine
        share the memory_budget (bytes); what takes more lies in a file that all ranks map.

        Raises FileError if it is too large for the disk, or not seen by all ranks.
        """
        if count == 0 or self.size == 1:
            return part
        with self.waiting():  # rank 0 has a row at least
            shape, dtype = self.comm.bcast((part.shape[1:], part.dtype))
        part = part.reshape(-1, *shape).astype(dtype, copy=False)
        size = count * int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if size * self.max_local_size <= memory_budget:
            with self.waiting():
                return gather_rows(self, part, count)
        return map_rows(self, part, count)

    def check_same(self, where: str, facts: Mapping[str, object]) -> None:
        """Raises ArgumentError, on all ranks, unless they all have the same facts, such as
        {"photos": 40}; it names the first fact that differs, and the ranks that differ from rank 0.
        """
        everybody = self.gather(dict(facts))
        for key, expected in everybody[0].items():
            others = [rank for rank, own in enumerate(everybody) if own.get(key) != expected]
            if others:
                raise ArgumentError(
                    f"{where}: expected the same {key} on all ranks, {expected} as on rank 0, "
                    f"received {everybody[others[0]].get(key)} on "
                    f"{', '.join(map(self.name_of, others[:3]))}{', …' * (len(others) > 3)}. "
                    f"Let all ranks see the same files and the same minicnn; if each process is to "
                    f"work for itself, set {ALONE_VARIABLE}=1.")

    # The end

    def agree_on_end(self, status: int, text: str) -> tuple[int, str]:
        """The exit status of all ranks, and what rank 0 has to print; to be called by each at its
        end, with its own status and error message; "" if it has done its work, whatever the status.

        If all come to their end, rank 0 gets the message of the first that failed, with its name
        unless all failed. If the others do not arrive within the grace time, they are waiting in
        another call for this rank, which has failed; it prints its message and ends them all.
        """
        arrival = self.ending.Ibarrier()
        # If several ranks have failed, each waits a second longer than the one before it, so that
        # the first prints alone; from the fifth on all wait alike, since the end must come soon.
        deadline = time.monotonic() + GRACE_SECONDS + 2 * MPIEXEC_SECONDS * min(self.rank, 4)
        with self.waiting():  # a rank that is gone is noticed, by safety.py
            if not wait(arrival, deadline if text else None):
                self.abort(status, self.with_name(text))
            ends = self.ending.allgather((status, text))
        failed = [rank for rank, (status, _) in enumerate(ends) if status]
        if not failed:
            return 0, ""
        status, text = ends[failed[0]]
        if text and any(other != status for other, _ in ends):
            text = self.with_name(text, failed[0])
        return status, text

    def with_name(self, text: str, rank: int | None = None) -> str:
        """"minicnn: what happened" -> "minicnn: rank 1 of 4 (host): what happened"."""
        name = self.name_of(self.rank if rank is None else rank)
        return f"minicnn: {name}: {text.removeprefix('minicnn: ')}"

    def abort(self, status: int, text: str) -> None:
        """Prints the text and ends all ranks."""
        print(text, file=sys.__stderr__, flush=True)  # noqa: T201  nobody else would print it
        time.sleep(MPIEXEC_SECONDS)
        self.comm.Abort(status)


def as_sent(error: Exception) -> Exception:
    """The error as the other ranks can receive it: itself, unless it cannot be made anew from its
    arguments."""
    try:
        pickle.loads(pickle.dumps(error))
        return error
    except Exception:
        return MiniCNNError(str(error))


def wait(request: Any, deadline: float | None = None) -> bool:
    """Whether the request was completed before the deadline (of time.monotonic; None: none),
    looking at it now and then, while others may use the processor."""
    while not request.Test():
        if deadline is not None and time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
