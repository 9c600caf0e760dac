"""Features that are larger than the memory they may have lie in a file: the peak is bounded."""

import os
import subprocess
import sys

import numpy as np
import pytest

import minicnn as mc
from minicnn.training import transfer

CONSTANT = 300  # MB that `minicnn train` takes beside its --memory-budget; the README says so
PHOTO = 32 * 32 * 64 * 4 / 1e6  # MB of one photo's features at block1_pool


def peak(*words):
    """MB that `minicnn train` has had at most."""
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys, minicnn.cli; sys.exit(minicnn.cli.main())", "train",
         *map(str, words)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


@pytest.mark.parametrize("photos, budget, more", [
    (1200, 0, ""), (1200, 150, "--no-scratch"),  # 200 to learn from, 1,000 for the test: 315 MB
    (1300, 100, "--augment flip --views 3 --finetune block2 --finetune-epochs 1 --no-scratch "
                "--cut block2_pool")])
def test_the_peak_is_the_budget_and_a_constant(photos, budget, more, tmp_path):
    cut = [] if "--cut" in more else ["--cut", "block1_pool"]
    assert peak("--classes", "all", "--per-class", photos // 10 - 100, "--epochs", 1, "--output",
                tmp_path / "run", "--memory-budget", budget, *cut, *more.split()
                ) < budget + CONSTANT
    assert photos * PHOTO > budget + CONSTANT  # all at once would be more


def test_features_in_a_file_give_the_same_bits():
    data, test = mc.data.sample("train", None, 3), mc.data.sample("test").take(1)
    one, other = (transfer(data, test, size=32, epochs=2, memory_budget=budget)
                  for budget in (1000, 0))
    assert one.history == other.history
    np.testing.assert_array_equal(one.evaluation.probabilities, other.evaluation.probabilities)
