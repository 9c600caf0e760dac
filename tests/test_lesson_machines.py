"""Lesson 12: its Allreduce by hand adds up, in as many steps and bytes as the papers say; the same
over MPI, if there is one."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from makers import mpiexec, run_ranks

from benchmarks.scaling_model import Link, ring, tree

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="module")
def lesson():
    """The names of the lesson's first two sections."""
    source = (EXAMPLES / "12_many_machines.py").read_text("utf-8")
    names = {"__file__": str(EXAMPLES / "12_many_machines.py")}
    exec(compile(source[:source.index("# The two on 8 ranks")], "lesson", "exec"), names)
    return names


def test_the_sum_of_the_gradients_is_that_of_the_batch_and_their_plain_mean_is_not(lesson):
    scale = np.abs(lesson["whole"]).max()
    assert [len(rows) for rows in lesson["shares"]] == [11, 11, 10]
    assert np.abs(lesson["weighted"] - lesson["whole"]).max() < 1e-13 * scale
    assert np.abs(lesson["g"] - lesson["whole"]).max() > 1e-3 * scale


@pytest.mark.parametrize("name", ["ring_allreduce", "tree_allreduce"])
@pytest.mark.parametrize("p", range(1, 10))
@pytest.mark.parametrize("n", [1, 24, 25])
def test_every_rank_gets_the_same_sum_and_no_vector_is_changed(lesson, name, p, n):
    vectors = [np.arange(n) + 100.0 * r for r in range(p)]
    sums = lesson[name](vectors, lesson["Network"](p))
    expected = p * np.arange(n) + 100 * p * (p - 1) / 2  # whole numbers: exact in any order
    assert len(sums) == p and all((s == expected).all() for s in sums)
    assert all((v == np.arange(n) + 100 * r).all() for r, v in enumerate(vectors))


@pytest.mark.parametrize("name, p, steps, sent", [
    # 24 numbers of 8 bytes are 192 bytes
    ("ring_allreduce", 4, 6, [288] * 4),   # 6 messages of 6 numbers each
    ("ring_allreduce", 3, 4, [256] * 3),   # 4 of 8
    ("tree_allreduce", 4, 4, [384, 192, 384, 192]),       # rank 2 sends to 0, and back to 3
    ("tree_allreduce", 5, 6, [576, 192, 384, 192, 192]),  # rank 0 to 4, 2 and 1
])
def test_steps_and_bytes_by_hand(lesson, name, p, steps, sent):
    network = lesson["Network"](p)
    lesson[name]([np.ones(24)] * p, network)
    assert network.steps == steps and network.sent.tolist() == sent


@pytest.mark.parametrize("name, formula", [("ring_allreduce", ring), ("tree_allreduce", tree)])
@pytest.mark.parametrize("p", [2, 3, 4, 8])
def test_the_seconds_that_are_counted_are_those_of_the_benchmark_s_formula(lesson, name, formula,
                                                                           p):
    network = lesson["Network"](p)
    lesson[name]([np.ones(24)] * p, network)
    link = Link(lesson["ALPHA"], gigabits=8e-9 / lesson["BETA"])
    assert network.seconds == pytest.approx(formula(link, p, 192))


@pytest.mark.skipif(mpiexec() is None, reason="no mpiexec, or no mpi4py")
@pytest.mark.parametrize("ranks", [1, 3])
def test_ranks_that_are_processes_get_the_gradient_of_the_batch(ranks):
    code, out, errors = run_ranks(ranks, EXAMPLES / "mpi" / "allreduce.py", "--short")
    assert code == 0, errors
    number, difference = re.match(r"(\d+) ranks: the sum differs from the gradient of the whole "
                                  r"batch by (\S+) of", out).groups()
    assert int(number) == ranks and float(difference) < 1e-13
    assert len(re.findall(r"^ +[\d,]+ +[\d.]+ +[\d.]+$", out, re.M)) == 3


# What the texts say of the lesson is what it has shown ----------------------------------------


NOTEBOOK = json.loads((EXAMPLES / "notebooks" / "12_many_machines.ipynb").read_text("utf-8"))
SHOWN = "".join("".join(output.get("text", "")) for cell in NOTEBOOK["cells"]
                for output in cell.get("outputs", []))


def test_what_to_notice_and_the_solutions_agree_with_the_notebook():
    solution = (EXAMPLES / "solutions" / "lessons.md").read_text("utf-8").split("## Lesson 12.")[1]
    ring_ms = re.search(r"^ +1024 +.* ([\d.]+) / +[\d.]+$", SHOWN, re.M)[1]
    notice = "".join(NOTEBOOK["cells"][-1]["source"])
    assert f"the ring's {float(ring_ms):.0f} ms" in " ".join(notice.split())
    assert 1 / 4 < 2 * 1023 * 0.02 / float(ring_ms) < 1 / 3  # "almost a third": 20 µs a message
    for name in ("ring", "tree"):
        ms = re.search(rf"^{name} +\d+ +[\d.]+ +([\d.]+) ", SHOWN, re.M)[1]
        column = {"ring": 1, "tree": 2}[name]
        (row,) = re.findall(r"^\| 8, 106,154 \|.*$", solution, re.M)
        assert row.split("|")[column + 1].strip() == f"{ms} ms"
    loss, accuracy = re.search(r"^batch 100, 4η, warm-up +80 +\S+ +(\S+) +(\S+) %$", SHOWN,
                               re.M).groups()
    assert f"| batch 100, 4 η, for comparison | {loss} | {accuracy} % |" in solution


def test_the_notebook_was_run_on_cores_that_nothing_else_took():
    assert "threads get no more than" not in SHOWN
    _, arithmetic, strong, weak = re.search(r"^ +(2) +([\d.]+) +([\d.]+) +([\d.]+)$", SHOWN,
                                            re.M).groups()
    assert 1 < float(strong) <= float(arithmetic) <= 2 and 1 < float(weak) <= float(arithmetic)
