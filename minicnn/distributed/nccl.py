"""NCCL: NVIDIA's sums of arrays, from GPU to GPU, which pass by the processors' memory.

    kernels   dW, db of layer 3 | dW, db of layer 2 | dW, db of layer 1 |      | step
                                ↓ event                                 ↓      ↑ the host waits
    sums                        | bucket 1: Σ over the ranks |          | bucket 2: Σ … |

A sum has a stream of its own. It begins after the kernels that were launched before it, which it
knows by an event, and runs while those of the layers below compute; the processor waits for nothing
but the end of the last sum. MPI brings the ranks together, and all that is not a gradient.

CuPy brings NCCL if the library is installed. NCCL takes one rank a GPU.
Source: NVIDIA, NCCL User Guide; https://docs.cupy.dev, cupy.cuda.nccl.
"""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from ..ops import module_of
from .mpi_ranks import MPIRanks
from .resources import takes_gpu_arrays

SWITCH = "MINICNN_NCCL"  # 0: MPI sums the gradients of GPUs, too


class NCCL:
    """A communicator of all ranks, with the Iallreduce that GradientSums asks of MPI.

    Raises whatever NCCL raises if the ranks do not find each other; to be made by all at once.
    """

    def __init__(self, ranks: MPIRanks) -> None:
        self.cupy = module_of("cuda")
        self.library = library()
        self.types = {"float32": self.library.NCCL_FLOAT32, "float64": self.library.NCCL_FLOAT64}
        identity = ranks.from_first(self.library.get_unique_id)
        with ranks.waiting():
            self.communicator = self.library.NcclCommunicator(ranks.size, identity, ranks.rank)
        self.stream = self.cupy.cuda.Stream(non_blocking=True)

    def Iallreduce(self, in_place: Any, bucket: Any, op: Any) -> RunningSum:  # noqa: N802
        """Begins bucket ← Σ bucket over the ranks, in place, after the kernels that compute it.
        bucket: (n,) on the GPU, float32 or float64."""
        kernels = self.cupy.cuda.get_current_stream()
        self.stream.wait_event(kernels.record())
        self.communicator.allReduce(bucket.data.ptr, bucket.data.ptr, bucket.size,
                                    self.types[bucket.dtype.name], self.library.NCCL_SUM,
                                    self.stream.ptr)
        return RunningSum(self.stream.record())


class RunningSum:
    """A sum under way, as MPI's requests: Test and Wait."""

    def __init__(self, end: Any) -> None:
        self.end = end  # an event

    def Test(self) -> bool:  # noqa: N802
        """Whether it has ended."""
        return bool(self.end.done)

    def Wait(self) -> None:  # noqa: N802
        """Returns once it has ended. Meanwhile safety.py looks whether all ranks are there."""
        self.end.synchronize()


def communicator(ranks: MPIRanks, device: str) -> tuple[Any, bool]:
    """Who sums gradients on this device, and whether it takes a GPU's arrays where they are: NCCL,
    if every rank has it and a GPU of its own; otherwise MPI. All ranks ask at once, and get the
    same answer."""
    gpus = ranks.gather(gpu_for_nccl(device))
    each_its_own = None not in gpus and len(set(gpus)) == len(gpus) > 1
    nccl = nccl_of(ranks) if each_its_own else None
    if nccl is not None:
        return nccl, True
    return ranks.comm, takes_gpu_arrays(ranks.comm)


def gpu_for_nccl(device: str, environment: Mapping[str, str] = os.environ
                 ) -> tuple[str, str] | None:
    """(machine, GPU) of this rank; None if it computes on a processor or has no NCCL."""
    if device != "cuda" or environment.get(SWITCH) == "0":
        return None
    cupy = module_of(device)
    if not library().available:
        return None
    from mpi4py import MPI

    return MPI.Get_processor_name(), cupy.cuda.Device().pci_bus_id


def library() -> Any:
    """CuPy's module of NCCL, which warns when it is imported if the library is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module("cupy.cuda.nccl")


@functools.cache
def nccl_of(ranks: MPIRanks) -> NCCL | None:
    """The communicator of these ranks, made once; None, on all of them, if one cannot make it."""
    nccl, problem = None, ""
    try:
        nccl = NCCL(ranks)
    except Exception as error:  # whatever the library finds wrong with the network or the driver
        problem = f"{ranks.name}: {error}"
    problems = [problem for problem in ranks.gather(problem) if problem]
    if not problems:
        return nccl
    if ranks.is_first:
        warnings.warn(f"NCCL: expected to connect the GPUs of {ranks.size} ranks, received from "
                      f"{problems[0]}. MPI sums the gradients instead; {SWITCH}=0 asks for that.",
                      stacklevel=2)
    return None
