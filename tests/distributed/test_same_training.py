"""What the ranks of a training must have alike is compared before its first step: without ranks by
what is said of it, and on two ranks by ending with an error, where they hung or drifted apart."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from makers import in_float64, mpiexec, random_batch, run_ranks

import minicnn as mc
from minicnn.distributed.same_training import SAMPLED_ROWS, digest, facts
from minicnn.training import ArrayDataset, EarlyStopping, FeatureCache, HeldOut
from minicnn.training.prepare import prepare

SHAPE = (4, 4, 2)


def described(**changes):
    """The facts of a training of which only these are not as usual."""
    model = mc.Sequential([mc.Flatten(), mc.Dropout(changes.get("rate", 0.5)),
                           mc.Dense(4), mc.Dense(3), mc.Softmax()], SHAPE)
    if changes.get("frozen"):
        model.freeze("dense")
    if changes.get("double"):
        in_float64(model)
    x, t = random_batch(20, SHAPE)
    x = x + np.float32(changes.get("brighter", 0))
    loss = changes.get("loss", mc.losses.CategoricalCrossEntropy())
    optimizer = changes.get("optimizer", mc.optimizers.SGD(0.1, momentum=0.5))
    return facts(prepare(model, (x, t), loss, optimizer,
                         callbacks=changes.get("callbacks", ())))


def stepped(optimizer):
    """The optimizer after a step, which leaves a state."""
    model = mc.Sequential([mc.Dense(2)], (3,))
    model.layers[0].grads.update({key: p + 1 for key, p in model.layers[0].params.items()})
    optimizer.step(model)
    return optimizer


CHANGES = [
    ("optimizer", {"optimizer": mc.optimizers.SGD(0.2, momentum=0.5)}),
    ("optimizer", {"optimizer": mc.optimizers.SGD(0.1, momentum=0.6)}),
    ("optimizer", {"optimizer": mc.optimizers.Adam(0.1)}),
    ("optimizer", {"optimizer": stepped(mc.optimizers.SGD(0.1, momentum=0.5))}),
    ("optimizer", {"optimizer": mc.optimizers.ParamGroups(
        {"": mc.optimizers.SGD(0.1, momentum=0.5)})}),
    ("loss", {"loss": mc.losses.CategoricalCrossEntropy(label_smoothing=0.1)}),
    ("loss", {"loss": mc.losses.CategoricalCrossEntropy(class_weight=[1, 1, 2])}),
    ("layer 1", {"rate": 0.4}), ("layer 0", {"frozen": True}), ("layer 2", {"double": True}),
    ("training photos", {"brighter": 1}),
    ("callbacks", {"callbacks": [EarlyStopping(patience=3)]}),
    ("callbacks", {"callbacks": [FeatureCache(memory_budget=0)]}),
    ("callbacks", {"callbacks": [HeldOut(random_batch(5, SHAPE))]}),
]


@pytest.mark.parametrize("what,changes", CHANGES)
def test_what_differs_is_said_first(what, changes):
    usual, other = described(), described(**changes)
    assert next(key for key, value in usual.items() if other.get(key) != value) == what


def test_the_same_training_is_described_alike_also_after_another():
    assert described() == described()
    loss = mc.losses.CategoricalCrossEntropy()
    used = copy.copy(loss)
    used.dy = np.ones((2, 3))  # of its last batch, which is another on each rank
    assert described(loss=loss) == described(loss=used)


def test_optimizer_and_loss_are_named_with_their_settings():
    said = described(loss=mc.losses.CategoricalCrossEntropy(class_weight=[1, 2, 3]))
    for part in ("SGD(lr=0.1, ", "momentum=0.5", "nesterov=False"):
        assert part in said["optimizer"]
    assert "class_weight=[1.0, 2.0, 3.0]" in said["loss"]


def test_rows_of_arrays_are_compared_from_the_first_to_the_last():
    x, t = random_batch(5 * SAMPLED_ROWS, SHAPE)
    usual = digest(ArrayDataset(x, t))
    for row in (0, -1):
        other = x.copy()
        other[row, -1, -1, -1] += 1
        assert digest(ArrayDataset(other, t)) != usual
    assert digest(ArrayDataset(x.astype(np.float64), t)) != usual
    assert digest(ArrayDataset(x, t, views=2)) != usual
    assert digest(ArrayDataset(x.copy(), t.copy())) == usual


SCRIPT = """
import json, sys
from pathlib import Path
sys.path.insert(0, TESTS)
import numpy as np
from makers import random_batch
import minicnn as mc
from minicnn.utils.errors import ArgumentError
ranks, said = mc.distributed.connect(), {}
for case in ("the same", "optimizer", "frozen", "shape"):
    other = ranks.rank if case != "the same" else 0
    model = mc.Sequential([mc.Conv2D(3 + (case == "shape") * other, 3), mc.Flatten(), mc.Dense(3),
                           mc.Softmax()], (5, 5, 1))
    model.layers[0].trainable = not (case == "frozen" and other)
    try:
        mc.fit(model, random_batch(8, (5, 5, 1)), mc.losses.CategoricalCrossEntropy(),
               mc.optimizers.SGD(0.01 * (1 + other * (case == "optimizer"))), epochs=1,
               batch_size=4, callbacks=[mc.distributed.DataParallel()])
        said[case] = "no error"
    except ArgumentError as error:
        said[case] = str(error)
Path(sys.argv[1], f"{ranks.rank}.json").write_text(json.dumps(said))
"""


@pytest.mark.skipif(mpiexec() is None, reason="no mpiexec, or no mpi4py")
def test_two_ranks_that_differ_end_with_the_same_error(tmp_path):
    script = tmp_path / "differ.py"
    script.write_text(SCRIPT.replace("TESTS", repr(str(Path(__file__).parents[1]))))
    code, _, errors = run_ranks(2, script, tmp_path)
    assert code == 0, errors
    said, other = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert said == other and said["the same"] == "no error"
    for case, words in (("optimizer", ["optimizer", "SGD(lr=0.01", "SGD(lr=0.02", "rank 1 of 2"]),
                        ("frozen", ["layer 0", "trainable", "frozen"]),
                        ("shape", ["layer 0", "(3, 3, 1, 3)", "(3, 3, 1, 4)"])):
        assert all(word in said[case] for word in ["fit: expected", *words]), said[case]
