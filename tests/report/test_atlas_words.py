"""The words and numbers of the atlas are those of a reader: names as typed, no Python."""

import re

import numpy as np
import pytest
from makers import random_pixels

import minicnn as mc
from minicnn.models.vgg16 import PREPROCESSING
from minicnn.report.atlas import about, collect, preprocessing_in_words, write_atlas
from minicnn.report.html import number_text
from minicnn.utils.language import use_language

FEW = {"maps": 1, "examples": 2, "maximised": False}


@pytest.mark.parametrize("value, text", [
    (16912.4, "16,912"), (8643, "8,643"), (582.06, "582"), (43.481, "43.5"), (-6.242, "−6.24"),
    (0, "0"), (-1e-5, "−1e-05"), (np.float32(99.99), "100"), (3e12, "3e+12")])
def test_a_number_is_one_that_can_be_read_aloud(value, text):
    assert number_text(float(value)) == text


def test_a_number_in_french_has_its_signs():
    with use_language("fr"):
        assert (number_text(16912.4), number_text(-6.242)) == ("16\u202f912", "−6,24")


@pytest.mark.parametrize("recipe, words", [
    (PREPROCESSING, "RGB → BGR, minus ImageNet’s mean colour"),
    (mc.Preprocessing("RGB", (0, 0, 0), 1.0), "RGB"),
    (mc.Preprocessing("GREY", (127.5,), 0.25, 0.875),
     "in grey, minus 127.5, from the middle 87.5 % of the photo, times 0.25"),
    (mc.Preprocessing("RGB", (1, 2, 2), 1.0), "RGB, minus 1 / 2 / 2")])
def test_preprocessing_is_a_sentence(recipe, words):
    assert preprocessing_in_words(recipe) == words


def test_below_the_layers_stand_parameters_preprocessing_and_classes_and_no_file():
    model = mc.SmallCNN(20)
    model.weights_note, model.preprocessing = "model.h5: set 22 arrays", PREPROCESSING
    model.classes = [f"class {k}" for k in range(20)]
    lines = about(model)
    count = sum(p.size for layer in model.layers for p in layer.params.values())
    assert lines[0].startswith(f"{count:,} parameters")
    assert lines[1] == "preprocessing: RGB → BGR, minus ImageNet’s mean colour"
    assert lines[2].startswith("classes: class 0, ") and lines[2].endswith("class 11, … and 8 more")
    assert len(lines) == 3


def network(classes):
    model = mc.SmallCNN(10)
    if classes == 2:
        return model.replace_head([mc.Dense(1), mc.Sigmoid()], classes=["a", "b"])
    model.classes = [f"class {k}" for k in range(10)]
    return model


def test_the_page_calls_the_model_as_it_was_typed(tmp_path):
    photos = list(random_pixels(3, 28, 28, 3))
    text = write_atlas(tmp_path / "a.html", network(2), photos, name="runs/a-1", **FEW).read_text(
        "utf-8")
    assert "runs/a-1, 3 photos at 28 × 28 pixels" in text and "Preprocessing(" not in text


@pytest.mark.parametrize("classes", [2, 10])
def test_no_card_stands_alone_in_its_row_and_the_second_class_is_beside_the_first(classes,
                                                                                  tmp_path):
    photos = list(random_pixels(3, 28, 28, 3))
    text = write_atlas(tmp_path / "a.html", network(classes), photos, **FEW).read_text("utf-8")
    grids = re.findall(r'<div class="grid middle" style="--n: (\d)">(.*?)</div></section>', text,
                       re.S)
    assert len(grids) == 2  # of the first photo with all methods, and of the second
    for columns, cards in grids:
        titles = re.findall(r"<h4>(.*?)</h4>", cards)
        assert len(titles) % int(columns) == 0 and int(columns) > 2
        if classes == 2:
            assert titles[:2] == ["what the network sees", "HiResCAM"]
            assert sum(title.startswith("HiResCAM") for title in titles) == 1
        else:
            assert titles[0] == "HiResCAM" and titles[1].startswith("HiResCAM for class ")
    assert "⚠" in grids[0][1]


def test_maps_stand_in_the_order_of_their_bars():
    model = mc.SmallCNN(10)
    page = collect(model, list(random_pixels(12, 28, 28, 3)), maps=8, examples=1, n=4,
                   maximised=False)
    shares = [[entry["share"] for entry in layer["maps"]] for layer in page["layers"]]
    assert all(values == sorted(values, reverse=True) and values[0] == 1 for values in shares)
    assert len(set(sum(shares, []))) > 8


def test_the_numbers_of_a_map_are_those_of_its_own_patches():
    photos = list(random_pixels(6, 28, 28, 3))
    model = mc.SmallCNN(10)
    for layer in collect(model, photos, maps=4, examples=1, n=2, maximised=False)["layers"]:
        y = model.activations(model.to_input(np.stack(photos)), [layer["name"]])[layer["name"]]
        for entry in layer["maps"]:
            expected = y[..., entry["unit"]].max()
            assert entry["strongest"] == entry["patches"][0]["activation"]
            assert float(entry["strongest"].replace(",", "")) == pytest.approx(expected, rel=5e-3)
