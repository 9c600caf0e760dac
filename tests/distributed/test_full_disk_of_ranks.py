"""A disk that is full for one rank ends all, with one sentence; test_ends.py fills that of rank 0
while it writes a checkpoint."""

import sys
import time
from pathlib import Path

import pytest
from makers import mpiexec, run_ranks, sentences, striped_folder

pytestmark = pytest.mark.skipif(mpiexec() is None, reason="no mpiexec, or no mpi4py")
SECONDS = 10  # at most, from the failure until all have ended
SCRIPT = Path(__file__).with_name("ranks_cli.py")
limits_files = pytest.mark.skipif(sys.platform == "win32", reason="no RLIMIT_FSIZE")


@pytest.fixture
def folder(tmp_path):
    striped_folder(tmp_path / "photos", {"left": 6, "right": 6}, (32, 32))
    return tmp_path


@limits_files
def test_a_full_disk_of_rank_1_ends_all_while_features_are_computed(folder):
    (folder / "fail-1").write_text("full at once")
    code, _, errors = run_ranks(2, SCRIPT, folder, "features", "photos", "--cut", "block1_pool",
                                "--size", "32", "--batch-size", "2", "--output", "f.h5", cwd=folder)
    assert time.time() - (folder / "failed-1").stat().st_mtime < SECONDS
    assert code == 2
    [sentence] = sentences(errors)
    assert sentence.startswith("minicnn: rank 1 of 2 (") and "File too large" in sentence
    assert "f.h5.shards/shard-000001.h5: " in sentence
    assert "Traceback" not in errors
    assert not (folder / "f.h5").exists()
