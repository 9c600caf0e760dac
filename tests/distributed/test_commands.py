"""`mpiexec -n R minicnn …` writes and prints what the command does without ranks, once."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from makers import (
    classifier,
    contents,
    mpiexec,
    read_csv,
    run_command,
    run_ranks,
    sentences,
    striped_folder,
    write_photos,
)

pytestmark = pytest.mark.skipif(mpiexec() is None, reason="no mpiexec, or no mpi4py")
SCRIPT = Path(__file__).with_name("ranks_cli.py")
TRAIN = ("train", "photos", "--size", "32", "--epochs", "3", "--augment", "flip", "--views", "2",
         "--validation-fraction", "0.25", "--patience", "3", "--dropout", "0.3", "--finetune",
         "block5", "--finetune-epochs", "1", "--memory-budget", "0")
KFOLD = ("train", "photos", "--size", "32", "--epochs", "3", "--kfold", "2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photos, one of them unreadable, and a run on them by one process."""
    root = tmp_path_factory.mktemp("commands")
    striped_folder(root / "photos", {"left": 11, "right": 10}, (40, 40))
    (root / "photos/right/9.png").write_bytes((root / "photos/right/9.png").read_bytes()[:99])
    return root


def number_columns(path):
    """The numbers of a CSV file, row by row."""
    return np.array([[float(cell) for cell in row.values() if re.fullmatch(r"[\d.e+-]+", cell)]
                     for row in read_csv(path)])


def assert_same_tables(single, ranks, names, tolerance):
    for name in names:
        rows, others = number_columns(single / name), number_columns(ranks / name)
        assert rows.size
        np.testing.assert_allclose(others, rows, tolerance, tolerance, err_msg=name)


def test_train_with_everything_on_two_ranks(folder, monkeypatch, capsys):
    """Features in a file, augmentation, validation, fine-tuning, comparison, label check."""
    monkeypatch.chdir(folder)
    code, out, _ = run_command(capsys, *TRAIN, "--output", "single")
    ranks_code, ranks_out, errors = run_ranks(2, SCRIPT, folder, *TRAIN, "--output", "two")
    assert code == ranks_code == 0, errors
    assert sentences(errors) == []
    assert first_words(ranks_out) == first_words(out.replace("single", "two"))
    assert contents(folder / "two").keys() == contents(folder / "single").keys()
    assert_same_tables(folder / "single", folder / "two",
                       ("history.csv", "predictions.csv"), 1e-3)
    assert (folder / "single/split.csv").read_text() == (folder / "two/split.csv").read_text()
    used = json.loads((folder / "two/run.json").read_text())["used"]
    assert used["epochs"] == 4 and "seconds" in used and used["scratch"]


def first_words(text):
    """The lines without their ends, which hold figures and the command's name, and unwrapped."""
    return [line.split(":")[0].split("(")[0].strip() for line in text.splitlines()
            if line and not line.startswith(("Next", " "))]


def test_kfold_on_three_ranks(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    code, _, _ = run_command(capsys, *KFOLD, "--output", "folds")
    ranks_code, out, errors = run_ranks(3, SCRIPT, folder, *KFOLD, "--output", "folds-3")
    assert code == ranks_code == 0, errors
    assert out.count("fold 1:") == 1
    assert_same_tables(folder / "folds", folder / "folds-3", ("folds.csv", "predictions.csv"),
                       1e-3)


def test_evaluate_predict_and_look_share_the_photos(folder, monkeypatch, capsys):
    """One start of three ranks for all of them; more ranks than two photos have."""
    monkeypatch.chdir(folder)
    classifier(2, (16, 16, 3), names=["left", "right"]).save("model.h5")
    write_photos(folder, ["few/a.png", "few/b.png"])
    (folder / "new").mkdir()
    for number, path in enumerate(sorted((folder / "photos").rglob("*.png"))):
        (folder / "new" / f"{number:02}.png").write_bytes(path.read_bytes())
    commands = [
        ("evaluate", "model.h5", "photos", "--output", "{}-evaluated"),
        ("predict", "model.h5", "new", "--batch-size", "2", "--output", "{}.csv"),
        ("predict", "model.h5", "few", "--output", "{}-few.csv"),
        ("look", "top-patches", "model.h5", "photos", "--output", "{}-top.npz"),
        ("look", "top-patches", "model.h5", "few", "--output", "{}-top-few.npz"),
        ("look", "probes", "model.h5", "photos", "--output", "{}-probes.npz"),
        ("look", "gradient", "model.h5", "few/a.png", "--output", "{}-gradient.npz"),
        ("atlas", "model.h5", "few", "--no-maximise", "--output", "{}-atlas.html"),
    ]
    outputs = []
    for words in commands:
        code, out, _ = run_command(capsys, *(word.format("one") for word in words))
        outputs.append((code, out.replace("one", "3")))
    (folder / "commands.json").write_text(json.dumps(
        [[word.format("3") for word in words] for words in commands]))
    (folder / "fail-2").write_text("late")  # it must not look for free names on its own
    code, out, errors = run_ranks(3, SCRIPT, folder, "@commands.json")
    (folder / "fail-2").unlink()
    assert code == 0, errors
    for (status, single), ranks in zip(outputs, json.loads(out), strict=True):
        assert ranks == [status, single]
    assert outputs[0][0] == 0 and outputs[1][0] == 2  # of a photo that cannot be read
    assert_same_tables(folder / "one-evaluated", folder / "3-evaluated", ["predictions.csv"], 1e-5)
    for name in ("{}.csv", "{}-few.csv"):
        np.testing.assert_allclose(number_columns(folder / name.format("3")),
                                   number_columns(folder / name.format("one")), 1e-5, 1e-6)
    for name in ("{}-top.npz", "{}-top-few.npz", "{}-probes.npz", "{}-gradient.npz"):
        one, three = (np.load(folder / name.format(key)) for key in ("one", "3"))
        assert sorted(one) == sorted(three)
        for key in one:
            if one[key].dtype.kind in "iu":
                np.testing.assert_array_equal(three[key], one[key], err_msg=f"{name} {key}")
            elif one[key].dtype.kind == "f":
                np.testing.assert_allclose(three[key], one[key], 1e-4, 1e-4,
                                           err_msg=f"{name} {key}")
    assert (folder / "3-atlas.html").stat().st_size == (folder / "one-atlas.html").stat().st_size
