"""`minicnn data`: what it says of a folder, the split that it writes, and what it refuses."""

import re

import numpy as np
import pytest
from makers import page_of
from makers import read_csv as rows
from PIL import Image

import minicnn as mc
from minicnn.cli import data as command
from minicnn.cli import main
from minicnn.data import ImageFolder, read_image, read_split


def save(path, k, **options):
    """Part k of the cat, of which no part is near another."""
    cat = read_image(mc.data.photos()["chelsea"])
    path.parent.mkdir(parents=True, exist_ok=True)
    i, j = 20 * (k // 15), 25 * (k % 15)
    Image.fromarray(cat[i:i + 90, j:j + 70]).save(path, **options)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """photos/left with 12 photos and photos/right with 8; the working directory holds photos."""
    monkeypatch.chdir(tmp_path)
    for k in range(20):
        save(tmp_path / "photos" / ("left" if k < 12 else "right") / f"{k}.png", 7 * k)
    return tmp_path / "photos"


def refused(capsys, *words):
    """One line on stderr with these words, nothing on stdout."""
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1, (out, err)
    for word in words:
        assert word in err, err


@pytest.mark.parametrize("started", ["here", "there"])
def test_next_is_typed_as_minicnn_where_that_name_is_the_one_that_runs(
        started, folder, tmp_path, monkeypatch, capsys):
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "minicnn").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "here"))
    monkeypatch.setattr("sys.argv", [str(tmp_path / started / "minicnn")])
    assert main(["data", "photos"]) == 0
    typed = "minicnn" if started == "here" else str(tmp_path / "there" / "minicnn")
    assert f"\nNext: {typed} train photos --split photos-report/split.csv\n" in (
        capsys.readouterr().out)


def test_a_clean_folder_is_counted_split_and_reported(folder, capsys):
    assert main(["data", "photos"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "photos/: 20 photos, 2 classes, nothing to fix" and err == ""
    assert [line.split() for line in lines[1:3]] == [["left", "12"], ["right", "8"]]
    assert lines[3:5] == [
        "Labels: not checked. Add --labels; train checks those of its training photos.", ""]
    assert "photos-report/: report.html, split.csv (15 train, 5 test)" in out
    assert re.search(r"Next: .* train photos --split photos-report/split.csv", out)
    report = folder.parent / "photos-report"
    assert sorted(path.name for path in report.iterdir()) == ["report.html", "split.csv"]
    data = ImageFolder(folder)
    parts = read_split(report / "split.csv", data)
    train, test = data.split(0.75)
    assert (parts["train"].names, parts["test"].names) == (train.names, test.names)


def test_fractions_and_seed_decide_the_split(folder):
    options = ["--validation-fraction", "0.25", "--test-fraction", "0.5"]
    for name, seed in (("one", "1"), ("again", "1"), ("two", "2")):
        assert main(["data", "photos", "--output", name, *options, "--seed", seed]) == 0
    one, again, two = (rows(folder.parent / name / "split.csv") for name in ("one", "again", "two"))
    assert one == again != two
    parts = [row["part"] for row in one]
    assert {part: parts.count(part) for part in parts} == {"train": 5, "validation": 5, "test": 10}
    assert main(["data", "photos", "--output", "all", "--test-fraction", "0"]) == 0
    assert {row["part"] for row in rows(folder.parent / "all" / "split.csv")} == {"train"}


def test_what_is_wrong_is_said_and_damaged_photos_are_kept_out_of_the_split(folder, capsys):
    save(folder / "right" / "copy.jpg", 0, quality=50)
    save(folder / "left" / "again.png", 14)
    save(folder / "left" / "broken.png", 5)
    (folder / "left" / "broken.png").write_bytes((folder / "left/broken.png").read_bytes()[:4000])
    (folder / "left" / "notes.txt").write_text("no photo")
    assert main(["data", "photos"]) == 0
    out = capsys.readouterr().out
    assert "left/0.png, right/copy.jpg: nearly the same" in out
    assert "left/2.png, left/again.png: the same pixels" in out
    assert "broken.png: expected a readable photo" in out and "1 text: left/notes.txt. Only" in out
    part = {row["photo"]: row["part"] for row in rows(folder.parent / "photos-report/split.csv")}
    assert part["left/broken.png"] == "unreadable"
    assert part["left/0.png"] == part["right/copy.jpg"]
    assert part["left/2.png"] == part["left/again.png"]
    assert len(part) == 23 and "split.csv (" in out and "1 unreadable)" in out


def test_long_lists_are_cut_on_the_screen_and_whole_on_the_page(folder, capsys):
    for k in range(12):
        (folder / "left" / f"{k}.txt").write_text("no photo")
    for k in range(5):
        Image.new("L", (80, 80), 50).save(folder / "right" / f"grey{k}.png")
    assert main(["data", "photos"]) == 0
    out = capsys.readouterr().out
    assert "12 texts: left/0.txt, left/1.txt" in out
    assert "left/7.txt, … and 4 more. Only photos are read" in out and "left/8.txt" not in out
    assert out.count("and 2 more, see report.html") == 1
    assert "right/grey0.png, right/grey1.png, right/grey2.png and 2 more: the same pixels" in out
    page = page_of(folder.parent / "photos-report" / "report.html")
    lines = {one["title"]: one["lines"] for one in page["findings"]}
    assert len(lines["12 other files skipped"]) == 1
    assert all(f"left/{k}.txt" in lines["12 other files skipped"][0] for k in range(12))


def test_system_files_are_not_worth_a_word(folder, capsys):
    for name in (".DS_Store", "left/.DS_Store", "Thumbs.db", "right/Thumbs.db", "desktop.ini",
                 "left/Desktop.ini"):
        (folder / name).write_text("system")
    assert main(["data", "photos"]) == 0
    assert "nothing to fix" in capsys.readouterr().out


def split_folder(root):
    for k in range(16):
        part, kind = ("train", "val")[k % 2], ("left", "right")[k < 8]
        save(root / "ready" / part / kind / f"{k}.png", 7 * k)
    return root / "ready"


def test_a_folder_that_is_split_already_is_searched_for_leaks(folder, capsys):
    ready = split_folder(folder.parent)
    save(ready / "val" / "left" / "leak.jpg", 14, quality=60)
    assert main(["data", "ready"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("ready is already split into train, validation")
    assert "1 group of copies (2 photos) across the parts" in out
    assert "train/right/2.png, val/left/leak.jpg: nearly the same" in out
    assert "1 group of copies (2 photos) across classes" in out and "Next:" not in out
    found = rows(folder.parent / "ready-report" / "split.csv")
    assert len(found) == 17
    assert {(row["photo"].split("/")[0], row["part"]) for row in found} == {
        ("train", "train"), ("val", "validation")}
    assert all(row["photo"].split("/")[1] == row["class"] for row in found)


def test_fractions_for_a_folder_that_is_split_already_are_refused(folder, capsys):
    split_folder(folder.parent)
    assert main(["data", "ready", "--test-fraction", "0.3"]) == 2
    refused(capsys, "--test-fraction: expected only", "train, validation")
    assert not (folder.parent / "ready-report").exists()


@pytest.mark.parametrize("more", [0, 30])
def test_a_class_of_one_photo_is_reported_and_not_split(folder, capsys, more):
    save(folder / "lonely" / "1.png", 200)
    for k in range(more):
        save(folder / "left" / f"more{k}.png", 140 + k)
    assert main(["data", "photos"]) == 2
    out, err = capsys.readouterr()
    assert "The classes are uneven" in out and "photos-report/: report.html\n" in out
    assert "no split.csv" in err and "received 1. Add photos" in err and "'lonely'" in err
    assert [path.name for path in (folder.parent / "photos-report").iterdir()] == ["report.html"]


def test_photos_that_all_look_alike_are_told_and_not_split(folder, capsys):
    for k in range(12):
        (folder / "left" / f"{k}.png").unlink()
        if k < 8:
            (folder / "right" / f"{k + 12}.png").unlink()
        save(folder / "left" / f"{k}.jpg", 3, quality=95 - k)
        save(folder / "right" / f"{k}.jpg", 3, quality=80 - k)
    assert main(["data", "photos"]) == 2
    out, err = capsys.readouterr()
    assert "24 of 24 photos look alike" in out and "that differ" in err


def test_output_in_use_is_kept_without_force(folder, capsys):
    report = folder.parent / "photos-report"
    report.mkdir()
    (report / "mine.txt").write_text("precious")
    (report / "split.csv").write_text("precious")
    assert main(["data", "photos", "--output", "photos-report"]) == 2
    refused(capsys, "photos-report: expected a new or empty folder", "--force")
    assert (report / "split.csv").read_text() == "precious"
    assert main(["data", "photos", "--force"]) == 0
    assert (report / "mine.txt").read_text() == "precious" and len(rows(report / "split.csv")) == 20
    save(folder / "lonely" / "1.png", 200)
    assert main(["data", "photos", "--force"]) == 2
    assert not (report / "split.csv").exists()  # it would be of other photos


def test_output_among_the_photos_is_refused(folder, capsys, monkeypatch):
    assert main(["data", "photos", "--output", "photos/left/report"]) == 2
    refused(capsys, "expected a folder outside that of the photos")
    monkeypatch.chdir(folder)
    assert main(["data", "."]) == 2
    refused(capsys, "photos-report: expected a folder outside")
    assert sorted(path.name for path in folder.iterdir()) == ["left", "right"]


def test_output_that_cannot_be_a_folder_is_refused(folder, capsys):
    (folder.parent / "file").write_text("x")
    for name in ("file", "file/report"):
        assert main(["data", "photos", "--output", name]) == 2
        refused(capsys, f"{name}: expected a folder that can be written")


@pytest.mark.parametrize("options", [
    ["--test-fraction", "1"], ["--test-fraction", "-0.1"], ["--test-fraction", "nan"],
    ["--test-fraction", "0.5", "--validation-fraction", "0.5"], ["--seed", "-1"]])
def test_options_that_leave_no_split_are_refused_before_a_photo_is_read(
        folder, capsys, monkeypatch, options):
    monkeypatch.setattr(command, "perceptual_hashes", None)
    assert main(["data", "photos", *options]) == 2
    refused(capsys, options[0], "expected")
    assert not (folder.parent / "photos-report").exists()


@pytest.mark.parametrize("names, words", [
    (["a/b/1.png", "a/c/1.png", "d/b/1.png", "d/c/1.png"], "choose the folder whose sub-folders "
     "hold the photos (photos/a)"),
    (["only/1.png"], "found only 'only'"), (["1.png"], "at least two, found none"),
    ([], "found nothing")])
def test_folders_that_are_none_of_classes_are_refused(tmp_path, monkeypatch, capsys, names, words):
    monkeypatch.chdir(tmp_path)
    for name in names:
        save(tmp_path / "photos" / name, 0)
    assert main(["data", "photos"]) == 2
    refused(capsys, words)
    assert not (tmp_path / "photos-report").exists()


def test_a_folder_of_damaged_photos_is_refused(folder, capsys):
    for path in folder.rglob("*.png"):
        path.write_bytes(path.read_bytes()[:2000])
    assert main(["data", "photos"]) == 2
    refused(capsys, "photos: expected photos that can be read, found none", "0.png")


def test_names_of_any_bytes_are_printed_and_written(folder, capsys):
    try:
        save(folder / "left" / "caf\udce9.png", 14)
    except (OSError, UnicodeError):
        pytest.skip("this file system takes names in UTF-8 only")
    assert main(["data", "photos"]) == 0
    assert "caf\\udce9.png: the same pixels" in capsys.readouterr().out
    parts = read_split(folder.parent / "photos-report" / "split.csv", ImageFolder(folder))
    assert np.sum([len(part) for part in parts.values()]) == 21


def test_in_a_terminal_no_word_is_broken_at_its_edge(folder, monkeypatch, capsys):
    save(folder / "left" / "again.png", 14)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert main(["data", "photos"]) == 0
    out = capsys.readouterr().out
    described = out.split("\nphotos-report/")[0].splitlines()
    assert max(map(len, described)) < 60
    words = " ".join(described).split()
    assert "remove" in words and "minicnn's" in words and "left/again.png:" in words
