"""A rank whose program ends early, by sys.exit(): if the others wait for it, all end, and whoever
waited says so; if they do not, they work on."""

import time

import pytest
from makers import mpiexec, run_ranks, sentences

pytestmark = pytest.mark.skipif(mpiexec() is None, reason="no mpiexec, or no mpi4py")
SECONDS = 10  # at most, until all have ended
BEGIN = """
import sys, time
import numpy as np
import minicnn as mc
ranks = mc.distributed.connect()
"""
WAITS = {
    "a sum": "ranks.gather_numbers(np.ones(1))",
    "a barrier": "ranks.wait_for_all()",
    "rank 0": "ranks.from_first(lambda: 1)\nranks.gather(1)",
    "the end": "ranks.agree_on_end(0, '')",
    "a training": "mc.fit(mc.Sequential([mc.Dense(2), mc.Softmax()], (3,)), "
                  "(np.ones((4, 3), np.float32), np.arange(4) % 2), "
                  "mc.losses.CategoricalCrossEntropy(), mc.optimizers.SGD(0.1), "
                  "callbacks=[mc.distributed.DataParallel()])",
}


def run(folder, text, size=2):
    """(exit status, output, what minicnn has said, seconds from its start to its end)."""
    script = folder / "script.py"
    script.write_text(BEGIN + text)
    began = time.monotonic()
    code, out, errors = run_ranks(size, script, timeout=SECONDS + 30)
    return code, out, sentences(errors), time.monotonic() - began


@pytest.mark.parametrize("wait,leaver", [
    ("a sum", 1), ("rank 0", 0), ("a training", 1),
    pytest.param("a barrier", 0, marks=pytest.mark.full),
    pytest.param("the end", 1, marks=pytest.mark.full)])
def test_whoever_waits_for_a_rank_that_has_ended_ends_all_and_says_so(tmp_path, wait, leaver):
    code, _, said, seconds = run(tmp_path, f"if ranks.rank == {leaver}: sys.exit()\n{WAITS[wait]}")
    assert code == 1 and seconds < SECONDS + 20  # it had to begin, too
    assert len(said) == 1 and said[0].startswith(f"minicnn: rank {1 - leaver} of 2 (")
    assert f"expected rank {leaver} of 2 (" in said[0] and "which has ended" in said[0]


def test_a_rank_may_end_while_another_works_on_for_itself(tmp_path):
    longer = "time.sleep(5)\nprint('done')"  # than a rank waits for one that has ended
    code, out, said, _ = run(tmp_path, f"if ranks.rank != 1: sys.exit()\n{longer}")
    assert (code, out, said) == (0, "done\n", [])


def test_after_a_shared_computation_all_end_as_they_like(tmp_path):
    code, out, said, _ = run(tmp_path, f"{WAITS['a sum']}\ntime.sleep(ranks.rank)\nsys.exit(0)", 3)
    assert (code, out, said) == (0, "", [])
