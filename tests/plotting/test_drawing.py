"""A map that shows nothing says so, in words on grey; others keep 0 where the eye expects it."""

import numpy as np
import pytest

from minicnn.plotting import drawing

BAD = {"zero": (np.zeros((4, 5)), "zero everywhere"),
       "flat": (np.full((4, 5), 0.25), "0.25 everywhere"),
       "NaN": (np.where(np.eye(4, 5) > 0, np.nan, 1.0), "not finite in 4 of 20 elements"),
       "infinite": (np.where(np.eye(4, 5) > 0, -np.inf, 1.0), "not finite in 4 of 20 elements")}


def axes():
    return drawing.new_figure(3, 3).subplots()


def texts(ax):
    return " ".join(text.get_text() for text in ax.texts)


def assert_grey_field_that_says(ax, words):
    assert "nothing to show" in texts(ax) and words in texts(ax)
    picture = np.asarray(ax.images[0].get_array())
    assert len(ax.images) == 1 and (picture == picture[0, 0, 0]).all()
    ax.figure.canvas.draw()


@pytest.mark.parametrize("values, words", BAD.values(), ids=BAD)
def test_a_map_that_shows_nothing_says_why(values, words):
    assert drawing.why_blank(values) == words
    ax = axes()
    drawing.show_map(ax, values, over=np.zeros((8, 10, 3), np.uint8))
    assert_grey_field_that_says(ax, words)


@pytest.mark.parametrize("values, words", BAD.values(), ids=BAD)
@pytest.mark.parametrize("C", [1, 3])
def test_a_signed_picture_that_shows_nothing_says_why(values, words, C):
    ax = axes()
    drawing.show_signed(ax, np.repeat(values[..., None], C, axis=-1))
    assert_grey_field_that_says(ax, words)


def test_a_nan_of_the_last_channel_alone_is_said():
    x = np.random.default_rng(0).normal(size=(4, 5, 3))
    x[1, 2, 2] = np.nan
    ax = axes()
    drawing.show_signed(ax, x)
    assert_grey_field_that_says(ax, "not finite in 1 of 20 elements")


def test_a_map_of_both_signs_is_symmetric_about_0_and_one_of_one_sign_is_not():
    signed, positive = axes(), axes()
    drawing.show_map(signed, np.array([[-1.0, 3], [0, 2]]))
    drawing.show_map(positive, np.array([[1.0, 3], [0, 2]]))
    assert signed.images[0].get_clim() == (-3, 3)
    assert positive.images[0].get_clim() == (0, 3)
    red, _, blue, _ = signed.images[0].cmap(signed.images[0].norm(0.0))
    assert abs(red - blue) < 0.02 and red > 0.9  # 0 is white
    assert texts(signed) == texts(positive) == ""


def test_zero_is_mid_grey_in_a_signed_picture():
    x = np.zeros((3, 3, 3))
    x[0, 0], x[2, 2] = 1, -1
    ax = axes()
    drawing.show_signed(ax, x)
    picture = np.asarray(ax.images[0].get_array())
    assert picture[:, :, 0].tolist() == [[1, 0.5, 0.5], [0.5, 0.5, 0.5], [0.5, 0.5, 0]]


def test_a_signed_picture_of_other_channels_is_the_map_of_their_sum(rng):
    x = rng.normal(size=(4, 5, 7))
    ax = axes()
    drawing.show_signed(ax, x)
    np.testing.assert_allclose(np.asarray(ax.images[0].get_array()), x.sum(axis=-1))


@pytest.mark.parametrize("share, text", [
    (0.734, "73.4 %"), (0.5, "50.0 %"), (1, "100.0 %"), (0, "0.0 %"), (0.996, "99.6 %"),
    (0.99996, "99.996 %"), (0.0004, "0.04 %"), (0.99949, "99.9 %"), (0.9996, "99.96 %")])
def test_a_percentage_is_not_rounded_to_all_or_nothing(share, text):
    assert drawing.percent_text(share) == text


@pytest.mark.parametrize("value, text", [(1130.2, "1130"), (43.48, "43.5"), (0.0123, "0.0123"),
                                         (99999.6, "1e+05"), (-250.4, "-250"), (0, "0")])
def test_numbers_of_a_title_are_short_and_without_powers_where_people_have_none(value, text):
    assert drawing.short_number(value) == text


def test_a_map_over_a_photo_is_red_above_0_blue_below_and_the_grey_photo_at_0():
    photo = np.full((1, 4, 3), (90, 120, 150), np.uint8)
    seen = drawing.heat_over(np.array([[2.0, -2.0, 0.0, 0.2]]), photo).astype(int)[0]
    strong, against, nothing, weak = seen
    assert strong[0] > strong[2] + 80 and against[2] > against[0] + 80
    assert nothing.tolist() == [round(255 * (0.2 + 0.8 * 120 / 255))] * 3
    assert 5 < weak[0] - weak[2] < strong[0] - strong[2]
