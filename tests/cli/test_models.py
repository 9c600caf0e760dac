"""Keras' models on the command line: their classes, their recipe, their weights, and what they are
not."""

import csv
import io
import json
import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import onnxruntime
import pytest
from makers import assert_command_refused, page_of, run_command
from PIL import Image

import minicnn as mc
from minicnn.cli.model_words import is_model

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
L = keras.layers
COMMANDS = [["predict", "MODEL", "photos"], ["evaluate", "MODEL", "photos"],
            ["export", "MODEL", "x.onnx"], ["look", "gradient", "MODEL", "photos/cat/0.png"],
            ["atlas", "MODEL", "photos"]]


def keras_model(channels, units, activation):
    return keras.Sequential([keras.Input((24, 20, channels)), L.Conv2D(4, 3, activation="relu"),
                             L.MaxPooling2D(), L.Flatten(), L.Dense(units, activation=activation)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Models of Keras', and photos of two classes in the size of their input."""
    root, rng = tmp_path_factory.mktemp("models"), np.random.default_rng(0)
    for k in range(6):
        (root / "photos" / ("cat", "dog")[k % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (24, 20, 3), dtype=np.uint8)).save(
            root / "photos" / ("cat", "dog")[k % 2] / f"{k}.png")
    keras.utils.set_random_seed(3)
    grey, rgb = keras_model(1, 2, "softmax"), keras_model(3, 1, "sigmoid")
    grey.save(root / "grey.keras")
    grey.save(root / "grey.h5")
    (root / "grey.json").write_text(grey.to_json())
    grey.save_weights(root / "grey.weights.h5")
    rgb.save(root / "rgb.keras")
    keras_model(3, 2, "linear").save(root / "logits.keras")
    (root / "names.txt").write_text("cat\n\ndog\n")
    (root / "labels.txt").write_text("\ufeff0 cat\r\n1 dog\r\n")
    (root / "pointer.h5").write_text("version https://git-lfs.github.com/spec/v1\nsize 5\n")
    (root / "short.keras").write_bytes((root / "grey.keras").read_bytes()[:3000])
    (root / "saved").mkdir()
    (root / "saved" / "saved_model.pb").write_bytes(b"x")
    (root / "x.tflite").write_bytes(b"\x1c\0\0\0TFL3" + bytes(99))
    return root


@pytest.fixture
def minicnn(capsys, folder, monkeypatch):
    monkeypatch.chdir(folder)
    return lambda *words: run_command(capsys, *words)


def photos(folder, mode):
    """{name: float pixels} as Keras' load_img reads them."""
    kind = {"L": "grayscale", "RGB": "rgb"}[mode]
    return {path.relative_to(folder).as_posix(): keras.utils.img_to_array(
        keras.utils.load_img(path, color_mode=kind))
        for path in sorted((folder / "photos").rglob("*.png"))}


def probabilities(text):
    """{photo: probabilities} of the CSV that predict prints."""
    return {row[0]: [float(cell) for cell in row[3:]]
            for row in list(csv.reader(io.StringIO(text)))[1:]}


GREY = ["--classes", "cat,dog", "--scale", "1/255"]


# ---- what the numbers are
@pytest.mark.parametrize("model", [["grey.keras"], ["grey.h5"],
                                   ["grey.json", "--weights", "grey.weights.h5"]])
def test_a_grey_model_predicts_what_keras_predicts(minicnn, folder, model):
    code, out, err = minicnn("predict", model[0], "photos", "--format", "csv", *model[1:], *GREY)
    assert code == 0
    assert err == ("minicnn: grey.weights.h5: set 4 arrays, 834 parameters; skipped: none; layers "
                   "matched by name\n") * (len(model) > 1)
    theirs, received = keras.models.load_model(folder / "grey.keras"), probabilities(out)
    for name, pixels in photos(folder, "L").items():
        expected = np.asarray(theirs.predict(pixels[None] / 255, verbose=0))[0]
        np.testing.assert_allclose(received[name], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("options, convert", [
    (["--scale", "1/127.5", "--mean", "127.5"], lambda p: p / 127.5 - 1),
    (["--scale", "0.00392156862745098"], lambda p: p / 255),
    (["--scale", "1"], lambda p: p),
    (["--channels", "bgr", "--mean", "123.68,116.779,103.939"],  # as VGG16, red first
     lambda p: p[..., ::-1] - np.array([103.939, 116.779, 123.68])),
    (["--mean", "10,20,30", "--scale", "1/50"], lambda p: (p - [10, 20, 30]) / 50)])
def test_a_recipe_is_that_of_the_options(minicnn, folder, options, convert):
    code, out, err = minicnn("predict", "rgb.keras", "photos", "--format", "csv", "--classes",
                             "names.txt", *options)
    assert code == 0 and err == ""
    theirs, received = keras.models.load_model(folder / "rgb.keras"), probabilities(out)
    for name, pixels in photos(folder, "RGB").items():
        p = float(np.asarray(theirs.predict(convert(pixels)[None], verbose=0))[0, 0])
        np.testing.assert_allclose(received[name], [1 - p, p], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("classes", ["cat,dog", "cat, dog", "names.txt", "labels.txt"])
def test_names_come_from_the_word_or_from_a_file(minicnn, classes):
    code, out, _ = minicnn("predict", "grey.keras", "photos/cat", "--format", "csv", "--scale", "1",
                           "--classes", classes)
    assert code == 0 and out.splitlines()[0] == "photo,predicted,probability,cat,dog"


def test_evaluate_measures_it_and_says_with_which_options(minicnn, folder, tmp_path):
    code, out, _ = minicnn("evaluate", "grey.keras", "photos", *GREY, "--output", tmp_path / "run")
    theirs = keras.models.load_model(folder / "grey.keras")
    correct = sum(int(np.asarray(theirs.predict(pixels[None] / 255, verbose=0)).argmax())
                  == ("dog" in name) for name, pixels in photos(folder, "L").items())
    assert code == 0 and f"{correct} of 6 photos right" in out
    options = dict(page_of(tmp_path / "run" / "report.html")["options"])
    assert options["classes"] == "cat,dog" and options["scale"] == "1/255"


def test_look_and_atlas_see_the_photo_as_the_model_does(minicnn, folder, tmp_path):
    code, out, _ = minicnn("look", "gradient", "grey.keras", "photos/cat/0.png", *GREY, "--class",
                           "dog", "-o", tmp_path / "g.npz")
    assert code == 0 and "dog" in out
    with np.load(tmp_path / "g.npz") as arrays:
        grey = photos(folder, "L")["photos/cat/0.png"]
        assert (arrays["pixels"] == grey).all() and arrays["values"].shape == (24, 20, 1)
    code, _, _ = minicnn("atlas", "grey.keras", "photos", *GREY, "-o", tmp_path / "a.html")
    assert code == 0 and (tmp_path / "a.html").stat().st_size > 10_000


def test_export_carries_recipe_and_classes(minicnn, folder, tmp_path):
    code, out, _ = minicnn("export", "grey.keras", tmp_path / "g.onnx", *GREY)
    assert code == 0 and "pixels, grey 0…255: float32 (N, 24, 20, 1)" in out and "cat, dog" in out
    session = onnxruntime.InferenceSession(tmp_path / "g.onnx")
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == ["cat", "dog"]
    theirs = keras.models.load_model(folder / "grey.keras")
    for pixels in photos(folder, "L").values():
        expected = np.asarray(theirs.predict(pixels[None] / 255, verbose=0))
        (received,) = session.run(None, {"pixels": pixels[None]})
        np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-6)


def test_options_outweigh_what_a_file_of_ours_says(minicnn, tmp_path):
    model = mc.SmallCNN(2, (24, 20, 3))
    model.classes = ["a", "b"]
    model.preprocessing = mc.Preprocessing(crop_fraction=0.5)
    model.save(tmp_path / "m.h5")
    code, out, _ = minicnn("predict", tmp_path / "m.h5", "photos/cat/0.png", "--format", "csv",
                           "--classes", "c,d", "--channels", "bgr", "--scale", "1/255")
    assert code == 0
    image = mc.data.read_image("photos/cat/0.png")
    x = mc.data.resize_and_crop(image, (24, 20), 0.5)[..., ::-1].astype(np.float32) / 255
    model.preprocessing = None
    p = float(model.predict(x[None])[0, 0])
    assert out.splitlines()[0].endswith("c,d")
    np.testing.assert_allclose(probabilities(out)["photos/cat/0.png"], [1 - p, p], rtol=1e-4)


# ---- what is refused
def assert_refused(result, *words):
    assert result[1] == ""  # nothing on standard output
    assert_command_refused(result, *words)


def test_what_a_model_lacks_is_named_with_the_option_that_gives_it(minicnn):
    for command in ("predict", "evaluate"):
        assert_refused(minicnn(command, "rgb.keras", "photos"), "preprocessing", "--scale 1/255")
        assert_refused(minicnn(command, "rgb.keras", "photos", "--scale", "1/255"),
                       "its classes, found none", "2 classes", "--classes")
        assert_refused(minicnn(command, "logits.keras", "photos", "--scale", "1", "--classes",
                               "a,b"), "ends in Sigmoid or Softmax", "Dense")
    assert_refused(minicnn("look", "gradient", "rgb.keras", "photos/cat/0.png", "-o", "y.png"),
                   "preprocessing", "--scale 1/255")
    assert_refused(minicnn("atlas", "rgb.keras", "photos", "-o", "y.html"), "preprocessing")


@pytest.mark.parametrize("options, words", [
    (["--classes", "cat,dog,cow"], ["--classes: expected 2 names", "received 3: cat, dog, cow"]),
    (["--classes", "cat"], ["expected 2 names", "received 1: cat"]),
    (["--classes", "cat,cat"], ["different printable names", "'cat' twice"]),
    (["--classes", "cat,"], ["received ''"]),
    (["--classes", "none.txt"], ["none.txt", "No such file", "A,B,C"]),
    (["--classes", "photos"], ["photos", "expected a text file"]),
    (["--classes", "photos/cat/0.png"], ["photos/cat/0.png", "expected a text file"]),
    (["--channels", "rgb"], ["--channels: expected grey", "(24, 20, 1)", "received rgb"]),
    (["--channels", "cmyk"], ["--channels: expected grey", "received cmyk"]),
    (["--mean", "1,2,3"], ["--mean: expected one number", "1,2,3"]),
    (["--mean", "a"], ["--mean: expected numbers", "received a"]),
    (["--scale", "1/0"], ["--scale: expected numbers", "1/255", "received 1/0"]),
    (["--scale", "0"], ["--scale", "other than 0"]),
    (["--scale", "nan"], ["--scale: expected numbers", "nan"]),
    (["--scale", "1/2/3"], ["--scale: expected numbers", "1/2/3"])])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
def test_options_that_do_not_fit_are_refused_by_every_command(minicnn, folder, command, options,
                                                              words):
    before = sorted(folder.rglob("*"))
    given = {"--scale": "1", "--classes": "cat,dog"} | {options[0]: options[1]}
    model = [word.replace("MODEL", "grey.keras") for word in command]
    assert_refused(minicnn(*model, *[part for pair in given.items() for part in pair]), *words)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("model, words", [
    ("pointer.h5", ["Git LFS pointer", "git lfs pull"]), ("short.keras", ["is cut short"]),
    ("saved", ["SavedModel folder"]), ("x.tflite", ["TensorFlow Lite"]),
    ("grey.json", ["without its weights", "--weights"]),
    ("grey.weights.h5", ["holds weights but no architecture"]),
    ("none.keras", ["expected a file, found none"])])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
def test_what_is_no_model_says_what_it_is_in_every_command(minicnn, folder, command, model, words):
    before = sorted(folder.rglob("*"))
    result = minicnn(*[word.replace("MODEL", model) for word in command], *GREY)
    assert_refused(result, *words)
    assert sorted(folder.rglob("*")) == before
    with pytest.raises(mc.MiniCNNError) as caught:
        mc.load(model)
    assert result[2] == f"minicnn: {caught.value}\n"


def test_networks_with_their_own_recipe_take_no_options(minicnn):
    assert_refused(minicnn("predict", "vgg16", "photos", "--scale", "1"), "--scale", "vgg16 has")
    assert_refused(minicnn("look", "gradient", "photos/cat/0.png", "--channels", "bgr", "-o",
                           "y.png"), "--channels", "vgg16 has")
    assert_refused(minicnn("look", "ablation", "photos", "--classes", "a,b", "-o", "y.png"),
                   "--classes", "networks of its own")


def test_a_model_of_numbers_takes_no_recipe(minicnn, tmp_path):
    mc.Sequential([mc.Dense(2), mc.Softmax()], (7,)).save(tmp_path / "m.h5")
    assert_refused(minicnn("predict", tmp_path / "m.h5", "photos", "--scale", "1"), "--scale",
                   "a model of photos", "(7,)")


def test_words_that_name_a_model_are_told_from_photos(folder):
    for word in ("vgg16", "vgg16-top", "m.h5", "m.keras", "M.KERAS", "model.json", "x.pt", "x.onnx",
                 "x.tflite", str(folder / "saved")):
        assert is_model(word), word
    for word in ("photo.jpg", "photos", "h5", "photo.tif", str(folder / "photos")):
        assert not is_model(word), word
