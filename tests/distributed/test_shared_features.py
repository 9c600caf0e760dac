"""`minicnn features` on several ranks: each its shards, one file; whatever fails ends all."""

import os
import signal
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from makers import mpiexec, run_command, run_ranks, sentences, start_ranks, striped_folder

from minicnn.training import feature_shards
from minicnn.training.feature_shards import write_shard

pytestmark = pytest.mark.skipif(mpiexec() is None, reason="no mpiexec, or no mpi4py")
SCRIPT = Path(__file__).with_name("ranks_cli.py")
WORDS = ("features", "photos", "--size", "32", "--cut", "block1_pool", "--batch-size", "2")


@pytest.fixture
def folder(tmp_path):
    striped_folder(tmp_path / "photos", {"left": 7, "right": 6}, (32, 32))
    return tmp_path


def content(path):
    """{name: array} of the file."""
    with h5py.File(path) as file:
        return {name: file[name][()] for name in file}


def test_three_ranks_and_one_process_compute_the_same_file(folder, monkeypatch, capsys):
    code, out, errors = run_ranks(3, SCRIPT, folder, *WORDS, "--output", "ranks.h5")
    assert code == 0, errors
    assert out.count("features of 13 photos") == 1 and sentences(errors) == []
    monkeypatch.chdir(folder)
    assert run_command(capsys, *WORDS, "--output", "alone.h5")[0] == 0
    ours, alone = content("ranks.h5"), content("alone.h5")
    assert ours.keys() == alone.keys()
    np.testing.assert_allclose(ours.pop("features"), alone.pop("features"), rtol=1e-4, atol=1e-2)
    for name in set(alone) - {"checksums"}:
        assert np.array_equal(ours[name], alone[name]), name
    assert {path.name for path in folder.iterdir()} == {"photos", "ranks.h5", "alone.h5"}


def test_a_killed_rank_ends_all_and_one_process_goes_on(folder, monkeypatch, capsys):
    for rank in "01":
        (folder / f"fail-{rank}").write_text("slow")
    process = start_ranks(2, SCRIPT, folder, *WORDS[:4], "--cut", "block4_pool", "--batch-size",
                          "1", "--output", "f.h5", cwd=folder)
    shards = folder / "f.h5.shards"
    deadline = time.monotonic() + 60
    while len(list(shards.glob("shard-*.h5"))) < 2:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGSTOP)  # so that it does not notice before the next line
    os.kill(_a_rank(process.pid), signal.SIGKILL)
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=10)
    assert process.returncode != 0
    done = [path.name for path in shards.glob("shard-*.h5")]
    assert 2 <= len(done) < 13
    computed = []
    monkeypatch.setattr(feature_shards, "write_shard", lambda plan, photos, path: [
        computed.append(path.name), write_shard(plan, photos, path)])
    monkeypatch.chdir(folder)
    code, text, _ = run_command(capsys, *WORDS[:4], "--cut", "block4_pool", "--batch-size", "1",
                                "--output", "f.h5")
    assert code == 0 and "13 photos" in text
    assert f"Going on: {len(done)} of 13 shards are there already." in text
    assert sorted([*done, *computed]) == [f"shard-{number:06}.h5" for number in range(13)]


def _a_rank(launcher):
    """The last process that mpiexec has started."""
    return max(int(path.name) for path in Path("/proc").glob("[0-9]*")
               if _parent(path) == launcher)


def _parent(path):
    try:
        return int((path / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # it has ended
        return 0
