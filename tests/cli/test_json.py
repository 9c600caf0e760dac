"""--json: one object on the standard output, everything else on the standard error, and the keys
that docs/json.md lists."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from makers import classifier
from PIL import Image

import minicnn as mc
from minicnn.cli import main

TEXT = (Path(__file__).parents[2] / "docs" / "json.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S))
LAYER = """
class Mine:
    def forward(self, x, training=False, keep=True):
        self.x = x
        return x**2
    def backward(self, dy):
        return {factor} * self.x * dy
"""


def documented(command):
    """The keys in the first column of a command's table."""
    cells = re.findall(r"^\| (`[^|]*) \|", SECTIONS[command], re.M)
    return {key for cell in cells for key in re.findall(r"`(\w+)`", cell)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """m.h5 (a | b) and photos/a, photos/b with four photos each, of which one is damaged."""
    root, rng = tmp_path_factory.mktemp("json"), np.random.default_rng(0)
    classifier(2, (12, 12, 3), 3, one_sigmoid=True, names=["a", "b"]).save(root / "m.h5")
    for k in range(8):
        path = root / "photos" / "ab"[k % 2] / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (14, 16, 3), dtype=np.uint8)).save(path)
    broken = root / "photos" / "b" / "9.png"
    broken.write_bytes((root / "photos" / "b" / "1.png").read_bytes()[:300])
    return root


@pytest.fixture
def answer(folder, monkeypatch, capsys, tmp_path):
    """Runs a command with --json in an empty folder; -> (the object, the standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(*words, code=0):
        words = [str(word).replace("ROOT", str(folder)) for word in words]
        assert main([*words, "--json"]) == code
        out, err = capsys.readouterr()

        def refuse(word):
            raise AssertionError(f"{word} is no JSON")
        found = json.loads(out, parse_constant=refuse)
        assert set(found) == documented(words[0])
        return found, err
    return run


def test_predict_gives_each_photo_and_what_could_not_be_read(answer, folder):
    found, err = answer("predict", "ROOT/m.h5", "ROOT/photos", "--top", "1", code=2)
    assert len(found["photos"]) == 8 and found["classes"] == ["a", "b"]
    model = mc.load(folder / "m.h5")
    for row in found["photos"]:
        image = mc.data.resize_and_crop(mc.data.read_image(row["photo"]), (12, 12))
        p = float(model.predict(image[None])[0, 0])
        (top,) = row["top"]
        assert top["class"] == "ab"[p > 0.5]
        assert top["probability"] == pytest.approx(max(p, 1 - p), abs=1e-5)
    (sentence,) = found["unreadable"]
    assert "9.png" in sentence and "9.png" in err


def test_predict_writes_its_file_and_pictures_besides(answer):
    found, err = answer("predict", "ROOT/m.h5", "ROOT/photos/a", "-o", "p.csv", "--explain")
    assert found["output"] == "p.csv" and "p.csv: 4 photos" in err
    assert Path("p.csv").read_text().startswith("photo,predicted,probability,explained,a,b")
    assert all(Path(row["explained"]).is_file() for row in found["photos"])


def test_evaluate_gives_the_scores_and_its_folder(answer):
    found, err = answer("evaluate", "ROOT/m.h5", "ROOT/photos", "--output")
    assert found["photos"] == 8 and found["accuracy"] == found["right"] / 8
    assert sum(map(sum, found["confusion"])) == 8
    assert found["output"] == "runs/m-on-photos-1" and "95 % interval" in err
    saved = json.loads(Path(found["output"], "scores.json").read_text("utf-8"))
    assert {key: found[key] for key in saved} == saved
    assert answer("evaluate", "ROOT/m.h5", "ROOT/photos")[0]["output"] is None


def test_data_gives_counts_problems_and_the_split(answer):
    found, err = answer("data", "ROOT/photos")
    assert found["classes"] == {"a": 4, "b": 5} and sum(found["parts"].values()) == 9
    assert Path(found["report"]).is_file() and Path(found["split"]).is_file()
    assert any("9.png" in line for problem in found["problems"] for line in
               [*problem["lines"], *sum(problem["photos"], [])])
    assert "9 photos, 2 classes" in err


def test_data_without_a_split_says_so(answer, tmp_path):
    Image.new("RGB", (9, 9), "red").save(tmp_path / "x.png")
    for name in "ab":
        (tmp_path / "few" / name).mkdir(parents=True)
        Image.fromarray(np.full((30, 30, 3), 50 + 99 * (name == "a"), np.uint8)).save(
            tmp_path / "few" / name / "1.png")
    found, err = answer("data", tmp_path / "few", code=2)
    assert found["split"] is None and found["parts"] is None and "no split.csv" in err


def test_compare_gives_runs_and_pairs(answer, folder, tmp_path):
    classifier(2, (12, 12, 3), 5, one_sigmoid=True, names=["a", "b"]).save(tmp_path / "n.h5")
    for model in (folder / "m.h5", "n.h5"):
        answer("evaluate", model, "ROOT/photos", "--output")
    names = ["runs/m-on-photos-1", "runs/n-on-photos-1"]
    found, _ = answer("compare", *names, "-o", "c.png")
    assert [run["run"] for run in found["runs"]] == names and found["figure"] == "c.png"
    (pair,) = found["pairs"]
    difference = pair["right_only_in_first"] - pair["right_only_in_second"]
    assert difference == found["runs"][0]["right"] - found["runs"][1]["right"]
    assert pair["photos"] == 8 and 0 <= pair["p"] <= 1


def test_export_gives_names_and_shapes(answer):
    found, _ = answer("export", "ROOT/m.h5", "m.onnx")
    assert found == {"file": "m.onnx", "input": {"name": "pixels", "shape": [None, 12, 12, 3]},
                     "output": {"name": "y", "shape": [None, 1]}, "classes": ["a", "b"]}


@pytest.mark.parametrize("factor, code", [(2, 0), (3, 1)])
def test_gradcheck_gives_each_gradient(factor, code, answer, tmp_path):
    (tmp_path / "mine.py").write_text(LAYER.format(factor=factor))
    found, err = answer("gradcheck", "mine.py:Mine", code=code)
    assert (found["wrong"] > 0) == bool(code)
    assert all(layer["ok"] == (not code) for layer in found["layers"])
    assert {row["gradient"] for row in found["layers"][0]["gradients"]} == {"dx"}
    assert "gradient" in err


def test_after_an_error_there_is_no_object(folder, capsys):
    assert main(["evaluate", str(folder / "m.h5"), str(folder / "nowhere"), "--json"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("minicnn: ")


def test_two_forms_of_json_at_once_are_refused(folder, capsys):
    assert main(["predict", str(folder / "m.h5"), str(folder / "photos"), "--json", "--format",
                 "csv"]) == 2
    assert "--format: expected without --json" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_error(folder):
    reading, writing = os.pipe()
    os.close(reading)  # as `minicnn evaluate … --json | head` does, before the object is written
    done = subprocess.run([sys.executable, "-m", "minicnn", "evaluate", "m.h5", "photos",
                           "--json"], stdout=writing, stderr=subprocess.PIPE, text=True,
                          cwd=folder, env={
                              **os.environ, "PYTHONPATH": str(Path(mc.__file__).parent.parent)})
    os.close(writing)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr
    assert "photos right" in done.stderr  # the text
