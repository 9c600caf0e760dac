"""Damaged weight files in bounded number; `python -m tests.weights.fuzz` makes as many as one
likes."""

import h5py
import numpy as np
import pytest

from tests import fuzzing

from . import fuzz


def test_damaged_weight_files_load_exactly_or_are_refused(full):
    count = 20_000 if full else 400
    rows = fuzzing.run(fuzz, count, seed=3)
    assert [row[0] for row in rows] == list(range(count))
    assert fuzzing.failures(rows) == []
    assert {row[1] for row in rows} == set(fuzz.seeds())
    assert {kind for row in rows for kind in row[2]} == {f.__name__ for f in fuzz.DAMAGE}
    outcomes = [row[3] for row in rows]
    assert outcomes.count("read") > count / 10 and outcomes.count("refused") > 3 * count / 10


def test_every_layout_loads_exactly_before_it_is_damaged(tmp_path):
    """The numbers themselves: those that went into the files."""
    rng, path = np.random.default_rng(7), tmp_path / "file"
    expected = fuzz.numbers(rng)
    for name, content in fuzz.seeds().items():
        path.write_bytes(content)
        assert fuzz.judge(path) == "read", name
        if name == "json":  # the numbers are of another file
            continue
        net, _ = fuzz.load_weights(path)
        for layer, arrays in expected.items():
            if name in ("E ours", "F ours"):
                arrays = list(fuzz.model()[layer].params.values())
            if "theano" in name and arrays[0].ndim == 4:
                arrays = [arrays[0][::-1, ::-1], *arrays[1:]]
            if name == "B packed":
                arrays = [a.astype("f2").astype("f4") for a in arrays]
            if name == "B theano" and layer == "fc one":  # rows from (C, H, Wd)
                W = arrays[0].reshape(4, 2, 2, 5).transpose(1, 2, 0, 3).reshape(16, 5)
                arrays = [W, *arrays[1:]]
            held = list(net[layer].params.values())
            assert [a.tobytes() for a in held] == [a.tobytes() for a in arrays], (name, layer)


def test_the_same_number_and_seed_damage_in_the_same_way():
    seeds = fuzz.seeds()

    def mutants(seed):  # in content they may differ by the time, which HDF5 and zip write down
        return [(name, done, len(content)) for name, done, content in (
            fuzz.mutant(k, seed, seeds) for k in range(60))]
    assert mutants(5) == mutants(5) != mutants(6)


PATCH = """
import ctypes, os, sys, time, warnings
content, calls, real = fuzz.seeds()["B"], [], fuzz.mc.Sequential.load_weights
fuzz.seeds = lambda: {{"B": content}}
fuzz.mutant = lambda number, seed, seeds: ("B", [], content)

def restore(net):
    net.__init__(fuzz.model().layers, (8, 8, 3), 3, 'net', net.preprocessing, net.classes)

def broken(net, path):
    calls.append(path)
    note = real(net, path)
    if len(calls) > 1:  # the first one is read before the damage begins
        {}
    return note
fuzz.mc.Sequential.load_weights = broken
"""


@pytest.mark.parametrize("line, outcome", [
    ("pass", "read"), ("restore(net); raise fuzz.FileError('a sentence')", "refused"),
    ("raise fuzz.FileError('a sentence')", "other error: load_weights ValueError the network has"),
    ("restore(net); fuzz.FileError.__str__ = Exception.__str__; raise fuzz.FileError('a\\nb')",
     "other error: lines"),
    ("raise ValueError", "other error: load_weights ValueError"),
    ("raise MemoryError", "other error: load_weights MemoryError"),
    ("net['zebra'].params['W'][0, 0, 0, 0] += 1e-6", "wrong numbers: load_weights"),
    ("net['zebra'].params['b'] = net['aa'].params['b']", "wrong numbers: load_weights"),
    ("os.remove(path)", "wrong numbers: load_weights read what h5py cannot"),
    ("ctypes.string_at(0)", "crash -11"), ("os._exit(3)", "crash 3"),
    ("print('words', file=sys.stderr)", "output"), ("b'x' * 400_000_000", "memory"),
    ("warnings.warn('!')", "other error: load_weights UserWarning"),
    ("fuzzing.SECONDS = 0", "slow"), ("time.sleep(99)", "hang")])
def test_the_judge_sees_every_failure(monkeypatch, line, outcome):
    monkeypatch.setattr(fuzzing, "HANG", 3 if outcome == "hang" else 60)
    (row,) = fuzzing.run(fuzz, 1, patch=PATCH.format(line))
    assert row[3].startswith(outcome)
    assert bool(fuzzing.failures([row])) == (outcome not in ("read", "refused"))


def test_the_judge_sees_a_number_that_becomes_infinite_as_float32(tmp_path):
    net = fuzz.model()
    net.save(tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5", "a") as file:
        del file["model_weights/10/10/bias"]
        file["model_weights/10/10/bias"] = [np.inf, 0.0]
    net["10"].params["b"][...] = [np.inf, 0]
    assert not fuzz.same(net, "", tmp_path / "x.h5")
