"""A stand-in for cupy.cuda.nccl of CuPy 14.2, part of standin.py: its sums between ranks are MPI's.

It is strict where NCCL is silently wrong or never answers. A sum that is not behind the kernels
that fill its buffer adds up NaN; until somebody waits for the sum the buffer is NaN. Two ranks on
one GPU are refused, and so are ranks with different unique ids. What it cannot show: that NCCL
finds the way between two cards, how long that takes, and what it does when a rank is gone.
"""

import ctypes
import functools
import os
import types

import numpy as np

TYPES = {7: ctypes.c_float, 8: ctypes.c_double}
SUM, INVALID_USAGE = 0, 5  # as in nccl.h, like the keys of TYPES


class NcclError(RuntimeError):
    """cupy.cuda.nccl.NcclError: made of a number."""

    def __init__(self, status):
        self.status = status
        super().__init__(f"NCCL_ERROR_INVALID_USAGE: invalid usage, {status}")

    def __reduce__(self):
        return type(self), (self.status,)


NcclError.__module__ = "cupy_backends.cuda.libs.nccl"


class NcclCommunicator:
    """cupy.cuda.nccl.NcclCommunicator. sizes: of its sums so far. made: all of them."""

    made = []

    def __init__(self, streams, default, device, ndev, commId, rank):  # noqa: N803
        assert type(commId) is bytes and len(commId) == 128
        self.streams, self.default, self.ndev, self.sizes = streams, default, ndev, []
        self.aborted = False
        if ndev > 1:
            from mpi4py import MPI

            self.comm = MPI.COMM_WORLD.Dup()
            assert (self.comm.size, self.comm.rank) == (ndev, rank)
            everybody = self.comm.allgather((MPI.Get_processor_name(), device.pci_bus_id, commId))
            assert len({unique_id for _, _, unique_id in everybody}) == 1
            if len({(host, gpu) for host, gpu, _ in everybody}) < ndev:
                raise NcclError(INVALID_USAGE)
        self.made.append(self)

    def allReduce(self, sendbuf, recvbuf, count, datatype, op, stream):  # noqa: N802
        assert op == SUM and not self.aborted
        queued = self.streams[stream]
        source, target = (np.ctypeslib.as_array((TYPES[datatype] * count).from_address(pointer))
                          for pointer in (sendbuf, recvbuf))
        if queued.behind < self.default.behind:
            source = np.full_like(source, np.nan)
        total = self.sum(source)
        target[...] = np.nan
        queued.queue.append(lambda: np.copyto(target, total))
        self.sizes.append(count)

    def sum(self, own):
        """The sum of all ranks' numbers (n,)."""
        total = own.copy()
        if self.ndev > 1:
            self.comm.Allreduce(own, total)
        return total

    def abort(self):
        self.aborted = True


def module(streams, default, device):
    """cupy.cuda.nccl for the streams {ptr: Stream}, whose default one runs the kernels."""
    return types.SimpleNamespace(
        available=True, NCCL_FLOAT32=7, NCCL_FLOAT64=8, NCCL_SUM=SUM, NcclError=NcclError,
        get_unique_id=lambda: os.urandom(128),
        NcclCommunicator=functools.partial(NcclCommunicator, streams, default, device))
