"""`minicnn features` and `minicnn train --features`: the same training, without the photos."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import zlib
from unittest import mock

import h5py
import numpy as np
import pytest
from makers import (
    assert_command_refused,
    contents,
    page_of,
    photo_folder,
    read_csv,
    run_command,
    striped_folder,
    weights,
)
from PIL import Image

import minicnn as mc
from minicnn.cli import main
from minicnn.training import feature_shards

SMALL = ["--size", "32", "--cut", "block2_pool"]
TRAIN = ["--epochs", "3", "--seed", "3", "--no-label-check", "--quiet"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """27 photos, of which one breaks off and two are copies, a text, and their features.h5."""
    home = tmp_path_factory.mktemp("features")
    photos = striped_folder(home / "photos", {"left": 14, "right": 11})
    shutil.copy(photos / "left" / "2.png", photos / "left" / "copy.png")
    broken = (photos / "right" / "3.png").read_bytes()
    (photos / "right" / "broken.png").write_bytes(broken[:len(broken) // 2])
    (photos / "left" / "notes.txt").write_text("words")
    assert main(["features", str(photos), *SMALL, "--output", str(home / "features.h5")]) == 0
    return home


def trained(capsys, home, name, *words):
    """The folder of a run with these words."""
    with mock.patch("minicnn.plotting.drawing.png", return_value=b""):  # most of the time
        code, _, said = run_command(capsys, "train", *words, *TRAIN, "--output", home / name)
    assert code == 0, said
    return home / name


def number(text):
    """A number of a table; 0 for another text."""
    try:
        return float(text)
    except ValueError:
        return 0


def assert_same_run(run, other):
    """The same split to the byte, the same weights and probabilities but for rounding."""
    assert (run / "split.csv").read_bytes() == (other / "split.csv").read_bytes()
    ours, theirs = (read_csv(path / "predictions.csv") for path in (run, other))
    for row, expected in zip(ours, theirs, strict=True):
        assert list(row) == list(expected) and row["photo"] == expected["photo"]
        assert [number(value) for value in row.values()] == pytest.approx(
            [number(value) for value in expected.values()], abs=1e-4)
    if not (run / "model.h5").exists():
        return
    first, second = (weights(mc.load(path / "model.h5")) for path in (run, other))
    assert list(first) == list(second)
    for key, value in first.items():
        np.testing.assert_allclose(value, second[key], rtol=1e-3, atol=1e-7)


# ---- the file
def test_other_programs_read_the_features_of_every_photo(folder):
    with h5py.File(folder / "features.h5") as file:
        names = [name.decode() for name in file["names"]]
        features, labels = file["features"][:], file["labels"][:]
        assert file.attrs["classes"].tolist() == ["left", "right"]
        assert list(file["checksums"]) == [zlib.crc32(row.tobytes()) for row in features]
        about = json.loads(file["about"][:].tobytes())
        groups = file["groups"][:]
    assert len(names) == 26 and features.shape == (26, 8, 8, 128)
    assert [f"{['left', 'right'][k]}/" in name for k, name in zip(labels, names, strict=True)]
    assert groups[names.index("left/2.png")] == groups[names.index("left/copy.png")]
    assert len(set(groups)) == 25
    [[_, name, label, reason, _, size]] = about["unread"]
    broken = folder / "photos" / "right" / "broken.png"
    assert (name, label, size) == ("right/broken.png", 1, broken.stat().st_size)
    assert "broken.png" in reason
    base = mc.VGG16(include_top=False, input_shape=(32, 32, 3), cut="block2_pool")
    photos = mc.data.Dataset([folder / "photos" / name for name in names], labels,
                             ["left", "right"], names)
    expected = base.predict(photos.images(range(26), (32, 32)))
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=0.02)


def test_what_is_left_out_is_printed_and_the_shards_are_gone(folder, tmp_path, capsys):
    code, text, _ = run_command(capsys, "features", folder / "photos", *SMALL, "--output",
                                tmp_path / "again.h5")
    assert code == 0 and [path.name for path in tmp_path.iterdir()] == ["again.h5"]
    assert "2 files are left out" in text and "broken.png" in text and "1 text: left/notes" in text
    assert "26 photos (8 × 8 × 128 each" in text
    assert "minicnn train --features" in text.replace("\n", " ")
    assert (tmp_path / "again.h5").read_bytes() == (folder / "features.h5").read_bytes()


# ---- the same training
@pytest.mark.parametrize("words", [
    ["--patience", "2"], ["--kfold", "3"],
    ["--test-fraction", "0.4", "--find-lr", "--class-weights", "--memory-budget", "0"]])
def test_training_on_features_is_training_on_the_photos(folder, tmp_path, capsys, words):
    plain = trained(capsys, tmp_path, "plain", folder / "photos", *SMALL, "--no-scratch", *words)
    known = trained(capsys, tmp_path, "known", "--features", folder / "features.h5", *words)
    assert_same_run(known, plain)
    options = json.loads((known / "run.json").read_text())
    assert (options["size"], options["cut"], options["folder"]) == (32, "block2_pool", None)


def test_the_page_of_a_run_on_features_is_written_without_the_photos(folder, tmp_path, capsys):
    shutil.copy(folder / "features.h5", tmp_path / "features.h5")
    (folder / "photos").rename(folder / "elsewhere")
    try:
        code, text, said = run_command(capsys, "train", "--features", tmp_path / "features.h5",
                                       "--epochs", "2", "--output", tmp_path / "run")
    finally:
        (folder / "elsewhere").rename(folder / "photos")
    assert code == 0, said
    assert "No comparison with a network from scratch" in text
    page = page_of(tmp_path / "run" / "report.html")
    assert [row["name"][-4:] for row in page["photos"]] == [".png"] * len(page["photos"])
    assert main(["predict", str(tmp_path / "run"), str(folder / "photos" / "left")]) == 0


def test_with_the_folder_a_block_is_trained_and_the_comparison_is_made(folder, tmp_path, capsys):
    words = ["--finetune", "block2", "--finetune-epochs", "1"]
    plain = trained(capsys, tmp_path, "plain", folder / "photos", *SMALL, *words)
    known = trained(capsys, tmp_path, "known", folder / "photos", "--features",
                    folder / "features.h5", *words)
    assert_same_run(known, plain)
    assert "scratch" in json.loads((known / "run.json").read_text())["used"]


def test_views_are_those_that_a_training_on_the_photos_draws(folder, tmp_path, capsys):
    split = trained(capsys, tmp_path, "first", "--features", folder / "features.h5") / "split.csv"
    views = ["--augment", "flip,zoom=0.2", "--views", "3"]
    plain = trained(capsys, tmp_path, "plain", folder / "photos", *SMALL, "--no-scratch", "--split",
                    split, *views)
    assert main(["features", str(folder / "photos"), *SMALL, "--split", str(split), *views,
                 "--seed", "3", "--output", str(tmp_path / "views.h5")]) == 0
    known = trained(capsys, tmp_path, "known", "--features", tmp_path / "views.h5", *views)
    assert_same_run(known, plain)
    for words, expected in (
            (["--augment", "flip"], "--augment: expected the augment of"),
            ([*views[:2], "--views", "4"], "--views: expected the views of"),
            (["--kfold", "2"], "--kfold: expected only with features without a split")):
        assert_command_refused(run_command(capsys, "train", "--features", tmp_path / "views.h5",
                                           *words), expected)


def test_a_folder_that_is_split_stays_split(tmp_path, capsys):
    for part, count in (("train", 6), ("val", 3), ("test", 3)):
        striped_folder(tmp_path / "photos" / part, {"left": count, "right": count})
    for name in ("left", "right"):  # all parts had the same noise
        for k in range(3):
            Image.new("RGB", (40, 40), (9 * k, 40, 90)).save(
                tmp_path / "photos" / "test" / name / f"{k}.png")
    assert main(["features", str(tmp_path / "photos"), *SMALL, "--output",
                 str(tmp_path / "f.h5")]) == 0
    for words in ([], ["--patience", "2"]):
        plain = trained(capsys, tmp_path, f"plain{len(words)}", tmp_path / "photos", *SMALL,
                        "--no-scratch", *words)
        known = trained(capsys, tmp_path, f"known{len(words)}", "--features", tmp_path / "f.h5",
                        *words)
        assert_same_run(known, plain)
    assert_command_refused(run_command(capsys, "train", "--features", tmp_path / "f.h5",
                                       "--test-fraction", "0.5"), "--test-fraction: expected only")


def test_a_run_on_features_goes_on_where_it_was(folder, tmp_path, capsys):
    whole = trained(capsys, tmp_path, "whole", "--features", folder / "features.h5")
    script = ("import os, signal, sys, minicnn.training.callbacks.checkpoint as c\n"
              "from minicnn.cli import main\nc.MIN_SECONDS = c.MIN_TIMES = 0\n"
              "ours = c.write_state\n"
              "def write(*a):\n    ours(*a)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
              "c.write_state = write\nmain()")
    subprocess.run([sys.executable, "-c", script, "train", "--features", folder / "features.h5",
                    *TRAIN, "--output", tmp_path / "killed"], check=False, capture_output=True)
    assert any((tmp_path / "killed" / "checkpoints").iterdir())
    with mock.patch("minicnn.plotting.drawing.png", return_value=b""):
        code, _, said = run_command(capsys, "train", "--resume", tmp_path / "killed", "--quiet")
    assert code == 0, said
    for name in ("split.csv", "history.csv", "predictions.csv", "model.h5"):
        assert (tmp_path / "killed" / name).read_bytes() == (whole / name).read_bytes()


# ---- kills and full disks
def test_after_a_kill_finished_shards_are_not_computed_again(folder, tmp_path, capsys, monkeypatch):
    words = ["features", folder / "photos", *SMALL, "--batch-size", "2", "--output",
             tmp_path / "f.h5"]
    script = ("import sys, time, minicnn.training.feature_shards as s\n"
              "from minicnn.cli import main\nours = s.write_shard\n"
              "def write(plan, photos, path):\n"
              "    if path.name == 'shard-000003.h5':\n        time.sleep(60)\n"
              "    ours(plan, photos, path)\ns.write_shard = write\nmain()")
    process = subprocess.Popen([sys.executable, "-c", script, *map(str, words)],
                               stderr=subprocess.DEVNULL)
    shards = tmp_path / "f.h5.shards"
    while not (shards / "shard-000002.h5").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "f.h5").exists()
    partial = shards / ".0123.part.shard-000003.h5"
    partial.write_bytes(b"half")  # what a kill in the middle of writing leaves
    computed, ours = [], feature_shards.write_shard
    monkeypatch.setattr(feature_shards, "write_shard",
                        lambda plan, photos, path: computed.append(path.name) or ours(
                            plan, photos, path))
    code, text, said = run_command(capsys, *words)
    assert code == 0, said
    assert "Going on: 3 of 14 shards" in text
    assert computed == [f"shard-{k:06}.h5" for k in range(3, 14)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.h5"]
    with h5py.File(tmp_path / "f.h5") as file, h5py.File(folder / "features.h5") as whole:
        np.testing.assert_allclose(file["features"][:], whole["features"][:], rtol=1e-4, atol=0.02)
        assert list(file["groups"]) == list(whole["groups"])


def test_shards_of_other_options_are_not_mixed_in(folder, tmp_path, capsys, monkeypatch):
    words = ["features", folder / "photos", "--output", tmp_path / "f.h5", "--size", "32"]
    with monkeypatch.context() as patch:
        patch.setattr(feature_shards, "write_shard", _stop)
        code, _, said = run_command(capsys, *words, "--cut", "block1_pool")
    assert code == 130 and "Go on with: minicnn features" in said and "f.h5.shards" in said
    assert_command_refused(run_command(capsys, *words, "--cut", "block2_pool"),
                           "f.h5.shards: expected features that were begun with these photos",
                           "cut 'block1_pool', now 'block2_pool'")
    assert run_command(capsys, *words, "--cut", "block1_pool")[0] == 0


def _stop(*args):
    raise KeyboardInterrupt


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(path.read_bytes()[:-99]),
                                    lambda path: _flip(path, b"left or right")])
def test_a_damaged_shard_is_computed_again(folder, tmp_path, capsys, monkeypatch, damage):
    words = ["features", folder / "photos", *SMALL, "--output", tmp_path / "f.h5"]
    with monkeypatch.context() as patch:
        patch.setattr("minicnn.cli.features.merge_shards", _stop)
        assert run_command(capsys, *words)[0] == 130
    damage(tmp_path / "f.h5.shards" / "shard-000000.h5")
    assert_command_refused(run_command(capsys, *words), "shard-000000.h5", "damaged",
                           "run the same command again")
    assert not (tmp_path / "f.h5").exists()
    assert run_command(capsys, *words)[0] == 0
    assert (tmp_path / "f.h5").read_bytes() == (folder / "features.h5").read_bytes()


def _flip(path, text):
    """Changes a bit in the middle of the file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("limit, words", [
    (100, ["expected a file that can be written"]),  # the plan
    (500_000, ["MB of free disk space", "File too large", "choose another --output"])])
def test_a_full_disk_is_said_and_leaves_nothing_half_written(folder, tmp_path, capsys, limit,
                                                             words):
    command = ["features", folder / "photos", *SMALL, "--output", tmp_path / "f.h5"]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
    try:
        result = run_command(capsys, *command)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert_command_refused(result, *words)
    assert not [name for name in contents(tmp_path) if "plan" not in name]
    assert run_command(capsys, *command)[0] == 0


# ---- refused
def test_an_existing_file_stays_unless_forced(folder, tmp_path, capsys):
    (tmp_path / "f.h5").write_bytes(b"mine")
    words = ["features", folder / "photos", *SMALL, "--output", tmp_path / "f.h5"]
    assert_command_refused(run_command(capsys, *words), "expected a new file", "--force")
    assert (tmp_path / "f.h5").read_bytes() == b"mine"
    assert run_command(capsys, *words, "--force")[0] == 0
    assert (tmp_path / "f.h5").read_bytes() == (folder / "features.h5").read_bytes()


@pytest.mark.parametrize("words, expected", [
    (["--size", "2"], ["--size", "at least 4 pixels"]),
    (["--cut", "block9"], ["block9", "Nearest"]),
    (["--augment", "flip"], ["--augment", "--split", "minicnn data"]),
    (["--output", "f.txt"], ["f.txt", ".h5"]),
    (["--split", "none.csv"], ["none.csv", "No such file"])])
def test_options_that_do_not_fit_are_refused(folder, tmp_path, capsys, monkeypatch, words,
                                             expected):
    monkeypatch.chdir(tmp_path)
    assert_command_refused(run_command(capsys, "features", folder / "photos", *SMALL, *words),
                           *expected)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words, expected", [
    (["--finetune", "block2"], ["--finetune", "expected the folder of photos", "--features"]),
    (["--size", "64"], ["--size: expected 32", "received 64"]),
    (["--cut", "block4_pool"], ["--cut: expected block2_pool", "received block4_pool"]),
    (["--augment", "flip"], ["--augment", "no views"]),
    (["--sample", "clouds"], ["--sample", "built-in photos"]),
    (["PHOTOS", "--finetune", "block3"], ["--finetune", "up to block2_pool", "block3_pool"])])
def test_what_features_cannot_do_is_refused(folder, capsys, words, expected):
    words = [str(folder / "photos") if word == "PHOTOS" else word for word in words]
    assert_command_refused(run_command(capsys, "train", "--features", folder / "features.h5",
                                       *words), *expected)


def test_a_folder_that_has_changed_is_refused(folder, tmp_path, capsys):
    photos = shutil.copytree(folder / "photos", tmp_path / "photos")
    words = ["train", photos, "--features", folder / "features.h5", *TRAIN, "--no-scratch",
             "--output", tmp_path / "run"]
    (photos / "left" / "5.png").rename(tmp_path / "5.png")
    assert_command_refused(run_command(capsys, *words), "27 photos, the folder has 26")
    shutil.copy(photos / "left" / "6.png", photos / "left" / "5.png")
    os.truncate(photos / "left" / "5.png", (photos / "left" / "5.png").stat().st_size - 1)
    assert_command_refused(run_command(capsys, *words), "left/5.png had", "minicnn features")
    (photos / "left" / "5.png").rename(photos / "left" / "5x.png")
    assert_command_refused(run_command(capsys, *words), "left/5.png where the folder has left/5x")
    (photos / "left" / "5x.png").unlink()
    (tmp_path / "5.png").rename(photos / "left" / "5.png")
    assert run_command(capsys, *words)[0] == 0


def test_files_that_are_no_features_or_damaged_are_refused(folder, tmp_path, capsys):
    good = (folder / "features.h5").read_bytes()
    name = good.index(b"left/10.png")
    cases = {"cut.h5": good[:-1000], "half.h5": good[:3000], "empty.h5": b"",
             "features.h5": good[:-500] + bytes([good[-500] ^ 1]) + good[-499:],
             "names.h5": good[:name] + b"L" + good[name + 1:], "text.h5": b"features"}
    for case, content in cases.items():
        path = tmp_path / case
        path.write_bytes(content)
        assert_command_refused(run_command(capsys, "train", "--features", path, *TRAIN), case)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = [1.0]
    assert_command_refused(run_command(capsys, "train", "--features", tmp_path / "other.h5"),
                           "another HDF5 file")
    assert_command_refused(run_command(capsys, "train", "--features", tmp_path / "none.h5"),
                           "none.h5: expected a file of features, found none")
    assert_command_refused(run_command(capsys, "train", "--features", tmp_path), "another file")


def test_photos_without_any_that_can_be_read_are_refused(tmp_path, capsys):
    photos = photo_folder(tmp_path / "photos", {"a": 2, "b": 2})
    for path in photos.rglob("*.png"):
        path.write_bytes(path.read_bytes()[:1500])
    assert_command_refused(run_command(capsys, "features", photos, *SMALL, "--output",
                                       tmp_path / "f.h5"), "photos: expected photos that can be")
    assert not (tmp_path / "f.h5").exists()


def test_an_evaluation_knows_the_photos_of_a_training_on_features(folder, tmp_path, capsys):
    run = trained(capsys, tmp_path, "run", "--features", folder / "features.h5")
    photos = shutil.copytree(folder / "photos", tmp_path / "photos")
    (photos / "right" / "broken.png").unlink()
    _, text, _ = run_command(capsys, "evaluate", run, photos, "--output", tmp_path / "scores")
    learned = sum(row["part"] == "train" for row in read_csv(run / "split.csv"))
    assert f"{learned} of these 26 photos were in its training" in text.replace("\n  ", " ")


def test_photos_that_changed_since_the_shards_were_begun_are_noticed(folder, tmp_path, capsys,
                                                                     monkeypatch):
    photos = shutil.copytree(folder / "photos", tmp_path / "photos")
    words = ["features", photos, *SMALL, "--output", tmp_path / "f.h5"]
    with monkeypatch.context() as patch:
        patch.setattr("minicnn.cli.features.merge_shards", _stop)
        assert run_command(capsys, *words)[0] == 130
    shutil.copy(photos / "left" / "1.png", photos / "left" / "0.png")
    assert_command_refused(run_command(capsys, *words), "the names and sizes have changed")
