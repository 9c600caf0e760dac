"""The charts of a run's page: every text lies within its drawing, in the widest of the fonts."""

import re
from html import unescape
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import ImageFont

from minicnn.evaluation import Evaluation
from minicnn.report import run_charts, run_photos, svg
from minicnn.utils.language import use_language

FONTS = Path(matplotlib.get_data_path(), "fonts", "ttf")
LONG = "Cumulonimbus capillatus incus praecipitatio"


def texts(markup):
    """(width of the drawing, words, x, their width in pixels, anchor) of each text; widths as
    Pillow measures them in the style sheet's type."""
    for width, drawing in re.findall(r'<svg viewBox="0 0 (\d+) \d+".*?>(.*?)</svg>', markup, re.S):
        for attributes, words in re.findall(r"<text(.*?)>(.*?)</text>", drawing):
            shown = dict(re.findall(r'([\w-]+)="([^"]*)"', attributes))
            kind = shown.get("class", "").split()
            font = ImageFont.truetype(
                FONTS / ("DejaVuSans-Bold.ttf" if "end" in kind else "DejaVuSans.ttf"),
                16 if width == "350" else 18)
            yield (int(width), unescape(words), float(shown["x"]), font.getlength(unescape(words)),
                   shown["text-anchor"])


def assert_inside(markup, count):
    found = list(texts(markup))
    assert len(found) >= count
    for width, words, x, wide, anchor in found:
        left = x - {"start": 0, "middle": 0.5, "end": 1}[anchor] * wide
        assert -1 <= left and left + wide <= width + 1, words


def curves(*names):
    return [run_charts.Curve(name, photos, f"k{k} {kind}", np.linspace(0.5, end, 12))
            for k, name in enumerate(names) for photos, kind, end in (
                ("held-out", "held", 0.933), ("entraînement", "train", 1.0))]


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("shares", [True, False])
def test_the_ends_of_learning_curves_are_labelled_within_the_drawing(language, shares):
    with use_language(language):
        chart = run_charts.learning_chart("", "", curves("VGG16", "…" + LONG[-21:]), shares,
                                          (12, "lowest loss: epoch 12"), 2)
    assert_inside(chart, 16)


def test_on_a_phone_a_curve_ends_with_its_value():
    chart = run_charts.learning_chart("", "", curves("VGG16"), True, None, 2)
    wide, phone = ([words for width, words, *_ in texts(chart) if (width == 350) == narrow]
                   for narrow in (False, True))
    assert {"VGG16: held-out 93.3 %", "VGG16: entraînement 100.0 %"} <= set(wide)
    assert {"93.3 %", "100.0 %"} <= set(phone) and not any("held" in words for words in phone)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_long_names_of_networks_and_classes_stay_within_the_drawing(share):
    rows = [run_charts.Accuracy(name, round(share * 60), 60) for name in ("VGG16", LONG[:22])]
    assert_inside(run_charts.accuracy_bar(rows, (f"always saying {LONG}, {LONG}", share)), 10)
    labels = np.arange(40) % 2
    assert_inside(run_charts.histogram(np.linspace(0, 1, 40), labels, [LONG, LONG[::-1]]), 8)


def test_the_axis_of_accuracies_says_where_it_begins():
    above = run_charts.learning_chart("", "right", curves("VGG16"), True, None, 2)
    assert 'data-range="1,12,0.5,1"' in above and "the axis begins at 50 %" in above
    low = [curve._replace(values=[0.48, 0.9]) for curve in curves("VGG16")]
    below = run_charts.learning_chart("", "right", low, True, None, 2)
    assert 'data-range="1,2,0,1"' in below and "the axis begins" not in below


def test_words_too_wide_for_a_drawing_are_shortened_others_are_not():
    plot = svg.Plot("", svg.PHONE, 100, (0, 1), (0, 1), (0, 0, 0, 0))
    for words in (LONG * 3, "short"):
        plot.text(340, 10, words)
    long, short = (words for _width, words, *_ in texts(plot.svg()))
    assert long.endswith("…") and len(long) > 20 and short == "short"


def test_the_caption_of_a_photo_on_top_has_space_for_the_class(tmp_path):
    p = np.array([[0.99998, 0.00002], [0.3, 0.7]])
    result = Evaluation(p, np.array([0, 1]), ["cumulus", "cirrus"])
    photo = run_photos.WholePhoto(np.zeros((40, 40, 3), np.uint8), (0, 0, 40, 40))
    shown = run_photos.hero_photos({0: photo, 1: photo}, [0, 1], [], type("Data", (), {
        "names": ["a", "b"]}), result)
    assert "<strong>✓ 99.9 % cumulus</strong>" in shown and "<strong>✓ 70.0 % cirrus" in shown


def test_of_many_classes_an_error_shows_the_probability_of_its_label_too():
    p = np.array([[0.5, 0.3, 0.2], [0.5, 0.4, 0.1]])
    result = Evaluation(p, np.array([1, 1]), ["a", "b", "c"])
    photo = run_photos.WholePhoto(np.zeros((40, 40, 3), np.uint8), (0, 0, 40, 40))
    wrong, unsure = run_photos.wrong_and_least_sure(result)
    shown = run_photos.looking_section({0: photo, 1: photo}, {}, wrong, unsure, type("Data", (), {
        "names": ["first", "second"]}), result)
    assert re.findall(r"label: ([^<]*)<", shown) == ["b 30.0 %", "b 40.0 %"]
