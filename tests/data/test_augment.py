"""Augmentation: what a view is, that it is the same again, and what is refused."""

import numpy as np
import pytest
from reference import assert_refused, assert_same

import minicnn as mc
from minicnn.data import Augment, Augmented, batches

NONE = {"flip": False, "shift": 0, "rotate": 0, "zoom": 0, "colour": 0}
PHOTO = np.random.default_rng(0).integers(0, 256, (24, 32, 3)).astype(np.uint8)


def view(seed=0, photo=PHOTO, **options):
    return Augment(**{**NONE, **options})(photo, np.random.default_rng(seed))


def smooth_photo():
    """Bright in the middle, fading to the sides, with its centre of mass in the centre."""
    i, j = np.mgrid[-1:1:40j, -1:1:40j]
    return np.repeat(np.uint8(255 * np.exp(-8 * (i**2 + j**2)))[..., None], 3, axis=-1)


def centre(photo):
    w = photo[..., 0].astype(float)
    return np.array([(w * k).sum() / w.sum() for k in np.mgrid[:photo.shape[0], :photo.shape[1]]])


def test_nothing_asked_for_changes_nothing():
    assert_same(view(), PHOTO)


def test_flip_mirrors_every_second_view_left_to_right():
    seen = [view(seed, flip=True) for seed in range(200)]
    mirrored = [np.array_equal(v, PHOTO[:, ::-1]) for v in seen]
    assert all(m or np.array_equal(v, PHOTO) for m, v in zip(mirrored, seen, strict=True))
    assert 70 < sum(mirrored) < 130


def test_shift_moves_a_spot_by_at_most_its_share_and_both_ways():
    photo = smooth_photo()
    moved = np.array([centre(view(s, photo, shift=0.1)) - centre(photo) for s in range(50)])
    assert np.abs(moved).max() < 0.1 * 40 + 0.3
    assert (moved.min(axis=0) < -2).all() and (moved.max(axis=0) > 2).all()


def test_a_quarter_turn_is_that_of_numpy():
    photo = PHOTO[:24, :24]

    class Most:  # draws the limits
        def random(self):
            return 1.0

        def uniform(self, low, high, n):
            return np.array([0, 0, 1, 0, 0, 0, 0.0])

    turned = Augment(**{**NONE, "rotate": 90})(photo, Most())
    assert np.array_equal(turned, np.rot90(photo)) or np.array_equal(turned, np.rot90(photo, -1))


@pytest.mark.parametrize("draw", [1.0, -1.0])
def test_zoom_scales_about_the_centre(draw):
    class Draw:
        def random(self):
            return 1.0

        def uniform(self, low, high, n):
            return np.array([0, 0, 0, draw, 0, 0, 0.0])

    photo = smooth_photo()
    zoomed = Augment(**{**NONE, "zoom": 0.3})(photo, Draw())
    assert np.abs(centre(zoomed) - centre(photo)).max() < 0.2
    at = 20 + round(8 * np.exp(0.3 * draw))  # where column 28 comes to lie
    assert int(zoomed[20, at, 0]) == pytest.approx(int(photo[20, 28, 0]), abs=12)
    assert abs(int(photo[20, at, 0]) - int(photo[20, 28, 0])) > 24


def test_beyond_its_edge_the_photo_goes_on_as_in_a_mirror():
    class Right:
        def random(self):
            return 1.0

        def uniform(self, low, high, n):
            return np.array([1, 0, 0, 0, 0, 0, 0.0])

    moved = Augment(**{**NONE, "shift": 0.25})(PHOTO, Right())  # by 8 of 32 columns
    assert_same(moved, np.concatenate([PHOTO[:, 8:], PHOTO[:, :-9:-1]], axis=1))


def test_colour_moves_the_light_and_leaves_every_edge_in_its_place():
    seen = [view(seed, smooth_photo() // 2 + 40, colour=0.3) for seed in range(40)]
    means = [v.mean() for v in seen]
    assert max(means) > 1.15 * min(means)
    assert all(np.abs(centre(v) - 19.5).max() < 0.5 for v in seen)


def test_grey_keeps_its_grey():
    v = view(3, smooth_photo(), colour=0.5)
    assert np.ptp(v, axis=-1).max() == 0


def test_a_view_is_the_same_again_and_every_view_is_another():
    data = mc.data.sample("fashion", "train", ["sandal", "sneaker"], 3)
    views = Augmented(data, Augment(), 4, seed=7)
    assert len(views) == 24 and views.views == 4
    assert views.labels.tolist() == data.labels.tolist() * 4 and views.names[:6] == data.names
    one = views.images(range(24), (32, 32))
    assert_same(one, Augmented(data, Augment(), 4, seed=7).images(range(24), (32, 32)))
    assert len({v.tobytes() for v in one}) == 24
    other = Augmented(data, Augment(), 4, seed=8).images(range(24), (32, 32))
    assert not np.array_equal(one, other)


def test_threads_decode_the_same_views():
    data = Augmented(mc.data.sample("fashion", "train", ["sandal", "sneaker"], 5), Augment(), 3)
    order = np.random.default_rng(0).permutation(30)
    for workers in (1, 3):
        seen = np.concatenate([x for x, _, _ in batches(data, order, 7, (28, 28),
                                                        workers=workers)])
        assert_same(seen, data.images(order, (28, 28)))


def test_the_photos_themselves_stay_as_they_are():
    data = mc.data.sample("fashion", "train", ["sandal", "sneaker"], 2)
    before = data.images(range(4), (28, 28))
    Augmented(data, Augment(colour=1.0), 2).images(range(8), (28, 28))
    assert_same(data.images(range(4), (28, 28)), before)


def test_words_become_amounts_and_what_is_not_named_is_off():
    assert Augment.parse("flip,rotate=15") == Augment(True, 0, 15, 0, 0)
    assert Augment.parse("shift, zoom=0.2") == Augment(False, Augment.shift, 0, 0.2, 0)
    assert Augment.parse("") == Augment(False, 0, 0, 0, 0)


@pytest.mark.parametrize(("text", "words"), [
    ("rotation=3", ["flip, shift", "rotation=3"]), ("rotate=much", ["rotate=much"]),
    ("shift=0.9", ["shift from 0 to 0.5", "0.9"]), ("zoom=-1", ["zoom", "-1"]),
    ("colour=nan", ["colour", "nan"])])
def test_other_words_and_amounts_are_refused(text, words):
    with assert_refused(*words):
        Augment.parse(text)
