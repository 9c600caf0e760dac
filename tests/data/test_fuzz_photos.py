"""Damaged photos, 1,000 or with --full 5,000; `python -m tests.data.fuzz` prints the table."""

import pytest

from minicnn.data import read_image
from tests import fuzzing

from . import fuzz


def test_damaged_photos_are_read_or_refused(full):
    count = 5000 if full else 1000
    rows = fuzzing.run(fuzz, count, seed=2)
    assert [row[0] for row in rows] == list(range(count))
    assert fuzzing.failures(rows) == []
    assert len({row[1] for row in rows}) == len(fuzz.seeds()) > 35
    assert {kind for row in rows for kind in row[2]} == {f.__name__ for f in fuzz.DAMAGE}
    outcomes = [row[3] for row in rows]
    assert outcomes.count("read") > 150 and outcomes.count("refused") > 300


def test_every_photo_is_good_before_it_is_damaged(tmp_path):
    for name, content in fuzz.seeds().items():
        (tmp_path / "photo").write_bytes(content)
        assert sorted(read_image(tmp_path / "photo").shape) == [3, 40, 56], name


def test_the_same_number_and_seed_damage_in_the_same_way():
    seeds = fuzz.seeds()
    assert [fuzz.mutant(k, 5, seeds) for k in range(80)] == [fuzz.mutant(k, 5, seeds)
                                                             for k in range(80)]
    assert fuzz.mutant(3, 5, seeds) != fuzz.mutant(3, 6, seeds)


PATCH = """
import ctypes, os, sys, time, warnings
png, real, calls = fuzz.seeds()["png RGB"], fuzz.read_image, []
fuzz.seeds = lambda: {{"png": png}}
fuzz.mutant = lambda number, seed, seeds: ("png", [], png)

def broken(path):
    calls.append(path)
    if len(calls) > 1:  # the first one is read before the damage begins
        {}
    return real(path)
fuzz.read_image = broken
"""


@pytest.mark.parametrize("line, outcome", [
    ("pass", "read"), ("raise fuzz.FileError('a sentence')", "refused"),
    ("fuzz.FileError.__str__ = Exception.__str__; raise fuzz.FileError('two\\nlines')",
     "other error"), ("ctypes.string_at(0)", "crash -11"),
    ("os._exit(3)", "crash 3"), ("raise ValueError", "other error: ValueError"),
    ("raise MemoryError", "other error: MemoryError"), ("return real(path)[1:]", "wrong size"),
    ("return real(path)[..., :1]", "wrong size"), ("print('words', file=sys.stderr)", "output"),
    ("os.write(2, b'libtiff: words')", "output"),
    ("warnings.warn('!')", "other error: UserWarning"), ("b'x' * 400_000_000", "memory"),
    ("fuzzing.SECONDS = 0", "slow"), ("time.sleep(99)", "hang")])
def test_the_judge_sees_every_failure(monkeypatch, line, outcome):
    monkeypatch.setattr(fuzzing, "HANG", 1 if outcome == "hang" else 60)
    (row,) = fuzzing.run(fuzz, 1, patch=PATCH.format(line))
    assert row[3].startswith(outcome)
    assert bool(fuzzing.failures([row])) == (outcome not in ("read", "refused"))


def test_a_child_that_dies_is_replaced_and_the_table_counts(monkeypatch):
    rows = fuzzing.run(fuzz, 4, patch=PATCH.format("os.abort() if len(calls) == 3 else None"))
    assert [row[3] for row in rows] == ["read", "crash -6", "read", "crash -6"]
    last = fuzzing.table(rows).splitlines()[-1].split()
    assert last[:5] == ["all", "4", "2", "0", "2"]


def test_a_child_that_cannot_begin_is_an_error():
    with pytest.raises(RuntimeError, match="no such thing"):
        fuzzing.run(fuzz, 1, patch="raise OSError('no such thing')")
