"""Values of options: what is refused, before anything is printed or read; and what is suggested."""

import json

import pytest
from makers import run_command

from minicnn.cli import main
from minicnn.cli.option_values import Integer, Number, words


@pytest.mark.parametrize("kind, right, wrong", [
    (Integer("3"), {"1": 1, "12": 12, 7: 7}, ["0", "-1", "2.5", "", "abc", 2.0, True, None]),
    (Integer("3", 0), {"0": 0}, ["-1"]),
    (Number("3"), {"0": 0.0, "1e-6": 1e-6, 2.5: 2.5}, ["-1", "nan", "inf", "abc", "", None]),
    (Number("3", open_below=True), {"1e-30": 1e-30}, ["0", "-0", "nan"]),
    (Number("3", maximum=1, open_above=True), {"0": 0.0, "0.99": 0.99}, ["1", "-0.1"]),
    (Number("3", maximum=1), {"1": 1.0}, ["1.1"]),
    (words(["ab", "c"], "c"), {"ab": "ab"}, ["a", "", "AB"]),
    (words(["ab"], "ab", empty=True), {"": "", "ab": "ab"}, ["b"])])
def test_values_within_their_bounds_are_taken_and_others_are_not(kind, right, wrong):
    for text, value in right.items():
        assert kind(text) == value and type(kind(text)) is type(value)
    for text in wrong:
        with pytest.raises(ValueError):
            kind(text)


@pytest.mark.parametrize("line, flag, expected, advice", [
    ("train --lr abc", "--lr", "a number above 0", "Write --lr 1e-6, for example."),
    ("train --lr 0", "--lr", "a number above 0", "Write --lr 1e-6, for example."),
    ("train --epochs 0", "--epochs", "a whole number of at least 1", "--epochs 60"),
    ("train --per-class 0", "--per-class", "a whole number of at least 1", "--per-class 20"),
    ("train --per-class 61", "--per-class", "61 photos of each class", "take fewer."),
    ("train --kfold 1", "--kfold", "a whole number of at least 2", "--kfold 5"),
    ("train --kfold 21", "--kfold", "at most as many folds as a class has photos, 20 of cirrus",
     "Choose fewer."),
    ("train --seed -4", "--seed", "a whole number of at least 0", "--seed 0"),
    ("train --dropout 1", "--dropout", "a number from 0 to below 1", "--dropout 0.2"),
    ("train --test-fraction 0 photos", "--test-fraction", "a number between 0 and 1", "0.25"),
    ("train --finetune block9", "--finetune", "one of block1, block2", "Did you mean block"),
    ("train --finetune 7", "--finetune", "one of block1, block2", "Write --finetune block5,"),
    ("train --schedule cosin", "--schedule", "one of constant,", "Did you mean cosine?"),
    ("train --augment turn=3", "--augment", "names among flip", "turn=3"),
    ("train --finetune block5 --cut block4_pool", "--finetune", "a cut ", "Leave the cut out."),
    ("train --classes cirrus", "--classes", "two different classes", "Name another"),
    ("train --classes cirrus cirrus", "--classes", "two different classes", "Name another"),
    ("train --classes cirrus shoe", "--classes", "classes among altocumulus", "of these names."),
    ("data photos --test-fraction x", "--test-fraction", "a number from 0 to below 1", "0.25"),
    ("evaluate m.h5 photos --batch-size x", "--batch-size", "a whole number", "--batch-size 32"),
    ("predict m.h5 a.jpg --top 0", "--top", "a whole number of at least 1", "--top 5"),
    ("look gradient --unit x", "--unit", "a whole number of at least 0", "--unit 7"),
    ("atlas --maps 0", "--maps", "a whole number of at least 1", "--maps 4"),
    ("gradcheck --seed x", "--seed", "a whole number of at least 0", "--seed 0")])
def test_the_error_names_the_option_and_what_to_write(line, flag, expected, advice, tmp_path,
                                                      monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, out, err = run_command(capsys, *line.split())
    assert code == 2 and out == ""
    assert err.startswith(f"minicnn: {flag}: expected {expected}") and advice in err
    assert err.count("\n") == 1 and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options, words", [
    ({"lr": 0}, ["lr", "a number above 0", "0"]), ({"epochs": 2.5}, ["epochs", "whole number"]),
    ({"finetune": "block9"}, ["finetune", "one of block1", "block9"])])
def test_a_config_is_read_with_the_same_bounds(options, words, tmp_path, capsys):
    (tmp_path / "run.json").write_text(json.dumps(options))
    code, out, err = run_command(capsys, "train", "--config", tmp_path / "run.json")
    assert code == 2 and out == "" and all(word in err for word in words)


def usage_error(capsys, *line):
    with pytest.raises(SystemExit) as stopped:
        main([*line])
    assert stopped.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("line", ["help foo", "train --lang de", "look --jsn"])
def test_nothing_is_suggested_that_is_not_similar(line, capsys):
    assert "Did you mean" not in usage_error(capsys, *line.split())


@pytest.mark.parametrize("line, meant", [
    ("help trian", "train"), ("evalute m photos", "evaluate"), ("data photos --jsn", "--json"),
    ("train --epoch 3", "--epochs"), ("predict m a.jpg --devise cpu", "--device")])
def test_what_is_similar_is_suggested(line, meant, capsys):
    assert f"Did you mean {meant}?" in usage_error(capsys, *line.split())


@pytest.mark.parametrize("line, words", [
    ("-q", "expected a command, received -q. Write the command first"),
    ("--json data", "expected a command, received --json."),
    ("predict", "expected MODEL and PHOTO, received none."),
    ("predict m.h5", "expected PHOTO, received none.")])
def test_missing_words_are_named(line, words, capsys):
    assert words in usage_error(capsys, *line.split())
