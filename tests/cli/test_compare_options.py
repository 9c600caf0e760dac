"""`minicnn compare`: which options differ, as far as they had an effect; and Bonferroni's pairs."""

import json

import pytest
from makers import run_command

from minicnn.report import write_csv

USED = {"learning_rate": 1.02e-6, "cut": "block4_pool", "size": 128, "device": "cpu",
        "classes": ["a", "b"], "photos": {"train": 40, "test": 120}, "seconds": 9.5,
        "processor": "A", "started": "2026-11-28T14:05:00+01:00",
        "command": "minicnn train", "scratch": {"size": 48, "epochs": 30}}
OPTIONS = {"size": 128, "cut": None, "augment": "", "views": 8, "lr": None, "finetune": "",
           "finetune_epochs": 10, "finetune_lr": 1e-5, "output": None, "no_scratch": False}


@pytest.fixture
def compared(tmp_path, monkeypatch, capsys):
    """compared({"views": 4}, {"cut": …}): the lines about options of two runs, the second of which
    has these options and these values under "used"."""
    monkeypatch.chdir(tmp_path)

    def compare(options, used):
        for name, more, facts in (("one", {}, {}), ("two", options, used)):
            (tmp_path / name).mkdir(exist_ok=True)
            write_csv(tmp_path / name / "predictions.csv", ["photo", "true", "predicted"],
                      [["x.png", "a", "a"]])
            (tmp_path / name / "run.json").write_text(json.dumps(
                OPTIONS | more | {"used": USED | facts}))
        code, out, _ = run_command(capsys, "compare", "one", "two")
        assert code == 0
        return out.split("\n\n")[1].splitlines()
    return compare


@pytest.mark.parametrize("options, used", [
    ({"views": 4}, {}), ({"finetune_epochs": 5, "finetune_lr": 1e-4}, {}),  # without effect
    ({}, {"learning_rate": 1.0201e-6}),  # printed as the same
    ({"cut": "block4_pool"}, {}),  # named, or chosen by default
    ({"output": "two", "no_scratch": True, "memory_budget": 5}, {}),
    ({}, {"seconds": 3, "processor": "B", "command": "minicnn train -v", "scratch": {"size": 64}})])
def test_what_had_no_effect_or_is_printed_alike_is_no_difference(options, used, compared):
    assert compared(options, used) == ["The runs have the same options."]


@pytest.mark.parametrize("options, used, lines", [
    ({"augment": "flip", "views": 4}, {},
     ["1  augment –; views –", "2  augment flip; views 4"]),
    ({"lr": 3e-6}, {"learning_rate": 3e-6},
     ["1  lr –; learning rate (measured) 1.02e-06", "2  lr 3e-06; learning rate (measured) –"]),
    ({"finetune": "block5", "finetune_epochs": 3}, {"cut": "block5_pool"},
     ["1  cut block4_pool; finetune –; finetune-epochs –; finetune-lr –",
      "2  cut block5_pool; finetune block5; finetune-epochs 3; finetune-lr 1e-05"])])
def test_what_differs_is_a_line_for_each_run(options, used, lines, compared):
    assert compared(options, used) == ["Options that differ, by run:", *lines]


def test_what_was_measured_is_said_beside_the_same_options(compared, capsys):
    assert compared({}, {"photos": {"train": 20, "test": 120}}) == [
        "The runs have the same options."]
    out = run_command(capsys, "compare", "one", "two")[1]
    assert ("What differs, by run:\n1  photos train 40, test 120\n2  photos train 20, test 120\n"
            ) in out


def test_bonferroni_counts_the_pairs_that_were_tested(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, photo in (("a", "x"), ("b", "x"), ("c", "x"), ("d", "y")):
        (tmp_path / name).mkdir()
        write_csv(tmp_path / name / "predictions.csv", ["photo", "true", "predicted"],
                  [[f"{photo}.png", "k", "k"]])
    out = run_command(capsys, "compare", "a", "b", "c", "d")[1]
    assert out.count("no test, they have no photo in common") == 3
    assert "With 3 tests, take a difference as shown below p = 0.017" in out
    assert "Bonferroni" not in run_command(capsys, "compare", "a", "b", "d")[1]


def test_the_column_of_the_best_epoch_is_there_if_a_run_has_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, part in (("a", "test"), ("b", "test"), ("c", "validation")):
        (tmp_path / name).mkdir()
        write_csv(tmp_path / name / "predictions.csv", ["photo", "true", "predicted"],
                  [["x.png", "k", "k"]])
        write_csv(tmp_path / name / "history.csv", ["epoch", "loss", "val_accuracy"],
                  [[1, 0.5, 0.75]])
        write_csv(tmp_path / name / "split.csv", ["photo", "class", "part"], [["x.png", "k", part]])
    assert "best validation" not in run_command(capsys, "compare", "a", "b")[1]
    assert "75.0 % at 1" in run_command(capsys, "compare", "a", "c")[1]
