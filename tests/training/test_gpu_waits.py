"""How often a training step waits for the GPU: each number that Python reads from it is a wait."""

import numpy as np
import pytest
import standin
from makers import classifier

import minicnn as mc

READS = ("get", "item", "tolist", "__bool__", "__int__", "__float__", "__index__")


@pytest.fixture
def reads(monkeypatch):
    """The names of the methods by which numbers came from the GPU, in their order."""
    names = []

    def recorded(name, method):
        def read(self, *arguments, **options):
            names.append(name)
            return method(self, *arguments, **options)
        return read
    for name in READS:
        monkeypatch.setattr(standin.ndarray, name, recorded(name, getattr(standin.ndarray, name)))
    with standin.installed():
        yield names


def train(batches, loss, optimizer):
    model = classifier().to("cuda")
    x = np.random.default_rng(0).integers(0, 256, (4 * batches, *model.input_shape), np.uint8)
    mc.fit(model, (x, np.arange(len(x)) % 3), loss, optimizer, epochs=1, batch_size=4)


@pytest.mark.parametrize("optimizer", [
    lambda: mc.optimizers.SGD(0.01), lambda: mc.optimizers.Adam(0.001),
    lambda: mc.optimizers.ParamGroups({"conv": mc.optimizers.Adam(1e-4),
                                       "": mc.optimizers.RMSprop(1e-3)})])
@pytest.mark.parametrize("options", [{}, {"class_weight": [1, 2, 1]}, {"label_smoothing": 0.1}])
def test_a_training_step_waits_twice_for_the_gpu(reads, optimizer, options):
    """For the loss, and for the one flag that says whether gradients and weights are finite."""
    counts = []
    for batches in (3, 5):
        reads.clear()
        train(batches, mc.losses.CategoricalCrossEntropy(**options), optimizer())
        counts.append(len(reads))
    assert counts[1] - counts[0] == 2 * 2, reads
