"""The gradients of GPUs are added up by NCCL, on the stand-in for CuPy: in the right order of work,
and only where every rank can; otherwise all ranks take the same other way."""

import contextlib
import json
import sys
import types

import nccl_jobs
import numpy as np
import pytest
import standin
import standin_nccl
from makers import mpiexec, random_batch, run_ranks

import minicnn as mc
from minicnn.distributed import data_parallel, nccl, resources
from minicnn.distributed.allreduce import CudaAwareAllreduce, MPIAllreduce, PinnedAllreduce
from minicnn.distributed.gradient_sums import GradientSums
from minicnn.utils.ranks import Ranks

RANKS = 2


@pytest.fixture
def cuda():
    """cupy.cuda of the stand-in."""
    with standin.installed():
        yield sys.modules["cupy"].cuda


@pytest.fixture
def twin(cuda, monkeypatch):
    """A communicator of two ranks, the other of which has the same numbers."""
    monkeypatch.setattr(standin_nccl.NcclCommunicator, "sum", lambda self, own: 2 * own)
    return cuda.nccl.NcclCommunicator(1, bytes(128), 0)


def two_layers():
    """A network on the GPU, and a function that computes its gradients."""
    model = mc.Sequential([mc.Dense(4), mc.Dense(2)], (3,)).to("cuda")
    x, dy = random_batch(5, (3,))[0], np.ones((5, 2), np.float32)

    def backward(layer_done=lambda layer: None):
        model.forward(mc.to_device(x, "cuda"), training=True)
        model.backward(mc.to_device(dy, "cuda"), False, layer_done)

    return model, backward


def gradients(model):
    return {(layer.name, key): mc.to_cpu(g).copy() for layer in model.layers
            for key, g in layer.grads.items()}


# The order of work


def test_a_sum_is_under_way_while_the_lower_layers_are_computed(twin, monkeypatch):
    """The processor waits neither for the gradients nor for their sums."""
    model, backward = two_layers()
    backward()
    alone = gradients(model)
    way = nccl.NCCLAllreduce(twin, OneRank([]))
    sums, sizes = GradientSums(model.layers, way, bucket_bytes=40), []
    assert way.stream.non_blocking  # else the stream of the kernels would wait for each sum
    for kind in (standin.Event, standin.Stream):
        monkeypatch.setattr(kind, "synchronize", lambda self: pytest.fail("waited"))
    for _ in range(2):  # the buffer is used again
        backward(lambda layer: (sums.start(layer), sizes.append(list(twin.sizes))))
        assert np.isnan(sums.flat.numbers).all()  # nobody has waited for these sums yet
        sums.wait()
        for (layer, key), g in alone.items():
            assert mc.ops.device_of(model[layer].grads[key]) == "cuda"
            np.testing.assert_array_equal(model[layer].grads[key].numbers, 2 * g)
    # dense_1 has 8 + 2 numbers, dense 12 + 4.
    assert sizes == [[10], [10, 16], [10, 16, 10], [10, 16, 10, 16]]


def test_at_the_end_of_a_step_the_processor_waits_for_the_sums(twin, monkeypatch):
    """As one that waits for the other ranks, so that it notices if one has left."""
    events = []

    class Waiting(OneRank):
        @contextlib.contextmanager
        def waiting(self):
            events.append("waiting")
            yield
            events.append("waited")

    class Step(mc.Callback):
        def on_backward_end(self, state):
            events.append("backward")

        def on_batch_end(self, state):
            events.append("step")

    monkeypatch.setattr(data_parallel, "connect", Waiting)
    monkeypatch.setattr(standin.Event, "synchronize", lambda self: events.append("sums"))
    model, _ = two_layers()
    mc.fit(model, (np.ones((4, 3), np.float32), np.ones((4, 2), np.float32)),
           mc.losses.MeanSquaredError(), mc.optimizers.SGD(0.1), epochs=1, batch_size=4,
           callbacks=[mc.distributed.DataParallel(), Step()])
    after = events[events.index("backward"):]
    assert after[:5] == ["backward", "waiting", "sums", "waited", "step"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("missing", ["before", "after", "none"])
def test_the_stand_in_notices_a_sum_that_no_event_puts_in_order(twin, monkeypatch, missing, dtype):
    """So that the tests above can fail."""
    way = nccl.NCCLAllreduce(twin, OneRank([]))
    wait_event = standin.Stream.wait_event

    def wait(self, event):
        if self is not {"before": way.stream, "after": standin.DEFAULT}.get(missing):
            wait_event(self, event)

    monkeypatch.setattr(standin.Stream, "wait_event", wait)
    buffer = way.buffer(3, np.dtype(dtype))
    way.put(mc.to_device(np.array([1, 2, 3], dtype), "cuda"), buffer)
    way.begin(buffer)
    way.wait()
    np.testing.assert_array_equal(mc.to_cpu(buffer),
                                  [2, 4, 6] if missing == "none" else [np.nan] * 3)


# Which way


class OneRank(Ranks):
    """As MPIRanks, of a single process."""

    hosts = ["here"]
    name = "rank 0 of 1 (here)"

    def __init__(self, others=()):
        self.others, self.size = others, 1 + len(others)
        self.comm = types.SimpleNamespace(
            Bcast=lambda buffer: None, Ibarrier=lambda: types.SimpleNamespace(Test=lambda: True),
            Get_info=lambda: types.SimpleNamespace(Get=lambda key: None))

    def waiting(self):
        return contextlib.nullcontext()

    def gather(self, part):
        return [part, *self.others]

    def gather_numbers(self, numbers):
        return numbers[None].astype(float)


OWN = ("here", standin.Device.pci_bus_id)
OTHER = ("here", "0000:02:00.0")


@pytest.mark.parametrize("others,device,environment,way", [
    ([], "cuda", {}, nccl.NCCLAllreduce),
    ([OTHER], "cuda", {}, nccl.NCCLAllreduce),
    ([("there", OWN[1])], "cuda", {}, nccl.NCCLAllreduce),  # of another machine
    ([OTHER, OTHER], "cuda", {}, PinnedAllreduce),
    ([OWN], "cuda", {}, PinnedAllreduce),
    ([None], "cuda", {}, PinnedAllreduce),  # it has no NCCL
    ([OTHER], "cuda", {"MINICNN_NCCL": "1"}, nccl.NCCLAllreduce),
    ([OTHER], "cuda", {"MINICNN_NCCL": "0"}, PinnedAllreduce),
    ([OWN], "cuda", {"MINICNN_CUDA_AWARE_MPI": "1"}, CudaAwareAllreduce),
    ([OTHER], "cuda", {"MINICNN_CUDA_AWARE_MPI": "1"}, nccl.NCCLAllreduce),
    ([None], "cpu", {}, MPIAllreduce), ([OTHER], "cuda-sim", {}, MPIAllreduce)])
def test_nccl_needs_a_gpu_for_each_rank(cuda, monkeypatch, others, device, environment, way):
    monkeypatch.setattr(resources, "connect_gpus", lambda ranks, gpus: "communicator")
    assert type(resources.allreduce_for(OneRank(others), device, environment)) is way


def test_a_cupy_without_nvidias_library_is_passed_over_silently(cuda, monkeypatch):
    monkeypatch.setattr(cuda.nccl, "available", False)
    assert type(resources.allreduce_for(OneRank(), "cuda", {})) is PinnedAllreduce


def test_the_true_cupy_is_asked_without_a_warning(monkeypatch):
    """It warns when it is first asked for a library that is not installed."""
    cupy = pytest.importorskip("cupy", reason="there is no CuPy for macOS")
    monkeypatch.delitem(sys.modules, "cupy.cuda.nccl", raising=False)
    monkeypatch.delattr(cupy.cuda, "nccl", raising=False)
    assert nccl.nccl_module().available in (True, False)


def test_ranks_that_nccl_holds_are_ended_by_the_one_on_which_it_has_failed(monkeypatch):
    """They wait in NCCL for a rank that does not come."""
    ranks, said, here = OneRank(), [], iter([False, False, False])  # an error, if asked for ever
    ranks.comm.Ibarrier = lambda: types.SimpleNamespace(Test=lambda: next(here))

    def abort(status, text):
        said.append((status, text))
        raise SystemExit(status)

    ranks.abort = abort
    monkeypatch.setattr(nccl, "CONNECT_SECONDS", 0.0)
    with pytest.raises(SystemExit):
        nccl.gather_problems(ranks, "rank 0 of 2 (here): no memory")
    assert said == [(1, "minicnn: nccl: expected to connect 1 GPUs, received on rank 0 of 2 "
                        "(here): no memory. Set MINICNN_NCCL=0 for all ranks.")]


# Two ranks of a real mpiexec


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """[(arrays, facts) of each rank]."""
    if mpiexec() is None:
        pytest.skip("no mpiexec, or no mpi4py")
    folder = tmp_path_factory.mktemp("nccl")
    code, out, errors = run_ranks(RANKS, nccl_jobs.__file__, folder)
    assert code == 0 and out == "", errors
    return [(dict(np.load(folder / f"{rank}.npz")),
             json.loads((folder / f"{rank}.json").read_text())) for rank in range(RANKS)]


def test_whatever_the_way_the_weights_are_those_of_a_single_process(cuda, runs):
    dtypes = {case: np.float32 if case == "float32" else np.float64 for case in runs[0][1]["ways"]}
    expected = {dtype: nccl_jobs.trained(dtype) for dtype in (np.float32, np.float64)}
    for case, dtype in dtypes.items():
        tolerance = 1e-5 if dtype == np.float32 else 1e-10
        for name, value in expected[dtype].items():
            for arrays, _ in runs:
                np.testing.assert_allclose(arrays[f"{case}:{name}"], value, tolerance, tolerance,
                                           err_msg=f"{case}, {name}")
                np.testing.assert_array_equal(arrays[f"{case}:{name}"],
                                              runs[0][0][f"{case}:{name}"])


def test_all_ranks_take_the_same_way(runs):
    """NCCL, unless two ranks share a GPU, or one cannot or may not."""
    for _, facts in runs:
        ways = facts["ways"]
        assert {case for case, way in ways.items() if way == "NCCLAllreduce"} == {"float64",
                                                                                  "float32"}
        assert set(ways.values()) == {"NCCLAllreduce", "PinnedAllreduce"} and len(ways) == 7


def test_the_ranks_begin_the_same_sums_in_the_same_order_and_connect_once(runs):
    steps = 2 * 2 * 3  # of two trainings, in two epochs of three batches
    for _, facts in runs:
        assert facts["sizes"] == [211, 60] * steps  # the Dense layers; BN's and the convolution's
        assert facts["communicators"] == 1


def test_a_failure_of_nccl_is_told_once_by_the_first_rank(runs):
    for rank, (_, facts) in enumerate(runs):
        told = {case: said for case, said in facts["warnings"].items() if said}
        assert told.keys() == ({"failed on rank 1", "no unique id"} if rank == 0 else set())
        for said, failed in zip(told.values(), (1, 0), strict=False):
            assert len(said) == 1 and said[0].count(". ") == 1
            for words in (f"on rank {failed} of 2 (", "NCCL_ERROR_INVALID_USAGE", "MINICNN_NCCL=0"):
                assert words in said[0]
    assert [facts["aborted"] for _, facts in runs] == [[False, True], [False, False]]
