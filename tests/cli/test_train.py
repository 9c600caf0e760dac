"""`minicnn train` with the options of the lab: what is written, what is reproduced, refusals."""

import json
import re
import shutil
from collections import Counter

import pytest
from makers import before_saving, page_of, run_command, striped_folder
from makers import read_csv as table
from PIL import Image

import minicnn as mc
from minicnn.cli import main
from minicnn.report import FILES
from minicnn.training import Checkpoint
from tests.training.interruptions import content

FAST = ["--size", "32", "--cut", "block2_pool", "--epochs", "2", "--no-scratch"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return striped_folder(tmp_path_factory.mktemp("lab") / "photos", {"left": 12, "right": 10})


def train(capsys, *words):
    return run_command(capsys, "train", *words)


def test_a_run_says_an_epoch_a_line_and_keeps_best_last_options_and_split(
        photos, tmp_path, capsys):
    out = tmp_path / "run"
    code, text, _ = train(capsys, photos, "--size", "32", "--epochs", "2", "--no-scratch",
                          "--output", out, "--patience", "3", "--finetune", "block2",
                          "--finetune-epochs", "1", "--augment", "flip", "--views", "2",
                          "--schedule", "cosine", "--find-lr", "--class-weights", "-v")
    assert code == 0
    assert [line.split()[1] for line in text.splitlines() if line.startswith("epoch ")] == [
        "1/3", "2/3", "3/3"]
    assert {p.name for p in out.iterdir()} == {
        *FILES, "last.h5", "lr.png"}
    parts = [row["part"] for row in table(out / "split.csv")]
    assert {part: parts.count(part) for part in set(parts)} == {"train": 13, "validation": 4,
                                                                "test": 5}
    page = page_of(out / "report.html")
    assert page["validation_name"] == "validation" and len(page["history"]["val_loss"]) == 3
    assert 10 ** page["rates"]["best"] == pytest.approx(float(
        re.search(r"Learning rate, where the loss fell fastest: (\S+)", text)[1]), rel=0.01)
    assert len(page["first_batch"]) == 13 and [one["name"] for one in page["parts"]] == [
        "train", "validation", "test"]
    assert any("weights of epoch" in note for note in page["notes"])
    options = json.loads((out / "run.json").read_text())
    assert options.pop("used")["cut"] == "block2_pool"
    assert page["options"] == [list(pair) for pair in options.items()]
    assert options["finetune"] == "block2" and options["views"] == 2 and options["find_lr"] is True
    losses = [float(row["val_loss"]) for row in table(out / "history.csv")]
    model = mc.load(out / "model.h5")
    chosen = {row["photo"] for row in table(out / "split.csv") if row["part"] == "validation"}
    folder = mc.data.ImageFolder(photos)
    validation = folder.subset([i for i, name in enumerate(folder.names) if name in chosen])
    pixels = validation.images(range(4), (32, 32), model.preprocessing.crop_fraction)
    learnt = Counter(row["class"] for row in table(out / "split.csv") if row["part"] == "train")
    loss = mc.losses.BinaryCrossEntropy(
        class_weight=[13 / 2 / learnt[name] for name in ("left", "right")])
    assert min(losses) < 0.9 * losses[-1]
    for one, value in ((model, min(losses)), (mc.load(out / "last.h5"), losses[-1])):
        assert loss.forward(one.predict(pixels), validation.labels) == pytest.approx(value,
                                                                                     rel=1e-4)


def test_a_config_from_before_the_clouds_is_of_the_clothes(tmp_path, capsys):
    """Until 0.2 there was one sample, and run.json did not name it."""
    options = {"folder": None, "classes": None, "per_class": 2, "size": 32, "epochs": 1,
               "cut": "block1_pool", "no_scratch": True}
    for name, more, classes in (("old", {}, "sandal or sneaker?"),
                                ("new", {"sample": None}, "cirrus or cumulus?")):
        (tmp_path / f"{name}.json").write_text(json.dumps(options | more))
        code, text, _ = train(capsys, "--config", tmp_path / f"{name}.json", "--output",
                              tmp_path / name)
        assert code == 0 and classes in text


def test_a_config_reproduces_the_run_and_the_split_file_its_parts(photos, tmp_path, capsys):
    first, second, third = (tmp_path / name for name in "abc")
    options = [*FAST, "--seed", "3", "--dropout", "0.2"]
    assert train(capsys, photos, *options, "--output", first)[0] == 0
    assert train(capsys, "--config", first / "run.json", "--output", second)[0] == 0
    for name in ("history.csv", "predictions.csv", "split.csv"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert train(capsys, photos, *FAST, "--seed", "9", "--split", first / "split.csv", "--output",
                 third)[0] == 0
    assert (first / "split.csv").read_bytes() == (third / "split.csv").read_bytes()


@pytest.mark.parametrize(("words", "epochs", "dropout"), [
    ("--epochs 1", 1, 0.2), ("--epochs 60", 60, 0.2), ("--dropout 0", 2, 0)])
def test_options_given_count_more_than_those_of_the_config_defaults_too(
        words, epochs, dropout, photos, tmp_path, capsys):
    config = tmp_path / "run.json"
    config.write_text(json.dumps({"folder": str(photos), "size": 32, "epochs": 2, "dropout": 0.2,
                                  "no_scratch": True}))
    out = tmp_path / "out"
    assert train(capsys, "--config", config, *words.split(), "--output", out)[0] == 0
    assert len(table(out / "history.csv")) == epochs
    kept = json.loads((out / "run.json").read_text())
    assert (kept["epochs"], kept["dropout"], kept["size"]) == (epochs, dropout, 32)


@pytest.mark.parametrize("words", ["--epochs 60", "--device cpu", "--seed 1 --no-scratch"])
def test_a_run_that_goes_on_refuses_other_options_defaults_too(words, tmp_path, capsys):
    code, _, err = train(capsys, "--resume", tmp_path, *words.split())
    assert code == 2 and "--resume: expected no other options" in err
    assert all(word in err for word in words.split() if word[0] == "-")


def test_copies_of_a_photo_go_to_one_side(tmp_path, capsys):
    root = striped_folder(tmp_path / "photos", {"left": 8, "right": 8})
    for k in range(4):
        with Image.open(root / "left" / f"{k}.png") as photo:
            photo.resize((80, 80)).save(root / "left" / f"copy{k}.jpg", quality=80)
    assert train(capsys, root, *FAST, "--output", tmp_path / "run")[0] == 0
    part = {row["photo"]: row["part"] for row in table(tmp_path / "run" / "split.csv")}
    assert [part[f"left/{k}.png"] for k in range(4)] == [part[f"left/copy{k}.jpg"]
                                                          for k in range(4)]


def test_kfold_predicts_every_photo_once(photos, tmp_path, capsys):
    out = tmp_path / "run"
    code, text, _ = train(capsys, photos, *FAST, "--kfold", "2", "--output", out)
    assert code == 0 and "fold 1:" in text and "fold 2:" in text and "standard deviation" in text
    assert "12 + 10 training photos, each of them tested once." in text
    assert sorted(row["photo"] for row in table(out / "predictions.csv")) == sorted(
        mc.data.ImageFolder(photos).names)
    assert [row["part"] for row in table(out / "split.csv")] == ["train"] * 22
    assert len(table(out / "folds.csv")) == 2
    assert {p.name for p in out.iterdir()} == {*FILES, "folds.csv"} - {"model.h5", "curves.png"}
    page = page_of(out / "report.html")
    assert page["parts"] == [{"name": "train", "counts": [12, 10]}]
    assert len(page["photos"]) == 22 and "standard deviation of the folds" in page["notes"][0]
    assert page["worst"] and not any(one["map"] for one in page["worst"])  # five networks, no one


def test_very_unequal_classes_are_told_unless_weighted(tmp_path, capsys):
    root = striped_folder(tmp_path / "photos", {"left": 4, "right": 16})
    text = train(capsys, root, *FAST, "--output", tmp_path / "a")[1]
    assert "right has 12 photos, left 3" in text and "--class-weights" in text
    assert page_of(tmp_path / "a" / "report.html")["notes"][0].startswith("right has 12 photos")
    assert "Try --class-weights" not in train(capsys, root, *FAST, "--class-weights", "--output",
                                              tmp_path / "b")[1]


@pytest.mark.parametrize(("config", "words"), [
    ({"epoch": 3}, ["epoch", "Nearest: epochs"]), ({"epochs": "ten"}, ["epochs", "ten"]),
    ({"no_scratch": 1}, ["no_scratch", "true or false"]), ([1], ["run.json", "no object"]),
    ("{", ["run.json"]), ({"device": "tpu"}, ["device", "tpu"])])
def test_configs_that_do_not_fit_are_refused(config, words, tmp_path, capsys):
    path = tmp_path / "run.json"
    path.write_text(config if isinstance(config, str) else json.dumps(config))
    code, _, err = train(capsys, "--config", path, "--output", tmp_path / "out")
    assert code == 2 and all(word in err for word in words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("options", "words"), [
    (["--validation-fraction", "1"], ["--validation-fraction", "between 0 and 1"]),
    (["--lr", "0.1", "--find-lr"], ["--lr", "--find-lr"]),
    (["--kfold", "2", "--patience", "3"], ["--kfold", "--patience"]),
    (["--kfold", "2", "--test-fraction", "0.5"], ["--kfold", "--test-fraction"]),
    (["--kfold", "1"], ["--kfold", "1"]), (["--split", "none.csv"], ["none.csv"]),
    (["--split", "none.csv", "--test-fraction", "0.5"], ["--split", "--test-fraction"]),
    (["--schedule", "cosin"], ["--schedule", "cosine"]),
    (["--finetune", "block9"], ["--finetune", "block9"]),
    (["--augment", "turn=3"], ["--augment", "turn=3"]), (["--dropout", "2"], ["--dropout", "2"])])
def test_options_that_do_not_fit_are_refused_and_leave_no_folder(options, words, photos, tmp_path,
                                                                capsys):
    code, _, err = train(capsys, photos, *FAST, *options, "--output", tmp_path / "out")
    assert code == 2 and all(word in err for word in words), err
    assert not (tmp_path / "out").exists()


def test_a_split_of_other_photos_is_refused_by_name(photos, tmp_path, capsys):
    (tmp_path / "split.csv").write_text("photo,class,part\nleft/77.png,left,train\n")
    code, _, err = train(capsys, photos, *FAST, "--split", tmp_path / "split.csv")
    assert code == 2 and "left/" in err and "split.csv" in err


def test_patience_with_a_split_without_validation_says_how_to_get_one(photos, tmp_path, capsys):
    mc.data.write_split(tmp_path / "split.csv", dict(zip(
        ("train", "test"), mc.data.ImageFolder(photos).split(0.5), strict=True)))
    code, _, err = train(capsys, photos, *FAST, "--split", tmp_path / "split.csv", "--patience",
                         "2", "--output", tmp_path / "run")
    assert code == 2 and "minicnn data FOLDER --validation-fraction 0.2" in err
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_split_already_is_taken_as_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for part, count in (("train", 5), ("val", 3), ("test", 4)):
        striped_folder(tmp_path / "photos" / part, {"left": count, "right": count + 1})
    assert main(["train", "photos", "--size", "32", "--epochs", "2", "--no-scratch", "--patience",
                 "1", "--output", "run"]) == 0
    rows = (tmp_path / "run" / "split.csv").read_text("utf-8").splitlines()[1:]
    assert Counter(row.rpartition(",")[2] for row in rows) == {
        "train": 11, "validation": 7, "test": 9}
    assert {(row.split("/")[0], row.rpartition(",")[2]) for row in rows} == {
        ("train", "train"), ("val", "validation"), ("test", "test")}
    capsys.readouterr()
    shutil.rmtree(tmp_path / "photos" / "val")
    assert main(["train", "photos", "--patience", "1"]) == 2
    assert "expected train, val and test for --patience" in capsys.readouterr().err
    assert main(["train", "photos", "--kfold", "3"]) == 2
    assert "--kfold: expected only with a folder that is not split" in capsys.readouterr().err
    (tmp_path / "photos" / "test" / "left").rename(tmp_path / "photos" / "test" / "lift")
    assert main(["train", "photos"]) == 2
    assert "expected the classes of train, left, right, in test, too" in capsys.readouterr().err


@pytest.mark.parametrize("edited", [False, True], ids=["a folder that is split", "a split file"])
def test_copies_of_what_is_learnt_among_the_test_photos_are_told(edited, tmp_path, capsys):
    root = striped_folder(tmp_path / "photos", {"left": 8, "right": 8})
    tests = [root / side / f"{k}.png" for side in ("left", "right") for k in (6, 7)]
    for k in range(4):
        tests.append(root / "left" / f"copy{k}.jpg")
        with Image.open(root / "left" / f"{k}.png") as photo:
            photo.resize((80, 80)).save(tests[-1], quality=80)
    before, options = "left/", []
    if edited:
        folder = mc.data.ImageFolder(root)
        parts = ["test" if item in tests else "train" for item in folder.items]
        mc.data.write_split(tmp_path / "split.csv", mc.data.subsets(folder, parts))
        options = ["--split", tmp_path / "split.csv"]
    else:
        for path in list(root.glob("*/*")):
            new = root / ("test" if path in tests else "train") / path.relative_to(root)
            new.parent.mkdir(parents=True, exist_ok=True)
            path.rename(new)
        shutil.rmtree(root / "left")
        shutil.rmtree(root / "right")
        before = "test/left/"
    code, text, _ = train(capsys, root, *FAST, *options, "--output", tmp_path / "run")
    names = ", ".join(f"{before}copy{k}.jpg" for k in range(3))
    told = f"Near copies of training photos: 4 of the 8 others ({names}, …), so"
    assert code == 0 and told in text
    assert page_of(tmp_path / "run" / "report.html")["notes"][0].startswith(told)
    for k in range(4):
        (root / ("left" if edited else "test/left") / f"copy{k}.jpg").unlink()
    if edited:
        mc.data.write_split(tmp_path / "split.csv", dict(zip(
            ("train", "test"), mc.data.ImageFolder(root).split(0.5), strict=True)))
    text = train(capsys, root, *FAST, *options, "--output", tmp_path / "clean")[1]
    assert "Near copies" not in text


# Photos whose header is good and whose pixels are damaged


def damage(path):
    """Half of the file is left."""
    content = path.read_bytes()
    path.write_bytes(content[:len(content) // 2])


def test_damaged_photos_are_skipped_counted_and_named_and_the_split_file_says_so(
        tmp_path, capsys):
    root = striped_folder(tmp_path / "photos", {"left": 8, "right": 8})
    for name in ("left/3.png", "right/6.png"):
        damage(root / name)
    code, text, _ = train(capsys, root, *FAST, "--output", tmp_path / "a")
    assert code == 0 and "2 files are left out:\n" in text
    assert "left/3.png: expected a readable photo" in text and "right/6.png: expected" in text
    rows = table(tmp_path / "a" / "split.csv")
    assert [row["photo"] for row in rows if row["part"] == "unreadable"] == [
        "left/3.png", "right/6.png"]
    assert Counter(row["part"] for row in rows) == {"train": 10, "test": 4, "unreadable": 2}
    page = page_of(tmp_path / "a" / "report.html")
    assert [line.split(": ")[0].rpartition("/")[2] for line in page["skipped"]] == [
        "3.png", "6.png"]
    assert page["parts"][-1] == {"name": "unreadable", "counts": [1, 1]}
    # the same with that split, and one more that has been damaged since
    damage(root / "left" / next(row["photo"] for row in rows if row["part"] == "train")[5:])
    code, text, _ = train(capsys, root, *FAST, "--split", tmp_path / "a" / "split.csv",
                          "--output", tmp_path / "b")
    assert code == 0 and "3 files are left out:\n" in text
    assert Counter(row["part"] for row in table(tmp_path / "b" / "split.csv")) == {
        "train": 9, "test": 4, "unreadable": 3}


def test_damaged_photos_of_a_folder_that_is_split_already_are_skipped(tmp_path, capsys):
    for part, count in (("train", 5), ("test", 3)):
        striped_folder(tmp_path / "photos" / part, {"left": count, "right": count})
    damage(tmp_path / "photos" / "test" / "left" / "1.png")
    code, text, _ = train(capsys, tmp_path / "photos", *FAST, "--output", tmp_path / "run")
    assert code == 0 and "1 file is left out:\n" in text
    assert [row["photo"] for row in table(tmp_path / "run" / "split.csv")
            if row["part"] == "unreadable"] == ["test/left/1.png"]
    assert len(table(tmp_path / "run" / "predictions.csv")) == 5


def stop_and_go_on(monkeypatch, capsys, folder, *words):
    """A run that is stopped at its first checkpoint, and resumed."""
    with monkeypatch.context() as patch:
        before_saving(patch, Checkpoint.stop)
        assert train(capsys, *words, "--output", folder)[0] == 130
    assert train(capsys, "--resume", folder)[0] == 0


def test_a_run_that_goes_on_names_the_same_damaged_photos_in_the_same_bytes(
        tmp_path, monkeypatch, capsys):
    root = striped_folder(tmp_path / "photos", {"left": 8, "right": 8})
    damage(root / "right" / "5.png")
    (root / "left" / "notes.txt").write_text("no photo")
    assert train(capsys, root, *FAST, "--output", tmp_path / "whole")[0] == 0
    stop_and_go_on(monkeypatch, capsys, tmp_path / "stopped", root, *FAST)
    assert content(tmp_path / "stopped") == content(tmp_path / "whole")


def test_a_kfold_run_that_goes_on_has_the_folds_it_began_with(tmp_path, monkeypatch, capsys):
    root = striped_folder(tmp_path / "photos", {"left": 6, "right": 6})
    for k in range(3):
        shutil.copy(root / "left" / f"{k}.png", root / "left" / f"copy{k}.png")
    damage(root / "right" / "5.png")
    options = [*FAST, "--kfold", "2", "--lr", "1e-30"]  # it learns nothing, and that is told
    text = train(capsys, root, *options, "--output", tmp_path / "whole")[1]
    assert "training photos, each of them tested once." in text
    assert "predicts left for all" in text
    assert "predicts left for all" in page_of(tmp_path / "whole" / "report.html")["notes"][1]
    stop_and_go_on(monkeypatch, capsys, tmp_path / "stopped", root, *options)
    assert content(tmp_path / "stopped") == content(tmp_path / "whole")


@pytest.mark.parametrize("split", [False, True])
def test_a_class_of_which_nothing_can_be_read_is_refused(split, tmp_path, capsys):
    root = striped_folder(tmp_path / "photos", {"left": 4, "right": 6})
    options = []
    if split:
        mc.data.write_split(tmp_path / "split.csv", dict(zip(
            ("train", "test"), mc.data.ImageFolder(root).split(0.5), strict=True)))
        options = ["--split", tmp_path / "split.csv"]
    for photo in (root / "left").iterdir():
        damage(photo)
    code, text, err = train(capsys, root, *FAST, *options, "--output", tmp_path / "run")
    assert code == 2 and "photos of 'left'" in err and not (tmp_path / "run").exists()
    assert split or "4 files are left out:\n" in text


# Photos that a run began with and that are not there any more


@pytest.mark.parametrize("what", ["gone", "damaged", "new"])
@pytest.mark.parametrize("parted", [False, True])
def test_a_run_goes_on_only_with_the_photos_it_began_with(
        parted, what, tmp_path, monkeypatch, capsys):
    root = tmp_path / "photos"
    for part in ("train", "test") if parted else ("",):
        striped_folder(root / part, {"left": 5, "right": 5})
    output = tmp_path / "run"
    victim = root / ("train/left" if parted else "left") / "2.png"
    content = victim.read_bytes()

    def stop_and_change(kept):
        kept.stop()
        (victim.unlink if what == "gone" else lambda: damage(victim) if what == "damaged" else
         victim.with_name("new.png").write_bytes(content))()

    with monkeypatch.context() as patch:
        before_saving(patch, stop_and_change, step=1)
        assert train(capsys, root, *FAST, "--output", output)[0] == 130
    code, _, err = train(capsys, "--resume", output)
    name = "new.png" if what == "new" else "2.png"
    assert code == 2 and f"left/{name}" in err
    assert err.endswith(" back as they were, or begin a new run.\n")
    victim.write_bytes(content)
    victim.with_name("new.png").unlink(missing_ok=True)
    assert train(capsys, "--resume", output)[0] == 0


@pytest.mark.usefixtures("checkpoint_every_step")
def test_a_photo_that_vanishes_while_it_learns_is_to_be_put_back(tmp_path, monkeypatch, capsys):
    root = striped_folder(tmp_path / "photos", {"left": 5, "right": 5})
    kept = {}

    def take_away(checkpoint):
        for path in (root / "left").iterdir():
            kept[path] = path.read_bytes()
            path.unlink()

    with monkeypatch.context() as patch:
        before_saving(patch, take_away)
        code, _, err = train(capsys, root, *FAST, "--finetune", "block2", "--finetune-epochs", "1",
                             "--output", tmp_path / "run")
    assert code == 2 and "found no such file; check the path, or put it back where it was." in err
    assert "Go on with: minicnn train --resume" in err
    for path, kept_bytes in kept.items():
        path.write_bytes(kept_bytes)
    assert train(capsys, "--resume", tmp_path / "run")[0] == 0


def test_a_split_needs_photos_of_each_class_to_learn_from(photos, tmp_path, capsys):
    data = mc.data.ImageFolder(photos)
    left = data.labels == 0
    mc.data.write_split(tmp_path / "split.csv", {"train": data.subset(left),
                                                 "test": data.subset(~left)})
    code, _, err = train(capsys, photos, *FAST, "--split", tmp_path / "split.csv", "--output",
                         tmp_path / "run")
    assert code == 2 and "expected photos of each class in train, found none of right. " in err
    assert not (tmp_path / "run").exists()
    mc.data.write_split(tmp_path / "split.csv", {  # the test may lack one
        "train": data.subset(range(1, len(data))), "test": data.subset([0])})
    assert train(capsys, photos, *FAST, "--split", tmp_path / "split.csv", "--output",
                 tmp_path / "run")[0] == 0
