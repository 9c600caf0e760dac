"""Batches on their way to the device: in order, unchanged, to a GPU one ahead of the kernels."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import minicnn as mc
from minicnn import model
from minicnn.data import sample
from minicnn.ops import device_of, to_cpu
from minicnn.training import prefetch
from minicnn.training.batches import ArrayDataset, forward_batches
from minicnn.training.prefetch import prefetch_to_gpu


def batches(log, count=3):
    for k in range(count):
        log.append(f"decode {k}")
        yield np.full((2, 3), k, np.uint8), [k, k]


@pytest.mark.parametrize("device", ["cpu", "cuda-sim"])
def test_batches_arrive_in_order_and_unchanged(device):
    network = mc.Sequential([], (3,)).to(device)
    x, t = np.repeat(np.arange(3, dtype=np.float32), 6).reshape(6, 3), np.arange(6)
    arrived = list(forward_batches(network, ArrayDataset(x, t), np.arange(6), 2))
    assert [targets.tolist() for _, targets in arrived] == [[0, 1], [2, 3], [4, 5]]
    for k, (x, _) in enumerate(arrived):
        assert device_of(x) == device and x.dtype == np.float32
        assert (to_cpu(x) == k).all()


class Stream:
    """What prefetch_to_gpu asks of a CUDA stream, written down."""

    def __init__(self, log, name):
        self.log, self.name = log, name

    def record(self):
        self.log.append(f"{self.name} record")
        return SimpleNamespace(of=self.name, synchronize=lambda: self.log.append("copy is done"))

    def synchronize(self):
        self.log.append("all copies are done")

    def wait_event(self, event):
        assert event.of == "kernels"
        self.log.append("copies wait for kernels")


class Array(np.ndarray):
    """An array in the memory of a GPU: filled from pinned memory, on a stream."""

    def set(self, pinned, stream):
        assert stream.name == "copies"
        self[...] = pinned
        stream.log.append(f"copy {pinned[0, 0]}")


@pytest.fixture
def log(monkeypatch):
    """The steps in their order, on a CuPy that only writes them down."""
    log = []
    kernels = Stream(log, "kernels")
    cuda = SimpleNamespace(Stream=lambda non_blocking: Stream(log, "copies"),
                           get_current_stream=lambda: kernels)
    cupy = SimpleNamespace(cuda=cuda, empty=lambda *a: np.empty(*a).view(Array))
    cupyx = ModuleType("cupyx")
    cupyx.empty_pinned = np.empty
    monkeypatch.setitem(sys.modules, "cupyx", cupyx)
    monkeypatch.setattr(prefetch, "module_of", lambda device: cupy)
    return log


def test_a_batch_is_copied_while_the_one_before_it_is_worked_on(log):
    for x, targets in prefetch_to_gpu(batches(log)):
        assert (np.asarray(x) == targets[0]).all()
        log.append(f"kernels of {targets[0]}")
    steps = [step for step in log if not step.endswith("record") and "decode" not in step]
    assert steps == ["copies wait for kernels", "copy 0", "copies wait for kernels", "copy 1",
                     "copy is done", "kernels of 0", "copies wait for kernels", "copy 2",
                     "copy is done", "kernels of 1", "copy is done", "kernels of 2",
                     "all copies are done"]


def test_a_loop_that_is_left_waits_for_the_copy_under_way(log):
    loop = prefetch_to_gpu(batches(log))
    next(loop)
    loop.close()
    assert log[-1] == "all copies are done"


@pytest.mark.parametrize("count", [0, 1])
def test_few_batches_arrive_too(count, log):
    assert len(list(prefetch_to_gpu(batches(log, count)))) == count


def test_photos_reach_the_simulated_gpu_as_pixels(monkeypatch):
    """Bytes are copied, a quarter of what floats would be; the GPU makes floats of them."""
    copied, ours = [], model.to_device

    def to_device(x, device):
        if device_of(x) != device:
            copied.append(x.dtype)
        return ours(x, device)

    network = mc.Sequential([], (28, 28, 3), preprocessing=mc.Preprocessing()).to("cuda-sim")
    monkeypatch.setattr(model, "to_device", to_device)
    data = sample("fashion", "test", ["sandal", "sneaker"])
    for x, _ in forward_batches(network, data, range(5), 2):
        assert device_of(x) == "cuda-sim" and x.dtype == np.float32
    assert copied == [np.uint8] * 3
