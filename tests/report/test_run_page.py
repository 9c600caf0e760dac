"""The page of a run holds what was measured, shows what was fed, is the same bytes each time."""

import functools
import html
import json
import re

import numpy as np
import pytest
from makers import classifier, images_of, page_of, random_pixels
from PIL import Image

import minicnn as mc
from minicnn.evaluation import Evaluation, roc_auc
from minicnn.plotting import drawing
from minicnn.report import photos, run_labels, run_photos, run_pictures, scores_of, write_run_page
from minicnn.report.photos import explanation, first_batch, pictures_of
from minicnn.report.run_pictures import photos_of_cells
from minicnn.training import Setting, TransferConfig

EVIL = "</script><script>window.bad = 1</script>"
network = functools.partial(classifier, 2, one_sigmoid=True, names=["a", "b"])


def data_of(n=14, classes=("a", "b")):
    images, labels = random_pixels(n, 20, 24, 3, seed=1), np.arange(n) % len(classes)
    return mc.data.Dataset.from_arrays(images, labels, classes)


def evaluation(data, K=2):
    p = np.random.default_rng(2).dirichlet(np.ones(K), len(data))
    return Evaluation(p, data.labels, data.classes)


def written(folder, data, result, **more):
    """The page's JSON."""
    options = {"model": network(), "rows": {"a network": result}, "options": {"seed": 0}, **more}
    folder.mkdir(exist_ok=True)
    write_run_page(folder, result, data, scores_of(result), **options)
    return page_of(folder / "report.html")


def test_the_page_has_the_numbers_of_each_photo_and_of_all(tmp_path):
    data = data_of()
    result = evaluation(data)
    page = written(tmp_path / "run", data, result, notes=["careful"], skipped=["x.jpg: bad"],
                   history={"loss": np.float32([1, 0.5])}, validation_name="test",
                   parts={"train": data, "unreadable": data.subset([0])},
                   options={"lr": None, "folder": "photos"}, photos_name="test")
    p = result.probabilities
    for row, name, label, said, q in zip(page["photos"], data.names, data.labels, result.predicted,
                                         p[:, 1], strict=True):
        assert (row["name"], row["true"], row["predicted"], row["q"]) == (name, label, said, q)
        assert row["p"] == p[data.names.index(name)].max()
    assert {*data.names} <= {alt for alt, _ in images_of(tmp_path / "run" / "report.html")}
    assert page["rows"] == [{"name": "a network", "correct": result.num_correct, "count": 14,
                             "accuracy": result.accuracy, "interval": list(result.interval)}]
    assert page["chance"] == "Always saying a would be right for 50.0 %."
    assert page["curves"]["roc"][0]["area"] == roc_auc(p[:, 1], data.labels == 1)
    assert (page["notes"], page["skipped"]) == (["careful"], ["x.jpg: bad"])
    assert page["history"] == {"loss": [1, 0.5]}
    assert page["parts"] == [{"name": "train", "counts": [7, 7]},
                             {"name": "unreadable", "counts": [1, 0]}]
    assert page["options"] == [["lr", None], ["folder", "photos"]]


def test_beside_confidence_right_is_that_of_the_class_it_names_whatever_the_threshold(tmp_path):
    data = data_of()
    result = evaluation(data)
    named = result.accuracy
    result.predicted = (result.probabilities[:, 1] >= 0.9995).astype(int)
    assert result.accuracy != named
    page = written(tmp_path / "run", data, result)
    assert page["rows"][0]["accuracy"] == result.accuracy and page["confidence_accuracy"] == named
    curve = page["calibration"]
    assert named == pytest.approx(sum(n * (share or 0) for n, share in zip(
        curve["count"], curve["accuracy"], strict=True)) / 14)


def test_the_errors_come_first_then_the_least_sure_and_each_says_why(tmp_path):
    data = data_of()
    result = evaluation(data)
    own = result.probabilities[np.arange(14), data.labels]
    page = written(tmp_path / "run", data, result)
    ranked = np.argsort(own)
    wrong = [i for i in ranked if result.predicted[i] != data.labels[i]][:8]
    order = [*wrong, *[i for i in ranked if result.predicted[i] == data.labels[i]][:3]]
    assert [one["name"] for one in page["worst"]] == [data.names[i] for i in order]
    for one, i in zip(page["worst"], order, strict=True):
        k = result.predicted[i]
        assert one["predicted"] == f"{100 * result.probabilities[i, k]:.1f} % {data.classes[k]}"
        assert one["correct"] == (k == data.labels[i]) and one["map"] and not one["blank"]
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "predictions.png", "report.html", "worst.png"]


def test_curves_of_both_networks_share_their_axes_whatever_the_keys_are_called(tmp_path):
    data = data_of()
    result = evaluation(data)
    history = {"loss": [0.9, 0.4, 0.2], "accuracy": [0.5, 0.75, 1.0],
               "held_out_loss": [0.8, 0.5, 0.6], "held_out_accuracy": [0.5, 0.8, 0.7]}
    written(tmp_path / "run", data, result, history=history, scratch_history={
        "loss": [0.7, 0.6], "accuracy": [0.5, 0.6], "val_loss": [0.7, 0.7],
        "val_accuracy": [0.5, 0.55]}, validation_name="test")
    text = (tmp_path / "run" / "report.html").read_text("utf-8")
    accuracy, loss = re.findall(r'<svg[^>]* data-hover="\w+">.*?</svg>', text, re.S)[::2]  # wide
    assert accuracy.count('class="line') == loss.count('class="line') == 4
    assert "lowest loss: epoch 2" in loss and "lowest loss" not in accuracy
    for words in ("a network: held-out 70.0 %", "scratch: test 55.0 %",
                  "a network: training 100.0 %", "the axis begins at 50 %"):
        assert words in (text if "axis" in words else accuracy)
    assert 'data-range="1,3,0.5,1"' in accuracy


def test_an_epoch_chosen_by_validation_photos_is_marked_on_both_curves(tmp_path):
    data = data_of()
    result = evaluation(data)
    written(tmp_path / "run", data, result, validation_name="validation", history={
        "loss": [0.9, 0.4, 0.2], "accuracy": [0.5, 0.75, 1.0], "val_loss": [0.8, 0.5, 0.6],
        "val_accuracy": [0.5, 0.8, 0.7]})
    text = (tmp_path / "run" / "report.html").read_text("utf-8")
    accuracy, loss = re.findall(r'<svg[^>]* data-hover="\w+">.*?</svg>', text, re.S)[::2]  # wide
    assert "best, kept: epoch 2" in accuracy and "best, kept: epoch 2" in loss


def test_what_was_set_is_what_differs_from_the_defaults_and_what_run_json_says(tmp_path):
    data = data_of()
    options = {"size": 96, "epochs": 60, "augment": "flip", "seed": 0, "lr": None, "device": "cpu"}
    used = {"command": "minicnn train --size 96", "started": "2026-11-28T14:05:59+01:00",
            "minicnn": "1.2", "python": "3.13", "numpy": "2", "system": "Linux x86_64",
            "processor": "A <chip>", "cores": 2, "learning_rate": 2.5e-06, "seconds": 3671.2,
            "photos": {"train": 12, "test": 6}, "backend": "native", "device": "cuda"}
    written(tmp_path / "run", data, evaluation(data), options=options, used=used,
            notes=[Setting("learning rate of the head 2.5e-06"), "Careful: few photos."])
    text = (tmp_path / "run" / "report.html").read_text("utf-8")
    settings = text[text.index('id="settings"'):]
    differs, rest = settings[:settings.index("What was used")], settings[
        settings.index("What was used"):settings.index("All 6 options")]
    assert re.findall(r'scope="row">(--[\w-]+)', differs) == ["--size", "--augment"]
    assert "minicnn train --size 96</pre>" in differs
    for words in (">2.5e-06<", ">1 h 1 min 11 s<", ">minicnn 1.2, Python 3.13, NumPy 2<",
                  ">2026-11-28 14:05<", ">A &lt;chip&gt;, Linux x86_64, 2 cores<",
                  ">train 12, test 6<"):
        assert words in rest
    assert ">native<" not in rest  # a GPU computed
    notes = text[text.index('id="notes"'):text.index("</ul>", text.index('id="notes"'))]
    assert "Careful" in notes and "learning rate" not in notes


def test_photos_that_it_is_sure_are_of_another_class_put_their_label_in_doubt():
    labels = np.array([0, 0, 1, 1])
    result = Evaluation(np.array([[0.05, 0.95], [0.3, 0.7], [0.01, 0.99], [0.98, 0.02]]), labels,
                        ["a", "b"])
    assert run_labels.doubtful_labels(result) == [3, 0]
    by_threshold = Evaluation(result.probabilities, labels, ["a", "b"])
    by_threshold.predicted = np.array([0, 0, 1, 0])  # "b" only from 0.96 on
    assert run_labels.doubtful_labels(by_threshold) == [3, 0]
    assert run_photos.surest_of_each_class(result) == [2]
    assert run_photos.wrong_and_least_sure(result) == ([3, 0, 1], [2])


def test_the_frame_is_the_crop_that_the_network_sees():
    tall = mc.data.Dataset.from_arrays(np.zeros((1, 40, 20, 3), np.uint8), [0], ["a"])
    photo = run_photos.whole_photo(tall, 0, (8, 8), mc.Preprocessing(crop_fraction=0.5))
    assert photo.pixels.shape == (400, 200, 3) and photo.is_cropped
    assert photo.crop == (150, 50, 250, 150)  # the middle half of the shorter side
    assert "top:37.50%;left:25.00%;height:25.00%;width:50.00%" in photo.frame()
    square = mc.data.Dataset.from_arrays(np.zeros((1, 20, 20, 3), np.uint8), [0], ["a"])
    assert run_photos.whole_photo(square, 0, (8, 8), None).frame() is None


def test_calibration_is_left_out_of_few_photos(tmp_path):
    for n, shown in ((48, False), (50, True)):
        data = data_of(n)
        written(tmp_path / str(n), data, evaluation(data), explained=False)
        text = (tmp_path / str(n) / "report.html").read_text("utf-8")
        assert ('id="calibration"' in text) == shown


def test_a_map_of_one_class_is_the_negative_of_the_other(tmp_path, monkeypatch):
    maps = []
    monkeypatch.setattr(drawing, "heat_over", lambda values, over: maps.append(values) or over)
    data, model = data_of(2), network()
    sharp = pictures_of(data, [0], (8, 8), None)[0]
    for target in (0, 1):
        assert explanation(model, data, 0, target, sharp)[1] == ""
    np.testing.assert_allclose(maps[0], -maps[1])
    assert maps[0].shape == sharp.shape[:2] == (128, 128)


def test_a_network_without_maps_says_so_instead(tmp_path):
    model = mc.Sequential([mc.Flatten(), mc.Dense(1), mc.Sigmoid()], (8, 8, 3),
                          preprocessing=mc.Preprocessing(scale=1 / 255), classes=["a", "b"])
    data = data_of()
    page = written(tmp_path / "run", data, evaluation(data), model=model)
    assert all(not one["map"] and "convolution" in one["blank"] for one in page["worst"])
    page = written(tmp_path / "fold", data, evaluation(data), explained=False)
    assert all(not one["map"] and not one["blank"] for one in page["worst"])


@pytest.mark.parametrize("augment", ["", "flip,shift,colour"])
def test_the_first_batch_is_the_one_that_the_network_is_given(augment, monkeypatch):
    data, model, given = data_of(), network(), []
    config = TransferConfig(augment=augment, views=3, batch_size=5, seed=4)
    to_input = mc.Sequential.to_input
    monkeypatch.setattr(mc.Sequential, "to_input",
                        lambda self, images: given.append(images) or to_input(self, images))
    mc.fit(model, config.augmented(data), mc.losses.BinaryCrossEntropy(), mc.optimizers.SGD(0.1),
           epochs=1, batch_size=5, seed=4)
    shown = first_batch(model, data, config)
    np.testing.assert_array_equal([one.pictures[0] for one in shown], given[0])
    assert given[0].dtype == np.uint8 and {one.lines[0] for one in shown} <= {"a", "b"}


def test_pictures_are_what_the_network_sees_and_sharper():
    data = data_of()
    found = pictures_of(data, [3, 1], (8, 12), mc.Preprocessing(crop_fraction=0.8))
    assert sorted(found) == [1, 3] and found[3].shape == (128, 192, 3)
    np.testing.assert_array_equal(found[3], data.images([3], (128, 192), 0.8)[0])


def test_a_photo_that_has_vanished_since_is_left_out(tmp_path):
    data = data_of(6)
    for k, photo in enumerate(data.items):
        Image.fromarray(photo).save(tmp_path / f"{k}.png")
    data.items = [tmp_path / f"{k}.png" for k in range(6)]
    (tmp_path / "2.png").unlink()
    page = written(tmp_path / "run", data, evaluation(data))
    assert not any("image 2" in alt for alt, _ in images_of(tmp_path / "run" / "report.html"))
    assert len(page["worst"]) == 5 and len(page["photos"]) == 6
    assert len(first_batch(network(), data, TransferConfig(batch_size=6))) == 5


def test_the_page_with_the_comparison_has_the_pictures_of_the_first_one(tmp_path):
    data, folder = data_of(), tmp_path / "run"
    result = evaluation(data)
    options = {"model": network(), "options": {}, "first_batch": []}
    folder.mkdir()
    shown = write_run_page(folder, result, data, scores_of(result), rows={"a": result}, **options)
    first = page_of(folder / "report.html")
    (folder / "worst.png").unlink()
    again = write_run_page(folder, result, data, scores_of(result), pictures=shown,
                           rows={"a": result, "b": result}, **options)
    second = page_of(folder / "report.html")
    assert again is shown and not (folder / "worst.png").exists()  # nothing is drawn again
    assert [row["name"] for row in second.pop("rows")] == ["a", "b"]
    assert [row["name"] for row in first.pop("rows")] == ["a"] and first == second


def test_wrong_photos_have_pictures_before_right_ones(monkeypatch):
    data = data_of(60)
    result = evaluation(data)
    own = result.probabilities[np.arange(60), data.labels]
    wrong = result.predicted != data.labels
    monkeypatch.setattr(run_pictures, "MAX_PICTURES", 40)
    monkeypatch.setattr(run_pictures, "MAX_PER_CELL", 12)
    chosen = photos_of_cells(result, own)
    assert len(chosen) == len(set(chosen)) == 40 or len(chosen) < 40
    for i in (0, 1):
        cell = np.flatnonzero(wrong & (data.labels == i))
        expected = cell[np.argsort(own[cell])][:12]
        assert set(expected) <= set(chosen) and set(cell) & set(chosen) == set(expected)


def test_many_classes_and_one_class_without_photos_have_a_page(tmp_path):
    data = data_of(30, [f"class {k}" for k in range(30)])
    data = data.subset(range(29))
    page = written(tmp_path / "run", data, evaluation(data, 30), explained=False)
    assert len(page["shown"]) == 25 and len(page["curves"]["roc"]) == 6
    assert page["youden"] is None and "q" not in page["photos"][0]
    one = data_of(4).subset([0, 2])  # of one class alone
    page = written(tmp_path / "one", one, evaluation(one))
    assert page["curves"] == {"roc": [], "precision": []} and page["youden"] is None


def test_names_stay_text_and_nothing_is_loaded_from_elsewhere(tmp_path):
    data = data_of(6, [EVIL, "b"])
    data.names = [EVIL] * 6
    page = written(tmp_path / "run", data, evaluation(data), notes=[EVIL], skipped=[EVIL])
    text = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert EVIL not in text and text.count("<script") == 2 and page["classes"][0] == EVIL
    assert html.escape(EVIL) in text
    assert "default-src 'none'" in text and "innerHTML" not in text and "{{" not in text
    assert re.findall(r"https?://[\w./]+|@import|url\(|<script[^>]*src", text) == []


def test_the_same_run_leaves_the_same_bytes(tmp_path):
    data = data_of()
    result = evaluation(data)
    fed = first_batch(network(), data, TransferConfig(augment="flip"))
    for name in "ab":
        written(tmp_path / name, data, result, first_batch=fed)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()
    assert (tmp_path / "a" / "batch.png").exists()


def test_pictures_of_photos_have_frames_and_labels(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(photos.drawing, "save", lambda figure, path: drawn.append(figure))
    shown = [photos.PhotoPanel([np.full((8, 4, 3), 9, np.uint8)], [f"label {k}", "→ " + "$x" * 9],
                               (True, False, None)[k % 3]) for k in range(7)]
    photos.draw(shown, tmp_path / "x.png", "A title", 3)
    ax, = drawn[0].axes
    assert len(ax.images) == 7 and [text.get_text() for text in ax.texts][:3] == [
        "A title", "label 0", "→ " + r"\$x" * 7 + "…"]
    colours = [line.get_color() for line in ax.get_lines()]
    assert colours == ["#0072b2", "#d55e00"] * 2 + ["#0072b2"]
    assert min(text.get_fontsize() for text in ax.texts) >= 12
    left, right, bottom, top = ax.images[6].get_extent()
    assert (right - left) / (bottom - top) == pytest.approx(0.5)  # its proportions are kept
    assert 0 <= left < right <= ax.get_xlim()[1] and bottom <= ax.get_ylim()[0]


def test_scores_are_json_without_nan():
    one = data_of(4).subset([0, 2])
    scores = scores_of(evaluation(one), 0.25)
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores
    assert scores["per_class"]["b"]["roc_auc"] is None and scores["threshold"] == 0.25


def labels_of(page):
    """The section on labels, as HTML."""
    text = page.read_text("utf-8")
    return text[text.index('id="labels"'):].partition("</section>")[0]


def sure_of_a(data, *doubted):
    """Predictions that agree with the labels, but for these photos."""
    said = data.labels.copy()
    said[list(doubted)] = 1 - said[list(doubted)]
    p = np.where(said[:, None] == [0, 1], 0.95, 0.05)
    return Evaluation(p, data.labels, data.classes)


def test_doubted_labels_of_training_photos_stand_apart_from_held_out_ones(tmp_path):
    test, train = data_of(), data_of(30)
    train.names = [f"train-{k}.jpg" for k in range(30)]
    written(tmp_path / "run", test, sure_of_a(test, 3), photos_name="held-out",
            training=(train, sure_of_a(train, *range(10))))
    section = labels_of(tmp_path / "run" / "report.html")
    held_out, training = section.split("<h3>Training photos</h3>")
    assert "For 11 photos" in held_out and held_out.count("<img") == 1
    assert "<h3>Held-out photos</h3>" in held_out and "train-" not in held_out
    assert training.count("<img") == 8 and "2 more" in training
    assert {f"train-{k}.jpg" for k in range(10)} == set(re.findall(r"train-\d+\.jpg", training))
    assert "trained without it" in training


def test_without_doubts_on_training_photos_the_section_speaks_of_held_out_ones_only(tmp_path):
    test, train = data_of(), data_of(30)
    written(tmp_path / "a", test, sure_of_a(test, 3), training=(train, sure_of_a(train)))
    assert "Training photos" not in labels_of(tmp_path / "a" / "report.html")
    written(tmp_path / "b", test, sure_of_a(test), training=(train, sure_of_a(train)))
    assert 'id="labels"' not in (tmp_path / "b" / "report.html").read_text("utf-8")
