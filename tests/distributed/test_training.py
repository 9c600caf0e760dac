"""Training on 2 and 3 ranks of a real mpiexec, with --full on 4, too, gives what a single process
gives; every rank sees the same, also the same errors; and every run gives the same bits."""

import json

import jobs
import numpy as np
import pytest
from makers import mpiexec, run_ranks, weights

from minicnn.training import Checkpoint

pytestmark = pytest.mark.skipif(mpiexec() is None, reason="no mpiexec, or no mpi4py")
SIZES = (2, 3, pytest.param(4, marks=pytest.mark.full))
TOLERANCES = {"in_float32": 1e-5, "frozen_photos": 1e-5, "features": 1e-5}  # else float64


class Results(list):
    """[(arrays, facts) of each rank], and the folder that they were in."""

    def __init__(self, folder, results):
        super().__init__(results)
        self.folder = folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory, request):
    """{ranks: [(arrays, facts) of each rank]}; "again": a second run with two."""
    found = {}
    sizes = (2, 3, 4) if request.config.getoption("full") else (2, 3)
    for size, key in [*zip(sizes, sizes, strict=True), (2, "again")]:
        folder, temporary = (tmp_path_factory.mktemp(name) for name in ("results", "tmp"))
        code, out, errors = run_ranks(size, jobs.__file__, folder, TMPDIR=str(temporary))
        assert code == 0 and out == "", errors
        found[key] = Results(folder, [
            (dict(np.load(folder / f"{size}-{rank}.npz")),
             json.loads((folder / f"{size}-{rank}.json").read_text())) for rank in range(size)])
    return found


@pytest.fixture(scope="module")
def expected():
    """What a single process computes, without ranks."""
    arrays = {}
    for training in jobs.TRAININGS:
        model, history = training([])
        for name, value in (weights(model) | history).items():
            arrays[f"{training.__name__}:{name}"] = np.asarray(value)
    return arrays | {f"features:{name}": value for name, value in jobs.features().items()}


@pytest.mark.parametrize("size", SIZES)
def test_weights_and_history_are_those_of_a_single_process(runs, expected, size):
    arrays = runs[size][0][0]
    assert arrays.keys() == expected.keys()
    for name, value in expected.items():
        tolerance = TOLERANCES.get(name.partition(":")[0], 1e-10)
        np.testing.assert_allclose(arrays[name], value, tolerance, tolerance, err_msg=name)


def test_what_is_compared_was_trained(expected):
    """50 steps and more, after which the loss is lower and the accuracy another than at first."""
    for training in jobs.TRAININGS:
        loss = expected[f"{training.__name__}:loss"]
        assert loss[-1] < loss[0]
    assert len(expected["every_layer_that_mixes:val_accuracy"]) * -(-jobs.PHOTOS // 8) == 50
    assert "every_layer_that_mixes:held_out_loss" in expected
    assert "fewer_samples_than_ranks:accuracy" not in expected
    assert expected["every_layer_that_mixes:conv2d/W"].dtype == np.float64


@pytest.mark.parametrize("size", SIZES)
def test_all_ranks_have_the_same_bits(runs, size):
    assert len({facts["bits"] for _, facts in runs[size]}) == 1


def test_a_second_run_gives_the_same_bits(runs):
    assert runs["again"][0][1]["bits"] == runs[2][0][1]["bits"]
    sizes = runs.keys() - {"again"}
    assert len({runs[size][0][1]["bits"] for size in sizes}) == len(sizes)  # sums in another order


@pytest.mark.parametrize("size", SIZES)
def test_all_ranks_get_the_same_errors(runs, size):
    facts = runs[size][0][1]
    assert [other for _, other in runs[size]] == [facts] * size
    assert "NotFiniteError" in facts["NaN"] and "epoch 1, batch 1" in facts["NaN"]
    assert "its input" in facts["NaN"]  # of the rank whose share it is
    assert "epoch 1, validation" in facts["NaN in validation"]
    assert "its input" in facts["NaN in validation"]
    for word in ("ArgumentError", "training photos", f"rank {size - 1} of {size}"):
        assert word in facts["other labels"]
    for word in ("batch_size", "4 as on rank 0", "received 5", f"rank {size - 1} of {size}"):
        assert word in facts["other settings"]
    for word in ("ArgumentError", "ranks", "photos, 1,", f"received {size}"):
        assert word in facts["more ranks than photos"]
    assert "ArgumentError" in facts["from_first"]


@pytest.mark.parametrize("size", SIZES)
def test_a_signal_to_any_rank_ends_all_after_the_same_step(runs, size):
    for _, facts in runs[size]:
        for signal in ("SIGTERM", "Ctrl-C"):
            assert facts[signal] == ("KeyboardInterrupt: training stopped after 0 of 2 epochs and "
                                     "3 of 3 batches")
        assert facts["stop()"].endswith("2 of 3 batches")
        assert facts["resumed bits"] == "[True, True]"  # W and b, as without the interruption
        assert facts["handlers"] == "True" and facts["ambient"] == "1"


@pytest.mark.parametrize("size", SIZES)
def test_a_checkpoint_of_ranks_is_continued_by_a_single_process(runs, size):
    """Written after the second of six steps; then every number of ranks has the same end."""
    callback = Checkpoint(runs[size].folder / f"checkpoints-{size}")
    assert [file.name for file in callback.files()] == ["training-00000-000002.h5"]
    continued = weights(jobs.tiny(jobs.tiny_data(), callback, ranks=False))
    single = weights(jobs.tiny(jobs.tiny_data(), ranks=False))
    for name, value in single.items():
        np.testing.assert_allclose(continued[name], value, 1e-10, 1e-10)


def test_nothing_is_left_in_the_temporary_folder(runs):
    for results in runs.values():
        assert all(facts["left behind"] == "[]" for _, facts in results)


def test_the_ranks_share_the_cores(runs):
    """On a machine with fewer cores than ranks, one each."""
    import os

    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    for size in runs.keys() - {"again"}:
        for _, facts in runs[size]:
            assert int(facts["threads"]) <= max(1, available // size)


def test_features_of_the_test_are_not_those_of_a_photo_repeated(expected):
    """The rows differ, so that a permuted assembly would be noticed."""
    x = expected["features:in memory"].reshape(11, -1)
    assert len(np.unique(x, axis=0)) == 11
    assert list(expected["features:prints, same"][-2:]) == [3, 0]
    np.testing.assert_array_equal(expected["features:rows"].reshape(5, -1), x[[7, 3, 3, 0, 10]])


