"""Lesson 7: its kernel has three faults, each found by a sentence of its own, and can be fixed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.kernels import compile_all
from minicnn.ops.cuda.launch import read_kernels

EXAMPLES = Path(__file__).parent.parent / "examples"
KERNELS = EXAMPLES / "kernels"


def lesson(*arguments, **environment):
    """What running it prints, and its exit status."""
    return subprocess.run([sys.executable, EXAMPLES / "07_write_a_kernel.py", *arguments],
                          capture_output=True, text=True, cwd=EXAMPLES.parent,
                          env={**os.environ, "PYTHONPATH": str(EXAMPLES.parent), **environment})


def test_the_shipped_kernel_fails_three_times_and_is_right_with_three_lines_mended():
    done = lesson()
    said = " ".join(done.stdout.split())
    assert done.returncode == 0, done.stderr
    places = [said.index(sentence) for sentence in (
        "block 1, thread 3 takes x[ 7]", "x[135300] of 135300 elements",
        "in another order of blocks and threads another result is found in y",
        "Wrong are 45,561 of 135,300 pixels, all in rows 0 to 299, columns 299 to 450",
        "Right. Now fix edges.cu yourself")]
    assert places == sorted(places)
    wrong, right = (set((KERNELS / name).read_text("utf-8").splitlines())
                    for name in ("edges.cu", "edges_solution.cu"))
    assert len(right - wrong) == 3
    assert all(f":  {line.strip()}" in done.stdout for line in wrong - right if "if" in line)


def test_the_solution_is_right():
    assert "\nRight!\n" in lesson("--solution").stdout


def test_without_a_compiler_it_says_so_in_a_sentence():
    done = lesson(PATH="/nowhere", CXX="")
    assert done.returncode == 2
    assert "expected a C++ compiler" in done.stderr
    assert "Traceback" not in done.stderr


def test_nvidias_compiler_accepts_its_kernels_without_a_warning():
    pytest.importorskip("cupy", reason="there is no CuPy for macOS")
    compiled = compile_all([75, 90], folder=KERNELS)
    assert [line for one in compiled for line in one.complaints] == []
    assert {row.kernel for one in compiled for row in one.rows} == {
        name for file in KERNELS.glob("*.cu") for name in read_kernels(file)}
