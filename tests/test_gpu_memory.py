"""benchmarks.gpu_memory counts right, and VGG16 fits a card of 4 GB."""

from unittest.mock import patch

import numpy as np

import minicnn as mc
from benchmarks.gpu_memory import Memory, Pool, counted, inference, whole
from minicnn import ops
from minicnn.ops import to_device
from minicnn.ops.cuda.simulator import SimArray


def train_a_little():
    """Two steps of a small network on cuda-sim."""
    model = mc.Sequential([
        mc.Conv2D(4, 3, padding="same", activation="relu"), mc.MaxPool2D(2), mc.Flatten(),
        mc.Dense(5, activation="relu"), mc.Dense(3)], (6, 8, 2)).to("cuda-sim")
    loss, optimizer = mc.losses.CategoricalCrossEntropy(from_logits=True), mc.optimizers.Adam()
    for _ in range(2):
        x = to_device(np.zeros((7, 6, 8, 2), np.float32), "cuda-sim")
        y = model.forward(x, training=True)
        loss.forward(y, np.zeros(7, int))
        model.backward(loss.backward(), input_gradient=False)
        optimizer.step(model)


def test_one_convolution_needs_what_one_counts_by_hand():
    with counted() as memory:
        model = mc.Sequential([mc.Conv2D(4, 3, padding="same", activation="relu")], (8, 8, 3))
        model.to("cuda-sim").predict(np.ones((2, 8, 8, 3), np.float32))
        numbers = {"x": 2 * 8 * 8 * 3, "W": 3 * 3 * 3 * 4, "b": 4, "z": 2 * 8 * 8 * 4,
                   "cols": 2 * 8 * 8 * 3 * 3 * 3}
        assert memory.most == 4 * sum(numbers.values())
        assert memory.now == 4 * (numbers["W"] + numbers["b"])  # the rest has gone
        assert memory.pool.held == 512 * sum(-(-4 * n // 512) for n in numbers.values())


def test_counting_without_computing_gives_what_computing_gives():
    with counted() as skipped:
        train_a_little()
    computed = Memory()
    with patch.object(SimArray, "__array_finalize__", lambda self, _: computed.meet(self)):
        train_a_little()
    assert skipped.most == computed.most > 4 * 7 * 6 * 8 * (2 + 4)  # x and z at the least
    assert skipped.pool.held == computed.pool.held


def test_outside_of_counting_arrays_are_computed_again():
    with counted():
        pass
    x = to_device(np.array([1.0, 2.0]), "cuda-sim")
    assert (np.array(x + x) == [2, 4]).all()


def test_outside_of_counting_kernels_run_again():
    with counted():
        ops.cuda.relu(to_device(np.zeros(2), "cuda-sim"))
    assert (np.array(ops.cuda.relu(to_device(np.array([-1.0, 2.0]), "cuda-sim"))) == [0, 2]).all()


def test_the_pool_cuts_the_smallest_fitting_piece_and_joins_neighbours():
    pool = Pool()
    large, small = pool.take(4096), pool.take(1000)
    assert pool.held == 4096 + 1024
    pool.give(*large)
    pool.give(*small)
    assert pool.take(600) == small        # 1024 bytes, the smallest that is large enough
    first, second = pool.take(2048), pool.take(2048)
    assert first[0] == large[0] and second[0] == large[0] + 2048
    pool.give(*second)
    pool.give(*first)
    assert pool.take(4096) == large       # in one piece again
    assert pool.held == 4096 + 1024


def test_vgg16_on_32_photos_needs_less_than_4_gb():
    memory, weights, _ = inference(whole, 32)
    assert weights == 4 * 138_357_544
    assert weights < memory.most <= memory.pool.held < 4e9
