"""Allreduce, the sum over all ranks of a bucket of gradients, by MPI. Where the arrays are, and
what the MPI can read, decides between three ways; nccl.py has the fourth, by NCCL.

    MPIAllreduce         gradients of the processor (or the simulator): MPI adds them up there
    PinnedAllreduce      of a GPU: copied to page-locked memory of the processor, added up there
    CudaAwareAllreduce   of a GPU: MPI adds them up where they are
    NCCLAllreduce        of a GPU: NCCL adds them up where they are, in the GPU's own order of work

A way brings the flat buffer and does with it what gradient_sums.py asks for: put() a gradient into
it, begin() the sum of a bucket, progress() now and then, wait() for all, take() a gradient out of
it, and settle() at the end of the step.

Source: MPI Forum 2021, MPI 4.0, section 6.12 (nonblocking collectives).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops import device_of, module_of, to_cpu, to_device


class MPIAllreduce:
    """The buffer is in the processor's memory. comm: of mpi4py, or whatever has Iallreduce."""

    def __init__(self, comm: Any) -> None:
        self.comm = comm
        self.requests: list[Any] = []  # sums that have begun

    def buffer(self, size: int, dtype: np.dtype) -> np.ndarray:
        """(size,), whose numbers are not set yet."""
        return np.empty(size, dtype)

    def put(self, gradient: np.ndarray, part: np.ndarray) -> None:
        """A gradient of any shape, on the device -> its part (gradient.size,) of the buffer."""
        part[...] = to_cpu(gradient).ravel()

    def begin(self, bucket: np.ndarray) -> None:
        """Begins to replace a bucket (n,) of the buffer by its sum over the ranks, each of which
        begins the same buckets in the same order."""
        from mpi4py import MPI

        self.requests.append(self.comm.Iallreduce(MPI.IN_PLACE, bucket, MPI.SUM))

    def progress(self) -> None:
        """MPI goes on with a sum only while it is called."""
        for request in self.requests:
            request.Test()

    def wait(self) -> None:
        """Whatever is computed from now on finds the sums in the buffer."""
        for request in self.requests:
            request.Wait()
        self.requests = []

    def take(self, part: np.ndarray, p: np.ndarray) -> np.ndarray:
        """A part (p.size,) of the buffer -> the gradient of p: a view, or a copy on its device."""
        return to_device(part.reshape(p.shape), device_of(p))

    def settle(self) -> None:
        """Returns once the sums are there: they are since wait()."""


class PinnedAllreduce(MPIAllreduce):
    """The buffer is in the processor's memory, page-locked, so that a GPU copies straight into it.
    """

    def buffer(self, size: int, dtype: np.dtype) -> np.ndarray:
        """(size,), page-locked."""
        module_of("cuda")  # raises if there is none
        import cupyx

        return cupyx.empty_pinned(size, dtype)

    def put(self, gradient: Any, part: np.ndarray) -> None:
        """Begins the copy, for which begin() waits."""
        gradient.astype(part.dtype, copy=False).get(out=part.reshape(gradient.shape),
                                                    blocking=False)

    def begin(self, bucket: np.ndarray) -> None:
        """MPI does not wait for the GPU's kernels and copies; this does."""
        module_of("cuda").cuda.get_current_stream().synchronize()
        super().begin(bucket)

    def take(self, part: np.ndarray, p: np.ndarray) -> np.ndarray:
        """A copy on the GPU."""
        gradient = module_of("cuda").empty(p.shape, part.dtype)
        gradient.set(part.reshape(p.shape))
        return gradient


class GPUBuffer:
    """The buffer is beside the gradients, in the memory of the GPU."""

    def buffer(self, size: int, dtype: np.dtype) -> np.ndarray:
        """(size,), on the GPU."""
        return module_of("cuda").empty(size, dtype)

    def put(self, gradient: np.ndarray, part: np.ndarray) -> None:
        """A gradient of any shape -> its part (gradient.size,) of the buffer."""
        part[...] = gradient.ravel()

    def take(self, part: np.ndarray, p: np.ndarray) -> np.ndarray:
        """A part (p.size,) of the buffer -> the gradient of p, a view."""
        return part.reshape(p.shape)


class CudaAwareAllreduce(GPUBuffer, MPIAllreduce):
    """An MPI that reads and writes the memory of a GPU is given the buffer as it is."""

    def begin(self, bucket: np.ndarray) -> None:
        """MPI does not wait for the GPU's kernels; this does."""
        module_of("cuda").cuda.get_current_stream().synchronize()
        super().begin(bucket)
