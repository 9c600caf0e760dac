"""Without MPI: how a launcher is recognized, what is refused, which part of a batch is whose."""

import contextlib
import copy
import sys
import types

import numpy as np
import pytest
import standin
from makers import random_batch, weights

import minicnn as mc
from minicnn import cli
from minicnn.distributed import data_parallel, launch, resources
from minicnn.distributed.allreduce import CudaAwareAllreduce, MPIAllreduce, PinnedAllreduce
from minicnn.distributed.batch_share import BatchShare, WholeBatchGenerator, split_batches
from minicnn.distributed.gradient_sums import GradientSums
from minicnn.distributed.mpi_ranks import as_sent
from minicnn.ops.fast import threads as compute_threads
from minicnn.utils.errors import ArgumentError, FileError, MiniCNNError
from minicnn.utils.ranks import Ranks, current_ranks, working_with


class FakeRanks(Ranks):
    """One of several, without the others."""

    def __init__(self, rank, size):
        self.rank, self.size = rank, size


@pytest.mark.parametrize("environment,size", [
    ({}, 1), ({"OMPI_COMM_WORLD_SIZE": "4"}, 4), ({"PMI_SIZE": "3"}, 3),
    ({"SLURM_STEP_NUM_TASKS": "8", "OMPI_COMM_WORLD_SIZE": "2"}, 8),
    ({"SLURM_NTASKS": "8"}, 1),  # of the job: a single process may be started in it
    ({"PMI_SIZE": "many"}, 1), ({"PMI_SIZE": "3", "MINICNN_ALONE": "1"}, 1),
    ({"PMI_SIZE": "3", "MINICNN_ALONE": "0"}, 3)])
def test_a_launcher_is_recognized_by_its_variables(environment, size):
    assert launch.launched(environment)[0] == size


def test_the_first_process_is_known_before_mpi_is():
    assert launch.launched_as_first({}) and launch.launched_as_first({"PMI_RANK": "0"})
    assert not launch.launched_as_first({"OMPI_COMM_WORLD_RANK": "1"})


def fake_mpi(monkeypatch, size=1):
    """mpi4py whose MPI knows of `size` processes."""
    MPI = types.SimpleNamespace(COMM_WORLD=types.SimpleNamespace(size=size), Get_library_version=(
        lambda: "Open MPI v5.0.10, package: …\n"))
    package = types.ModuleType("mpi4py")
    package.MPI = MPI
    monkeypatch.setitem(sys.modules, "mpi4py", package)
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", MPI)


def test_the_mpiexec_of_another_mpi_is_noticed(monkeypatch, capsys):
    """Each process believes itself alone, and would train the whole by itself."""
    monkeypatch.setenv("PMI_SIZE", "4")
    monkeypatch.setenv("PMI_RANK", "0")
    fake_mpi(monkeypatch)
    launch.connect.cache_clear()
    with pytest.raises(ArgumentError, match="4 processes.*Open MPI v5"):
        launch.connect()
    assert cli.main(["train"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("minicnn: mpi: expected 4 processes") and said.count("\n") == 1


def test_without_mpi4py_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    launch.connect.cache_clear()
    with pytest.raises(ArgumentError, match=r"mpi4py.*\[mpi\]"):
        mc.distributed.DataParallel()


@pytest.mark.parametrize("size", range(1, 6))
@pytest.mark.parametrize("N,batch_size", [(37, 8), (10, 2), (3, 7), (5, 1), (8, 8), (23, 5)])
def test_the_parts_of_the_ranks_are_the_global_batches(size, N, batch_size):
    order = np.random.default_rng(N).permutation(N)
    batches = [order[k:k + batch_size] for k in range(0, N, batch_size)]
    together = [[] for _ in batches]
    for rank in range(size):
        ranks = FakeRanks(rank, size)
        own, own_size = split_batches(ranks, order, batch_size)
        parts = [own[k:k + own_size] for k in range(0, len(own), own_size)]
        assert len(parts) == len(batches)
        share = BatchShare()
        for k, (part, batch) in enumerate(zip(parts, batches, strict=True)):
            share.set(ranks, len(batch))
            np.testing.assert_array_equal(part, batch[share.start:share.stop])
            together[k].extend(part[:share.count])
    for batch, collected in zip(batches, together, strict=True):
        np.testing.assert_array_equal(collected, batch)


@pytest.mark.parametrize("count,size", [(10, 3), (2, 5), (0, 2), (7, 1)])
def test_parts_follow_each_other_and_differ_by_one_at_most(count, size):
    parts = [FakeRanks(rank, size).part_of(count) for rank in range(size)]
    assert [i for start, stop in parts for i in range(start, stop)] == list(range(count))
    sizes = [stop - start for start, stop in parts]
    assert max(sizes) - min(sizes) <= 1


def test_random_numbers_are_drawn_for_the_whole_batch():
    share, drawn = BatchShare(), []
    for rank in range(3):
        generator = WholeBatchGenerator(np.random.default_rng(4), share)
        share.set(FakeRanks(rank, 3), 8)
        drawn.append(generator.random((share.stop - share.start, 2), np.float32))
        state = generator.bit_generator.state
    single = np.random.default_rng(4)
    np.testing.assert_array_equal(np.concatenate(drawn), single.random((8, 2), np.float32))
    assert state == single.bit_generator.state


def test_a_generator_of_the_whole_batch_can_be_copied():
    generator = WholeBatchGenerator(np.random.default_rng(4), BatchShare())
    assert vars(copy.copy(generator)) == vars(generator)
    with pytest.raises(AttributeError, match="no_such"):
        generator.no_such  # noqa: B018


class SumWithTwin:
    """A communicator of two ranks, the other of which has the same numbers."""

    def __init__(self):
        self.sizes = []

    def Iallreduce(self, in_place, buffer, op):
        self.sizes.append(buffer.size)
        buffer *= 2
        return types.SimpleNamespace(Test=lambda: True, Wait=lambda: None)


@pytest.fixture
def mpi_constants(monkeypatch):
    fake_mpi(monkeypatch)
    sys.modules["mpi4py"].MPI.IN_PLACE, sys.modules["mpi4py"].MPI.SUM = "in place", "sum"


@pytest.mark.on_devices("cpu", "cuda-sim", "cuda (stand-in)")
def test_gradients_go_through_one_buffer_on_every_device(device, mpi_constants):
    """On a GPU by way of the processor; in buckets from the last layer down; frozen ones not."""
    model = mc.Sequential([mc.Conv2D(2, 3, name="frozen"), mc.Conv2D(3, 3), mc.Flatten(),
                           mc.Dense(4), mc.Dense(2)], (6, 6, 1)).to(device)
    model.freeze("frozen")
    x, _ = random_batch(3, (6, 6, 1))
    dy = np.ones((3, 2), np.float32)
    model.forward(mc.to_device(x, device), training=True)
    model.backward(mc.to_device(dy, device), input_gradient=False)
    alone = {(layer.name, key): mc.to_cpu(g).copy() for layer in model.layers
             for key, g in layer.grads.items()}
    twin = SumWithTwin()
    way = PinnedAllreduce if device == "cuda" else MPIAllreduce
    sums = GradientSums(model.layers, way(twin), bucket_bytes=60)
    done = []
    model.forward(mc.to_device(x, device), training=True)
    model.backward(mc.to_device(dy, device), False,
                   lambda layer: (done.append(layer.name), sums.start(layer)))
    sums.wait()
    assert done == ["dense_1", "dense", "flatten", "conv2d"]
    # dense_1: 8 + 2 numbers, which fill no bucket; dense: 48 + 4; conv2d: 54 + 3.
    assert twin.sizes == [10 + 52, 57]
    for layer in model.layers:
        for key, g in layer.grads.items():
            assert mc.ops.device_of(g) == device
            np.testing.assert_array_equal(mc.to_cpu(g), 2 * alone[layer.name, key])
    assert not model["frozen"].grads


def test_an_mpi_that_takes_gpu_arrays_gets_them(mpi_constants):
    """On the stand-in for CuPy: the buffer is there, and so is what the sum is given."""
    given = []

    class Sum(SumWithTwin):
        def Iallreduce(self, in_place, buffer, op):
            given.append(mc.ops.device_of(buffer))
            return super().Iallreduce(in_place, buffer, op)

    with standin.use_device(standin.NAME) as device:
        model = mc.Sequential([mc.Dense(2)], (3,)).to(device)
        layer = model.layers[0]
        layer.grads.update(W=layer.params["W"] + 1, b=layer.params["b"] + 1)
        expected = 2 * mc.to_cpu(layer.grads["W"])
        sums = GradientSums(model.layers, CudaAwareAllreduce(Sum()))
        sums.start(layer)
        sums.wait()
        assert given == ["cuda"] and mc.ops.device_of(layer.grads["W"]) == "cuda"
        np.testing.assert_array_equal(mc.to_cpu(layer.grads["W"]), expected)


def test_gradients_of_a_gpu_are_copied_straight_into_the_page_locked_buffer(
        mpi_constants, monkeypatch):
    """On the stand-in for CuPy: no pageable memory between the two, and one wait a bucket."""
    events = []

    class Sum(SumWithTwin):
        def Iallreduce(self, in_place, buffer, op):
            events.append("sum")
            return super().Iallreduce(in_place, buffer, op)

    get = standin.ndarray.get

    def noted(self, stream=None, order="C", out=None, blocking=True):
        events.append("copy" if np.shares_memory(out, sums.flat) and not blocking else "other")
        return get(self, stream, order, out, blocking)

    class Stream:
        def synchronize(self):
            events.append("wait")

    with standin.use_device(standin.NAME) as device:
        model = mc.Sequential([mc.Dense(2)], (3,)).to(device)
        layer = model.layers[0]
        layer.grads.update(W=layer.params["W"].T.copy().T + 1, b=layer.params["b"] + 1)
        expected = {key: 2 * mc.to_cpu(g) for key, g in layer.grads.items()}
        sums = GradientSums(model.layers, PinnedAllreduce(Sum()))
        with monkeypatch.context() as patch:
            patch.setattr(standin.ndarray, "get", noted)
            patch.setattr(sys.modules["cupy"].cuda, "get_current_stream", Stream)
            sums.start(layer)
            sums.wait()
        assert events == ["copy", "copy", "wait", "sum"]
        for key, value in expected.items():
            assert mc.ops.device_of(layer.grads[key]) == "cuda"
            np.testing.assert_array_equal(mc.to_cpu(layer.grads[key]), value)


class OneRank(Ranks):
    """As MPIRanks, of a single process: what is added up is the sum already."""

    hosts = ["here"]
    name = "rank 0 of 1 (here)"

    def __init__(self):
        self.comm = types.SimpleNamespace(
            Iallreduce=lambda in_place, buffer, op: types.SimpleNamespace(
                Test=lambda: True, Wait=lambda: None),
            Bcast=lambda buffer: None,
            Ibarrier=lambda: types.SimpleNamespace(Test=lambda: True),
            Get_info=lambda: types.SimpleNamespace(Get=lambda key: None))

    def waiting(self):
        return contextlib.nullcontext()

    def gather_numbers(self, numbers):
        assert isinstance(numbers, np.ndarray)  # of the processor, as MPI takes them
        return numbers[None].astype(float)


@pytest.mark.on_devices("cpu", "cuda-sim", "cuda (stand-in)")
def test_a_distributed_training_is_the_same_on_every_device(device, monkeypatch, mpi_constants):
    """Of one rank it is a plain training: loss, gradients, batch normalization, random layers."""
    monkeypatch.setattr(data_parallel, "connect", OneRank)
    data = random_batch(7, (6, 6, 2))

    def trained(*callbacks):
        model = mc.Sequential([
            mc.Conv2D(3, 3, use_bias=False), mc.BatchNormalization(), mc.ReLU(), mc.Flatten(),
            mc.Dropout(0.3), mc.Dense(3), mc.Softmax()], (6, 6, 2)).to(device)
        history = mc.fit(model, data, mc.losses.CategoricalCrossEntropy(), mc.optimizers.SGD(0.1),
                         epochs=2, batch_size=4, validation_data=data, callbacks=callbacks)
        assert model.device == device
        return weights(model) | history

    plain, distributed = trained(), trained(mc.distributed.DataParallel())
    assert plain.keys() == distributed.keys()
    for name, value in plain.items():
        np.testing.assert_allclose(distributed[name], value, 1e-5, 1e-6, err_msg=name)


@pytest.mark.parametrize("kinds,environment,aware", [
    (None, {}, False), ("system,mpi", {}, False), ("system,mpi,cuda:device,cuda:host", {}, True),
    (None, {"MINICNN_CUDA_AWARE_MPI": "1"}, True),
    ("cuda", {"MINICNN_CUDA_AWARE_MPI": "0"}, False)])
def test_whether_mpi_takes_gpu_arrays(kinds, environment, aware):
    info = types.SimpleNamespace(Get={"mpi_memory_alloc_kinds": kinds}.get)
    comm = types.SimpleNamespace(Get_info=lambda: info)
    assert resources.takes_gpu_arrays(comm, environment) is aware


def test_a_double_model_has_a_double_buffer(mpi_constants):
    model = mc.Sequential([mc.Dense(2)], (3,))
    model.layers[0].params = {k: p.astype(np.float64) for k, p in model.layers[0].params.items()}
    assert GradientSums(model.layers, MPIAllreduce(None)).flat.dtype == np.float64


@pytest.mark.parametrize("affinities,share", [
    ([{0, 1, 2, 3}] * 4, 1), ([{0, 1, 2, 3}] * 2, 2), ([{0}, {1}], 1), ([{0, 1}, {2, 3}], 2),
    ([{0, 1, 2}] * 5, 1)])
def test_ranks_share_the_cores_of_their_machine(monkeypatch, affinities, share):
    node = types.SimpleNamespace(allgather=lambda own: affinities)
    granted = []
    monkeypatch.setattr(resources, "share_cores", granted.append)
    monkeypatch.setattr(resources, "cgroup_cpu_limit", lambda: sys.maxsize)
    monkeypatch.setattr(resources.os, "sched_getaffinity", lambda pid: affinities[0], raising=False)
    resources.take_share_of_cores(types.SimpleNamespace(node=node))
    assert granted == [share]


@pytest.mark.parametrize("visible,gpus,local_rank,expected", [
    (None, 4, 2, "2"), (None, 2, 3, "1"), (None, 1, 1, None), (None, 0, 1, None),
    ("", 4, 1, ""),  # no GPU
    ("4,5,6", 8, 1, "5"), ("3", 8, 1, "3"), ("GPU-a,GPU-b", 2, 3, "GPU-b")])
def test_a_rank_gets_a_gpu_of_its_own(tmp_path, visible, gpus, local_rank, expected):
    for number in range(gpus):
        (tmp_path / "gpus" / f"0000:{number}").mkdir(parents=True)
    environment = {} if visible is None else {resources.VISIBLE: visible}
    resources.take_gpu(types.SimpleNamespace(local_rank=local_rank), environment, tmp_path / "gpus")
    assert environment.get(resources.VISIBLE) == expected


def test_a_share_of_cores_limits_blas_unless_the_environment_does(monkeypatch):
    monkeypatch.setattr(compute_threads, "_share", sys.maxsize)
    for variable in compute_threads.THREAD_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    before = compute_threads.num_threads()
    try:
        compute_threads.share_cores(1)
        assert compute_threads.cores() == compute_threads.num_threads() == 1
        compute_threads.blas_libraries().limit(limits=2)
        monkeypatch.setenv("OMP_NUM_THREADS", "2")
        compute_threads.share_cores(1)
        assert compute_threads.num_threads() == 2
    finally:
        compute_threads.blas_libraries().limit(limits=before)


class StrictError(MiniCNNError):
    """Cannot be made anew from its arguments."""

    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")


def test_an_error_reaches_the_other_ranks_whatever_its_class():
    error = FileError("gone")
    assert as_sent(error) is error
    assert str(as_sent(StrictError(1, 2))) == "1 and 2"
    assert isinstance(as_sent(StrictError(1, 2)), MiniCNNError)


def test_a_process_without_ranks_is_rank_0_of_1():
    ranks = current_ranks()
    assert (ranks.rank, ranks.size, ranks.is_first) == (0, 1, True)
    assert ranks.part_of(7) == (0, 7)
    assert ranks.gather("x") == ["x"] and ranks.from_first(lambda: 3) == 3
    assert ranks.alone_on_first(lambda: 4) == 4
    with working_with(FakeRanks(1, 2)) as _:
        assert current_ranks().size == 2
    assert current_ranks() is ranks
