"""In a terminal of 80 or 100 columns no command lets the terminal break a line: not in a word, and
not in a table."""

import json

import pytest
from makers import classifier, photo_folder, striped_folder
from makers.terminals import command_in_terminal

from minicnn.report import write_csv

WIDTHS = pytest.mark.parametrize("columns", [80, 100])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """photos/, m.h5 of its two classes, and three runs with long names that differ in much."""
    root = tmp_path_factory.mktemp("narrow")
    striped_folder(root / "photos", {"altocumulus": 8, "cumulonimbus": 8}, (70, 70))
    (root / "photos" / "cumulonimbus" / "a text that is not a photo.txt").write_text("no photo")
    content = (root / "photos" / "altocumulus" / "1.png").read_bytes()
    (root / "photos" / "altocumulus" / "1.png").write_bytes(content[:len(content) // 2])
    (root / "photos" / "cumulonimbus" / "copy.png").write_bytes(
        (root / "photos" / "altocumulus" / "2.png").read_bytes())
    classifier(2, (12, 12, 3), 3, one_sigmoid=True,
               names=["altocumulus", "cumulonimbus"]).save(root / "m.h5")
    for k in range(3):
        run = root / "runs" / f"cirrus-altocumulus-cumulonimbus-{k + 1}"
        run.mkdir(parents=True)
        write_csv(run / "predictions.csv", ["photo", "true", "predicted"],
                  [[f"{i + 3 * k}.png", "a", "ab"[i < k + 1]] for i in range(20)])
        write_csv(run / "history.csv", ["epoch", "loss", "val_accuracy"], [[1, 0.5, 0.75]])
        write_csv(run / "split.csv", ["photo", "class", "part"],
                  [["x.png", "a", ("validation", "test")[k % 2]]])
        (run / "run.json").write_text(json.dumps({
            "folder": "photos", "augment": "flip,shift=0.08,rotate=10,zoom=0.1" * (k > 0),
            "views": 8, "size": 96 + k, "split": f"photos-report-{k}/split.csv", "dropout": k / 10,
            "lr": None, "seed": k, "used": {"learning_rate": 1.5e-6 + k,
                                            "photos": {"train": 10 + k, "test": 20}}}))
    return root


def lines_of(columns, folder, *words, code=0, **environment):
    """What the command leaves on a screen on which no line was broken by the terminal."""
    status, screen = command_in_terminal(columns, folder, *words, **environment)
    assert status == code and screen.wrapped == 0, "\n".join(screen.text)
    return screen.text


@WIDTHS
@pytest.mark.parametrize("language", ["en", "fr"])
def test_compare(language, columns, folder):
    runs = [f"runs/cirrus-altocumulus-cumulonimbus-{k}" for k in (1, 2, 3)]
    lines = lines_of(columns, folder, "compare", *runs, "--lang", language)
    rows = [line.split() for line in lines]
    assert [row[:2] for row in rows[1:] if row[1:2] and row[1] in runs] == [
        ["1", runs[0]], ["2", runs[1]], ["3", runs[2]]]  # with its figures, or before them
    assert sum("p = " in line or "p =" in line for line in lines) >= 3


@pytest.mark.parametrize("language, rule, columns", [
    ("en", "0.3", 80), ("en", "youden", 80), ("fr", "0.3", 80), ("fr", "youden", 80),
    ("fr", "youden", 100), *(pytest.param(*more, 100, marks=pytest.mark.full) for more in (
        ("en", "0.3"), ("en", "youden"), ("fr", "0.3")))])
def test_evaluate(language, rule, columns, folder):
    lines = lines_of(columns, folder, "evaluate", "m.h5", "photos", "--threshold", rule,
                     "--output", "--lang", language)
    header = next(line for line in lines if "ROC-AUC" in line)
    row = next(line for line in lines if line.startswith("cumulonimbus "))
    assert len(row) == len(header)


@WIDTHS
@pytest.mark.parametrize("words", [
    ["data", "photos"], ["look"], ["look", "grad-cam", "m.h5", "photos/altocumulus/0.png"],
    ["predict", "m.h5", "photos"]], ids=lambda words: "-".join(words[:2]).replace("/", "-"))
def test_data_look_and_predict(words, columns, folder):
    assert lines_of(columns, folder, *words, code=2 * (words[0] == "predict"))


@pytest.mark.parametrize("columns", [80, pytest.param(100, marks=pytest.mark.full)])
def test_a_look_that_takes_its_time(columns, folder):
    assert lines_of(columns, folder, "look", "occlusion", "vgg16", "photos/altocumulus/0.png")


@WIDTHS
def test_train_names_files_and_warnings(columns, folder):
    lines = lines_of(columns, folder, "train", "photos", "--size", "32", "--epochs", "2", "--cut",
                     "block1_pool", "-v")
    text = " ".join(lines)
    assert "2 files are left out:" in lines and "a text that is not a photo.txt" in text
    assert not any(line.startswith("ImageFolder") for line in lines)


@WIDTHS
def test_a_class_with_a_long_name_has_a_line_of_its_own(columns, tmp_path):
    names = ["short", "a cloud of a very long name that hardly leaves room for anything else"]
    photo_folder(tmp_path / "photos", dict.fromkeys(names, 3), (12, 12))
    classifier(2, (12, 12, 3), 3, one_sigmoid=True, names=names).save(tmp_path / "m.h5")
    lines = lines_of(columns, tmp_path, "evaluate", "m.h5", "photos")
    at = lines.index(names[1])
    assert lines[at + 1].split()[0] == "3" and lines[at - 2] == "short"
