"""The checks notice wrong kernels: over a hundred, each wrong in one place."""

import subprocess
import sys

import mutants
import pytest

from minicnn.ops.cuda.launch import KERNELS, kernels


def test_every_mutant_is_killed():
    done = subprocess.run([sys.executable, mutants.__file__], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == len(mutants.MUTANTS) + 1
    assert done.stdout.endswith(f"{len(mutants.MUTANTS)} mutants, 0 survive\n")


def test_there_are_at_least_40_mutants_and_every_kernel_has_one():
    assert len(set(mutants.MUTANTS)) == len(mutants.MUTANTS) >= 40
    assert {place for place, *_ in mutants.MUTANTS} >= set(kernels(KERNELS))


def test_a_change_that_changes_nothing_survives():
    assert mutants.death(("relu", "x[k] < 0", "x[k] <= 0")) is None


def test_a_mutant_whose_text_is_not_there_once_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="relu: expected 'nothing' once, found it 0 times"):
        mutants.make(tmp_path / "none", "relu", "nothing", "")
    with pytest.raises(SystemExit, match="sgd: expected 'k' once"):
        mutants.make(tmp_path / "many", "sgd", "k", "j")
