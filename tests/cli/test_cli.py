"""The command line: what it writes, what it prints, and one sentence where it cannot."""

import json
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
import standin
from makers import read_csv as rows
from makers import striped_folder
from PIL import Image

import minicnn as mc
from minicnn import ops
from minicnn.cli import main
from minicnn.data import read_image, resize_and_crop
from minicnn.report import FILES
from minicnn.utils.errors import FileError

FAST = ["--epochs", "3", "--size", "32", "--cut", "block3_pool", "--no-scratch"]
TWO = {"left": 8, "right": 8}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One run on a folder of photos, done by the command line."""
    root = tmp_path_factory.mktemp("run")
    folder = striped_folder(root / "photos", TWO)
    (folder / "left" / "notes.txt").write_text("not a photo")
    code = main(["train", str(folder), *FAST, "--output", str(root / "out"), "--epochs", "20"])
    assert code == 0
    return root


def test_train_writes_the_run_folder(run):
    assert sorted(p.name for p in (run / "out").iterdir()) == sorted(FILES)
    history = rows(run / "out" / "history.csv")
    assert [row["epoch"] for row in history] == [str(epoch) for epoch in range(1, 21)]
    assert float(history[-1]["loss"]) < float(history[0]["loss"])
    for picture in ("curves.png", "confusion.png"):
        with Image.open(run / "out" / picture) as image:
            pixels = np.asarray(image.convert("L"))
        assert min(pixels.shape) > 300 and pixels.std() > 10


def test_predictions_are_those_of_the_saved_model_on_the_named_photos(run):
    model = mc.load(run / "out" / "model.h5")
    found = rows(run / "out" / "predictions.csv")
    assert len(found) == 4 and {row["true"] for row in found} == {"left", "right"}
    for row in found:
        pixels = resize_and_crop(read_image(run / "photos" / row["photo"]), (32, 32))
        p = model.predict(pixels[None])[0, 0]
        assert float(row["right"]) == pytest.approx(p, abs=2e-6)
        assert float(row["left"]) == pytest.approx(1 - p, abs=2e-6)
        assert row["predicted"] == ("right" if p > 0.5 else "left")
        assert row["true"] == row["photo"].split("/")[0]


def test_predict_prints_classes_and_probabilities_that_the_file_carries(run, capsys):
    paths = [str(run / "photos" / name / "0.png") for name in ("left", "right")]
    assert main(["predict", str(run / "out" / "model.h5"), *paths]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in lines] == paths
    assert [line.split(" % ")[1].split(",")[0] for line in lines] == ["left", "right"]
    shares = [float(part.split(" %")[0]) for part in lines[0].split(": ")[1].split(", ")]
    assert sum(shares) == pytest.approx(100, abs=0.11)


def test_predict_takes_a_folder_and_goes_on_after_an_unreadable_photo(run, capsys, tmp_path):
    striped_folder(tmp_path, {"some": 2})
    (tmp_path / "some" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not much")
    assert main(["predict", str(run / "out" / "model.h5"), str(tmp_path / "some")]) == 2
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2
    assert "broken.jpg" in err and "Traceback" not in err and len(err.splitlines()) == 1


def test_three_classes_end_in_softmax(tmp_path, capsys):
    folder = striped_folder(tmp_path / "photos", dict.fromkeys("abc", 4))
    assert main(["train", str(folder), *FAST, "--output", str(tmp_path / "out")]) == 0
    model = mc.load(tmp_path / "out" / "model.h5")
    assert type(model.layers[-1]).__name__ == "Softmax" and model.classes == ["a", "b", "c"]
    assert "3 + 3 + 3" in capsys.readouterr().out


def test_without_arguments_the_sample_is_learnt_and_compared(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = ["--epochs", "8", "--per-class", "5", "--size", "32"]
    assert main(["train", *options]) == 0
    assert main(["train", *options, "--sample", "fashion", "--classes", "trouser", "bag",
                 "--no-scratch"]) == 0
    out = capsys.readouterr().out
    assert "cirrus or cumulus? 5 + 5 training photos, 120 held-out photos" in out
    assert out.count("Small CNN from scratch: ") == 1 and "95 % interval" in out
    runs = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert runs == ["cirrus-cumulus-1", "trouser-bag-1"]
    assert main(["train", *options, "--no-scratch"]) == 0
    assert (tmp_path / "runs" / "cirrus-cumulus-2" / "model.h5").exists()


def test_a_text_file_among_the_photos_is_named_and_counted(tmp_path, capsys):
    folder = striped_folder(tmp_path / "photos", dict.fromkeys(TWO, 3))
    (folder / "left" / "notes.txt").write_text("not a photo")
    main(["train", str(folder), *FAST, "--output", str(tmp_path / "out")])
    out = capsys.readouterr().out
    assert "1 file is left out:\n" in out and "notes.txt" in out
    assert "ImageFolder" not in out


# Bad input: exit code 2, one sentence, nothing written -----------------------------------------


def empty_folder(tmp_path):
    (tmp_path / "photos").mkdir()
    return ["train", str(tmp_path / "photos")]


def one_class(tmp_path):
    return ["train", str(striped_folder(tmp_path / "photos", {"only": 8}))]


def one_photo(tmp_path):
    folder = striped_folder(tmp_path / "photos", TWO)
    for i in range(1, 8):
        (folder / "left" / f"{i}.png").unlink()
    return ["train", str(folder)]


def not_hdf5(tmp_path):
    (tmp_path / "m.h5").write_text("<html>")
    return ["predict", str(tmp_path / "m.h5"), str(striped_folder(tmp_path / "p", {"a": 8}) / "a")]


def no_photo(tmp_path):
    return ["predict", "vgg16", str(tmp_path / "nothing.jpg")]


def used_output(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("precious")
    return ["train", *FAST, "--output", str(tmp_path / "out")]


@pytest.mark.parametrize("arguments, words", [
    (empty_folder, ["photos", "one sub-folder per class"]),
    (one_class, ["at least two", "only"]),
    (one_photo, ["left", "at least 2"]),
    (not_hdf5, ["m.h5", "a web page (HTML)"]),
    (no_photo, ["nothing.jpg", "found nothing"]),
    (used_output, ["out", "Nothing is overwritten"]),
    (lambda _: ["train", "--cut", "block6_pool"], ["block6_pool", "block4_pool"]),
    (lambda _: ["train", "--classes", "cirrus", "shoe"], ["shoe", "cumulus"]),
    (lambda _: ["train", "--classes", "cirrus"], ["--classes", "two different classes"]),
    (lambda _: ["train", "--per-class", "500"], ["500", "60"]),
    (lambda _: ["train", "--per-class", "0"], ["--per-class", "at least 1", "received '0'"]),
    (lambda _: ["train", "--size", "4"],
     ["--size", "at least 16 pixels", "block4_pool", "received 4"]),
    (lambda _: ["train", "--size", "16", "--cut", "block5_pool"], ["at least 32 pixels"]),
    (lambda _: ["train", "--size", "32", "--lr", "-1"], ["--lr", "-1"]),
    (lambda _: ["train", "--size", "32", "--epochs", "0"], ["--epochs", "0"]),
    (lambda _: ["train", "--size", "32", "--batch-size", "0"], ["--batch-size", "0"]),
    (lambda _: ["train", "--size", "32", "--seed", "-3"], ["--seed", "-3"]),
    (lambda _: ["train", "photos", "--classes", "bag"], ["--classes", "built-in photos"]),
    (lambda _: ["train", "photos", "--per-class", "5"], ["--per-class", "built-in photos"]),
    (lambda _: ["train", "photos", "--sample", "clouds"], ["--sample", "built-in photos"]),
    (lambda _: ["train", "--test-fraction", "0.5"], ["--test-fraction", "folder of photos"]),
    (lambda _: ["train", "photos", "--test-fraction", "1.5"], ["--test-fraction", "1.5"]),
    (lambda _: ["predict", "m.h5", "a.jpg", "--top", "0"], ["--top", "0"]),
    (lambda _: ["gradcheck", "nowhere.py:Layer"], ["nowhere.py:Layer", "FILE.py:ClassName"]),
    (lambda _: ["gradcheck", "--shape", "2,5"], ["--shape", "FILE.py:ClassName"]),
    (lambda _: ["gradcheck", "--seed", "-1"], ["--seed", "-1"]),
])
def test_bad_input_is_one_sentence_and_leaves_nothing(arguments, words, tmp_path, monkeypatch,
                                                      capsys):
    arguments = arguments(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("minicnn: ") and len(err.splitlines()) == 1, err
    assert all(word in err for word in words), err
    assert sorted(tmp_path.rglob("*")) == before


def test_unknown_commands_and_help_are_argparse_s(capsys):
    for arguments, code in ((["teach"], 2), (["--help"], 0), (["train", "--help"], 0)):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == code
    assert "block4_pool" in capsys.readouterr().out


# gradcheck --------------------------------------------------------------------------------------


@pytest.mark.parametrize("error, words", [
    (standin.OutOfMemoryError("Out of memory allocating 9 bytes."), ["9 bytes", "--batch-size"]),
    (standin.CUDARuntimeError("cudaErrorLaunchFailure"), ["LaunchFailure", "MINICNN_SYNC=1"])])
def test_an_error_of_the_gpu_is_one_sentence(error, words, monkeypatch, capsys):
    def failing(*arguments):
        raise error
    with standin.installed():
        monkeypatch.setattr(sys.modules["cupy"], "empty", failing)
        assert main(["gradcheck", "--device", "cuda"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("minicnn: cuda: expected") and said.count("\n") == 1
    for word in words:
        assert word in said


@pytest.mark.parametrize("options, backend", [
    ([], ops.reference), (["--backend", "reference"], ops.reference),
    (["--backend", "fast"], ops.fast)])
def test_gradcheck_checks_the_reference_unless_told_otherwise(options, backend, monkeypatch):
    used = set()

    def check_all(seed, device):
        used.add(ops.ops_for(np.zeros(3)))
        return []
    monkeypatch.setattr("minicnn.cli.gradcheck.check_all", check_all)
    main(["gradcheck", *options])
    assert used == {backend}


def test_gradcheck_prints_a_table_over_all_layers_and_losses(capsys):
    assert main(["gradcheck"]) == 0
    out = capsys.readouterr().out
    kinds = ["Conv2D", "MaxPool2D", "AveragePool2D", "GlobalAveragePool2D", "Flatten", "Dense",
             "ReLU", "Sigmoid", "Softmax", "Dropout", "BinaryCrossEntropy",
             "CategoricalCrossEntropy", "MeanSquaredError"]
    for kind in kinds:
        assert any(line.startswith(kind) for line in out.splitlines()), kind
    assert "wrong" not in out


LAYER = """
import numpy as np
class Square:
    def forward(self, x, training=False):
        self.x = x
        return x**2
    def backward(self, dy):
        return {factor} * self.x * dy
class Scale:
    def __init__(self):
        self.params, self.grads = {{"a": np.array([3.0])}}, {{}}
    def forward(self, x, training=False):
        self.x = x
        return self.params["a"] * x
    def backward(self, dy):
        self.grads["a"] = np.array([{factor} / 2 * (dy * self.x).sum()])
        return self.params["a"] * dy
"""


@pytest.mark.parametrize("name, factor, code", [("Square", 2, 0), ("Square", 3, 1), ("Scale", 2, 0),
                                                ("Scale", 3, 1)])
def test_gradcheck_judges_a_student_s_own_layer(name, factor, code, tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(LAYER.format(factor=factor))
    assert main(["gradcheck", f"{file}:{name}", "--shape", "3,4"]) == code
    out = capsys.readouterr().out
    assert "(3, 4)" in out and ("wrong" in out) == bool(code)


def test_gradcheck_of_a_class_that_is_not_there_names_those_that_are(tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(LAYER.format(factor=2))
    assert main(["gradcheck", f"{file}:Cube"]) == 2
    assert "Square, Scale" in capsys.readouterr().err


@pytest.mark.parametrize("body, words", [
    ("    def __init__(self, units): pass", ["line", "without arguments", "units"]),
    ("    def forward(self, x): return x\n    def backward(self, dy): return dy",
     ["forward(x, training=False, keep=True)", "training"]),
    ("    def forward(self, x, training): return x @ x\n    def backward(self, dy): return dy",
     ["mine.py, line 2", "matmul"]),
    ("    pass", ["forward", "backward"]),
    ("    def forward(self:", ["mine.py, line 2", "SyntaxError"])])
def test_gradcheck_of_code_that_stops_says_where_and_why(body, words, tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(f"class Mine:\n{body}\n")
    assert main(["gradcheck", f"{file}:Mine"]) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1 and all(word in err for word in words), err


def test_gradcheck_says_when_it_saw_no_parameters(tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(LAYER.format(factor=2))
    main(["gradcheck", f"{file}:Square"])
    assert "only dx was checked" in capsys.readouterr().out
    main(["gradcheck", f"{file}:Scale"])
    assert "only dx was checked" not in capsys.readouterr().out


@pytest.mark.parametrize("layers, classes, words", [
    ([mc.Dense(2)], ["a", "b"], ["ends in Sigmoid or Softmax"]),
    ([mc.Dense(2), mc.Softmax()], None, ["classes"])])
def test_predict_refuses_models_without_probabilities_or_names(layers, classes, words, tmp_path,
                                                              capsys):
    striped_folder(tmp_path / "p", {"a": 1})
    model = mc.Sequential([mc.Flatten(), *layers], (8, 8, 3), preprocessing=mc.Preprocessing())
    model.classes = classes
    model.save(tmp_path / "m.h5")
    assert main(["predict", str(tmp_path / "m.h5"), str(tmp_path / "p" / "a" / "0.png")]) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1 and all(word in err for word in words), err


@pytest.mark.parametrize("metadata", [
    {"preprocessing": 5}, {"preprocessing": {"foo": 1}}, {"preprocessing": {"mean": 3}},
    {"classes": 7}, {"classes": ["a"]}, {"preprocessing": {"scale": "x"}}])
def test_a_model_file_with_a_nonsensical_recipe_is_refused(metadata, tmp_path):
    model = mc.Sequential([mc.Dense(2), mc.Softmax()], (4,))
    model.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        file.attrs["minicnn"] = json.dumps(metadata)
    with pytest.raises(FileError, match="m.h5: expected classes and preprocessing"):
        mc.load(tmp_path / "m.h5")


def test_predict_of_a_folder_takes_photos_in_natural_order_and_no_hidden_files(run, tmp_path,
                                                                              capsys):
    striped_folder(tmp_path, {"some": 11})
    (tmp_path / "some" / "._0.png").write_bytes(b"left by an archive")
    assert main(["predict", str(run / "out" / "model.h5"), str(tmp_path / "some")]) == 0
    names = [line.split(".png")[0].split("/")[-1] for line in capsys.readouterr().out.splitlines()]
    assert names == [str(i) for i in range(11)]


def test_training_that_diverges_says_so(tmp_path, capsys):
    options = ["--per-class", "5", "--output", str(tmp_path / "out"), "--lr", "1e9"]
    assert main(["train", *FAST, *options]) == 0
    assert "loss did not decrease" in capsys.readouterr().out


def test_ctrl_c_ends_without_a_traceback_and_leaves_no_empty_folder(tmp_path):
    code = "import sys; from minicnn.cli import main; sys.exit(main(sys.argv[1:]))"
    with subprocess.Popen([sys.executable, "-u", "-c", code, "train", "--classes", "all",
                           "--per-class", "40", "--size", "224",  # features for minutes
                           "--output", str(tmp_path / "out")], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        process.stdout.readline()  # "One of 6 classes? …": it is at work
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        error = process.communicate(timeout=120)[1]
    assert process.returncode == 130
    assert error.splitlines()[-1] == "minicnn: stopped."
    assert "Traceback" not in error and list(tmp_path.iterdir()) == []
