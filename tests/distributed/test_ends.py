"""Whatever ends one rank ends all, within seconds, and says which: an error on one, a rank or
mpiexec that is killed, a signal, a rank that sees other photos or none."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from makers import contents, mpiexec, run_ranks, sentences, start_ranks, striped_folder

pytestmark = pytest.mark.skipif(mpiexec() is None, reason="no mpiexec, or no mpi4py")
SECONDS = 10  # at most, until all have ended
SCRIPT = Path(__file__).with_name("ranks_cli.py")
OPTIONS = ("--size", "32", "--no-scratch", "--no-label-check")
TRAIN = ("train", "photos", "--epochs", "100000", "--output", "run", *OPTIONS)


@pytest.fixture
def folder(tmp_path):
    striped_folder(tmp_path / "photos", {"left": 6, "right": 6}, (32, 32))
    return tmp_path


def state_of(pid):
    """[state, number of the parent, …] of a process; [] if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def alive(pid):
    """Whether the process runs (a zombie does not)."""
    return state_of(pid)[:1] not in ([], ["Z"])


def children(process):
    """The ranks that mpiexec has started, in their order."""
    pids = sorted(int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal())
    return [pid for pid in pids if state_of(pid)[1:2] == [str(process.pid)] and alive(pid)
            and SCRIPT.name in Path(f"/proc/{pid}/cmdline").read_text()]


def training(folder, size):
    """(mpiexec, the processes of the ranks) of a training whose first checkpoint is written."""
    process = start_ranks(size, SCRIPT, folder, *TRAIN)
    deadline = time.monotonic() + 60
    while not list(folder.rglob("checkpoints/*.h5")):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.05)
    return process, children(process)


def ended(process, ranks):
    """(exit status of mpiexec, standard error); fails unless all end in time."""
    began = time.monotonic()
    try:
        _, errors = process.communicate(timeout=SECONDS)
        while any(map(alive, ranks)):
            assert time.monotonic() < began + SECONDS, ranks
            time.sleep(0.05)
    finally:
        for pid in filter(alive, ranks):
            os.kill(pid, signal.SIGKILL)
    return process.returncode, errors


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")


@needs_proc
def test_a_signal_to_a_rank_stops_all_after_the_same_step_and_another_number_resumes(folder):
    """Each rank has a folder of its own; that of the run is seen by rank 0 alone."""
    for rank in "012":
        shutil.copytree(folder / "photos", folder / rank / "photos")
    process, ranks = training(folder, 3)
    assert len(ranks) == 3
    os.kill(ranks[-1], signal.SIGTERM)  # not the one that writes
    code, errors = ended(process, ranks)
    assert code == 130
    assert sentences(errors) == ["minicnn: stopped. Go on with: minicnn train --resume run"]
    files = sorted(folder.glob("0/run/checkpoints/*.h5"))
    assert len(files) == 2
    # Two ranks go on from there: new checkpoints replace those two. Then they are stopped in turn.
    process = start_ranks(2, SCRIPT, folder, "train", "--resume", "run")
    deadline = time.monotonic() + 30
    while set(folder.glob("0/run/checkpoints/*.h5")) & set(files):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.05)
    ranks = children(process)
    process.send_signal(signal.SIGUSR1)  # mpiexec passes it on to all ranks
    code, errors = ended(process, ranks)
    assert code == 130 and len(sentences(errors)) == 1
    later = sorted(folder.glob("0/run/checkpoints/*.h5"))
    assert later[-1].name > files[-1].name
    assert not (folder / "1/run").exists()


@needs_proc
@pytest.mark.parametrize("victim,number", [
    ("rank", signal.SIGKILL), ("mpiexec", signal.SIGKILL),
    pytest.param("mpiexec", signal.SIGINT, marks=pytest.mark.full)])
def test_when_a_rank_or_mpiexec_is_killed_none_is_left_and_the_checkpoint_stands(
        folder, victim, number):
    process, ranks = training(folder, 2)
    os.kill(ranks[1] if victim == "rank" else process.pid, number)
    code, errors = ended(process, ranks)
    assert code != 0
    assert list(folder.glob("run/checkpoints/*.h5"))
    if victim == "rank":
        assert "rank 1" in errors and "signal 9" in errors  # mpiexec says it


@pytest.mark.parametrize("kind,rank", [
    pytest.param("full", 0, marks=pytest.mark.full), ("bug", 1)])
def test_an_error_on_one_rank_ends_all_and_names_it(folder, kind, rank):
    """In the third step, when two checkpoints are there: a full disk, and an error of the
    programmer."""
    (folder / f"fail-{rank}").write_text(kind)
    code, _, errors = run_ranks(2, SCRIPT, folder, *TRAIN, cwd=folder)
    assert time.time() - (folder / f"failed-{rank}").stat().st_mtime < SECONDS
    assert code == (1 if kind == "bug" else 2), errors
    [sentence] = sentences(errors)
    assert sentence.startswith(f"minicnn: rank {rank} of 2 (")
    assert ("File too large" if kind == "full" else "has failed") in sentence
    assert ("ZeroDivisionError: of the test" in errors) == (kind == "bug")
    assert ("Traceback" in errors) == (kind == "bug")
    if kind != "bug":
        assert sentence.endswith("The training up to the last checkpoint is saved. Go on with: "
                                 "minicnn train --resume run")
    last = [path.name for path in sorted(folder.glob("run/checkpoints/*"))]
    assert last == ["vgg16-head-00001-000000.h5", "vgg16-head-00002-000000.h5"]


def test_ranks_that_see_other_photos_are_named_before_anything_is_computed(folder):
    for rank in "012":
        shutil.copytree(folder / "photos", folder / rank / "photos")
    (folder / "2/photos/left/3.png").unlink()
    code, _, errors = run_ranks(3, SCRIPT, folder, *TRAIN)
    assert code == 2, errors
    [sentence] = sentences(errors)
    for word in ("photos", "same", "rank 2 of 3", "as on rank 0"):
        assert word in sentence
    assert contents(folder / "0").keys() == contents(folder / "1").keys()  # no run was begun


def test_a_rank_without_the_folder_ends_all(folder):
    (folder / "1").mkdir()
    code, _, errors = run_ranks(2, SCRIPT, folder, *TRAIN)
    assert code == 2, errors
    [sentence] = sentences(errors)
    assert "rank 1 of 2" in sentence and "photos: expected a folder" in sentence


@pytest.mark.parametrize("words,status,said", [
    (("train", "--colour"), 2, "--colour"), (("--version",), 0, "minicnn "),
    (("compare", "nothing"), 2, "nothing")])
def test_commands_that_end_at_once_are_heard_once(folder, words, status, said):
    """Of those that all ranks run, and of those that rank 0 runs alone."""
    code, out, errors = run_ranks(2, SCRIPT, folder, *words, timeout=30)
    assert code == status, errors
    assert [said in line for line in (out + errors).splitlines()].count(True) == 1


def test_what_is_wrong_on_all_ranks_is_said_once(folder):
    code, out, errors = run_ranks(2, SCRIPT, folder, "train", "photoss", *OPTIONS)
    assert code == 2 and out == "", errors
    [sentence] = sentences(errors)
    assert sentence.startswith("minicnn: photoss: expected a folder") and "rank" not in sentence
