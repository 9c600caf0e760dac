"""The twelve places where people fall in transfer learning, each with what holds them here.

The numbers are those of the README's list; the oracles are Keras, Pillow, sums by hand, and pixels
that were put where they must be found again. Claims on one part alone stand with that part:

    2  a square stays a square                      data/test_resize.py
    3  softmax of one unit is refused               test_model.py
    4  dropout in a frozen part is off              test_model.py
    5  frozen weights stay bit-identical            training/test_transfer.py
    6  phase one is the run without fine-tuning     training/test_transfer.py
    7  the order of classes                         data/test_folders.py, training/test_loop.py
    9  augmentation changes no evaluation           training/test_transfer.py
   11  Keras' files                                 weights/test_writing.py
"""

import os
import re
import sys

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import pytest
from makers import clothes, contents, read_csv, run_command, write_photos
from PIL import Image
from reference import assert_close, assert_refused, assert_same

import minicnn as mc
from minicnn import cli
from minicnn.data import Augment, Augmented, near_duplicates, read_split, split_parts
from minicnn.losses import BinaryCrossEntropy, CategoricalCrossEntropy
from minicnn.preprocessing import Preprocessing
from minicnn.training import (
    FeatureCache,
    TransferConfig,
    base_with_head,
    evaluate_photos,
    extract_features,
    fit,
    transfer,
)

# Keras on PyTorch, about itself.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")

CLASSES = ["sandal", "sneaker"]
QUICK = {"size": 32, "epochs": 3, "seed": 3}


@pytest.fixture(scope="module")
def frozen_base():
    """VGG16 with a head for two classes, as transfer makes it."""
    return base_with_head(TransferConfig(size=32), CLASSES)


@pytest.fixture
def small(tmp_path):
    """A small network for a and b in a file, its head not at zero."""
    model = mc.SmallCNN(2, (32, 32, 3))
    model.classes = ["a", "b"]
    model.save(tmp_path / "small.h5")
    return model


# 1: preprocessing that does not belong to the weights -------------------------------------------


def test_pitfall_01_vgg16_prepares_pixels_as_keras_does_whoever_calls_it(frozen_base, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    x = keras.applications.vgg16.preprocess_input(pixels.astype(np.float32).copy())
    assert_close(frozen_base.to_input(pixels), x, 1e-6)
    body, _ = frozen_base.split()
    deep = body.forward(np.ascontiguousarray(x, np.float32))
    assert np.abs(deep - body.forward((pixels / 255).astype(np.float32))).max() > 1  # it matters
    data = mc.data.Dataset.from_arrays(pixels, [0, 1], CLASSES)
    assert_close(extract_features(body, data).x, deep, 1e-5)  # what training sees
    assert_close(body.predict(pixels), deep, 1e-5)  # what prediction sees


def test_pitfall_01_the_recipe_is_printed_and_rides_in_the_file(frozen_base, tmp_path):
    assert "channel_order='BGR', mean=(103.939, 116.779, 123.68), scale=1.0" in (
        frozen_base.summary())
    recipe = Preprocessing("BGR", (1.0, 2.0, 3.0), 0.5, 0.75)
    model = mc.Sequential([mc.Flatten(), mc.Dense(1), mc.Sigmoid()], (4, 4, 3),
                          preprocessing=recipe, classes=CLASSES)
    model.save(tmp_path / "m.h5")
    again = mc.load(tmp_path / "m.h5")
    assert again.preprocessing == recipe
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3), dtype=np.uint8)
    by_hand = (pixels[..., ::-1] - np.array([1.0, 2.0, 3.0])) * 0.5
    assert_close(again.to_input(pixels), by_hand.astype(np.float32), 1e-6)


def test_pitfall_01_pixels_for_a_network_without_a_recipe_are_refused(tmp_path, capsys):
    model = mc.Sequential([mc.Flatten(), mc.Dense(1), mc.Sigmoid()], (4, 4, 3), classes=CLASSES)
    model.save(tmp_path / "m.h5")
    write_photos(tmp_path, ["one.png"])
    code, _, said = run_command(capsys, "predict", tmp_path / "m.h5", tmp_path / "one.png")
    assert code == 2 and "preprocessing" in said


# 2: the photo squashed to a square --------------------------------------------------------------


def test_pitfall_02_every_command_gives_the_network_the_same_unsquashed_centre(
        small, tmp_path, monkeypatch, capsys):
    """Of photos of 32 × 64 and 64 × 32 a network of 32 × 32 sees the middle, pixel by pixel."""
    root = tmp_path / "photos"
    wide = write_photos(root, ["a/1.png", "a/2.png", "b/1.png"], (32, 64))
    tall = write_photos(root, ["b/2.png"], (64, 32), seed=1)
    centres = {pixels[:, 16:48].tobytes() for pixels in wide.values()}
    centres |= {pixels[16:48].tobytes() for pixels in tall.values()}
    seen, prepare = [], Preprocessing.__call__
    monkeypatch.setattr(Preprocessing, "__call__",
                        lambda self, pixels: seen.extend(pixels) or prepare(self, pixels))

    def assert_centres_were_seen():
        assert {pixels.tobytes() for pixels in seen} == centres
        seen.clear()

    data, model = mc.data.ImageFolder(root), tmp_path / "small.h5"
    fit(mc.load(model), data, BinaryCrossEntropy(), mc.optimizers.Adam(1e-4), epochs=1)
    assert_centres_were_seen()
    evaluate_photos(mc.load(model), data)
    assert_centres_were_seen()
    assert run_command(capsys, "evaluate", model, root)[0] == 0
    assert_centres_were_seen()
    assert run_command(capsys, "predict", model, root)[0] == 0
    assert_centres_were_seen()
    for i in range(4):
        mc.visualize.grad_cam(mc.load(model), data.read(i))
    assert_centres_were_seen()


# 3: heads and losses that do not fit ------------------------------------------------------------

X, T = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32), np.array([0, 1, 0, 1])


@pytest.mark.parametrize(("units", "end", "loss", "reason"), [
    (1, mc.ReLU, CategoricalCrossEntropy, "ReLU"),
    (1, mc.Sigmoid, CategoricalCrossEntropy, "learns nothing"),
    (2, mc.Softmax, BinaryCrossEntropy, "CategoricalCrossEntropy"),
    (2, mc.Sigmoid, CategoricalCrossEntropy, "Softmax")])
def test_pitfall_03_pairs_that_cannot_learn_are_refused_with_the_reason(units, end, loss, reason):
    model = mc.Sequential([mc.Dense(units), end()], (5,))
    before = model.layers[0].params["W"].copy()
    with assert_refused(reason):
        fit(model, (X, T), loss(), mc.optimizers.SGD(0.1), epochs=1)
    assert_same(model.layers[0].params["W"], before)


def test_pitfall_03_the_head_is_chosen_by_the_number_of_classes():
    for classes, units, end in ((["a", "b"], 1, mc.Sigmoid), (["a", "b", "c"], 3, mc.Softmax)):
        model = base_with_head(TransferConfig(size=32), classes)
        assert model.shapes()[-1] == (units,) and isinstance(model.layers[-1], end)


# 4: statistics of frozen layers that move --------------------------------------------------------


def test_pitfall_04_vgg16_has_no_statistics_that_could_move(frozen_base):
    assert {type(layer) for layer in frozen_base.layers} == {
        mc.Conv2D, mc.MaxPool2D, mc.Flatten, mc.Dense, mc.Sigmoid}
    assert all(layer.params.keys() <= {"W", "b"} for layer in frozen_base.layers)


@pytest.mark.parametrize("cached", [True, False])
def test_pitfall_04_training_behind_a_frozen_dropout_is_training_without_it(cached):
    def losses(*rest):
        model = mc.Sequential([mc.Dense(8, name="first"), *rest, mc.Dense(1, name="head"),
                               mc.Sigmoid()], (5,))
        model["head"].params["W"][...] = 1
        model.freeze(until=model.layers[len(rest)].name)
        return fit(model, (X, T), BinaryCrossEntropy(), mc.optimizers.SGD(0.1), epochs=3,
                   callbacks=[FeatureCache(enabled=cached)])["loss"]

    assert losses(mc.Dropout(0.5)) == losses()


# 5: frozen layers that train, and the other way round -------------------------------------------


def test_pitfall_05_the_counts_that_are_printed_are_those_of_the_layers(frozen_base):
    channels = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512]  # block1_conv1 … block4_conv3
    frozen = sum(9 * c * f + f for c, f in zip(channels, channels[1:], strict=False))
    head = 2 * 2 * 512 + 1  # block4_pool of 32 × 32 pixels
    assert (f"{frozen + head:,} parameters: {head:,} trainable, {frozen:,} frozen"
            in frozen_base.summary())
    states = dict(re.findall(r"^(block\d_conv\d|dense) .*(trainable|frozen)",
                             frozen_base.summary(), re.M))
    assert states.pop("dense") == "trainable" and set(states.values()) == {"frozen"}


# 6: a base unfrozen under a random head, or with a large step ------------------------------------


def test_pitfall_06_the_base_waits_until_the_head_has_learnt_and_then_moves_little():
    fresh = mc.VGG16(include_top=False, input_shape=(32, 32, 3))
    both = transfer(clothes(), clothes("test"), finetune="block5", finetune_epochs=2, **QUICK)
    # Phase one, the head alone, has learnt something when phase two begins.
    assert both.history["loss"][2] < 0.9 * np.log(2)
    for name in ("block5_conv1", "block5_conv2", "block5_conv3"):
        before, after = fresh[name].params["W"], both.model[name].params["W"]
        assert 0 < np.linalg.norm(after - before) < 0.01 * np.linalg.norm(before)


def test_pitfall_06_a_collapse_is_noticed_and_said():
    run = transfer(clothes(), clothes("test"), finetune="block5", finetune_epochs=2,
                   finetune_lr=0.3, **QUICK)
    assert len(set(run.evaluation.predicted.tolist())) == 1  # every photo is the same to it
    said = " ".join(run.notes)
    assert "Fine-tuning made the model worse" in said and "--finetune-lr" in said
    assert f"for all {len(run.evaluation.labels)} photos" in said
    good = transfer(clothes(), clothes("test"), finetune="block5", finetune_epochs=2, **QUICK)
    assert not any("worse" in note or "of all" in note for note in good.notes)


# 7: the order of the classes, the order of the predictions --------------------------------------


@pytest.fixture
def numbered(tmp_path):
    """Classes 1, 2 and 10, photos 1, 2 and 10 of each; a class is told by its brightness."""
    root = tmp_path / "photos"
    for k, name in enumerate(("1", "2", "10")):
        for number in (10, 2, 1):
            (root / name).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (32, 32), (20 + 100 * k,) * 3).save(root / name / f"{number}.png")
    return root


@pytest.fixture
def by_brightness(tmp_path):
    """A network that tells them: logits 2 a m − a² of the mean m, for a = −1, 0, 1."""
    model = mc.Sequential([mc.GlobalAveragePool2D(), mc.Dense(3), mc.Softmax()], (32, 32, 3),
                          preprocessing=Preprocessing("RGB", (120.0,) * 3, 0.01),
                          classes=["1", "2", "10"])
    model.layers[1].params["W"][...] = np.array([-20, 0, 20]) / 3
    model.layers[1].params["b"][...] = [-10, 0, -10]
    model.save(tmp_path / "m.h5")
    return tmp_path / "m.h5"


def test_pitfall_07_predictions_carry_file_names_and_the_names_of_the_classes(
        numbered, by_brightness, tmp_path, capsys):
    assert mc.load(by_brightness).classes == ["1", "2", "10"]
    given = [numbered / "10" / "2.png", numbered / "1" / "10.png", numbered / "2" / "1.png"]
    out = tmp_path / "p.csv"
    assert run_command(capsys, "predict", by_brightness, *given, "-o", out)[0] == 0
    rows = read_csv(out)
    assert [(row["photo"], row["predicted"]) for row in rows] == list(
        zip(map(str, given), ("10", "1", "2"), strict=True))
    assert all(float(row[row["predicted"]]) == max(float(row[c]) for c in ("1", "2", "10"))
               for row in rows)


# 8: photos on both sides of a split --------------------------------------------------------------


@pytest.fixture
def copied(tmp_path):
    """20 smooth photos a class; of the first 8 of a there are copies, smaller and saved again."""
    root, rng = tmp_path / "photos", np.random.default_rng(0)
    for name in "ab":
        (root / name).mkdir(parents=True)
        for k in range(20):
            coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
            photo = coarse.resize((64, 64), Image.Resampling.BICUBIC)
            photo.save(root / name / f"{k}.png")
            if name == "a" and k < 8:
                photo.resize((48, 48)).save(root / name / f"copy{k}.jpg", quality=85)
    return root


def assert_apart(parts):
    """parts: photo -> part. Copies beside their originals; every class is divided 3 : 1."""
    for k in range(8):
        assert parts[f"a/{k}.png"] == parts[f"a/copy{k}.jpg"]
    for name, count in (("a", 28), ("b", 20)):
        test = [photo for photo, part in parts.items() if part == "test" and photo[0] == name]
        assert abs(len(test) - count / 4) <= 1


def test_pitfall_08_near_copies_stay_on_one_side_of_a_stratified_split(copied):
    data = mc.data.ImageFolder(copied)
    for seed in range(5):
        parts = split_parts(data, {"train": 0.75, "test": 0.25}, near_duplicates(data), seed)
        assert_apart(dict(zip(data.names, parts, strict=True)))


def test_pitfall_08_the_split_is_written_to_a_file_that_gives_it_back(copied, tmp_path, capsys):
    code, text, _ = run_command(capsys, "data", copied, "--output", tmp_path / "report")
    assert code == 0 and "near" in text
    rows = {row["photo"]: row["part"] for row in read_csv(tmp_path / "report" / "split.csv")}
    assert len(rows) == 48
    assert_apart(rows)
    parts = read_split(tmp_path / "report" / "split.csv", mc.data.ImageFolder(copied))
    assert {name: part for part, data in parts.items() for name in data.names} == rows


def test_pitfall_08_copies_share_a_fold_and_every_fold_has_every_class(copied):
    data = mc.data.ImageFolder(copied)
    plain, groups = data.folds(5), near_duplicates(data)
    place = {name: i for i, name in enumerate(data.names)}
    pairs = [(place[f"a/{k}.png"], place[f"a/copy{k}.jpg"]) for k in range(8)]
    assert any(plain[i] != plain[j] for i, j in pairs)  # left to the draw, copies straddle
    for seed in range(5):
        fold = data.folds(5, seed, groups)
        assert all(fold[i] == fold[j] for i, j in pairs)
        for label, count in enumerate((28, 20)):
            sizes = np.bincount(fold[data.labels == label], minlength=5)
            assert sizes.max() - sizes.min() <= 2 and sizes.sum() == count
        alone = data.folds(5, seed, np.arange(len(data)))
        assert_same(alone, data.folds(5, seed))
    with assert_refused("4 photos of each class that differ", "3 of 'a'"):
        data.folds(4, groups=np.where(data.labels == 0, np.arange(len(data)) % 3, 100 + groups))
    with assert_refused("a group for each of 48 photos", "(5,)"):
        data.folds(5, groups=np.arange(5))


def test_pitfall_08_the_command_line_keeps_copies_in_one_fold(copied, tmp_path, monkeypatch,
                                                             capsys):
    """No network is asked for a photo whose copy it has learnt from."""
    seen = []

    def watched(train, test, *rest, **options):
        seen.append((set(train.names), set(test.names)))
        return transfer(train, test, *rest, **options)

    monkeypatch.setattr(sys.modules["minicnn.training.cross_validation"], "transfer",
                        watched)
    options = ["--size", 32, "--epochs", 1, "--output", tmp_path / "run", "--kfold", 3]
    code, _, _ = run_command(capsys, "train", copied, *options)
    assert code == 0 and len(seen) == 3
    for learnt, asked in seen:
        for k in range(8):
            original, copy = f"a/{k}.png", f"a/copy{k}.jpg"
            assert not {original, copy} & learnt or not {original, copy} & asked


@pytest.mark.parametrize("words", [["probes", "vgg16", "--size", "32"], ["transfer-curve"],
                                   ["ablation"]], ids=lambda words: words[0])
def test_pitfall_08_analyses_that_test_keep_copies_together(words, copied, tmp_path, monkeypatch):
    """The groups that the function is given, or its two parts, hold each copy with its original."""
    jobs = []
    monkeypatch.setattr("minicnn.cli.look_jobs.Job.run", lambda job: jobs.append(job) or ())
    assert cli.main(["look", *words, str(copied), "--output", str(tmp_path / "x.png")]) == 0
    *_, first, last = [None, *jobs[0].arguments]
    if words == ["ablation"]:
        part = {name: k for k, data in enumerate((first, last)) for name in data.names}
        assert len(part) == 48
    else:
        part = dict(zip(last.names, jobs[0].keywords["groups"], strict=True))
    assert all(part[f"a/{k}.png"] == part[f"a/copy{k}.jpg"] for k in range(8))


# 9: augmentation or shuffling in evaluation ------------------------------------------------------


def test_pitfall_09_photos_are_evaluated_as_they_are_and_in_their_order():
    data, model = clothes("test", 20), mc.SmallCNN(2, (32, 32, 3))
    result = evaluate_photos(model, data, batch_size=7)
    alone = [model.predict(mc.data.resize_and_crop(data.read(i), (32, 32))[None])[0, 0]
             for i in range(len(data))]
    assert_close(result.probabilities[:, 1], np.array(alone), 1e-5)
    assert_same(result.labels, data.labels)
    for again in (evaluate_photos(model, data), evaluate_photos(model, data.subset(range(40)))):
        assert_same(again.predicted, result.predicted)


def test_pitfall_09_views_are_refused_where_photos_are_evaluated():
    views = Augmented(clothes(), Augment.parse("flip"), 2)
    with assert_refused("evaluate_photos", "Augmented"):
        evaluate_photos(mc.SmallCNN(2), views)


# 10: EXIF ----------------------------------------------------------------------------------------


def test_pitfall_10_photos_are_rotated_by_their_exif_and_their_number_is_reported(tmp_path, capsys):
    root = tmp_path / "photos"
    write_photos(root, ["a/1.png", "a/2.png", "b/1.png", "b/2.png"])
    upright = np.zeros((40, 60, 3), np.uint8)
    upright[:20] = 255  # the sky is bright
    turns = {6: 1, 3: 2, 8: 3}  # the camera's value, and quarter turns of what the sensor stores
    for value, quarter in turns.items():
        exif = Image.Exif()
        exif[0x0112] = value
        Image.fromarray(np.rot90(upright, quarter)).save(root / "a" / f"turned{value}.png",
                                                         exif=exif)
        assert_same(mc.data.read_image(root / "a" / f"turned{value}.png"), upright)
    data = mc.data.ImageFolder(root)
    assert data.rotated == 3 and "3 rotated by EXIF" in repr(data)
    text = run_command(capsys, "data", root, "--output", tmp_path / "report")[1]
    assert "3 photos rotated by EXIF" in text


# 11: the exported model predicts otherwise -------------------------------------------------------


def test_pitfall_11_our_file_predicts_the_same_in_keras(small, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    theirs = keras.models.load_model(tmp_path / "small.h5", compile=False)
    expected = np.asarray(theirs.predict(pixels / np.float32(127.5) - 1, verbose=0))
    assert np.ptp(expected) > 1e-3
    assert_close(small.predict(pixels), expected, 1e-5)
    again = mc.load(tmp_path / "small.h5")
    assert_same(again.predict(pixels), small.predict(pixels))
    assert again.classes == ["a", "b"]


def test_pitfall_11_a_run_s_file_alone_gives_the_run_s_predictions(tmp_path, capsys):
    root = tmp_path / "photos"
    write_photos(root, [f"{c}/{k}.png" for c in "ab" for k in range(6)], (40, 56))
    assert run_command(capsys, "train", root, "--size", "32", "--epochs", "2", "--no-scratch",
                       "--output", tmp_path / "run")[0] == 0
    rows = read_csv(tmp_path / "run" / "predictions.csv")
    given = [root / row["photo"] for row in rows]
    (tmp_path / "elsewhere").mkdir()
    alone = (tmp_path / "run" / "model.h5").rename(tmp_path / "elsewhere" / "m.h5")
    assert run_command(capsys, "predict", alone, *given, "-o", tmp_path / "p.csv")[0] == 0
    for before, after in zip(rows, read_csv(tmp_path / "p.csv"), strict=True):
        assert after["predicted"] == before["predicted"]
        assert abs(float(after["b"]) - float(before["b"])) < 1e-5


# 12: what is there is not overwritten ------------------------------------------------------------


@pytest.mark.parametrize("holds", ["history.csv", "notes.txt", "model.h5"])
def test_pitfall_12_a_run_folder_in_use_is_refused_and_left_as_it_is(holds, tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    (run / holds).write_text("of yesterday")
    before = contents(tmp_path)
    code, _, said = run_command(capsys, "train", "--per-class", 2, "--size", 32, "--epochs", 1,
                                "--output", run)
    assert code == 2 and f"{run}: expected a new or empty folder" in said
    assert "Nothing is overwritten" in said and contents(tmp_path) == before


def test_pitfall_12_runs_without_a_name_get_a_new_folder_each(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["train", "--per-class", 2, "--size", 32, "--epochs", 1, "--no-scratch"]
    assert run_command(capsys, *words)[0] == 0
    before = contents(tmp_path / "runs")
    assert run_command(capsys, *words)[0] == 0
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"cirrus-cumulus-1",
                                                                     "cirrus-cumulus-2"}
    after = contents(tmp_path / "runs")
    assert before and {path: after[path] for path in before} == before


def test_pitfall_12_predictions_and_reports_are_not_overwritten_unasked(small, tmp_path, capsys):
    root = tmp_path / "photos"
    write_photos(root, [f"{c}/{k}.png" for c in "ab" for k in range(4)])
    (tmp_path / "p.csv").write_text("mine")
    words = "predict", tmp_path / "small.h5", root, "-o", tmp_path / "p.csv"
    assert run_command(capsys, *words)[0] == 2
    assert (tmp_path / "p.csv").read_text() == "mine"
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "scores.json").write_text("mine")
    for words in (("evaluate", tmp_path / "small.h5", root), ("data", root)):
        code, _, said = run_command(capsys, *words, "--output", tmp_path / "e")
        assert code == 2 and "expected a new or empty folder" in said
    assert contents(tmp_path / "e") == {"scores.json": b"mine"}
