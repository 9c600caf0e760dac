"""Features that are larger than the memory they may have lie in a file: the peak is bounded."""

import subprocess
import sys

import numpy as np
import pytest

import minicnn as mc
from minicnn.training import transfer
from tests import fuzzing

LEAST, CONSTANT = 180, 300  # MB that `minicnn train` takes beside its --memory-budget
TRAIN = """
import sys
from minicnn.cli import main
from tests.fuzzing import peak

status = main(["train", *sys.argv[1:]])
print(peak())
sys.exit(status)
"""
PHOTO = 32 * 32 * 64 * 4 / 1e6  # MB of one photo's features at block1_pool


def peak(*words):
    """MB that `minicnn train` has had at most. It says so itself: what wait4 tells of a child
    holds, on Linux, the memory of the process that started it, too."""
    said = subprocess.run([sys.executable, "-c", TRAIN, *map(str, words)], check=True, text=True,
                          stdout=subprocess.PIPE, cwd=fuzzing.ROOT).stdout
    return float(said.split()[-1])


@pytest.mark.parametrize("budget, options", [
    (0, "--cut block1_pool"), (150, "--cut block1_pool --no-scratch"),
    pytest.param(100, "--cut block2_pool --finetune block2 --finetune-epochs 1 --augment flip "
                      "--views 2 --no-scratch", marks=pytest.mark.full)])
def test_the_peak_is_the_budget_and_a_constant(budget, options, tmp_path):
    """Of 50 photos or 100 views to learn from and 1,000 photos for the test."""
    assert peak("--sample", "fashion", "--classes", "all", "--per-class", 5, "--size", 64,
                "--epochs", 1, "--output", tmp_path / "run", "--memory-budget", budget,
                *options.split()) < budget + CONSTANT
    assert LEAST + 1050 * PHOTO > budget + CONSTANT  # so much it would be without the budget


def test_features_in_a_file_give_the_same_bits():
    data = mc.data.sample("fashion", "train", None, 3)
    test = mc.data.sample("fashion", "test").take(1)
    one, other = (transfer(data, test, size=32, epochs=2, memory_budget=budget)
                  for budget in (1000, 0))
    assert one.history == other.history
    np.testing.assert_array_equal(one.evaluation.probabilities, other.evaluation.probabilities)
