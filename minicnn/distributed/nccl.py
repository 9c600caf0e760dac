"""Allreduce by NCCL, NVIDIA's library for messages between GPUs, as CuPy brings it.

MPI reads a buffer when the processor says so, which must first wait for the kernels that fill it.
NCCL's sum is itself work of the GPU, queued on a stream like a kernel. It has a stream of its own,
beside that of the kernels, and two events put the two in order. The processor waits for neither,
and goes on to queue the layers below.

    kernels   | backward of upper layers | of lower layers |              | step |
                                         ↓ event: gradients are there     ↑ event: sums are there
    sums                                 | of upper layers | of lower ones |

NCCL refuses two ranks on one GPU. So it adds up only if each rank has a GPU of its own, of which
all tell each other; else all of them take another way (resources.py).

Source: NVIDIA, NCCL user guide (ncclCommInitRank, ncclAllReduce, CUDA stream semantics).
"""

from __future__ import annotations

import functools
import time
import warnings
from collections.abc import Mapping
from typing import Any

from ..ops import module_of
from .allreduce import GPUBuffer
from .mpi_ranks import MPIRanks, wait

GPU = tuple[str, str]  # (host, PCI bus id)
SWITCH = "MINICNN_NCCL"  # =0: gradients do not go through NCCL
# That a rank on which NCCL has failed waits for the others, which NCCL may hold: it connects them.
CONNECT_SECONDS = 60.0


class NCCLAllreduce(GPUBuffer):
    """The sums on a stream of their own. communicator: cupy.cuda.nccl.NcclCommunicator.

    stream: one that CUDA's default stream, on which the kernels are, does not wait for by itself.
    sums: the event after the last sum of a step.
    """

    def __init__(self, communicator: Any, ranks: MPIRanks) -> None:
        self.communicator, self.ranks = communicator, ranks
        self.cuda = module_of("cuda").cuda
        self.stream = self.cuda.Stream(non_blocking=True)
        self.sums: Any = None

    def begin(self, bucket: Any) -> None:
        """Queues the sum of a bucket (n,), in place, behind what fills the bucket."""
        nccl = nccl_module()
        kind = {"float32": nccl.NCCL_FLOAT32, "float64": nccl.NCCL_FLOAT64}[bucket.dtype.name]
        self.stream.wait_event(self.cuda.get_current_stream().record())
        with self.ranks.waiting():  # the first call may connect the GPUs
            self.communicator.allReduce(bucket.data.ptr, bucket.data.ptr, bucket.size, kind,
                                        nccl.NCCL_SUM, self.stream.ptr)

    def progress(self) -> None:
        """The GPU needs nobody for that."""

    def wait(self) -> None:
        """Kernels that are queued from now on run once the sums are there."""
        self.sums = self.stream.record()
        self.cuda.get_current_stream().wait_event(self.sums)

    def settle(self) -> None:
        """The processor, too, waits for the sums."""
        self.sums.synchronize()


def own_gpu(ranks: MPIRanks, device: str, environment: Mapping[str, str]) -> GPU | None:
    """The GPU of this rank if NCCL can reach its arrays; None if they are elsewhere, if CuPy has no
    NCCL, or if MINICNN_NCCL=0."""
    if device != "cuda" or environment.get(SWITCH) == "0" or not nccl_module().available:
        return None
    return ranks.hosts[ranks.rank], module_of("cuda").cuda.Device().pci_bus_id


def nccl_module() -> Any:
    """cupy.cuda.nccl; its `available` is False if NVIDIA's library is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of CuPy, if it is not
        from cupy.cuda import nccl
    return nccl


@functools.cache
def connect_gpus(ranks: MPIRanks, gpus: tuple[GPU, ...]) -> Any:
    """NCCL's communicator of the ranks, whose GPUs are these, made by the first call, to which all
    ranks come, and kept as long as the process lives: connecting takes longer than many sums. None
    on all ranks if it fails on one; rank 0 then warns. If the others do not come back, this ends
    them."""
    communicator, problem = None, ""
    try:
        unique_id = ranks.from_first(nccl_module().get_unique_id)
        with ranks.waiting():
            communicator = nccl_module().NcclCommunicator(ranks.size, unique_id, ranks.rank)
    except Exception as error:  # whatever it is, the gradients can go another way
        problem = f"{ranks.name}: {' '.join(str(error).split()).rstrip('.')}"
    problems = gather_problems(ranks, problem)
    if not problems:
        return communicator
    if communicator is not None:
        communicator.abort()
    if ranks.is_first:
        warnings.warn(f"nccl: expected to connect {ranks.size} GPUs, received on {problems[0]}. "
                      f"The gradients go through MPI instead; {SWITCH}=0 does so without trying.",
                      stacklevel=2)
    return None


def gather_problems(ranks: MPIRanks, problem: str) -> list[str]:
    """The problems of all ranks, "" being none, in their order, for all of them."""
    arrival = ranks.comm.Ibarrier()
    with ranks.waiting():
        if not wait(arrival, time.monotonic() + CONNECT_SECONDS if problem else None):
            ranks.abort(1, f"minicnn: nccl: expected to connect {ranks.size} GPUs, received on "
                           f"{problem}. Set {SWITCH}=0 for all ranks.")
    return [other for other in ranks.gather(problem) if other]
