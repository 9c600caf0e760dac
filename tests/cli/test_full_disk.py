"""A disk that fills up while a command writes: one sentence, and what was there stays as it was."""

import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from makers import clothes, contents, files_of_at_most, write_dataset

import minicnn as mc
from minicnn.cli import main
from minicnn.models import SmallCNN
from minicnn.utils.errors import FileError
from minicnn.utils.files import STALE_AFTER, atomic_write, lock_folder, partial_files

COMMANDS = {  # command: the files that it writes over
    "predict model.h5 photos --format csv --output out.csv --force": ["out.csv"],
    "predict model.h5 photos --output out.json --force": ["out.json"],
    "predict model.h5 photos/bag --explain seen --force": ["seen/0-explained.png"],
    "export model.h5 out.onnx --force": ["out.onnx"],
    "look gradient model.h5 photos/bag/0.png --output out.png --force": ["out.png"],
    "look gradient model.h5 photos/bag/0.png --output out.npz --force": ["out.npz"],
    "atlas model.h5 photos --output out.html --force": ["out.html"],
    "data photos --output found --force": ["found/report.html", "found/split.csv"],
    "evaluate model.h5 photos --output scores": [],
}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = clothes(per_class=4, classes=("bag", "dress"))
    write_dataset(tmp_path / "photos", data)
    model = SmallCNN(2, (28, 28, 3))
    model.classes = data.classes
    model.save("model.h5")
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_is_said_and_what_was_there_stays(command, home, capsys):
    for name in COMMANDS[command]:
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_bytes(b"mine")
    before = contents(home)
    with files_of_at_most(100):
        assert main(command.split()) == 2
    said = capsys.readouterr().err
    assert "expected a file that can be written, received File too large" in said, said
    assert said.count("\n") == 1
    assert contents(home) == before
    assert main(command.split()) == 0  # once there is room
    assert all(contents(home)[name] != b"mine" for name in COMMANDS[command])


def test_a_full_disk_under_what_is_unpacked_is_said(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.keras", "w") as out:
        out.writestr("config.json", "{}")
        out.writestr("model.weights.h5", bytes(300_000))
    with files_of_at_most(100_000), pytest.raises(
            FileError, match="x.keras: expected space in .* to unpack it, received: File too "
            "large. Free some space, or set TMPDIR"):
        mc.load(tmp_path / "x.keras")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("command", ["predict model.h5 photos", "data photos --output found",
                                     "train photos --size 32 --epochs 2 --no-scratch"])
def test_a_full_disk_under_what_is_printed_is_said(command, home):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", "import sys, minicnn.cli; "
                               "sys.exit(minicnn.cli.main())", *command.split()], stdout=full,
                              stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr == ("minicnn: standard output: expected one that can be written, received: "
                           "No space left on device. Free some space, or choose another.\n")


def test_a_partial_file_that_a_killed_process_left_is_deleted_an_hour_later(tmp_path):
    old, fresh, other = (tmp_path / f".{n}.part.{name}" for n, name in enumerate(
        ("x[1].csv", "x[1].csv", "y.csv")))
    for partial in (old, fresh, other):
        partial.write_text("half")
    for partial in (old, other):
        os.utime(partial, (time.time() - STALE_AFTER - 60,) * 2)
    with atomic_write(tmp_path / "x[1].csv") as partial:
        partial.write_text("whole")
    assert contents(tmp_path) == {"x[1].csv": b"whole", fresh.name: b"half", other.name: b"half"}
    assert partial_files(tmp_path) == [fresh, other]


def test_two_writers_of_one_file_have_a_partial_file_each(tmp_path):
    with atomic_write(tmp_path / "x") as one, atomic_write(tmp_path / "x") as two:
        assert one != two
        one.write_text("one")
        two.write_text("two")
    assert contents(tmp_path) == {"x": b"one"}


def test_a_folder_is_locked_until_its_lock_is_released(tmp_path):
    with (lock_folder(tmp_path), pytest.raises(FileError, match="no other process works in"),
          lock_folder(tmp_path)):
        pass
    with lock_folder(tmp_path):
        pass
