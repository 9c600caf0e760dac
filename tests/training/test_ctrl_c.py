"""Ctrl-C in Python: fit stops after a whole step, with a short traceback."""

import os
import signal
import subprocess
import sys
import traceback

import numpy as np
import pytest
from makers import classifier
from reference import assert_same

import minicnn as mc
from minicnn.losses import CategoricalCrossEntropy
from minicnn.optimizers import SGD
from minicnn.training import fit

SCRIPT = """
import minicnn as mc

train = mc.data.sample("fashion", "train", ["bag", "dress"])
test = mc.data.sample("fashion", "test", ["bag", "dress"])
print("begins", flush=True)
mc.fit(mc.SmallCNN(2), train, mc.losses.BinaryCrossEntropy(), mc.optimizers.Adam(1e-3),
       epochs=100_000, validation_data=test, callbacks=[mc.Callback()])
"""


class InterruptAt(mc.Callback):
    """Ctrl-C when a hook is called for the so many-th time; keeps the weights of each step."""

    def __init__(self, hook, call):
        self.call, self.weights = call, []
        setattr(self, f"on_{hook}", self.interrupt)

    def on_batch_begin(self, state):
        self.weights.append(state.model["dense"].params["W"].copy())

    def interrupt(self, *_state):
        self.call -= 1
        if self.call == 0:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("hook, after", [("backward_end", "after 0 of 5 epochs and 2 of 3 batches"),
                                         ("batch_end", "after 0 of 5 epochs and 3 of 3 batches"),
                                         ("epoch_end", "after 3 of 5 epochs and 0 of 3 batches")])
def test_the_weights_are_those_after_the_last_whole_step(hook, after):
    rng = np.random.default_rng(0)
    data = rng.normal(size=(10, 9, 9, 3)).astype(np.float32), np.arange(10) % 3
    model = classifier(shape=(9, 9, 3), preprocessing=None)
    interrupt = InterruptAt(hook, 3)
    with pytest.raises(KeyboardInterrupt, match=f"training stopped {after}") as caught:
        fit(model, data, CategoricalCrossEntropy(), SGD(0.05), epochs=5, batch_size=4,
            callbacks=[interrupt])
    if hook == "backward_end":  # within the third step
        assert_same(model["dense"].params["W"], interrupt.weights[2])
    names = [frame.name for frame in traceback.extract_tb(caught.tb)]
    assert names[1:3] == ["fit", "__exit__"] and names[-1] == "notifying"
    assert caught.value.__suppress_context__


def test_while_features_are_computed_no_epoch_is_counted():
    data = np.zeros((10, 9, 9, 3), np.float32), np.arange(10) % 3
    model = classifier(shape=(9, 9, 3), preprocessing=None)
    model.freeze(until=model.layers[0].name)
    with pytest.raises(KeyboardInterrupt, match="^training stopped before its first step$"):
        fit(model, data, CategoricalCrossEntropy(), SGD(0.05), epochs=5, batch_size=4,
            callbacks=[InterruptAt("features_batch_end", 2)])


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to a process")
def test_a_script_ends_with_a_short_traceback_and_no_frames_of_threads():
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    process.stdout.readline()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(3)
    process.send_signal(signal.SIGINT)
    err = process.communicate()[1]
    assert process.returncode != 0
    last = err.strip().splitlines()[-1]
    assert last.startswith("KeyboardInterrupt: training stopped after "), err
    assert "threading.py" not in err and "futures" not in err and err.count("Traceback") == 1
