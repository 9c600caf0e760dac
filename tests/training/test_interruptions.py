"""`minicnn train` that is killed, stopped or whose disk is full, in processes of its own: --resume
goes on, and all its files are in the end those of a run that nobody interrupted. Figures have
pixels where it is killed at random instants, or the disk is full; with --full wherever it is
killed."""

import os
import random
import shutil
import signal

import interruptions
import pytest
from interruptions import content, start, undisturbed, undrawn
from makers import before_saving, clothes, write_dataset

from minicnn import cli
from minicnn.plotting import drawing
from minicnn.training import Checkpoint, label_check
from minicnn.utils.files import lock_folder

pytestmark = pytest.mark.usefixtures("checkpoint_every_step")


def minicnn(*words):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "png", undrawn)
        return cli.main(["train", *map(str, words)])


QUICK = ("--size", 32, "--epochs", 3, "--per-class", 4, "--batch-size", 4, "--cut",
         "block2_pool")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The files of the run with QUICK's options."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert minicnn("--output", folder, *QUICK) == 0
    return content(folder)


# Killed


IN_SHORT = ("validation", "going on", "writing the results", "taking the checkpoints away")


def test_killed_wherever_it_is_it_ends_with_the_same_files(tmp_path, full):
    """With --full once in each of its stages, twelve times in all; otherwise in four of them. Once
    it is while it goes on after a kill."""
    options = interruptions.EVERYWHERE.split()
    expected, _ = undisturbed(tmp_path, options, drawn=full)
    places = interruptions.PLACES if full else IN_SHORT
    interruptions.kill_everywhere(tmp_path / "killed", options, places, drawn=full)
    assert content(tmp_path / "killed") == content(expected)
    assert set(content(expected)) >= {"model.h5", "last.h5", "history.csv", "lr.png"}


def test_killed_at_random_instants_it_ends_with_the_same_files(tmp_path, full):
    if full:
        assert interruptions.main(["--kills", "100", "--full-disks", "20"]) == 0
    options = interruptions.RUNS["folds"].split()
    expected, seconds = undisturbed(tmp_path, options)
    kills = interruptions.kill_until_done(tmp_path / "killed", options, seconds,
                                          random.Random(os.getpid()), least=2)
    assert kills >= 2
    assert content(tmp_path / "killed") == content(expected)


def test_what_was_killed_leaves_no_temporary_file(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    options = [*map(str, QUICK), "--memory-budget", "0", "--output", str(tmp_path / "run")]
    process = start(options, "minicnn.training.state.TrainingState.validate", 1)
    assert process.communicate() and process.returncode == -signal.SIGKILL
    assert [one.name for one in tmp_path.iterdir()] == ["run"]


# Stopped


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_step_and_the_run_goes_on_to_the_same_files(
        name, whole, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    ours = Checkpoint.save_if_due

    def save_if_due(self, state, last=False):
        if state.epoch == 1 and state.batch == 1 and not resumed:
            os.kill(os.getpid(), name)
        ours(self, state, last)

    resumed = False
    handler = signal.getsignal(name)
    monkeypatch.setattr(Checkpoint, "save_if_due", save_if_due)
    assert minicnn("--output", "stopped", *QUICK) == 130
    assert capfd.readouterr().err == (
        {signal.SIGINT: "Stopping after this epoch and saving. Ctrl-C again: stop now.\n",
         signal.SIGTERM: "Stopping after this step and saving.\n"}[name] +
        "minicnn: stopped. Go on with: minicnn train --resume stopped\n")
    assert signal.getsignal(name) == handler
    resumed = True
    assert minicnn("--resume", "stopped") == 0
    assert content(tmp_path / "stopped") == whole
    assert minicnn("--resume", "stopped") == 2
    assert "one that is finished" in capfd.readouterr().err


def test_a_second_ctrl_c_stops_at_once_and_the_command_is_said(tmp_path, monkeypatch, capfd):
    ours = Checkpoint.save_if_due

    def twice(*args, **options):
        ours(*args, **options)
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("the second signal did not stop it")

    monkeypatch.setattr(Checkpoint, "save_if_due", twice)
    assert minicnn("--output", tmp_path / "run", *QUICK) == 130
    assert f"stopped. Go on with: minicnn train --resume {tmp_path}" in capfd.readouterr().err


def test_a_second_sigterm_ends_the_process(tmp_path):
    process = start([*map(str, QUICK), "--output", str(tmp_path / "run")])
    process.stdout.readline()
    process.terminate()
    process.terminate()
    process.communicate()
    assert process.returncode in (-signal.SIGTERM, 130)


def test_a_folder_s_run_goes_on_with_its_split(tmp_path, monkeypatch):
    photos = write_dataset(tmp_path / "photos", clothes(classes=("bag", "dress")))
    monkeypatch.chdir(tmp_path)
    words = (photos, *QUICK[:4], "--no-scratch")
    assert minicnn(*words, "--output", "whole") == 0
    before_saving(monkeypatch, Checkpoint.stop, step=1)
    assert minicnn(*words, "--output", "stopped") == 130
    assert minicnn("--resume", "stopped") == 0
    assert content(tmp_path / "stopped") == content(tmp_path / "whole")


def stopped(folder, monkeypatch, *words):
    """A run that ended after its second step."""
    with monkeypatch.context() as patch:
        before_saving(patch, Checkpoint.stop, step=1)
        assert minicnn("--output", folder, *QUICK, *words) == 130


@pytest.mark.parametrize("name, old, new, words", [
    ("run.json", '"dropout": 0.0', '"dropout": 0.5', "dropout 0.5, received 0.0"),
    ("split.csv", "train", "test", "split "), ("run.json", '"seed": 0', '"seed": 1', "seed 1")])
def test_a_run_whose_options_or_split_were_changed_does_not_go_on(
        name, old, new, words, tmp_path, monkeypatch, capfd):
    stopped(tmp_path / "run", monkeypatch)
    file = tmp_path / "run" / name
    file.write_text(file.read_text().replace(old, new))
    before = content(tmp_path / "run")
    assert minicnn("--resume", tmp_path / "run") == 2
    assert f"expected the state of this training, {words}" in capfd.readouterr().err
    assert content(tmp_path / "run") == before


def test_a_run_without_its_split_says_so(tmp_path, monkeypatch, capsys):
    stopped(tmp_path / "run", monkeypatch)
    (tmp_path / "run" / "split.csv").unlink()
    assert minicnn("--resume", tmp_path / "run") == 2
    assert "expected its run.json and split.csv, received" in capsys.readouterr().err


def test_resume_takes_no_other_options(tmp_path, capsys):
    assert minicnn("--resume", tmp_path, "--epochs", 9) == 2
    assert "--resume: expected no other options" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["nothing", "an empty folder", "a folder of something else"])
def test_what_is_no_run_is_not_resumed(what, tmp_path, capsys):
    folder = tmp_path / "x"
    if what != "nothing":
        folder.mkdir()
    if what == "a folder of something else":
        (folder / "run.json").write_text("{}")
    assert minicnn("--resume", folder) == 2
    said = capsys.readouterr().err
    assert "expected" in said and str(folder) in said and "Traceback" not in said


def test_an_error_before_the_first_checkpoint_leaves_no_folder(tmp_path, capsys):
    assert minicnn("--output", tmp_path / "x", "--size", 7) == 2
    assert not (tmp_path / "x").exists()


# No room


def test_a_full_disk_loses_nothing(tmp_path, full):
    """With --full at four instants, otherwise at two: before anything can be written, and while a
    checkpoint is."""
    options = interruptions.RUNS["fine-tuned"].split()
    expected, _ = undisturbed(tmp_path, options)
    instants = [
        (300, "", 1, "can be written"),
        (20_000, "minicnn.training.callbacks.checkpoint.write_state", 3, "Go on with: "),
        (20_000, "", 1, "of free disk space"),
        (20_000, "minicnn.report.runs.write_csv", 1, "Go on with: minicnn train --resume")]
    for k, (limit, place, call, words) in enumerate(instants if full else instants[:2]):
        said = interruptions.full_disk(tmp_path / f"{k}", options, limit, place=place, call=call)
        assert words in said
        assert content(tmp_path / f"{k}") == content(expected)


@pytest.mark.parametrize("what", ["removed", "moved"])
def test_a_folder_that_vanishes_is_said_and_a_moved_run_goes_on(what, whole, tmp_path, monkeypatch,
                                                               capfd):
    folder = tmp_path / "run"
    before_saving(monkeypatch, lambda kept: shutil.rmtree(folder) if what == "removed" else
                  folder.rename(tmp_path / "moved"), step=1)
    assert minicnn("--output", folder, *QUICK) == 2
    said = capfd.readouterr().err
    assert "No such file or directory" in said and "The folder of this run is gone" in said
    assert not folder.exists()
    if what == "moved":
        assert minicnn("--resume", tmp_path / "moved") == 0
        assert content(tmp_path / "moved") == whole


def test_features_that_the_disk_cannot_take_are_refused_with_a_sentence(tmp_path, monkeypatch):
    """Not a bus error in the middle of the work, as a mapped file on a full disk gives."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    process = start([*map(str, QUICK), "--cut", "block1_pool", "--memory-budget", "0", "--output",
                     str(tmp_path / "run")], "minicnn.training.features.storage", 1, 400_000)
    said = process.communicate()[0]
    assert process.returncode == 2 and "Traceback" not in said, said
    assert f"{tmp_path}: expected 0.5 MB of free disk space" in said and "TMPDIR" in said
    assert not list(tmp_path.iterdir())


# Two at once


def test_two_runs_at_once_have_a_folder_each_and_the_same_files(whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    both = [start([*map(str, QUICK)], drawn=False) for _ in range(2)]
    assert [process.communicate() and process.returncode for process in both] == [0, 0]
    one, other = sorted((tmp_path / "runs").iterdir())
    changed = content(one)
    assert changed == content(other) and changed == whole


def test_one_folder_is_for_one_run_at_a_time(tmp_path, monkeypatch, capfd):
    both = [start([*map(str, QUICK), "--output", str(tmp_path / "run")], drawn=False)
            for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert sorted(process.returncode for process in both) == [0, 2], said
    assert any("Nothing is overwritten" in text for text in said)
    stopped(tmp_path / "second", monkeypatch)
    before = content(tmp_path / "second")
    with lock_folder(tmp_path / "second"):  # as the run does that is still at work
        child = start(["--resume", str(tmp_path / "second")])
        said = child.communicate()[0]
    assert child.returncode == 2 and "no other process works in" in said
    assert content(tmp_path / "second") == before


# Skipped


def during_the_comparison(monkeypatch, number):
    """The signal comes after a step of the network from scratch, once."""
    ours, pending = Checkpoint.save_if_due, [number]

    def save_if_due(self, state, last=False):
        if self.part.endswith("scratch") and state.batch and pending:
            os.kill(os.getpid(), pending.pop())
        ours(self, state, last)

    monkeypatch.setattr(Checkpoint, "save_if_due", save_if_due)


def test_ctrl_c_during_the_comparison_skips_it_and_the_run_is_complete(whole, tmp_path, monkeypatch,
                                                                      capfd):
    during_the_comparison(monkeypatch, signal.SIGINT)
    handler = signal.getsignal(signal.SIGINT)
    assert minicnn("--output", tmp_path / "run", *QUICK) == 0
    said = capfd.readouterr()
    assert said.err == "Skipping the comparison.\n" and "skipped" not in said.out
    assert "Small CNN" not in said.out and signal.getsignal(signal.SIGINT) == handler
    files = content(tmp_path / "run")
    different = {name for name in whole if files.get(name) != whole[name]}
    assert set(files) == set(whole) and different == {
        "curves.png", "report.html", "run.json"}
    assert b"small network from scratch" not in files["report.html"]
    assert minicnn("--resume", tmp_path / "run") == 2
    assert "one that is finished" in capfd.readouterr().err


def test_sigterm_during_the_comparison_ends_the_run_which_goes_on_to_the_same_files(
        whole, tmp_path, monkeypatch, capfd):
    during_the_comparison(monkeypatch, signal.SIGTERM)
    assert minicnn("--output", tmp_path / "run", *QUICK) == 130
    assert "Go on with: minicnn train --resume" in capfd.readouterr().err
    assert (tmp_path / "run" / "report.html").exists()  # with the answer
    assert minicnn("--resume", tmp_path / "run") == 0
    assert content(tmp_path / "run") == whole


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_labels_are_checked_ends_it_and_the_run_goes_on_to_the_same_files(
        number, whole, tmp_path, monkeypatch, capfd):
    ours, heads = label_check.fit, []

    def fit(*arguments, **options):
        heads.append(options)
        if len(heads) == 2:
            os.kill(os.getpid(), number)
        return ours(*arguments, **options)

    monkeypatch.setattr(label_check, "fit", fit)
    assert minicnn("--output", tmp_path / "run", *QUICK) == 130
    assert len(heads) == 2  # the second one is not finished, and no third one begins
    assert "Go on with: minicnn train --resume" in capfd.readouterr().err
    assert minicnn("--resume", tmp_path / "run") == 0
    assert content(tmp_path / "run") == whole


def test_ctrl_c_ends_the_epoch_and_not_the_step(tmp_path, monkeypatch, capfd):
    ours, pending = Checkpoint.save_if_due, [signal.SIGINT]

    def save_if_due(self, state, last=False):
        if state.batch == 1 and pending:
            os.kill(os.getpid(), pending.pop())
        ours(self, state, last)

    monkeypatch.setattr(Checkpoint, "save_if_due", save_if_due)
    assert minicnn("--output", tmp_path / "run", *QUICK) == 130
    saved = sorted((tmp_path / "run" / "checkpoints").glob("*-head-*.h5"))
    assert saved[-1].name.endswith("-00001-000000.h5")
