"""What Jupyter shows of models, data, histories and results: whole, escaped, bounded, and without
IPython."""

import base64
import io
import re
from dataclasses import dataclass
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from reference import assert_refused

import minicnn as mc
from minicnn.evaluation import Evaluation
from minicnn.plotting import drawing
from minicnn.training import History, LearningRates
from minicnn.visualize.result import Result

HOSTILE = "<script>alert('x')</script> & \"sons\""


class Page(HTMLParser):
    """The tags, the rows of the tables as lists of cells, the text and the pictures of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.rows, self.pictures, self.words = set(), [], [], []
        self.within = False  # a table
        self.feed(html)
        self.text = " ".join(self.words)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.within |= tag == "table"
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "img":
            head, data = dict(attrs)["src"].split(",")
            assert re.fullmatch("data:image/(png|jpeg);base64", head)
            self.pictures.append(opened(base64.b64decode(data, validate=True)))

    def handle_endtag(self, tag):
        self.within &= tag != "table"

    def handle_data(self, data):
        self.words.append(data)
        if self.within:
            self.rows[-1][-1] += data


def opened(content):
    picture = Image.open(io.BytesIO(content))
    picture.load()
    return picture


def assert_png(content, size):
    """A PNG of so many pixels that is not one even colour."""
    picture = opened(content)
    assert (picture.format, picture.size) == ("PNG", size)
    assert len(picture.convert("L").getcolors()) > 10


@pytest.fixture
def model():
    model = mc.Sequential(
        [mc.Conv2D(4, 3, activation="relu", name=HOSTILE), mc.Flatten(), mc.Dense(2, name="fc"),
         mc.Softmax()], (8, 9, 3), name="<b>net</b>", classes=[HOSTILE, "dog"])
    model.freeze(until=HOSTILE)
    return model


def test_a_model_is_the_table_of_its_summary(model):
    page = Page(model._repr_html_())
    assert page.rows == [["layer", "kind", "output", "parameters", "", "sees"],
                         [HOSTILE, "Conv2D + relu", "(6, 7, 4)", "112", "frozen", "3 × 3"],
                         ["flatten", "Flatten", "(168,)", "", "", "3 × 3"],
                         ["fc", "Dense", "(2,)", "338", "trainable", "the whole input"],
                         ["softmax", "Softmax", "(2,)", "", "", "the whole input"]]
    assert "450 parameters: 338 trainable, 112 frozen" in page.text
    assert "<b>net</b>: input (8, 9, 3)" in page.text and f"classes: {HOSTILE}, dog" in page.text


@pytest.mark.parametrize("what", ["model", "data"])
def test_names_are_escaped(what, model):
    pixels = np.zeros((2, 9, 8), np.uint8)
    data = mc.data.Dataset.from_arrays(pixels, [0, 1], [HOSTILE, "dog"])
    page = Page({"model": model, "data": data}[what]._repr_html_())
    assert not page.tags & {"script", "b"} and HOSTILE in page.text


def test_data_are_counts_and_the_first_photos_of_each_class():
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 60, 3), dtype=np.uint8)
    data = mc.data.Dataset.from_arrays(pixels, [0] * 3 + [1] * 27, ["cat", "dog"])
    page = Page(data._repr_html_())
    assert [row[:2] for row in page.rows] == [["cat", "3"], ["dog", "27"]]
    assert "30 photos, 2 classes" in page.text
    assert [picture.size for picture in page.pictures] == [(96, 96)] * (3 + 8)
    shown = np.asarray(page.pictures[1], float)  # JPEG: nearly the photo
    cut = mc.data.resize_and_crop(pixels[1], (96, 96)).astype(float)
    assert np.corrcoef(shown.ravel(), cut.ravel())[0, 1] > 0.9


def test_data_of_many_classes_stay_a_page():
    pixels = np.zeros((1000, 9, 8), np.uint8)
    data = mc.data.Dataset.from_arrays(pixels, np.arange(1000) % 100)
    html = data._repr_html_()
    assert len(Page(html).pictures) == 12 * 8 and len(html) < 300_000


def test_photos_that_cannot_be_read_are_left_out_and_a_class_may_be_empty(tmp_path):
    (tmp_path / "1.png").write_bytes(b"no photo")
    Image.new("RGB", (8, 8)).save(tmp_path / "2.png")
    data = mc.data.Dataset([tmp_path / "1.png", tmp_path / "2.png"], [0, 0], ["a", "b"], "12")
    page = Page(data._repr_html_())
    assert len(page.pictures) == 1 and [row[:2] for row in page.rows] == [["a", "2"], ["b", "0"]]


def test_views_are_shown_as_the_network_gets_them():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    data = mc.data.Dataset.from_arrays(pixels, [0, 1])
    views = mc.data.Augmented(data, mc.data.Augment.parse("rotate=45"), 3)
    shown = Page(views._repr_html_()).pictures
    assert len(shown) == 6
    assert np.abs(np.asarray(shown[0], float) - pixels[0]).mean() > 20


VALUES = {"loss": [0.7, 0.25], "accuracy": [0.5, 0.875], "val_loss": [0.6, 0.5],
          "val_accuracy": [0.5, 0.75]}


def test_a_history_is_a_dict_and_shows_its_curves_and_its_table():
    history = History(VALUES)
    assert history == VALUES and VALUES == history and isinstance(history, dict)
    assert_png(history._repr_png_(), (1488, 612))  # 12.4 × 5.1 inches of 120 pixels
    page = Page(history._repr_html_())
    assert page.rows == [["epoch", *VALUES], ["1", "0.7000", "0.5000", "0.6000", "0.5000"],
                         ["2", "0.2500", "0.8750", "0.5000", "0.7500"]]
    assert [picture.size for picture in page.pictures] == [(1488, 612)] and "2 epochs" in page.text


def test_an_empty_history_is_shown_without_curves():
    assert Page(History()._repr_html_()).pictures == []


def test_an_evaluation_is_its_confusion_matrix_and_says_its_accuracy():
    result = Evaluation(np.eye(2)[[0, 1, 1, 1]], np.array([0, 0, 1, 1]), ["cat", "$dog <i>"])
    assert str(result) == "3 of 4 photos right: 75.0 % (95 % interval 30.1 … 95.4 %)"
    cells = [text.get_text() for text in result.figure().axes[0].texts]
    assert cells == ["1", "1", "0", "2"]
    inches = result.figure().get_size_inches()
    assert_png(result._repr_png_(), tuple(int(side * 120) for side in inches))


def test_a_gradient_check_is_its_table_and_a_learning_rate_finder_its_curve():
    result = mc.gradcheck(mc.ReLU(), np.random.default_rng(0).normal(size=(2, 3)))
    assert repr(result) == str(result) and "dx" in repr(result) and "ok" in repr(result)
    lr = np.logspace(-4, 0, 30)
    rates = LearningRates(lr, 1 - lr + lr ** 2, 1 - lr + lr ** 2, 0.1)
    assert_png(rates._repr_png_(), (1080, 600))


def test_results_of_visualize_show_their_figure():
    @dataclass
    class Map(Result):
        values: np.ndarray

        def figure(self):
            figure = drawing.new_figure(3, 2)
            drawing.show_map(figure.subplots(), self.values, "雲")  # no font has it: in silence
            return figure

    assert_png(Map(np.random.default_rng(0).normal(size=(9, 9)))._repr_png_(), (360, 240))
    found = mc.visualize.grad_cam(mc.SmallCNN(2), np.zeros((28, 28, 3), np.uint8))
    assert opened(found._repr_png_()).format == "PNG"
    with assert_refused("figure()"):
        Result()._repr_png_()


def test_fingerprints_show_thumbnails_and_count_copies():
    pixels = np.random.default_rng(0).integers(0, 256, (70, 40, 60, 3), dtype=np.uint8)
    pixels[69] = pixels[3]
    found = mc.data.perceptual_hashes(mc.data.Dataset.from_arrays(pixels, [0] * 70))
    figure = found.figure()
    assert "70 photos: 1 have the pixels of an earlier one" in figure.get_suptitle()
    assert figure.axes[0].get_title() == "69 = 3" and figure.axes[1].get_title() == "0"
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), found.thumbnails[3])
    assert_png(found._repr_png_(), (1200, 840))
