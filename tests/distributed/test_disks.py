"""The disks of the ranks: the folder of a run, which only rank 0 has to see, and disks that are
full, which end all ranks with one sentence."""

import shutil
import sys
import time
from pathlib import Path

import pytest
from makers import mpiexec, run_ranks, sentences, striped_folder

pytestmark = pytest.mark.skipif(mpiexec() is None, reason="no mpiexec, or no mpi4py")
SECONDS = 10  # at most, from the failure until all have ended
SCRIPT = Path(__file__).with_name("ranks_cli.py")
TRAIN = ("train", "photos", "--epochs", "5", "--output", "run", "--size", "32", "--no-scratch",
         "--no-label-check")
limits_files = pytest.mark.skipif(sys.platform == "win32", reason="no RLIMIT_FSIZE")


@pytest.fixture
def folder(tmp_path):
    striped_folder(tmp_path / "photos", {"left": 6, "right": 6}, (32, 32))
    return tmp_path


def test_only_rank_0_needs_the_folder_of_the_run(folder):
    """Rank 1 works in another folder, with the same photos, fails, and goes on."""
    for rank in "01":
        shutil.copytree(folder / "photos", folder / rank / "photos")
    (folder / "fail-1").write_text("error")
    code, _, errors = run_ranks(2, SCRIPT, folder, *TRAIN)
    assert code == 2
    [sentence] = sentences(errors)
    assert sentence.startswith("minicnn: rank 1 of 2 (")
    assert sentence.endswith("photo.png: expected a photo, received noise. Remove it. If rank 0 "
                             "has written a checkpoint, it stands. Go on with: minicnn train "
                             "--resume run")
    assert list(folder.glob("0/run/checkpoints/*.h5")) and not (folder / "1/run").exists()
    (folder / "fail-1").unlink()
    code, out, errors = run_ranks(2, SCRIPT, folder, "train", "--resume", "run")
    assert code == 0, errors
    assert out.count("Open: run/report.html") == 1
    assert (folder / "0/run/model.h5").exists() and not (folder / "1/run").exists()


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
