"""`minicnn predict`: text, CSV, JSON, in order, whatever the files are called, explained."""

import contextlib
import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minicnn as mc
from minicnn.cli import main, predict
from minicnn.data import read_image, resize_and_crop
from minicnn.visualize.attribution.explain import explanation

CLASSES = ["red", "green, or not", 'blue "sky"']


def colours(crop_fraction=1.0):
    """A network that knows red, green and blue: GlobalAverage -> W, with known probabilities."""
    conv = mc.Conv2D(3, 1, activation="relu", name="conv")
    model = mc.Sequential([conv, mc.GlobalAveragePool2D(), mc.Dense(3), mc.Softmax()], (8, 12, 3),
                          preprocessing=mc.Preprocessing(mean=(0, 0, 0), scale=1 / 255,
                                                         crop_fraction=crop_fraction),
                          classes=CLASSES)
    conv.params["W"][...] = np.eye(3)
    model.layers[2].params["W"][...] = 3 * np.eye(3)
    return model


def expected(rgb):
    """softmax(3 · rgb / 255), by hand."""
    e = np.exp(3 * np.array(rgb) / 255)
    return e / e.sum()


def photo(path, rgb=(255, 0, 0), size=(10, 15)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), rgb, np.uint8)).save(path, "png")
    return path


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in; the model's file lies outside."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    colours().save(tmp_path / "m.h5")
    return Path()


def run(*arguments, code=0):
    assert main(["predict", "../m.h5", *map(str, arguments)]) == code


def files():
    return sorted(str(p) for p in Path().rglob("*"))


# What is written --------------------------------------------------------------------------------


def test_csv_has_photo_predicted_probability_and_a_column_for_each_class(here, capsys):
    for name, rgb in (("1.png", (255, 0, 0)), ("2.png", (0, 255, 100)), ("10.png", (9, 8, 200))):
        photo(here / "p" / name, rgb)
    run("p", "--format", "csv")
    out, err = capsys.readouterr()
    table = list(csv.reader(io.StringIO(out, newline="")))
    assert err == "" and table[0] == ["photo", "predicted", "probability", *CLASSES]
    assert [row[0] for row in table[1:]] == ["p/1.png", "p/2.png", "p/10.png"]
    assert [row[1] for row in table[1:]] == CLASSES
    for row, rgb in zip(table[1:], ((255, 0, 0), (0, 255, 100), (9, 8, 200)), strict=True):
        assert [float(cell) for cell in row[3:]] == pytest.approx(expected(rgb), rel=1e-5)
        assert row[2] == max(row[3:], key=float)


def test_json_is_a_list_of_photos_with_their_top_classes(here, capsys):
    photo(here / "a.png", (0, 100, 255))
    photo(here / "b.png", (255, 0, 100))
    run("a.png", "b.png", "--format", "json", "--top", "2")
    out, err = capsys.readouterr()
    first, second = json.loads(out)
    assert err == "" and (first["photo"], second["photo"]) == ("a.png", "b.png")
    assert [top["class"] for top in first["top"]] == [CLASSES[2], CLASSES[1]]
    assert [top["class"] for top in second["top"]] == [CLASSES[0], CLASSES[2]]
    p = expected((0, 100, 255))
    assert [top["probability"] for top in first["top"]] == pytest.approx([p[2], p[1]], rel=1e-5)
    assert set(first) == {"photo", "top"}


def test_text_stays_as_it_was(here, capsys):
    photo(here / "a.png", (255, 0, 0))
    run("a.png", "--top", "2")
    p = expected((255, 0, 0))
    assert capsys.readouterr().out == f"a.png: {100 * p[0]:.1f} % red, {100 * p[1]:.1f} % green, " \
                                      "or not\n"


def test_text_is_one_line_a_photo_that_any_screen_can_show(here, capsys):
    model = colours()
    model.classes = ["red", "b", "c"]
    model.save("../m.h5")
    photo(here / "two\nlines\x1b.png", (255, 0, 0))
    run("two\nlines\x1b.png", "--top", "1", "--explain", "a\nb")
    share = f"{100 * expected((255, 0, 0))[0]:.1f} %"
    assert capsys.readouterr().out == (rf"two\nlines\x1b.png: {share} red "
                                       r"(a\nb/two_lines-explained.png)" "\n")


def test_five_classes_are_named_unless_top_says_otherwise(here, capsys):
    model = mc.Sequential([mc.Flatten(), mc.Dense(7), mc.Softmax()], (4, 4, 3),
                          preprocessing=mc.Preprocessing(), classes=[f"c{k}" for k in range(7)])
    model.save("../m.h5")
    photo(here / "a.png")
    for options, count in (([], 5), (["--top", "1"], 1), (["--top", "99"], 7)):
        run("a.png", "--format", "json", *options)
        assert len(json.loads(capsys.readouterr().out)[0]["top"]) == count


def test_a_model_of_one_sigmoid_names_both_classes(here, capsys):
    model = mc.Sequential([mc.Flatten(), mc.Dense(1), mc.Sigmoid()], (4, 4, 3),
                          preprocessing=mc.Preprocessing(), classes=["no", "yes"])
    model.layers[1].params["b"][...] = np.log(3)  # p = 3 / 4 where x = 0
    model.layers[1].params["W"][...] = 0
    model.save("../m.h5")
    photo(here / "a.png")
    run("a.png", "--format", "csv")
    assert list(csv.reader(io.StringIO(capsys.readouterr().out)))[1] == [
        "a.png", "yes", "0.75", "0.25", "0.75"]


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_probability_that_is_not_a_number_leaves_the_file_valid(kind, here, capsys, monkeypatch):
    model = colours()
    model.save("../m.h5")
    monkeypatch.setattr(type(model.layers[-1]), "forward",
                        lambda self, x, *_, **options: np.full_like(x, np.nan))
    photo(here / "a.png")
    run("a.png", "--format", kind)
    out = capsys.readouterr().out
    if kind == "json":
        def refuse(name):
            raise AssertionError(name)

        assert json.loads(out, parse_constant=refuse)[0]["top"][0]["probability"] is None
    else:
        assert next(csv.DictReader(io.StringIO(out)))["probability"] == "nan"


def test_a_photo_is_cut_as_in_training_by_the_recipe_of_the_model(here, capsys, rng):
    model = colours(crop_fraction=0.5)
    model.save("../m.h5")
    pixels = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    pixels[12:28, 13:37] //= 4  # the centre is dark
    Image.fromarray(pixels).save("a.png")
    run("a.png", "--format", "csv")
    p = model.predict(resize_and_crop(pixels, (8, 12), 0.5)[None])[0]
    row = list(csv.reader(io.StringIO(capsys.readouterr().out)))[1]
    assert [float(cell) for cell in row[3:]] == pytest.approx(p, rel=1e-6)


# Which photos, in which order --------------------------------------------------------------------


def test_order_is_that_of_the_input_whatever_the_batch_size(here, capsys):
    rng = np.random.default_rng(0)
    for i in range(1, 24):
        photo(here / "p" / f"{i}.png", rng.integers(0, 256, 3))
    photo(here / "z.png")
    found = []
    for size in (1, 7, 100):
        run("z.png", "p", "z.png", "--format", "csv", "--batch-size", size)
        found.append(list(csv.reader(io.StringIO(capsys.readouterr().out))))
    names = ["z.png", *[f"p/{i}.png" for i in range(1, 24)], "z.png"]
    for table in found:
        assert [row[0] for row in table[1:]] == names
        assert [row[1] for row in table] == [row[1] for row in found[0]]


def test_photos_are_decoded_a_few_batches_ahead_and_no_further(here, monkeypatch):
    for i in range(40):
        photo(here / "p" / f"{i}.png")
    read, ahead = [], []
    inner, predicted = predict.UnlabelledImages.images, mc.Sequential.predict

    def images(self, indices, *rest):
        read.extend(indices)
        return inner(self, indices, *rest)

    def look(self, pixels, batch_size):
        assert len(pixels) == 4  # a batch, not a photo
        ahead.append(len(read))
        return predicted(self, pixels, batch_size)

    monkeypatch.setattr(predict.UnlabelledImages, "images", images)
    monkeypatch.setattr(mc.Sequential, "predict", look)
    run("p", "--batch-size", 4, "--format", "json")
    assert len(ahead) == 10 and sorted(read) == list(range(40))
    assert all(n <= 4 * (k + 3) for k, n in enumerate(ahead))


def test_folders_in_a_folder_are_read_hidden_and_other_files_are_not(here, capsys):
    for name in ("b/2.png", "b/10.png", "b/deep/er/x.JPG", "a/1.png", "c.png", ".hidden/1.png",
                 "a/._1.png"):
        photo(here / "p" / name)
    (here / "p" / "a" / "notes.txt").write_text("no photo")
    run("p")
    out, err = capsys.readouterr()
    assert err == "minicnn: 1 text: p/a/notes.txt. Only photos are read: keep other files " \
                  "elsewhere.\n"
    names = [line.split(": ")[0] for line in out.splitlines()]
    assert names == ["p/a/1.png", "p/b/2.png", "p/b/10.png", "p/b/deep/er/x.JPG", "p/c.png"]


def test_folders_that_lead_in_a_circle_are_read_once(here, capsys):
    photo(here / "p" / "q" / "1.png")
    (here / "p" / "q" / "up").symlink_to(Path("p").resolve())
    (here / "p" / "self").symlink_to(".")
    run("p")
    assert [line.split(": ")[0] for line in capsys.readouterr().out.splitlines()] == ["p/q/1.png"]


def test_unreadable_photos_are_named_on_stderr_and_everything_else_is_predicted(here, capsys):
    for i in (1, 2, 4):
        photo(here / "p" / f"{i}.png")
    (here / "p" / "3.png").write_bytes(b"\x89PNG not much")
    (here / "p" / "5.jpg").write_text("")
    for kind in ("csv", "json", "text"):
        run("p", "--format", kind, "--batch-size", 2, code=2)
        out, err = capsys.readouterr()
        names = {"csv": lambda t: [row["photo"] for row in csv.DictReader(io.StringIO(t))],
                 "json": lambda t: [row["photo"] for row in json.loads(t)],
                 "text": lambda t: [line.split(": ")[0] for line in t.splitlines()]}[kind](out)
        assert names == ["p/1.png", "p/2.png", "p/4.png"]
        assert [line.split(": ")[:2] for line in err.splitlines()] == [
            ["minicnn", "1 damaged photo"], ["minicnn", "1 empty file"]]
        assert "p/3.png. " in err and "p/5.jpg. " in err


def test_of_photos_none_of_which_can_be_read_valid_files_remain(here, capsys):
    (here / "1.png").write_text("")
    run("1.png", "--format", "json", code=2)
    assert json.loads(capsys.readouterr().out) == []
    run("1.png", "--format", "csv", code=2)
    assert list(csv.DictReader(io.StringIO(capsys.readouterr().out))) == []


# Names -------------------------------------------------------------------------------------------

NAMES = ['new\nline.png', 'car\rriage.png', 'quo"te,comma.png', "'; semi.png", "日本 é.png",
         "\udcff\udce9 bytes.png", " = 1+1.png", "-o.png", "back\\slash.png", "$x$.png"]


@pytest.fixture
def odd_names(here):
    made = []
    for name in NAMES:
        with contextlib.suppress(OSError, UnicodeError):  # not on this file system
            made.append(str(photo(here / "p" / name)))
    assert len(made) >= 4
    return made


@pytest.mark.parametrize("to_file", [False, True])
def test_csv_and_json_give_back_every_name_as_it_is_on_the_disk(to_file, odd_names):
    """In a process of its own: the bytes that really come out, with a plain ASCII terminal."""
    for kind in ("csv", "json"):
        code = "import sys; from minicnn.cli import main; sys.exit(main(sys.argv[1:]))"
        options = ["--output", f"out.{kind}"] if to_file else ["--format", kind]
        done = subprocess.run([sys.executable, "-c", code, "predict", "../m.h5", "p", *options],
                              capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii",
                              "PYTHONPATH": str(Path(mc.__file__).parent.parent)})
        assert (done.returncode, done.stderr) == (0, b"")
        content = Path(f"out.{kind}").read_bytes() if to_file else done.stdout
        if kind == "json":
            found = [row["photo"] for row in json.loads(content.decode("ascii"))]
        else:
            text = io.StringIO(content.decode("utf-8", "surrogateescape"), newline="")
            found = [row["photo"] for row in csv.DictReader(text)]
        assert sorted(map(os.fsencode, found)) == sorted(map(os.fsencode, odd_names))
        assert all(Path(name).exists() for name in found)


def test_odd_names_are_explained_in_files_with_plain_ones(odd_names, capsys):
    run("p", "--explain", "--format", "json")
    pictures = [row["explained"] for row in json.loads(capsys.readouterr().out)]
    assert len(set(pictures)) == len(odd_names)
    assert sorted(pictures) == sorted(str(p) for p in Path("explained").iterdir())
    assert all(p.encode() and not set(p) & set('\n\r"\\$;, =') for p in pictures)


# --output ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, kind", [("o.csv", "csv"), ("o.JSON", "json"), ("o.txt", "text"),
                                        ("o", "text")])
def test_output_takes_its_format_from_the_suffix_unless_told(name, kind, here, capsys):
    photo(here / "a.png")
    run("a.png", "--format", kind)
    shown = capsys.readouterr().out
    run("a.png", "--output", name)
    assert capsys.readouterr().out == f"{name}: 1 photos\n"
    assert Path(name).read_bytes().decode() == shown
    run("a.png", "--output", name, "--force", "--format", "json")
    assert json.loads(Path(name).read_text())[0]["photo"] == "a.png"
    assert files() == sorted(["a.png", name])


def test_output_that_exists_is_kept_unless_forced(here, capsys):
    photo(here / "a.png")
    (here / "o.csv").write_text("precious")
    run("a.png", "--output", "o.csv", code=2)
    assert "--force" in capsys.readouterr().err and Path("o.csv").read_text() == "precious"
    run("a.png", "--output", "o.csv", "--force")
    assert Path("o.csv").read_text().startswith("photo,predicted")


def test_work_that_stops_leaves_the_older_output_and_nothing_half_written(here, monkeypatch):
    photo(here / "a.png")
    (here / "o.csv").write_text("precious")

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(mc.Sequential, "predict", stop)
    run("a.png", "--output", "o.csv", "--force", code=130)
    assert Path("o.csv").read_text() == "precious" and files() == ["a.png", "o.csv"]


def test_a_reader_that_goes_away_is_no_error(here):
    for i in range(100):
        photo(here / "p" / f"{i}.png")
    code = "import sys; from minicnn.cli import main; sys.exit(main(sys.argv[1:]))"
    with subprocess.Popen([sys.executable, "-c", code, "predict", "../m.h5", "p"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env={**os.environ, "PYTHONPATH": str(Path(mc.__file__).parent.parent)}
                          ) as process:
        process.stdout.close()
        error = process.stderr.read()
    assert (process.returncode, error) == (0, b"")


# --explain --------------------------------------------------------------------------------------


@pytest.mark.pictures
def test_explain_writes_a_picture_for_each_photo_and_names_it_beside(here, capsys):
    for name in ("x/a.png", "x/A.jpg", "y/a.png", "y/a-2.png", "z/A.png", "..png"):
        photo(here / "p" / name)
    run("p/x", "p/y", "p/z", "p/..png", "--explain", "out", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    names = {row["photo"]: row["explained"] for row in rows}
    assert len({name.lower() for name in names.values()}) == 6
    assert sorted(names.values()) == sorted(str(p) for p in Path("out").iterdir())
    assert names["p/x/A.jpg"] == "out/A-explained.png"
    assert names["p/..png"] == "out/photo-explained.png"
    for picture in names.values():
        pixels = np.asarray(Image.open(picture).convert("L"))
        assert min(pixels.shape) > 400 and pixels.std() > 10
    run("p/x/a.png", "--explain")
    assert capsys.readouterr().out.endswith(" (explained/a-m-explained.png)\n")


def test_pictures_are_not_photos_of_the_folder_they_lie_in(here, capsys):
    photo(here / "a.png")
    run(".", "--explain", ".")
    run(".")
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2  # a.png, twice
    assert "1 picture of --explain: a-explained.png. " in err


def test_long_names_become_pictures_with_shorter_ones(here):
    photo(here / f"{'é' * 120}.png")
    run(f"{'é' * 120}.png", "--explain")
    assert [p.name for p in Path("explained").iterdir()] == ["é" * 50 + "-m-explained.png"]


def test_an_explanation_shows_the_part_of_the_photo_that_the_network_sees(rng):
    model = colours(crop_fraction=0.5)
    image = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    figure = explanation(model, image, np.array([0.3, 0.613, 0.087]), "name.jpg")
    left, middle, bars = figure.axes
    assert np.array_equal(left.images[0].get_array(), image)
    frame = left.patches[-1]  # scaled by 0.6 to 18 × 24, to cover 16 × 24; then 8 × 12 are cut out
    assert (frame.get_x(), frame.get_y(), frame.get_width(), frame.get_height()) == pytest.approx(
        (10, 15 - 20 / 3, 20, 40 / 3))
    assert left.get_title() == "name.jpg"
    assert figure.get_suptitle() == "green, or not: 61.3 %"
    assert middle.images[0].get_array().shape == (8 * 56, 12 * 56, 3)  # 448 / 8
    assert [bar.get_width() for bar in bars.patches] == [0.613, 0.3, 0.087]
    assert [text.get_text().split("  ")[1] for text in bars.texts] == [
        "61.3 %", "30.0 %", "8.7 %"]


def test_an_explanation_is_red_where_the_map_speaks_for_the_class_and_blue_against(rng):
    model = mc.Sequential([mc.Conv2D(1, 1, name="conv"), mc.Flatten(), mc.Dense(1), mc.Sigmoid()],
                          (2, 2, 3), preprocessing=mc.Preprocessing("RGB", (0, 0, 0), 1 / 255),
                          classes=["no", "yes"])
    model["conv"].params["W"][:], model["conv"].params["b"][:] = 1, 0
    model["dense"].params["W"][:, 0] = [1, -1, 0, 0]  # the upper left for "yes", beside it against
    grey = np.full((2, 2, 3), 200, np.uint8)
    left, right = (lambda seen: (seen[0, 0], seen[0, -1]))(
        explanation(model, grey, np.array([0.4, 0.6])).axes[1].images[0].get_array().astype(int))
    assert left[0] > left[2] + 80 and right[2] > right[0] + 80
    left, right = (lambda seen: (seen[0, 0], seen[0, -1]))(
        explanation(model, grey, np.array([0.6, 0.4])).axes[1].images[0].get_array().astype(int))
    assert left[2] > left[0] + 80 and right[0] > right[2] + 80


def test_an_explanation_draws_names_that_are_no_text():
    model = colours()
    model.classes = ["a $x$\ud800", "b", "c"]
    figure = explanation(model, np.full((8, 12, 3), 200, np.uint8), np.array([1.0, 0, 0]),
                         "\udcff\n$.jpg")
    figure.savefig(io.BytesIO())
    assert figure.get_suptitle() == r"a \$x\$?: 100.0 %"
    assert figure.axes[0].get_title() == r"? \$.jpg"


def test_a_photo_that_vanishes_before_it_is_explained_is_named(here, capsys, monkeypatch):
    photo(here / "a.png")
    photo(here / "b.png")
    inner = mc.Sequential.predict

    def vanish(self, *arguments):
        (here / "a.png").unlink()
        return inner(self, *arguments)

    monkeypatch.setattr(mc.Sequential, "predict", vanish)
    run("a.png", "b.png", "--explain", "--format", "json", code=2)
    out, err = capsys.readouterr()
    assert [row["photo"] for row in json.loads(out)] == ["b.png"] and "a.png" in err


# Bad input: one sentence, nothing written -------------------------------------------------------


@pytest.mark.parametrize("arguments, words", [
    (["--top", "0"], ["--top", "0"]),
    (["--top", "2", "--format", "csv"], ["--top", "csv"]),
    (["--top", "2", "--output", "o.csv"], ["--top", "csv"]),
    (["--batch-size", "0"], ["--batch-size", "0"]),
    (["--output", "nowhere/o.csv"], ["nowhere", "found none"]),
    (["--output", "made"], ["made", "--force"]),
    (["--output", "made", "--force"], ["made", "could be written|can be written"]),
    (["--explain", "a.png"], ["a.png", "folder", "after"]),
    (["--explain", "a.png/x"], ["a.png/x", "folder"]),
    (["--explain", "made"], ["made/a-explained.png", "--force"]),
    (["empty"], ["empty", "found none"]),
    (["nothing.png"], ["nothing.png", "found nothing"]),
])
def test_bad_input_is_one_sentence_and_leaves_nothing(arguments, words, here, capsys):
    photo(here / "a.png")
    photo(here / "made" / "a-explained.png")
    (here / "empty").mkdir()
    before = {name: Path(name).is_file() and Path(name).read_bytes() for name in files()}
    first = [] if arguments[0] in ("empty", "nothing.png") else ["a.png"]
    run(*first, *arguments, code=2)
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("minicnn: ") and len(err.splitlines()) == 1, err
    assert all(any(one in err for one in word.split("|")) for word in words), err
    assert {name: Path(name).is_file() and Path(name).read_bytes() for name in files()} == before


def test_a_model_without_a_convolution_cannot_be_explained(here, capsys):
    mc.Sequential([mc.Flatten(), mc.Dense(2), mc.Softmax()], (4, 4, 3), classes=["a", "b"],
                  preprocessing=mc.Preprocessing()).save("../m.h5")
    photo(here / "a.png")
    run("a.png", "--explain", code=2)
    assert "convolution" in capsys.readouterr().err and files() == ["a.png"]


def test_forced_explanations_replace_the_older_ones(here):
    photo(here / "a.png")
    photo(here / "explained" / "a-m-explained.png", size=(1, 1))
    run("a.png", "--explain", "--force")
    assert read_image("explained/a-m-explained.png").shape[0] > 400
    assert files() == ["a.png", "explained", "explained/a-m-explained.png"]
