"""`minicnn look` and `minicnn atlas`: every method, its arguments, its refusals."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

import minicnn as mc
from minicnn.cli import main, parser
from minicnn.cli.look_jobs import look_job
from minicnn.cli.methods import ATTRIBUTIONS, METHODS, PhotoInput
from minicnn.plotting import drawing

ROOT = Path(__file__).parents[2]
SLOW = {"evolution", "ablation", "transfer-curve", "probes", "correspondence"}  # tests of their own
QUICK = [name for name in METHODS if name not in SLOW]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """m.h5, two classes of three photos in photos/, the same in a heap in heap/, plain.h5 without
    classes' names, dense.h5 without a convolution."""
    root, rng = tmp_path_factory.mktemp("look"), np.random.default_rng(0)
    model = mc.SmallCNN(3, (16, 16, 3))
    model.classes = ["left", "right", "7"]
    model.save(root / "m.h5")
    base = mc.Sequential([mc.Conv2D(4, 3, name="conv", activation="relu")], (16, 16, 3),
                         preprocessing=mc.Preprocessing())
    base.save(root / "base.h5")
    mc.Sequential([mc.Flatten(), mc.Dense(2), mc.Softmax()], (16, 16, 3),
                  preprocessing=mc.Preprocessing()).save(root / "dense.h5")
    (root / "heap").mkdir()
    for k in range(6):
        (root / "photos" / "ab"[k % 2]).mkdir(parents=True, exist_ok=True)
        photo = Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8))
        photo.save(root / "photos" / "ab"[k % 2] / f"{k}.png")
        photo.save(root / "heap" / f"{k}.png")
    return root


def photos_for(name, folder):
    takes = METHODS[name].takes
    if takes in (PhotoInput.NONE, PhotoInput.OPTIONAL):
        return []
    return [str(folder / ("heap/0.png" if takes is PhotoInput.ONE else "photos"))]


def job(*words):
    return look_job(parser().parse_args(["look", *map(str, words)]))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_a_function_that_takes_what_the_table_gives_it(name, folder, tmp_path):
    method, model = METHODS[name], [folder / "m.h5"] if METHODS[name].model else []
    values = {"class": "right", "layer": "conv2d", "unit": 1, "sign": "both", "maps": 2, "seed": 3,
              "position": "1,2", "method": "gradient", "parts": "parts.json", "size": 32}
    flags = [flag for flag in method.flags() if flag not in ("class", "size")
             or flag in method.keywords()]
    given = [part for flag in flags for part in (f"--{flag}", values[flag])]
    for options in ([], given):
        made = job(name, *model, *photos_for(name, folder), "--output", tmp_path / "x.png",
                   *options)
        bound = inspect.signature(made.function).bind(*made.arguments, **made.keywords)
        assert set(made.keywords) <= set(bound.signature.parameters)


@pytest.mark.pictures
@pytest.mark.parametrize("name", QUICK)
def test_every_method_leaves_a_picture_and_prints_its_numbers(name, folder, tmp_path, monkeypatch,
                                                              capsys):
    monkeypatch.chdir(tmp_path)
    drawn, png = [], drawing.png
    monkeypatch.setattr(drawing, "png", lambda figure: drawn.append(figure) or png(figure))
    photos = photos_for(name, folder)
    assert main(["look", name, str(folder / "m.h5"), *photos]) == 0
    lines = capsys.readouterr().out.splitlines()
    picture = "-".join(["look", name, "m", *(Path(photo).stem for photo in photos)]) + ".png"
    assert lines[-1] == picture and len(lines) > 1
    with Image.open(picture) as image:
        assert np.asarray(image.convert("L")).std() > 5
    (figure,) = drawn
    small = {text.get_text(): text.get_fontsize() for text in figure.findobj(Text)
             if text.get_visible() and text.get_text().strip() and text.get_fontsize() < 12}
    assert small == {}  # points, at the size at which the figure is saved: for a projector


def test_the_numbers_are_those_of_the_function(folder, tmp_path):
    photo = folder / "heap" / "0.png"
    assert main(["look", "gradient", str(folder / "m.h5"), str(photo), "--class", "right",
                 "--sign", "both", "-o", str(tmp_path / "g.npz")]) == 0
    from minicnn.visualize.attribution.gradients import gradient

    expected = gradient(mc.load(folder / "m.h5"), mc.data.read_image(photo), "right", sign="both")
    with np.load(tmp_path / "g.npz") as found:
        np.testing.assert_allclose(found["values"], expected.values, rtol=1e-6)


def test_without_a_model_a_photo_goes_through_vgg16_in_the_size_asked_for(folder, tmp_path):
    made = job("deconvnet", folder / "heap" / "0.png", "--size", 32, "-o", tmp_path / "x.png")
    model, photo = made.arguments
    assert model.name == "vgg16" and model.input_shape == (32, 32, 3)
    np.testing.assert_array_equal(photo, mc.data.read_image(folder / "heap" / "0.png"))


def test_words_may_follow_options(folder, tmp_path):
    arguments = ["look", "--unit", "1", "gradient", "-o", str(tmp_path / "x.png"),
                 str(folder / "m.h5"), "--layer", "conv2d_1", str(folder / "heap" / "0.png")]
    assert main(arguments) == 0 and (tmp_path / "x.png").exists()


@pytest.mark.parametrize("asked, expected", [("right", "right"), ("7", "7"), ("1", 1)])
def test_a_class_is_a_name_first_and_a_number_else(asked, expected, folder, tmp_path):
    made = job("gradient", folder / "m.h5", "--class", asked, "-o", tmp_path / "x.png")
    assert made.keywords["target"] == expected


def test_a_folder_of_folders_brings_its_classes(folder, tmp_path):
    made = job("activity", folder / "m.h5", folder / "photos", "-o", tmp_path / "x.png")
    assert made.arguments[1].classes == ["a", "b"]
    assert made.arguments[1].labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_ablation_learns_from_other_photos_than_it_is_tested_on(folder, tmp_path):
    train, test = job("ablation", folder / "photos", "-o", tmp_path / "x.png").arguments
    assert len(train) + len(test) == 6 and not set(train.names) & set(test.names)


def test_photos_that_cannot_be_read_are_left_out_and_counted(folder, tmp_path, capsys):
    whole = (folder / "heap" / "0.png").read_bytes()
    (tmp_path / "heap").mkdir()
    (tmp_path / "heap" / "good.png").write_bytes(whole)
    (tmp_path / "heap" / "cut.png").write_bytes(whole[:len(whole) // 2])
    made = job("activity", folder / "m.h5", tmp_path / "heap", "-o", tmp_path / "x.png")
    assert made.arguments[1].names == ["good.png"]
    (other,) = made.others
    assert "cut.png: expected a readable photo" in other.reason and other.is_photo


def test_an_attribution_is_what_the_checks_check(folder, tmp_path):
    assert len(ATTRIBUTIONS) == 11
    made = job("randomisation-check", folder / "m.h5", "--method", "grad-cam", "-o",
               tmp_path / "x.png")
    assert made.keywords["method"].__name__ == "grad_cam"


@pytest.mark.parametrize("words, code", [(["look"], 0), (["look", "gradcam"], 2)])
def test_without_a_method_that_exists_all_are_listed(words, code, capsys):
    assert main(words) == code
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == list(METHODS)
    assert ("grad-cam" in err) == bool(code)


REFUSED = [
    ("grad-cam m.h5 nothing.png", ["nothing.png", "found nothing"]),
    ("grad-cam nothing.h5", ["nothing.h5"]),
    ("grad-cam m.h5 heap", ["one photo", "6"]),
    ("grad-cam m.h5 broken.png", ["broken.png", "photo"]),
    ("gradient m.h5 --maps 3", ["--maps", "--sign"]),
    ("gradient m.h5 --sign up", ["up", "positive"]),
    ("gradient m.h5 --class lef", ["lef", "Nearest: left"]),
    ("gradient m.h5 --class 9", ["0 to 2", "9"]),
    ("gradient base.h5 --class 1", ["no classes"]),
    ("grad-cam base.h5", ["Grad-CAM", "that map itself", "a network with classes", "model.h5"]),
    ("hirescam base.h5 --unit 1", ["HiResCAM", "conv, map 1", "a network with classes"]),
    ("gradient m.h5 --class left --unit 1", ["--class", "--unit"]),
    ("gradient m.h5 --layer conv2", ["conv2", "conv2d"]),
    ("gradient m.h5 --layer conv2d --unit 16", ["0 to 15", "16"]),
    ("gradient m.h5 --layer conv2d --unit 1 --position 16,0", ["position", "(16, 16)"]),
    ("gradient m.h5 --size 32", ["--size", "only with vgg16"]),
    ("gradient --size 8", ["--size", "at least 32 pixels", "received 8"]),
    ("deconvnet dense.h5", ["convolution", "Flatten"]),
    ("smooth-grad m.h5 --seed -1", ["--seed", "-1"]),
    ("pca m.h5 broken.png", ["photos that can be read, found none", "broken.png"]),
    ("randomisation-check m.h5 --method pca", ["pca", "grad-cam"]),
    ("maximise m.h5 heap/0.png", ["no photo", "heap/0.png"]),
    ("probes m.h5 heap photos", ["one folder"]),
    ("evolution m.h5", ["neither a model", "m.h5"]),
    ("gradient m.h5 -o old.png", ["old.png", "--force"]),
    ("gradient m.h5 -o no/x.png", ["no/x.png", "folder"]),
    ("gradient m.h5 -o x.gif", [".png", ".gif"]),
]


@pytest.mark.parametrize("line, words", REFUSED, ids=[line for line, _ in REFUSED])
def test_what_cannot_be_is_one_sentence_and_leaves_nothing(line, words, folder, monkeypatch,
                                                           capsys):
    monkeypatch.chdir(folder)
    (folder / "old.png").write_text("precious")
    (folder / "broken.png").write_bytes(b"\x89PNG not much")
    before = sorted(folder.rglob("*"))
    assert main(["look", *line.split()]) == 2
    err = capsys.readouterr().err
    assert err.startswith("minicnn: ") and len(err.splitlines()) == 1, err
    assert all(word in err for word in words), err
    assert sorted(folder.rglob("*")) == before and (folder / "old.png").read_text() == "precious"


def test_force_overwrites(folder, tmp_path):
    (tmp_path / "x.png").write_text("old")
    assert main(["look", "gradient", str(folder / "m.h5"), "-o", str(tmp_path / "x.png"),
                 "--force"]) == 0
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_the_atlas_is_refused_before_it_is_computed(folder, tmp_path, capsys):
    (tmp_path / "a.html").write_text("precious")
    assert main(["atlas", str(folder / "m.h5"), "-o", str(tmp_path / "a.html")]) == 2
    assert main(["atlas", str(folder / "m.h5"), "-o", str(tmp_path / "a.pdf")]) == 2
    assert "--force" in capsys.readouterr().err
    assert (tmp_path / "a.html").read_text() == "precious"


def test_the_atlas_of_a_small_network(folder, tmp_path, capsys):
    page = tmp_path / "a.html"
    assert main(["atlas", str(folder / "m.h5"), str(folder / "heap"), "--maps", "1", "--layers",
                 "conv2d", "-o", str(page)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(page)
    assert "conv2d" in page.read_text("utf-8")


def test_the_page_of_methods_has_a_row_and_a_thumbnail_for_every_one():
    text = (ROOT / "docs" / "look.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `([\w-]+)` \| ([^|]+) \|.*\(look/\1\.png", text, re.M))
    assert rows == {name: method.text for name, method in METHODS.items()}
    sizes = {name: (ROOT / "docs" / "look" / f"{name}.png").stat().st_size for name in METHODS}
    assert {name: size for name, size in sizes.items() if size > 30_000} == {}


@pytest.mark.parametrize("words, sentence", [
    (["look", "deconvnet", "--position", "3;4"], "expected ROW,COLUMN, received '3;4'"),
    (["gradcheck", "--loudly"], "expected options of this command, received --loudly"),
    (["gradcheck", "x.py:L", "--shape", "2,0"], "--shape: invalid shape value: '2,0'")])
def test_arguments_that_nobody_knows_are_a_sentence(words, sentence, capsys):
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2 and sentence in capsys.readouterr().err
