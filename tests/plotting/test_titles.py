"""No title is wider than its figure: what does not fit in a line stands in two."""

import numpy as np
import pytest

from minicnn.plotting import drawing
from minicnn.visualize.features.top_patches import TopPatches

LONG = "block4_conv3: patches 92 × 92 and what in them excites the map"


def boxes(figure):
    """(text, its box in pixels, the box of what it stands in) of each title of a drawn figure."""
    renderer = figure.canvas.get_renderer()
    return [(text.get_text(), text.get_window_extent(renderer), part.bbox)
            for part in (figure, *figure.subfigs) for text in part.texts]


def assert_inside(figure, count):
    drawing.png(figure)
    shown = boxes(figure)
    assert len(shown) == count
    for text, box, outer in shown:
        assert outer.x0 <= box.x0 < box.x1 <= outer.x1, text
        assert outer.y0 <= box.y0 < box.y1 <= outer.y1, text


@pytest.mark.parametrize("words", [LONG, "short", "two lines:\n" + LONG, f"{LONG}, {LONG}"])
def test_a_title_keeps_its_words_and_its_size_and_lies_within_the_figure(words):
    figure = drawing.new_figure(6, 4)
    figure.subplots()
    title = figure.suptitle(words, fontsize=20)
    assert_inside(figure, 1)
    assert title.get_text().split() == words.split() and title.get_fontsize() == 20
    if words == "short":
        assert title.get_text() == "short"
    if words.startswith("two"):
        assert title.get_text().split("\n")[0] == "two lines:"


def test_titles_of_parts_lie_within_their_parts():
    figure = drawing.new_figure(8, 4)
    for part in figure.subfigures(1, 2):
        part.suptitle(LONG)
        part.subplots()
    assert_inside(figure, 2)


def test_the_titles_of_top_patches_of_one_map_lie_within_the_figure():
    result = TopPatches("block4_conv3", np.array([7]), np.full((1, 4), 16910.2),
                        np.zeros((1, 4), int), np.zeros((1, 4, 2), int), np.zeros((1, 4, 4), int),
                        np.zeros((1, 4, 92, 92, 3), np.uint8), np.zeros((1, 4, 92, 92, 3)),
                        (92, 92), (128, 128), ["a"])
    assert_inside(result.figure(), 2)
