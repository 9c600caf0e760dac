"""What a rank computes with: its share of the machine's cores, a GPU of its own, and the way in
which its gradients are added to those of the others."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

from ..ops.fast.threads import cgroup_cpu_limit, cores, share_cores
from .allreduce import CudaAwareAllreduce, MPIAllreduce, PinnedAllreduce
from .mpi_ranks import MPIRanks
from .nccl import NCCLAllreduce, connect_gpus, own_gpu

GPUS = Path("/proc/driver/nvidia/gpus")  # a folder for each GPU, if NVIDIA's driver is loaded
CUDA_AWARE = "MINICNN_CUDA_AWARE_MPI"  # 1 or 0: whether MPI takes a GPU's arrays
VISIBLE = "CUDA_VISIBLE_DEVICES"  # CUDA numbers the devices it names from 0


def take_share_of_cores(ranks: MPIRanks) -> None:
    """This rank computes with its share of the cores: a core that k ranks of the machine may use
    counts 1/k for each. Environment variables such as OMP_NUM_THREADS are stronger."""
    own = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(cores()))
    sets = ranks.node.allgather(own)
    share = sum(1 / sum(core in other for other in sets) for core in own)
    # + 1e-9: 3 · (1/3) may round to just below 1
    share_cores(max(1, int(min(share, cgroup_cpu_limit() / len(sets)) + 1e-9)))


def take_gpu(ranks: MPIRanks, environment: MutableMapping[str, str] = os.environ,
             gpus: Path = GPUS) -> None:
    """"cuda" is from now on the GPU of this rank: that of its number among the ranks of the
    machine, dealt in turn if there are fewer GPUs, among those that the environment names. To be
    called before CUDA is. Nothing changes if the launcher gave each rank a single one."""
    names = [name for name in environment.get(VISIBLE, "").split(",") if name]
    if VISIBLE not in environment and gpus.is_dir():  # "" names none
        names = [str(number) for number in range(len(list(gpus.iterdir())))]
    if len(names) > 1:
        environment[VISIBLE] = names[ranks.local_rank % len(names)]


def allreduce_for(ranks: MPIRanks, device: str, environment: Mapping[str, str] = os.environ
                  ) -> MPIAllreduce | NCCLAllreduce:
    """The way to add up gradients that are on `device`: NCCL if each rank has a GPU of its own and
    all can use it, else MPI. All ranks must call it, whatever their device."""
    gpus = ranks.gather(own_gpu(ranks, device, environment))
    if None not in gpus and len(set(gpus)) == ranks.size:
        communicator = connect_gpus(ranks, tuple(gpus))
        if communicator is not None:
            return NCCLAllreduce(communicator, ranks)
    if device != "cuda":
        return MPIAllreduce(ranks.comm)
    if takes_gpu_arrays(ranks.comm, environment):
        return CudaAwareAllreduce(ranks.comm)
    return PinnedAllreduce(ranks.comm)


def takes_gpu_arrays(comm: Any, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this MPI reads and writes the memory of a GPU (is CUDA-aware). It says so since MPI
    4.1 ("mpi_memory_alloc_kinds"); of an older one MINICNN_CUDA_AWARE_MPI=1 says it. Without, the
    gradients of a GPU go through the processor's memory."""
    if CUDA_AWARE in environment:
        return environment[CUDA_AWARE] == "1"
    kinds = comm.Get_info().Get("mpi_memory_alloc_kinds") or ""
    return any(kind.partition(":")[0] == "cuda" for kind in kinds.split(","))
