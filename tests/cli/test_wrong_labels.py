"""`minicnn data --labels`: photos with a wrong label; and what it says to do next."""

import json
import shlex

import pytest
from makers import images_of, page_of, run_command, striped_folder

import minicnn as mc
from minicnn.cli import data as command
from minicnn.training import check_labels


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """photos/left and photos/right, twelve each; right/wrong.png and left/lost.png are exchanged.
    """
    monkeypatch.chdir(tmp_path)
    folder = striped_folder(tmp_path / "photos", {"left": 12, "right": 12})
    (folder / "left" / "5.png").rename(folder / "right" / "wrong.png")
    (folder / "right" / "7.png").rename(folder / "left" / "lost.png")
    return folder


def test_planted_wrong_labels_are_named_with_their_pictures(photos, tmp_path, capsys):
    code, out, _ = run_command(capsys, "data", "photos", "--labels")
    assert code == 0 and "look: 2 photos may have a wrong label." in out
    lines = [line for line in out.splitlines() if ": label " in line]
    assert sorted(line.split(":")[0].strip() for line in lines) == [
        "left/lost.png", "right/wrong.png"]
    assert any("right/wrong.png: label right, the network says " in line
               and line.endswith(" left") for line in lines)
    assert "Labels: those of 24 photos are checked." in out
    page = tmp_path / "photos-report" / "report.html"
    (found,) = [part for part in page_of(page)["findings"] if "wrong label" in part["title"]]
    assert not found["serious"] and {photo["name"] for group in found["groups"]
                                     for photo in group["photos"]} == {
        "left/lost.png", "right/wrong.png"}
    assert {"left/lost.png", "right/wrong.png"} <= {name for name, _uri in images_of(page)}


def test_damaged_photos_and_copies_do_not_stop_it(photos, capsys):
    content = (photos / "left" / "0.png").read_bytes()
    (photos / "left" / "damaged.png").write_bytes(content[:len(content) // 2])
    (photos / "right" / "copy.png").write_bytes((photos / "right" / "wrong.png").read_bytes())
    out = run_command(capsys, "data", "photos", "--labels")[1]
    assert "right/wrong.png: label right" in out and "right/copy.png: label right" in out
    assert "Labels: those of 25 photos are checked." in out


def test_without_the_option_it_says_that_labels_are_not_checked(photos, capsys, monkeypatch):
    monkeypatch.setattr(command, "check_labels", None)
    assert "\nLabels: not checked. Add --labels; " in run_command(capsys, "data", "photos")[1]
    found = json.loads(run_command(capsys, "data", "photos", "--json")[1])
    assert found["labels_checked"] is False


def test_right_labels_are_not_doubted_and_too_few_photos_cannot_be_checked(
        tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    striped_folder(tmp_path / "photos", {"left": 8, "right": 8})
    out = run_command(capsys, "data", "photos", "--labels")[1]
    assert "Labels: those of 16 photos are checked, and none is doubted." in out
    striped_folder(tmp_path / "few", {"left": 8, "right": 1})
    out = run_command(capsys, "data", "few", "--labels")[1]
    assert "The labels could not be checked" in out


def test_in_python_it_is_a_function():
    data = mc.data.sample("fashion", per_class=6, classes=["trouser", "bag"])
    result = check_labels(data, mc.training.TransferConfig(size=32, cut="block1_pool", epochs=3))
    assert result.probabilities.shape == (12, 2) and (result.labels == data.labels).all()


# What to do next


def test_after_something_to_fix_the_same_command_is_suggested_and_overwrites(photos, capsys):
    assert "Next: " in run_command(capsys, "data", "photos")[1]
    content = (photos / "left" / "0.png").read_bytes()
    (photos / "right" / "copy.png").write_bytes(content)  # the same photo in two classes
    out = run_command(capsys, "data", "photos", "--test-fraction", "0.5")[1]
    line, other = out.splitlines()[-2:]
    assert line.startswith("Once that is fixed, again: ") and "Next: " not in out
    assert other.startswith("Or train without: ")
    assert other.endswith(" train photos --split photos-report-2/split.csv")
    words = shlex.split(line.partition("again: ")[2])
    words = words[words.index("data"):]
    assert words == ["data", "photos", "--test-fraction", "0.5", "--output", "photos-report-2",
                     "--force"]
    (photos / "right" / "copy.png").unlink()
    code, out, _ = run_command(capsys, *words)
    assert code == 0 and "photos-report-2/: report.html, split.csv (12 train, 12 test)" in out
    assert "Next: " in out
