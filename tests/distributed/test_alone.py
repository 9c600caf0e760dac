"""MINICNN_ALONE=1: processes that mpiexec has started have nothing to do with each other."""

import pytest
from makers import mpiexec, run_ranks

SCRIPT = """
import os, sys
import numpy as np
import minicnn as mc
parallel = mc.distributed.DataParallel()
number = int(os.environ.get("OMPI_COMM_WORLD_RANK") or os.environ["PMI_RANK"])
x = np.full((4, 3), number, np.float32)  # other data, which ranks would refuse
mc.fit(mc.Sequential([mc.Dense(2), mc.Softmax()], (3,)), (x, np.arange(4) % 2),
       mc.losses.CategoricalCrossEntropy(), mc.optimizers.SGD(0.1), epochs=1 + number,
       callbacks=[parallel])
sys.stdout.write(f"{parallel.ranks.rank} of {parallel.ranks.size}\\n")
"""


@pytest.mark.skipif(mpiexec() is None, reason="no mpiexec, or no mpi4py")
def test_each_trains_its_own_data(tmp_path):
    script = tmp_path / "alone.py"
    script.write_text(SCRIPT)
    code, out, errors = run_ranks(2, script, MINICNN_ALONE="1")
    assert (code, out) == (0, 2 * "0 of 1\n"), errors
