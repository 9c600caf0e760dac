"""Runs in the place of models, model and photo exchanged, open input sizes, names of outputs."""

import json
import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import pytest
from makers import classifier, run_command
from PIL import Image

import minicnn as mc
from minicnn.cli.output_names import model_name, photo_name, unused, unused_folder

COMMANDS = [["predict", "MODEL", "photos"], ["evaluate", "MODEL", "photos"],
            ["look", "gradient", "MODEL", "photos/a/0.png"], ["atlas", "MODEL", "photos"],
            ["export", "MODEL", "x.onnx"]]
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in: runs/r-1 of a model (a | b), m.h5, photos/a and photos/b."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for k in range(4):
        path = Path("photos") / "ab"[k % 2] / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(path)
    model = classifier(2, (16, 16, 3), 3, names=["a", "b"])
    model.save("m.h5")
    Path("runs/r-1").mkdir(parents=True)
    model.save("runs/r-1/model.h5")
    Path("runs/r-1/run.json").write_text("{}")
    Image.new("RGB", (9, 9)).save("runs/r-1/worst.png")
    return tmp_path


@pytest.fixture
def minicnn(here, capsys):
    return lambda *words: run_command(capsys, *words)


def assert_refused(result, *words):
    code, out, err = result
    assert code == 2 and out == "" and err.startswith("minicnn: ") and err.count("\n") == 1, err
    for word in words:
        assert word in err, err


def with_model(command, model):
    return [word.replace("MODEL", model) for word in command]


# ---- a run is its model
@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
def test_a_run_stands_for_its_model(command, minicnn):
    by_file = minicnn(*with_model(command, "runs/r-1/model.h5"), *["--force"] * (
        command[0] in ("look", "atlas", "export")))
    by_run = minicnn(*with_model(command, "runs/r-1"), *["--force"] * (
        command[0] in ("look", "atlas", "export")))
    assert by_run[0] == 0 and by_run == by_file


def test_compare_takes_the_model_of_a_run_for_the_run(minicnn):
    for name in ("m.h5", "runs/r-1"):
        assert minicnn("evaluate", name, "photos", "--output")[0] == 0
    names = ["runs/m-on-photos-1", "runs/r-1-on-photos-1"]
    expected = minicnn("compare", *names)
    assert expected[0] == 0 and "McNemar" in expected[1]
    Path(names[0], "model.h5").touch()
    assert minicnn("compare", f"{names[0]}/model.h5", names[1]) == expected


@pytest.mark.parametrize("files, words", [
    (["checkpoints/1.npz", "run.json"], ["interrupted", "minicnn train --resume other"]),
    (["run.json", "folds.csv"], ["--kfold"]),
    (["predictions.csv", "report.html"], ["the folder of an evaluation"])])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
def test_a_run_without_a_model_says_why(command, files, words, minicnn):
    for name in files:
        Path("other", name).parent.mkdir(parents=True, exist_ok=True)
        Path("other", name).touch()
    assert_refused(minicnn(*with_model(command, "other")), "other: expected a model", *words)


@pytest.mark.parametrize("command", ["predict", "evaluate", "export"])
def test_a_folder_that_is_no_run_is_a_sentence(command, minicnn):
    Path("empty").mkdir()
    words = ["empty", "x.onnx" if command == "export" else "photos"]
    assert_refused(minicnn(command, *words), "empty: expected a model, or the folder of a run",
                   "a folder with neither")


@pytest.mark.parametrize("command", ["train", "data"])
def test_a_run_is_no_folder_of_photos(command, minicnn):
    assert_refused(minicnn(command, "runs/r-1"), "expected a folder of photos", "runs/r-1")
    assert_refused(minicnn(command, "m.h5"), "expected a folder of photos", "a model, m.h5")


# ---- exchanged
@pytest.mark.parametrize("line", [
    "predict photos/a/0.png m.h5", "predict photos runs/r-1", "evaluate photos m.h5",
    "evaluate photos runs/r-1", "look grad-cam photos/a/0.png m.h5",
    "look gradient photos/a/0.png runs/r-1", "atlas photos m.h5", "export x.onnx m.h5"])
def test_model_and_photo_exchanged_is_noticed(line, minicnn, here):
    before = sorted(here.rglob("*"))
    assert_refused(minicnn(*line.split()), "exchanged?", "Write ", line.split()[-1] + " first")
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize("line", ["predict m.h5 runs/r-1", "look gradient m.h5 runs/r-1",
                                  "atlas m.h5 m.h5", "evaluate m.h5 runs/r-1"])
def test_two_models_are_refused(line, minicnn):
    assert_refused(minicnn(*line.split()), "another model")


def test_pictures_of_a_run_are_not_taken_for_photos(minicnn):
    code, out, _ = minicnn("look", "gradient", "runs/r-1", "photos/a/0.png")
    assert code == 0 and out.splitlines()[-1] == "look-gradient-r-1-0.png"


# ---- names of outputs
def test_commands_may_be_repeated_and_number_what_they_write(minicnn):
    for number in ("", "-2", "-3"):
        assert minicnn("look", "gradient", "m.h5", "photos/a/0.png")[1].splitlines()[-1] == (
            f"look-gradient-m-0{number}.png")
        assert minicnn("predict", "runs/r-1", "photos/a/0.png", "--explain")[1].endswith(
            f" (explained/0-r-1-explained{number}.png)\n")
        assert minicnn("data", "photos")[0] == 0
        assert Path(f"photos-report{number}/report.html").is_file()
    for number in ("", "-2"):
        assert minicnn("atlas", "m.h5", "photos", "--maps", "1")[1].splitlines()[-1] == (
            f"atlas-m-photos{number}.html")
    for number in (1, 2):
        out = minicnn("evaluate", "m.h5", "photos", "--output")[1]
        assert f"Open: runs/m-on-photos-{number}/report.html" in out


def test_data_s_next_command_names_its_own_split(minicnn):
    minicnn("data", "photos")
    assert "--split photos-report-2/split.csv" in minicnn("data", "photos")[1]


@pytest.mark.parametrize("line", ["look gradient m.h5 photos/a/0.png -o old.png",
                                  "atlas m.h5 photos --maps 1 -o old.html",
                                  "export m.h5 old.onnx"])
def test_a_named_output_is_kept_without_force(line, minicnn):
    path = Path(line.split()[-1])
    path.write_text("precious")
    result = minicnn(*line.split())
    assert_refused(result, f"{path}: expected a new file", "--force.")
    assert "force=True" not in result[2] and path.read_text() == "precious"
    assert minicnn(*line.split(), "--force")[0] == 0 and path.read_bytes()[:8] != b"precious"


def test_force_overwrites_what_has_no_number(minicnn):
    for _ in range(2):
        minicnn("look", "gradient", "m.h5", "photos/a/0.png", "--force")
    assert [path.name for path in Path().glob("look-*")] == ["look-gradient-m-0.png"]


@pytest.mark.parametrize("word, name", [
    ("runs/r-1", "r-1"), ("runs/r-1/", "r-1"), ("runs/r-1/model.h5", "r-1"),
    ("cats.keras", "cats"), (None, "vgg16"), ("vgg16-top", "vgg16-top"),
    ("a b/c$d.h5", "c_d"), ("x.y.h5", "x.y")])
def test_a_model_s_name_is_that_of_its_run_or_file(word, name, here):
    assert model_name(word) == name


def test_a_photo_s_name_is_short_and_plain(here):
    assert photo_name(["photos/a/0.png", "photos"]) == "0" and photo_name([]) == ""
    assert photo_name(["photos/"]) == "photos"
    assert photo_name(["my photo (1).jpg"]) == "my_photo__1"
    assert photo_name(["x" * 300 + ".png"]) == "x" * 50
    assert photo_name(["云" * 80 + ".png"]) == "云" * 33  # 99 bytes: a name has 255


def test_unused_names_are_numbered_before_the_suffix(here):
    for name in ("a.png", "a-2.png"):
        Path(name).touch()
    assert unused(Path("a.png")) == Path("a-3.png") and unused(Path("b.png")) == Path("b.png")
    Path("v1.2-report").mkdir()
    assert unused_folder(Path("v1.2-report")) == Path("v1.2-report")
    Path("v1.2-report/x").touch()
    assert unused_folder(Path("v1.2-report")) == Path("v1.2-report-2")


# ---- --size and --tta
@pytest.fixture(scope="module")
def open_model(tmp_path_factory):
    """A model of Keras' for photos of any size."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    model = keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(4, 3, activation="relu"),
                              layers.GlobalAveragePooling2D(),
                              layers.Dense(2, activation="softmax")])
    model.save(tmp_path_factory.mktemp("open") / "open.keras")
    return tmp_path_factory.getbasetemp() / "open0" / "open.keras", model


OPTIONS = ["--classes", "a,b", "--scale", "1/255"]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
def test_a_model_of_any_size_needs_one(command, minicnn, open_model):
    path, _ = open_model
    words = [*with_model(command, str(path)), *OPTIONS]
    assert_refused(minicnn(*words), "leaves the input's size open", "--size H,W")
    assert minicnn(*words, "--size", "18,22")[0] == 0


@pytest.mark.parametrize("size, sides", [("18,22", (18, 22)), ("20", (20, 20)),
                                         ("18x22", (18, 22))])
def test_the_size_is_the_one_that_the_photos_get(size, sides, minicnn, open_model):
    path, theirs = open_model
    code, out, _ = minicnn("predict", path, "photos/a/0.png", *OPTIONS, "--size", size, "--json")
    image = mc.data.resize_and_crop(mc.data.read_image("photos/a/0.png"), sides)
    p = np.asarray(theirs.predict(image[None] / np.float32(255), verbose=0))[0]
    received = {top["class"]: top["probability"] for top in json.loads(out)["photos"][0]["top"]}
    assert code == 0 and [received["a"], received["b"]] == pytest.approx(p, rel=1e-4)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
def test_a_model_with_a_size_of_its_own_takes_none(command, minicnn):
    assert_refused(minicnn(*with_model(command, "m.h5"), "--size", "32"), "--size: expected only",
                   "m.h5 takes 16 × 16")


def test_vgg16_with_its_classes_takes_no_size(minicnn):
    assert_refused(minicnn("predict", "vgg16", "photos", "--size", "64"), "--size", "vgg16")
    assert_refused(minicnn("look", "gradient", "vgg16-top", "photos/a/0.png", "--size", "64"),
                   "--size", "224")


def test_tta_is_the_mean_of_the_views(minicnn):
    code, out, _ = minicnn("predict", "m.h5", "photos/a/0.png", "--tta", "2", "--format", "csv")
    image = mc.data.resize_and_crop(mc.data.read_image("photos/a/0.png"), (16, 16))
    model = mc.load("m.h5")
    p = (model.predict(image[None]) + model.predict(image[None, :, ::-1]))[0] / 2
    assert code == 0
    cells = out.splitlines()[1].split(",")[3:]
    assert [float(cell) for cell in cells] == pytest.approx(p, rel=1e-5)
    assert_refused(minicnn("predict", "m.h5", "photos", "--tta", "11"), "--tta", "1 to 10")


def test_a_named_evaluation_is_kept_without_force(minicnn):
    line = ["evaluate", "m.h5", "photos", "--output", "scores"]
    assert minicnn(*line)[0] == 0
    Path("scores/report.html").write_text("precious")
    assert_refused(minicnn(*line), "scores: expected a new or empty folder", "--force")
    assert Path("scores/report.html").read_text() == "precious"
    names = sorted(path.name for path in Path("scores").iterdir())
    assert minicnn(*line, "--force")[0] == 0
    assert sorted(path.name for path in Path("scores").iterdir()) == names
    assert Path("scores/report.html").read_text() != "precious"


def test_force_overwrites_evaluations_only(minicnn, here):
    Path("runs/r-1/notes.txt").write_text("mine")
    before = {path: path.read_bytes() for path in Path("runs/r-1").iterdir()}
    for name in ("runs/r-1", "photos"):
        assert_refused(minicnn("evaluate", "m.h5", "photos", "--output", name, "--force"),
                       f"{name}: expected a new or empty folder")
    assert {path: path.read_bytes() for path in Path("runs/r-1").iterdir()} == before
    assert_refused(minicnn("evaluate", "m.h5", "photos", "--force"), "--force", "--output")


# ---- names that do not exist
@pytest.mark.parametrize("line, meant", [
    ("predict runs/r1 photos/a/0.png", "runs/r-1"), ("predict r-1 photos/a/0.png", "runs/r-1"),
    ("export runs/r_1 x.onnx", "runs/r-1"), ("evaluate m.h5 photo", "photos"),
    ("predict m.h5 photos/a/00.png", "photos/a/0.png"), ("data phtos", "photos"),
    ("train phtos", "photos"), ("compare runs/r-2 runs/r-1", "runs/r-1"),
    ("train --resume runs/r-2", "runs/r-1"), ("look gradient runs/r-2", "runs/r-1")])
def test_a_mistyped_path_is_answered_with_the_nearest(line, meant, minicnn):
    assert_refused(minicnn(*line.split()), f"Did you mean {meant}?")


def test_a_path_like_no_other_is_answered_without_a_guess(minicnn):
    code, out, err = minicnn("predict", "m.h5", "xyzzy-7")
    assert code == 2 and "found nothing; check the path." in err and "Did you mean" not in err
