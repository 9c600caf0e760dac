"""What people bring to the lab: folders in folders, files of the system, one class, 1 photo against
500, copies, misspelt options. Each gets one sentence that names it, and loses nothing."""

import functools
import json
import re

import numpy as np
import pytest
from makers import assert_command_refused, photo_folder, run_command
from PIL import Image

import minicnn as mc

FAST = ["--size", "32", "--cut", "block2_pool", "--epochs", "1", "--no-scratch"]


@pytest.fixture
def minicnn(capsys, tmp_path, monkeypatch):
    """A command, run in an empty folder: (exit status, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    return functools.partial(run_command, capsys)


@pytest.fixture
def two(tmp_path):
    """A model of the classes a and b, in a file."""
    model = mc.SmallCNN(2, (32, 32, 3))
    model.classes = ["a", "b"]
    model.save(tmp_path / "two.h5")
    return tmp_path / "two.h5"


COMMANDS = [("train", "photos", *FAST), ("data", "photos"), ("evaluate", "two.h5", "photos")]


# Folders -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
@pytest.mark.parametrize(("folders", "words"), [
    (["2023/a", "2023/b", "2024/a", "2024/b"], ["photos/2023", "none", "(photos/2023)"]),
    (["x/y/a", "x/y/b"], ["photos:", "only 'x'", "(photos/x/y)"]),
    (["x/y/z/a", "x/y/z/b"], ["photos:", "only 'x'", "(photos/x/y/z)"]),
    (["a"], ["only 'a'", "at least two"]), (["."], ["found none", "at least two"])])
def test_folders_that_are_not_one_a_class_are_refused_and_the_right_one_is_named(
        command, folders, words, minicnn, tmp_path, two):
    photo_folder(tmp_path / "photos", dict.fromkeys(folders, 3))
    before = sorted(tmp_path.rglob("*"))
    assert_command_refused(minicnn(*command), *words)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_of_links_that_lead_round_ends(tmp_path):
    photo_folder(tmp_path / "photos", {"a": 1})
    (tmp_path / "photos" / "a" / "round").symlink_to(tmp_path / "photos", True)
    with pytest.raises(mc.MiniCNNError, match="at least two"):
        mc.data.ImageFolder(tmp_path / "photos")


def test_files_of_the_system_are_neither_photos_nor_classes_nor_worth_a_word(
        minicnn, tmp_path, two):
    root = photo_folder(tmp_path / "photos", {"a": 6, "b": 6})
    for name in ("Thumbs.db", "a/Thumbs.db", "b/desktop.ini", "a/.DS_Store", "b/._0.png",
                 "__MACOSX/a/._0.png", "$RECYCLE.BIN/x", "System Volume Information/x",
                 "a/@eaDir/0.png/x.jpg", "b/Icon\r"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"not a photo")
    data = mc.data.ImageFolder(root)
    assert data.counts == {"a": 6, "b": 6} and data.skipped == []
    for command in COMMANDS:
        code, text, said = minicnn(*command)
        assert code == 0 and not re.search("skipped|left out", text + said), text
    code, text, said = minicnn("predict", two, root)
    assert code == 0 and text.count("\n") == 12 and not said


def test_what_a_person_put_there_is_named_when_it_is_no_photo(minicnn, tmp_path):
    root = photo_folder(tmp_path / "photos", {"a": 6, "b": 6})
    (root / "a" / "notes.txt").write_text("cirrus")
    (root / "b" / "more").mkdir()
    (root / "b" / "more" / "clouds.pdf").write_bytes(b"%PDF-1.7")
    text = minicnn("train", root, *FAST)[1]
    assert "2 files are left out:" in text and "a/notes.txt" in text and "b/more/clouds.pdf" in text


# Photos ------------------------------------------------------------------------------------------


def test_one_photo_against_500_is_refused_with_the_class_and_its_count(minicnn, tmp_path):
    photo_folder(tmp_path / "photos", {"a": 1, "b": 500}, (16, 16))
    refused = minicnn("train", "photos", *FAST)
    assert_command_refused(refused, "at least 2 photos of 'a'", "received 1")
    assert not (tmp_path / "runs").exists()
    code, text, said = minicnn("data", "photos")  # the page is written, the split cannot be
    assert code == 2 and "received 1" in said and "right for 99.8%" in text
    assert {p.name for p in (tmp_path / "photos-report").iterdir()} == {"report.html"}


def test_two_photos_against_500_are_told_and_both_parts_have_one(minicnn, tmp_path):
    photo_folder(tmp_path / "photos", {"a": 2, "b": 500}, (16, 16))
    code, text, _ = minicnn("train", "photos", *FAST, "--output", "run")
    assert code == 0 and "b has 375 photos, a 1" in text and "--class-weights" in text
    rows = (tmp_path / "run" / "split.csv").read_text().split()
    assert sorted(row.split(",")[2] for row in rows if row.startswith("a/")) == ["test", "train"]


@pytest.mark.parametrize("pixels", [
    np.full((40, 40, 3), 200, np.uint8),  # nothing on it
    np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)])
def test_photos_that_are_all_the_same_are_refused_as_one_photo(pixels, minicnn, tmp_path):
    for name in ("a/1.png", "a/2.png", "a/3.png", "b/1.png", "b/2.png"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "photos" / name)
    refused = minicnn("train", "photos", *FAST)
    assert_command_refused(refused, "photos of 'a' that differ", "received 1")
    code, text, _ = minicnn("data", "photos")
    assert code == 2 and "across classes" in text and "the same pixels" in text


# Classes -----------------------------------------------------------------------------------------


def test_a_folder_that_lacks_a_class_of_the_model_is_measured_on_the_others(minicnn, tmp_path):
    model = mc.SmallCNN(3, (32, 32, 3))
    model.classes = ["a", "b", "c"]
    model.save(tmp_path / "three.h5")
    photo_folder(tmp_path / "photos", {"c": 4, "a": 4})
    code, text, _ = minicnn("evaluate", "three.h5", "photos", "--output", "out")
    assert code == 0 and "of 8 photos" in text and "No photos of b" in text
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert scores["per_class"]["b"]["roc_auc"] is None
    data = mc.data.ImageFolder(tmp_path / "photos")  # a and c are 0 and 1 there, 0 and 2 here
    right = sum("abc"[k] == data.names[i][0] for i, k in enumerate(
        model.predict(data.images(range(8), (32, 32))).argmax(axis=1)))
    assert scores["right"] == right


def test_a_class_that_the_model_lacks_is_refused_with_the_nearest(minicnn, tmp_path, two):
    model = mc.SmallCNN(2, (32, 32, 3))
    model.classes = ["cirrus", "cumulus"]
    model.save(two)
    photo_folder(tmp_path / "photos", {"cirrus": 2, "Cumulos": 2})
    assert_command_refused(minicnn("evaluate", two, "photos"), "does not know Cumulos",
                           "cirrus, cumulus", "Cumulos is nearest to cumulus")


# Options -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", ["1.5", "-0.1", "nan", "half", "precision=2", "precision=",
                                       "youdn", ""])
def test_a_threshold_outside_0_to_1_is_refused(threshold, minicnn, tmp_path, two):
    photo_folder(tmp_path / "photos", {"a": 2, "b": 2})
    refused = minicnn("evaluate", two, "photos", f"--threshold={threshold}")
    assert_command_refused(refused, "--threshold", "from 0 to 1", repr(threshold))


@pytest.mark.parametrize(("key", "nearest"), [
    ("epoch", "epochs"), ("batch-size", "batch_size"), ("fine_tune", "finetune"),
    ("patiense", "patience"), ("class_weight", "class_weights"), ("augmentation", "augment")])
def test_a_misspelt_key_of_a_config_is_refused_with_the_nearest(key, nearest, minicnn, tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({key: 1}))
    assert_command_refused(minicnn("train", "--config", "run.json", *FAST), repr(key),
                   f"Nearest: {nearest}.")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("words", [("train", "photos", *FAST), ("evaluate", "two.h5", "photos")])
@pytest.mark.parametrize("what", ["folder in use", "file"])
def test_an_output_that_exists_is_refused_and_left_as_it_is(words, what, minicnn, tmp_path, two):
    photo_folder(tmp_path / "photos", {"a": 4, "b": 4})
    kept = tmp_path / "mine" / "thesis.txt" if what == "folder in use" else tmp_path / "mine"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("three years")
    before = sorted(tmp_path.rglob("*"))
    assert_command_refused(minicnn(*words, "--output", "mine"), "mine: expected", "--output")
    assert sorted(tmp_path.rglob("*")) == before and kept.read_text() == "three years"
