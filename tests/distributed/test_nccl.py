"""Sums of gradients by NCCL, on a stand-in for CuPy: which ranks use it, in which order things
happen, and that two ranks of a real mpiexec then train as one process does. No GPU is needed, and
none has been asked."""

import contextlib
import ctypes
import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import standin
from makers import mpiexec, run_ranks

import minicnn as mc
from minicnn.distributed import nccl
from minicnn.distributed.gradient_sums import GradientSums
from minicnn.utils.ranks import Ranks

events = []  # what the streams and the library were asked, in order


class Stream:
    """cupy.cuda.Stream that notes what it is asked."""

    def __init__(self, non_blocking=True, name="sums"):
        assert non_blocking  # else it would wait for all kernels, and they for it
        self.name, self.ptr = name, {"sums": 7, "kernels": 0}[name]

    def record(self):
        events.append(f"event in {self.name}")
        return Event(self.name)

    def wait_event(self, event):
        events.append(f"{self.name} wait for {event.stream}")

    def synchronize(self):
        events.append(f"the host waits for {self.name}")


class Event:
    done = False

    def __init__(self, stream):
        self.stream = stream

    def synchronize(self):
        events.append(f"the host waits for an event in {self.stream}")


class Communicator:
    """cupy.cuda.nccl.NcclCommunicator of two ranks, the other of which has the same numbers."""

    def __init__(self, ndev, identity, rank):
        assert (ndev, identity, rank) == (2, b"identity", 0)

    def allReduce(self, sendbuf, recvbuf, count, datatype, op, stream):  # noqa: N802
        assert sendbuf == recvbuf and (datatype, op, stream) == (7, 0, 7)
        events.append(f"sum of {count}")
        numbers = np.ctypeslib.as_array((ctypes.c_float * count).from_address(sendbuf))
        numbers *= 2


LIBRARY = types.SimpleNamespace(
    available=True, NCCL_FLOAT32=7, NCCL_FLOAT64=8, NCCL_SUM=0, get_unique_id=lambda: b"identity",
    NcclCommunicator=Communicator)


class TwoRanks(Ranks):
    """Rank 0 of two; the other one gives what `other` makes of this one's."""

    size = 2
    name = "rank 0 of 2 (here)"

    def __init__(self, other=lambda part: part):
        self.other = other
        self.comm = types.SimpleNamespace(
            Get_info=lambda: types.SimpleNamespace(Get=lambda key: None))

    def gather(self, part):
        return [part, self.other(part)]

    def waiting(self):
        return contextlib.nullcontext()


@pytest.fixture
def cuda(monkeypatch):
    """The device "cuda" on the stand-in, with NCCL and GPU 1 of this machine."""
    events.clear()
    mpi = types.SimpleNamespace(IN_PLACE="in place", SUM="sum",
                                Get_processor_name=lambda: "here")
    monkeypatch.setitem(sys.modules, "mpi4py", types.SimpleNamespace(MPI=mpi))
    nccl.nccl_of.cache_clear()
    with standin.use_device(standin.NAME) as device:
        gpu = sys.modules["cupy"].cuda
        monkeypatch.setitem(sys.modules, "cupy.cuda.nccl", LIBRARY)
        monkeypatch.setattr(gpu, "Device", lambda: types.SimpleNamespace(pci_bus_id="0000:01"))
        monkeypatch.setattr(gpu, "Stream", Stream)
        monkeypatch.setattr(gpu, "get_current_stream", lambda: Stream(name="kernels"))
        yield device
    nccl.nccl_of.cache_clear()


def other_gpu(part):
    """Of a rank on this machine, on another GPU; what else it gives is the same."""
    return ("here", "0000:02") if isinstance(part, tuple) else part


# Which ranks use it


@pytest.mark.parametrize("other", [other_gpu, lambda part: ("there", "0000:01")
                                   if isinstance(part, tuple) else part])
def test_ranks_with_a_gpu_each_use_it(cuda, other):
    comm, in_place = nccl.communicator(TwoRanks(other), cuda)
    assert isinstance(comm, nccl.NCCL) and in_place


def test_the_communicator_is_made_once(cuda):
    ranks = TwoRanks(other_gpu)
    assert nccl.communicator(ranks, cuda)[0] is nccl.communicator(ranks, cuda)[0]


def same_gpu(part):
    return part


def has_none(part):
    return None if isinstance(part, tuple) else part


@pytest.mark.parametrize("other", [same_gpu, has_none])
def test_ranks_that_share_a_gpu_or_lack_the_library_leave_it_to_mpi(cuda, other):
    ranks = TwoRanks(other)
    assert nccl.communicator(ranks, cuda) == (ranks.comm, False)


def test_on_a_processor_mpi_sums(cuda):
    ranks = TwoRanks(other_gpu)
    assert nccl.communicator(ranks, "cpu") == (ranks.comm, False)
    assert nccl.gpu_for_nccl("cuda-sim") is None


def test_it_can_be_switched_off_and_needs_the_library(cuda, monkeypatch):
    assert nccl.gpu_for_nccl(cuda, {}) == ("here", "0000:01")
    assert nccl.gpu_for_nccl(cuda, {"MINICNN_NCCL": "0"}) is None
    monkeypatch.setattr(LIBRARY, "available", False)  # as CuPy's without libnccl
    assert nccl.gpu_for_nccl(cuda, {}) is None


@pytest.mark.parametrize("whose", ["own", "of another rank"])
def test_a_connection_that_fails_on_a_rank_is_said_and_mpi_sums(cuda, whose, monkeypatch):
    def fail(*_):
        raise RuntimeError("NCCL_ERROR_SYSTEM_ERROR: unhandled system error")

    def other(part):
        return "rank 1 of 2 (there): no network" if part == "" else other_gpu(part)
    if whose == "own":
        monkeypatch.setattr(LIBRARY, "NcclCommunicator", fail)
    ranks = TwoRanks(other_gpu if whose == "own" else other)
    with pytest.warns(UserWarning, match="NCCL: expected to connect the GPUs of 2 ranks, received "
                      "from rank . of 2 .*MPI sums the gradients instead; MINICNN_NCCL=0"):
        assert nccl.communicator(ranks, cuda) == (ranks.comm, False)


# In which order


def test_a_sum_follows_the_kernels_and_the_host_waits_for_nothing_but_its_end(cuda):
    model = mc.Sequential([mc.Dense(3), mc.Dense(2)], (3,)).to(cuda)
    for layer in model.layers:
        layer.grads.update({key: p + 1 for key, p in layer.params.items()})
    expected = {(layer.name, key): 2 * mc.to_cpu(g) for layer in model.layers
                for key, g in layer.grads.items()}
    comm, in_place = nccl.communicator(TwoRanks(other_gpu), cuda)
    sums = GradientSums(model.layers, comm, bucket_bytes=1, takes_gpu_arrays=in_place)
    for layer in reversed(model.layers):
        sums.start(layer)
        events.append(f"{layer.name} is done")
    sums.wait()
    one_sum = ["event in kernels", "sums wait for kernels", "sum of {}", "event in sums"]
    assert events == [
        *(line.format(8) for line in one_sum), "dense_1 is done",
        *(line.format(12) for line in one_sum), "dense is done",
        "the host waits for an event in sums", "the host waits for an event in sums"]
    for layer in model.layers:
        for key, g in layer.grads.items():
            assert mc.ops.device_of(g) == "cuda"
            np.testing.assert_array_equal(mc.to_cpu(g), expected[layer.name, key])


def test_a_sum_says_whether_it_has_ended():
    end = Event("sums")
    assert nccl.RunningSum(end).Test() is False
    end.done = True
    assert nccl.RunningSum(end).Test() is True


def test_the_true_cupy_says_whether_it_has_the_library_and_nothing_else(recwarn, monkeypatch):
    pytest.importorskip("cupy", reason="there is no CuPy for macOS")
    monkeypatch.delitem(sys.modules, "cupy.cuda.nccl", raising=False)
    library = nccl.library()
    assert library.available in (True, False) and not recwarn.list
    names = ("NCCL_FLOAT32", "NCCL_FLOAT64", "NCCL_SUM", "get_unique_id", "NcclCommunicator")
    assert all(hasattr(library, name) for name in names) == library.available


# Two ranks

SCRIPT = """
import ctypes, json, sys, types
sys.path[:0] = [{tests!r}]
import numpy as np
import standin
import minicnn as mc
from minicnn.distributed import nccl

sums = []


def train(device, *callbacks):
    rng = np.random.default_rng(0)
    data = rng.normal(size=(12, 6, 6, 2)).astype(np.float32), np.arange(12) % 3
    model = mc.Sequential([mc.Conv2D(4, 3), mc.ReLU(), mc.Flatten(), mc.Dense(3), mc.Softmax()],
                          (6, 6, 2), seed=1).to(device)
    mc.fit(model, data, mc.losses.CategoricalCrossEntropy(), mc.optimizers.SGD(0.1), epochs=3,
           batch_size=6, callbacks=callbacks)
    return np.concatenate([mc.to_cpu(p).ravel() for layer in model.layers
                           for p in layer.params.values()])


alone = train("cpu")
ranks = mc.distributed.connect()
from mpi4py import MPI


class Communicator:
    def __init__(self, ndev, identity, rank):
        assert identity == b"4711"
        self.comm = MPI.COMM_WORLD.Dup()
        assert (ndev, rank) == (self.comm.size, self.comm.rank)

    def allReduce(self, sendbuf, recvbuf, count, datatype, op, stream):
        numbers = np.ctypeslib.as_array((ctypes.c_float * count).from_address(sendbuf))
        self.comm.Allreduce(MPI.IN_PLACE, numbers, MPI.SUM)
        sums.append(count)


with standin.use_device(standin.NAME) as device:
    gpu = sys.modules["cupy"].cuda
    sys.modules["cupy.cuda.nccl"] = types.SimpleNamespace(
        available=True, NCCL_FLOAT32=7, NCCL_FLOAT64=8, NCCL_SUM=0,
        get_unique_id=lambda: b"4711" if ranks.rank == 0 else sys.exit("not on rank 0"),
        NcclCommunicator=Communicator)
    gpu.Device = lambda: types.SimpleNamespace(pci_bus_id=str(ranks.rank))
    together = train(device, mc.distributed.DataParallel())
bits = ranks.gather(together.tobytes())
if ranks.is_first:
    print(json.dumps({{"error": float(np.abs(together - alone).max()), "sums": sums,
                      "size": len(together), "same": len(set(bits)) == 1}}))
"""


@pytest.mark.skipif(mpiexec() is None, reason="no mpiexec, or no mpi4py")
def test_two_ranks_train_as_one_process_does(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(tests=str(Path(standin.__file__).parent)))
    code, out, errors = run_ranks(2, script)
    assert code == 0, errors
    result = json.loads(out)
    assert result["sums"] == [result["size"]] * 6  # one for each step: all of it is one bucket
    assert result["same"] and result["error"] < 1e-5
