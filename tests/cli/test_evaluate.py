"""`minicnn evaluate` and `minicnn compare`: numbers against the photos, files, refusals."""

import json
import re
import shutil

import numpy as np
import pytest
from makers import classifier, page_of, photo_folder
from makers import read_csv as rows
from PIL import Image

import minicnn as mc
from minicnn.cli import main
from minicnn.data import read_image
from minicnn.evaluation import choose_threshold, wilson_interval
from minicnn.report import write_csv
from minicnn.report.evaluations import plain

FILES = ["calibration.png", "confusion.png", "confusion_percent.png", "precision_recall.png",
         "predictions.csv", "predictions.png", "report.html", "roc.png", "scores.json", "worst.png"]


def model(path, classes, one_sigmoid=False, seed=3):
    """A network with random weights and these classes, saved there."""
    classifier(len(classes), (12, 12, 3), seed, one_sigmoid=one_sigmoid, names=classes).save(path)
    return str(path)


def said(folder, net):
    """{photo: (class, p (K,))} by the model itself, one photo at a time."""
    found = {}
    for path in sorted(folder.rglob("*.png")):
        p = net.predict(read_image(path)[None])[0].astype(float)
        p = np.array([1 - p[0], p[0]]) if len(p) == 1 else p
        found[path.relative_to(folder).as_posix()] = (path.parent.name, p)
    return found


@pytest.fixture
def clouds(tmp_path):
    """A folder of two classes, and a model of them with one sigmoid."""
    return (photo_folder(tmp_path / "photos", {"cirrus": 9, "stratus": 7}, (12, 12)),
            model(tmp_path / "m.h5", ["cirrus", "stratus"], one_sigmoid=True))


def run(*words):
    return main([str(word) for word in words])


def refusal(capsys, *words):
    """The one sentence of a command that is refused."""
    capsys.readouterr()
    assert run(*words) == 2
    out, err = capsys.readouterr()
    assert re.match(r"minicnn: .*: expected .*, (received|found) .*\.$", err.strip()), err
    return err


# evaluate: the numbers


def test_evaluate_prints_and_writes_what_the_model_says_of_each_photo(clouds, tmp_path, capsys):
    folder, path = clouds
    assert run("evaluate", path, folder, "--output", tmp_path / "out") == 0
    out = capsys.readouterr().out
    expected = said(folder, mc.load(path))
    found = rows(tmp_path / "out" / "predictions.csv")
    assert {row["photo"] for row in found} == set(expected) and len(found) == 16
    right = 0
    for row in found:
        name, p = expected[row["photo"]]
        assert row["true"] == name and float(row["stratus"]) == pytest.approx(p[1], abs=2e-6)
        assert row["predicted"] == ["cirrus", "stratus"][p.argmax()]
        right += row["predicted"] == name
    low, high = wilson_interval(right, 16)
    assert (f"{right} of 16 photos right: {100 * right / 16:.1f} % (95 % interval "
            f"{100 * low:.1f} … {100 * high:.1f} %)") in out
    p, positive = (np.array([pair[1][1] for pair in expected.values()]),
                   np.array([pair[0] == "stratus" for pair in expected.values()]))
    area = sum((a > b) + (a == b) / 2 for a in p[positive] for b in p[~positive]) / 63
    scores = json.loads((tmp_path / "out" / "scores.json").read_text("utf-8"))
    assert scores["per_class"]["stratus"]["roc_auc"] == pytest.approx(area)
    assert scores["right"] == right and scores["interval"] == [low, high]
    assert scores["per_class"]["cirrus"]["support"] == 9 and scores["threshold"] is None
    assert f"{area:.3f}" in next(line for line in out.splitlines() if line.startswith("stratus"))


@pytest.mark.pictures
def test_evaluate_writes_its_files_and_pictures_with_something_in_them(clouds, tmp_path):
    assert run("evaluate", *reversed(clouds), "--output", tmp_path / "out") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES
    for name in FILES:
        if name.endswith(".png"):
            with Image.open(tmp_path / "out" / name) as image:
                assert min(image.size) > 300 and np.asarray(image.convert("L")).std() > 10


def test_classes_are_matched_by_name_in_whatever_order(tmp_path):
    folder = photo_folder(tmp_path / "photos", {"a": 5, "b": 6, "c": 4}, (12, 12))
    path = model(tmp_path / "m.h5", ["c", "a", "b"])
    assert run("evaluate", path, folder, "--output", tmp_path / "out") == 0
    expected = said(folder, mc.load(path))
    counts = np.zeros((3, 3), int)
    for row in rows(tmp_path / "out" / "predictions.csv"):
        name, p = expected[row["photo"]]
        assert (row["true"], row["predicted"]) == (name, "cab"[p.argmax()])
        counts["cab".index(name), p.argmax()] += 1
    scores = json.loads((tmp_path / "out" / "scores.json").read_text("utf-8"))
    assert scores["confusion"] == counts.tolist()
    assert list(scores["per_class"]) == ["c", "a", "b"]


def test_a_class_that_the_folder_lacks_counts_0_and_is_said(tmp_path, capsys):
    folder = photo_folder(tmp_path / "photos", {"a": 5, "c": 4}, (12, 12))
    path = model(tmp_path / "m.h5", ["a", "b", "c"])
    assert run("evaluate", path, folder, "--output", tmp_path / "out") == 0
    out = capsys.readouterr().out
    assert "No photos of b:" in out
    scores = json.loads((tmp_path / "out" / "scores.json").read_text("utf-8"))
    missing = scores["per_class"]["b"]
    assert (missing["support"], missing["recall"], missing["roc_auc"]) == (0, 0, None)
    mean = np.mean([scores["per_class"][name]["roc_auc"] for name in "ac"])
    assert scores["mean_of_classes_with_photos"]["roc_auc"] == pytest.approx(mean)
    assert next(line for line in out.splitlines() if line.startswith("b ")).split()[-1] == "–"


def test_a_class_that_nothing_is_taken_for_is_said(tmp_path, capsys):
    path = model(tmp_path / "m.h5", ["a", "b", "c"])
    net = mc.load(path)
    net.layers[-2].params["b"][:] = [50, 0, 0]  # always a
    net.save(path)
    folder = photo_folder(tmp_path / "photos", {"a": 2, "b": 2, "c": 2}, (12, 12))
    assert run("evaluate", path, folder) == 0
    assert "Nothing was predicted as b, c: the precision is 0" in capsys.readouterr().out


def test_unreadable_photos_are_named_counted_and_left_out(clouds, tmp_path, capsys):
    folder, path = clouds
    whole = (folder / "cirrus" / "3.png").read_bytes()
    (folder / "cirrus" / "3.png").write_bytes(whole[:len(whole) // 2])  # its header is good
    (folder / "cirrus" / "notes.txt").write_text("no photo")
    assert run("evaluate", path, folder, "--output", tmp_path / "out", "--batch-size", 5) == 0
    out = capsys.readouterr().out
    assert "3.png: expected a readable photo" in out and "notes.txt" in out
    assert "2 files are left out:" in out and " of 15 photos right" in out
    assert out.count("3.png") == 1
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "3.png: expected a readable photo" in page and "notes.txt" in page
    found = rows(tmp_path / "out" / "predictions.csv")
    (folder / "cirrus" / "3.png").unlink()
    expected = said(folder, mc.load(path))
    assert len(found) == 15
    for row in found:
        assert float(row["stratus"]) == pytest.approx(expected[row["photo"]][1][1], abs=2e-6)


def test_many_classes_are_shown_where_they_occur(tmp_path, capsys):
    path = model(tmp_path / "m.h5", [f"class{k}" for k in range(60)])
    folder = photo_folder(tmp_path / "photos", {"class7": 3, "class31": 4}, (12, 12))
    assert run("evaluate", path, folder, "--output", tmp_path / "out") == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines() if line.startswith("class")] == [
        "class", "class7", "class31"]
    assert ", … 53 more: recall" in out  # 58 without photos, 5 named
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == FILES


# evaluate: threshold and views


@pytest.mark.parametrize("rule", ["0.3", "youden", "precision=0.6"])
def test_a_threshold_decides_the_predictions_and_its_effect_is_told(clouds, tmp_path, capsys, rule):
    folder, path = clouds
    net = mc.load(path)
    net.layers[-2].params["b"][:] -= np.median([  # probabilities on both sides of 0.5
        np.log(p[1] / p[0]) for _, p in said(folder, net).values()])
    net.save(path)
    assert run("evaluate", path, folder, "--threshold", rule, "--output", tmp_path / "out") == 0
    out = capsys.readouterr().out
    expected = said(folder, mc.load(path))
    p = np.array([pair[1][1] for pair in expected.values()])
    positive = np.array([pair[0] == "stratus" for pair in expected.values()])
    value = 0.3 if rule == "0.3" else choose_threshold(p, positive, 0.6 if "=" in rule else None)
    scores = json.loads((tmp_path / "out" / "scores.json").read_text("utf-8"))
    assert scores["threshold"] == pytest.approx(value, rel=1e-5)
    taken = p >= value - 1e-7
    found = {row["photo"]: row["predicted"] for row in rows(tmp_path / "out" / "predictions.csv")}
    assert list(map(found.get, expected)) == [["cirrus", "stratus"][t] for t in taken.astype(int)]
    before, after = (out.splitlines()[[line[:4] for line in out.splitlines()].index(word)].split()
                     for word in ("more", "thre"))
    for line, chosen in ((before, p > 0.5), (after, taken)):
        assert line[-6:-4] == [str((chosen & positive).sum()), str((chosen & ~positive).sum())]
        assert line[-2] == f"{100 * (chosen == positive).mean():.1f}"
    notes = page_of(tmp_path / "out" / "report.html")["notes"]
    assert " ".join(notes).count("better than it is, and the interval does not hold") == (
        rule != "0.3") and all(note in out.splitlines() for note in notes)
    if rule != "0.3":  # the number that is printed does the same again
        again = re.search(r"--threshold ([\d.e-]+)\.$", out, re.M).group(1)
        assert run("evaluate", path, folder, "--threshold", again, "--output", tmp_path / "2") == 0
        assert rows(tmp_path / "2" / "predictions.csv") == rows(tmp_path / "out" /
                                                                "predictions.csv")


@pytest.mark.parametrize("threshold", ["0.99996", "0.9995", "1e-05", "1", "0.5"])
def test_a_threshold_near_0_or_1_has_digits_enough(clouds, capsys, threshold):
    assert run("evaluate", *reversed(clouds), "--threshold", threshold) == 0
    out = capsys.readouterr().out
    assert re.search(rf"from a probability of {threshold}$", out, re.M)
    assert re.search(rf"^threshold {threshold} ", out, re.M)


def test_tta_is_the_mean_over_the_photo_its_mirror_image_and_shifts(clouds, tmp_path):
    folder, path = clouds
    net = mc.load(path)
    for views in (1, 2, 3):
        assert run("evaluate", path, folder, "--tta", views, "--output", tmp_path / str(views)
                   ) == 0
        for row in rows(tmp_path / str(views) / "predictions.csv"):
            pixels = read_image(folder / row["photo"])
            shifted = np.concatenate([pixels[:, :1], pixels[:, :-1]], axis=1)  # by 12 / 16 → 1
            p = np.mean([net.predict(one[None])[0, 0] for one in
                         (pixels, pixels[:, ::-1], shifted)[:views]])
            assert float(row["stratus"]) == pytest.approx(p, abs=2e-6)


# evaluate: refusals


def test_unknown_classes_of_the_folder_are_refused_with_both_lists_and_the_nearest(
        tmp_path, capsys):
    folder = photo_folder(tmp_path / "photos", {"Cirus": 2, "stratus": 2, "qqq": 2}, (12, 12))
    path = model(tmp_path / "m.h5", ["cirrus", "stratus", "cumulus"])
    err = refusal(capsys, "evaluate", path, folder, "--output", tmp_path / "out")
    for words in ("(cirrus, stratus, cumulus)", "received Cirus, qqq, stratus",
                  "does not know Cirus, qqq", "Cirus is nearest to cirrus"):
        assert words in err
    assert "qqq is nearest" not in err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("given", ["1.5", "-0.1", "nan", "half", "precision=2", "precision=",
                                   "precision", ""])
def test_a_threshold_outside_0_to_1_is_refused(clouds, capsys, given):
    err = refusal(capsys, "evaluate", clouds[1], clouds[0], f"--threshold={given}")
    assert "--threshold" in err and "from 0 to 1, youden, or precision=0.95" in err
    assert repr(given) in err


def test_a_threshold_is_refused_for_a_softmax(tmp_path, capsys):
    folder = photo_folder(tmp_path / "photos", {"a": 2, "b": 2}, (12, 12))
    path = model(tmp_path / "m.h5", ["a", "b"])
    assert "one sigmoid" in refusal(capsys, "evaluate", path, folder, "--threshold", "0.5")


def test_a_precision_that_no_threshold_reaches_is_refused_and_nothing_is_left(
        clouds, tmp_path, capsys):
    folder, path = clouds
    net = mc.load(path)
    net.layers[-2].params["W"][:] = 0  # all photos alike
    net.save(path)
    err = refusal(capsys, "evaluate", path, folder, "--threshold", "precision=0.9", "--output",
                  tmp_path / "out")
    assert "the highest is 0.4375" in err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [["--tta", "0"], ["--tta", "11"], ["--batch-size", "0"]])
def test_counts_that_ask_for_nothing_are_refused(clouds, capsys, words):
    assert words[0] in refusal(capsys, "evaluate", *reversed(clouds), *words)


def test_a_folder_in_use_is_refused_and_kept(clouds, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    assert "in use" in refusal(capsys, "evaluate", *reversed(clouds), "--output",
                               tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_photos_that_can_none_be_read_and_a_broken_model_are_refused(clouds, capsys, monkeypatch):
    folder, path = clouds
    with monkeypatch.context() as patch:
        patch.setattr(type(mc.load(path).layers[-1]), "forward",
                      lambda self, x, *_, **options: np.full_like(x, np.nan))
        assert "NaN for 16 photos" in refusal(capsys, "evaluate", path, folder)
    for photo in folder.rglob("*.png"):
        photo.write_bytes(photo.read_bytes()[:60])
    assert "can be read" in refusal(capsys, "evaluate", path, folder)


def test_nan_becomes_null():
    given = {"a": np.array([1.0, np.nan]), "b": (np.float32(0.5), np.int64(3)), "c": None}
    assert plain(given) == {"a": [1.0, None], "b": [0.5, 3], "c": None}


# compare


def run_folder(path, photos, history=None, part="validation"):
    """A run folder with {photo: (true, predicted)} and accuracies of that part by epoch."""
    path.mkdir(parents=True)
    write_csv(path / "predictions.csv", ["photo", "true", "predicted", "false", "true"],
              ([name, *pair, "0.5", "0.5"] for name, pair in photos.items()))
    if history is not None:
        write_csv(path / "history.csv", ["epoch", "loss", "val_accuracy"],
                  ([k, 1.0, value] for k, value in enumerate(history, 1)))
        write_csv(path / "split.csv", ["photo", "class", "part"], [["x.png", "validation", part]])
    return path


def predictions(right, n=20):
    """n photos of class "true", the numbers of `right` predicted as such."""
    return {f"true/{i}.png": ("true", "true" if i in right else "false") for i in range(n)}


@pytest.fixture
def runs(tmp_path):
    return [run_folder(tmp_path / "one", predictions(range(18)), [0.5, 0.9, 0.8]),
            run_folder(tmp_path / "two", predictions(range(8, 20)), [0.4, 0.6], "test"),
            run_folder(tmp_path / "three", predictions(range(5), 10))]


def test_compare_prints_a_row_a_run_and_mcnemars_test_for_each_pair(runs, capsys):
    assert run("compare", *runs) == 0
    lines = capsys.readouterr().out.splitlines()
    low, high = (100 * side for side in wilson_interval(18, 20))
    assert lines[1].split() == ["1", str(runs[0]), "18/20", "90.0", "%", f"{low:.1f}", "…",
                                f"{high:.1f}", "%", "3", "90.0", "%", "at", "2"]
    assert lines[2].split()[-2:] == ["2", "–"]  # a maximum over looks at the test is no figure
    assert lines[3].split()[2:3] + lines[3].split()[-2:] == ["5/10", "–", "–"]
    # one alone: 0 … 7, two alone: 18, 19; p = 2 (1 + 10 + 45) / 1024
    assert ("1 and 2: 20 photos, 8 right only in the first, 2 only in the second: p = 0.11, no "
            "difference shown.") in lines
    # of ten photos three has 0 … 4, one all; p = 2 / 32
    assert "1 and 3: 10 photos, 5 right only in the first, 0 only in the second: p = 0.062, no " \
           "difference shown." in lines
    assert lines[-1].startswith("With 3 tests") and "p = 0.017" in lines[-1]


def test_compare_shows_a_difference_where_there_is_one(tmp_path, capsys):
    pair = [run_folder(tmp_path / name, predictions(range(n))) for name, n in
            (("a", 20), ("b", 10))]
    assert run("compare", *pair) == 0
    out = capsys.readouterr().out
    assert "p = 0.002, a difference shown." in out and "Bonferroni" not in out


def test_compare_says_where_runs_share_no_photo_or_differ_in_its_class(runs, tmp_path, capsys):
    other = run_folder(tmp_path / "other", {"x.png": ("true", "true")})
    turned = run_folder(tmp_path / "turned", {
        name: (("false", "false") if name in ("true/0.png", "true/19.png") else pair)
        for name, pair in predictions(range(18)).items()})
    wrong = run_folder(tmp_path / "wrong", {"x.png": ("false", "true")})
    assert run("compare", runs[0], other, turned, wrong) == 0
    out = capsys.readouterr().out
    assert "1 and 2: no test, they have no photo in common." in out
    assert "1 and 3: 18 photos, 0 right only in the first, 0 only in the second: p = 1, no " \
           "difference shown. 2 with another true class are left out." in out
    assert "2 and 4: no test, the true classes of all that both have differ." in out


def test_compare_says_which_options_differ_and_only_those(runs, tmp_path, capsys):
    for k, (path, size) in enumerate(zip(runs[:2], (64, 96), strict=True)):
        (path / "run.json").write_text(json.dumps({
            "size": size, "epochs": 60, "augment": "flip" * k, "seed": None,
            "used": {"learning_rate": 1e-6 * (k + 1)}}))
    assert run("compare", *runs, "--output", tmp_path / "figure.png") == 0
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("Options that differ, by run:")
    assert lines[at + 1:at + 5] == [
        "1  size 64; augment –; learning rate (measured) 1e-06",
        "2  size 96; augment flip; learning rate (measured) 2e-06", "",
        "Warning: the runs were tested on different photos, 10 of which all have in common. "
        "Compare the intervals, or evaluate all on one folder: minicnn evaluate MODEL FOLDER."]
    (runs[1] / "run.json").write_text((runs[0] / "run.json").read_text())
    assert run("compare", *runs[:2]) == 0
    assert "The runs have the same options." in capsys.readouterr().out
    (runs[1] / "run.json").write_text("[]")
    assert "no object at its top" in refusal(capsys, "compare", *runs[:2])


def test_compare_warns_of_other_classes_and_of_other_photos(runs, tmp_path, capsys):
    assert run("compare", *runs[:2]) == 0
    assert "Warning" not in capsys.readouterr().out
    assert run("compare", *runs) == 0
    assert "tested on different photos, 10 of which all have in common" in capsys.readouterr().out
    sandals = run_folder(tmp_path / "sandals", {"s.png": ("sandal", "sandal")})
    assert run("compare", runs[0], sandals) == 0
    assert "the runs have different classes: 1 true; 2 sandal. Their accuracies" in (
        capsys.readouterr().out)


def test_a_chosen_threshold_that_lowers_the_accuracy_warns(clouds, tmp_path, capsys):
    folder, path = clouds
    net = mc.load(path)
    scores = {name: np.log(p[1] / p[0]) for name, (_, p) in said(folder, net).items()}
    net.layers[-2].params["b"][:] -= max(scores.values()) + 1  # nothing is stratus any more
    net.save(path)
    assert run("evaluate", path, folder, "--threshold", "precision=0.01", "--output",
               tmp_path / "out") == 0
    out = capsys.readouterr().out
    positive = sum(label == "stratus" for label, _ in said(folder, net).values())
    after = 100 * positive / len(scores)  # the lowest threshold: all are stratus
    before = 100 - after
    assert (f"lowers the accuracy from {before:.1f} to {after:.1f} %" in out) == (after < before)
    assert f"Open: {tmp_path / 'out' / 'report.html'}" in out
    page = page_of(tmp_path / "out" / "report.html")
    assert page["subject"] == f"{path} on {folder}"


def test_compare_takes_what_train_and_evaluate_write(tmp_path, capsys):
    folder = photo_folder(tmp_path / "photos", {"cirrus": 6, "stratus": 6}, (12, 12))
    assert run("train", folder, "--epochs", 2, "--size", 32, "--cut", "block1_pool",
               "--no-scratch", "--output", tmp_path / "trained") == 0
    assert run("evaluate", tmp_path / "trained" / "model.h5", folder, "--output",
               tmp_path / "measured") == 0
    capsys.readouterr()
    shutil.copytree(tmp_path / "trained", tmp_path / "kfold")
    (tmp_path / "kfold" / "history.csv").write_text("")
    assert run("compare", *(tmp_path / name for name in ("trained", "measured", "kfold")),
               "--output", tmp_path / "figure.png") == 0
    lines = capsys.readouterr().out.splitlines()
    held_out = len(rows(tmp_path / "trained" / "predictions.csv"))
    assert [line.split()[-1] for line in lines[2:4]] == ["–", "–"]
    assert lines[-5].startswith(f"1 and 3: {held_out} photos, 0 right only in the first, 0 only")
    assert lines[-6].startswith(f"1 and 2: {held_out} photos, 0 right only in the first, 0 only")
    with Image.open(tmp_path / "figure.png") as image:
        assert min(image.size) > 300


def test_compare_refuses_one_run_and_the_same_twice(runs, capsys):
    for words in (runs[:1], [runs[0], runs[1], runs[0].parent / "two" / ".." / "one"]):
        assert "two different run folders or more" in refusal(capsys, "compare", *words)


def test_compare_refuses_folders_that_are_no_runs(runs, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert "found none in it" in refusal(capsys, "compare", runs[0], tmp_path / "empty")
    assert "found nothing" in refusal(capsys, "compare", runs[0], tmp_path / "nowhere")
    for text, words in (("a,b\n1,2\n", "begins with photo, true, predicted"),
                        ("", "begins with"), ("photo,true,predicted\na,b\n", "of one length"),
                        ("photo,true,predicted\n", "0 rows"),
                        ("photo,true,predicted\na,b,b\na,b,c\n", "2 rows of 1 photos")):
        (tmp_path / "empty" / "predictions.csv").write_text(text)
        assert words in refusal(capsys, "compare", runs[0], tmp_path / "empty")
    (tmp_path / "empty" / "predictions.csv").write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in refusal(capsys, "compare", runs[0], tmp_path / "empty")
    (runs[1] / "history.csv").write_text("epoch,val_accuracy\n1,good\n")
    assert "numbers under val_accuracy" in refusal(capsys, "compare", *runs)


def test_compare_overwrites_nothing_and_refuses_other_suffixes(runs, tmp_path, capsys):
    figure = tmp_path / "figure.png"
    figure.write_text("mine")
    assert "exists" in refusal(capsys, "compare", *runs, "--output", figure)
    assert figure.read_text() == "mine"
    assert ".png" in refusal(capsys, "compare", *runs, "--output", tmp_path / "figure.txt")
    assert run("compare", *runs, "--output", figure, "--force") == 0
    assert figure.read_bytes()[:4] == b"\x89PNG"
