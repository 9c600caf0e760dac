"""`minicnn evaluate` on photos that the model was trained on; `minicnn compare` of the result."""

import json
import shutil

import pytest
from makers import page_of, read_csv, run_command, striped_folder

from minicnn.evaluation import wilson_interval

FAST = ["--size", "32", "--cut", "block1_pool", "--epochs", "1", "--no-scratch",
        "--no-label-check"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with photos/, and run/, trained on it."""
    folder = tmp_path_factory.mktemp("trained")
    striped_folder(folder / "photos", {"left": 10, "right": 10})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        from minicnn.cli import main
        assert main(["train", "photos", *FAST, "--patience", "1", "--output", "run"]) == 0
    return folder


@pytest.fixture
def here(trained, tmp_path, monkeypatch):
    """A copy of that folder, to work in."""
    shutil.copytree(trained, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def evaluate(capsys, *words):
    code, out, _ = run_command(capsys, "evaluate", *words)
    assert code == 0
    return out


@pytest.mark.parametrize("model", ["run", "run/model.h5"])
def test_photos_of_the_training_are_counted_and_the_others_are_scored_apart(model, here, capsys):
    out = evaluate(capsys, model, "photos", "--output", "measured")
    held_out = {row["photo"] for row in read_csv("run/split.csv") if row["part"] == "test"}
    assert 0 < len(held_out) < 20
    right = sum(row["true"] == row["predicted"] for row in read_csv("measured/predictions.csv")
                if row["photo"] in held_out)
    low, high = wilson_interval(right, len(held_out))
    sentence = (f"{20 - len(held_out)} of these 20 photos were in its training. On the "
                f"{len(held_out)} others: {right} right, {100 * right / len(held_out):.1f} % "
                f"(95 % interval {100 * low:.1f} … {100 * high:.1f} %).")
    lines = out.splitlines()
    assert lines[lines.index(sentence) - 1].split(" right: ")[0].endswith(" of 20 photos")
    assert page_of(here / "measured" / "report.html")["notes"] == [sentence]
    scores = json.loads((here / "measured" / "scores.json").read_text("utf-8"))
    assert scores["in_training"] == 20 - len(held_out)
    assert (scores["others"]["photos"], scores["others"]["right"]) == (len(held_out), right)


def test_compare_warns_of_an_evaluation_on_photos_of_the_training(here, capsys):
    evaluate(capsys, "run", "photos", "--output", "measured")
    out = run_command(capsys, "compare", "run", "measured")[1]
    held_out = sum(row["part"] == "test" for row in read_csv("run/split.csv"))
    assert (f"Warning: {20 - held_out} of the 20 photos of 2 were in its training, so that its "
            "accuracy is too high.") in out and "photos of 1" not in out


def test_other_photos_of_the_same_names_were_not_in_the_training(here, capsys):
    for side in ("left", "right"):
        for path in (here / "photos" / side).iterdir():
            new = here / "other" / side / path.name
            new.parent.mkdir(parents=True, exist_ok=True)
            new.write_bytes(path.read_bytes() + b"\0")  # still a photo
    assert "in its training" not in evaluate(capsys, "run", "other")


@pytest.mark.parametrize("gone", [False, True], ids=["a copy", "a folder that was moved"])
def test_the_same_photos_elsewhere_were_in_the_training(gone, here, capsys):
    shutil.copytree(here / "photos", here / "copies")
    if gone:
        shutil.rmtree(here / "photos")
    learned = sum(row["part"] != "test" for row in read_csv("run/split.csv"))
    assert f"{learned} of these 20 photos were in its training. " in evaluate(
        capsys, "run", "copies")


def test_the_training_part_of_a_folder_that_is_split_is_all_known(here, capsys):
    for part, count in (("train", 5), ("test", 3)):
        striped_folder(here / "ready" / part, {"left": count, "right": count})
    assert run_command(capsys, "train", "ready", *FAST, "--output", "second")[0] == 0
    out = evaluate(capsys, "second", "ready/train")
    assert "All of these photos were in its training: the accuracy says nothing" in out
    assert "in its training" not in evaluate(capsys, "second", "ready/test")


def test_a_model_of_no_run_and_a_run_of_built_in_photos_know_no_photos(here, capsys):
    shutil.copy(here / "run" / "model.h5", here / "m.h5")
    assert "in its training" not in evaluate(capsys, "m.h5", "photos")
    options = json.loads((here / "run" / "run.json").read_text("utf-8"))
    (here / "run" / "run.json").write_text(json.dumps(options | {"folder": None}))
    assert "in its training" not in evaluate(capsys, "run", "photos")
