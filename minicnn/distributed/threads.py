"""How many cores a rank computes with: those of its machine, shared with the other ranks there."""

from __future__ import annotations

import os

from ..ops.fast.threads import cgroup_cpu_limit, cores, share_cores
from .mpi_ranks import MPIRanks


def take_share_of_cores(ranks: MPIRanks) -> None:
    """This rank computes with its share of the cores: of each core that it may use, it gets as much
    as the others on the machine that may use it, too. Environment variables such as
    OMP_NUM_THREADS are stronger."""
    own = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(cores()))
    sets = ranks.node.allgather(own)
    share = sum(1 / sum(core in other for other in sets) for core in own)
    share_cores(max(1, int(min(share, cgroup_cpu_limit() / len(sets)) + 1e-9)))
