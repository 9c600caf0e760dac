"""Correspondence of parts against the paper's sum, pair by pair and feature by feature."""

import json

import numpy as np
import pytest
from reference import assert_refused, assert_same

import minicnn as mc
from minicnn.preprocessing import Preprocessing
from minicnn.visualize.features import correspondence
from minicnn.visualize.features.correspondence import disagreement, hide_square, random_places

PARTS = {"photo 0": {"eye": [3, 4], "nose": [9, 2]}, "photo 2": {"eye": [5, 5], "nose": [11, 8]}}


def network():
    return mc.Sequential([mc.Conv2D(4, 3, padding="same", activation="relu", name="c1"),
                          mc.MaxPool2D(2), mc.Conv2D(5, 3, activation="relu", name="c2")],
                         (16, 12, 3), preprocessing=Preprocessing("RGB", (120.0, 110, 100), 0.02))


def pictures():
    return np.random.default_rng(6).integers(0, 256, (3, 16, 12, 3), np.uint8)


def hamming(a, b):
    return sum(np.sign(x - y) != np.sign(z - w) for x, y, z, w in zip(*a, *b, strict=True))


def test_each_parts_figure_is_the_papers_sum_over_pairs():
    model, images = network(), pictures()
    result = correspondence(model, images, PARTS, "c2", size=4, batch_size=1)
    for row, part in enumerate(["eye", "nose"]):
        pairs = []
        for photo, n in (("photo 0", 0), ("photo 2", 2)):
            i, j = PARTS[photo][part]
            hidden = images[n].copy()
            hidden[i - 2:i + 2, j - 2:j + 2] = 128
            y = model.activations(model.to_input(np.stack([images[n], hidden])), ["c2"])["c2"]
            pairs.append((y[0].ravel(), y[1].ravel()))
        D = pairs[0][0].size
        differ = hamming(*pairs)
        changed = sum(a != b or c != d for a, b, c, d in zip(*pairs[0], *pairs[1], strict=True))
        assert result.delta[row] == pytest.approx(differ / D)
        assert result.active[row] == pytest.approx(differ / changed)
    assert result.parts == ["eye", "nose", "on the object", "anywhere", "one for all"]
    assert (result.delta_sd[:2] == 0).all() and (result.delta_sd[2:] > 0).any()


def test_signs_that_all_agree_score_0_and_that_all_differ_1():
    change = np.array([[1.0, -2, 0], [3, -1, 0]])
    assert disagreement(change) == (0, 0)
    assert disagreement(np.array([[1.0, -2, 0], [-3, 1, 0]])) == (2 / 3, 1)
    three = np.array([[1.0, 1], [1, 0], [-1, 0]])  # pairs: 1 of 2, 2 of 2, 1 of 2
    assert disagreement(three)[0] == pytest.approx(4 / 6)
    assert disagreement(three)[1] == pytest.approx(4 / 5)
    assert np.isnan(disagreement(np.zeros((2, 3)))[1])


def test_the_mask_is_a_grey_square_about_the_place_cut_at_the_border():
    image = pictures()[0]
    hidden = hide_square(image, np.array([1, 11]), 5, 128)
    changed = np.zeros((16, 12), bool)
    changed[0:4, 9:12] = True
    assert (hidden[changed] == 128).all()
    assert_same(hidden[~changed], image[~changed])


@pytest.mark.parametrize("kind", ["on the object", "anywhere", "one for all"])
def test_random_places_lie_where_their_kind_says(kind):
    rng, seen = np.random.default_rng(0), np.array([[[0, 1], [0, 1]], [[15, 11], [15, 11]]])
    places = np.array([[[3, 4], [5, 5]], [[9, 2], [11, 8]]])  # part, photo, (row, column)
    drawn = np.array([random_places(rng, kind, places, seen) for _ in range(2000)])
    for n, (low, high) in enumerate([((3, 2), (9, 4)), ((5, 5), (11, 8))]):
        if kind == "anywhere":
            low, high = (0, 1), (15, 11)
        assert drawn[:, n].min(axis=0).tolist() == list(low)
        assert drawn[:, n].max(axis=0).tolist() == list(high)
    shares = (drawn[:, 0] - [3, 2]) / [7, 3], (drawn[:, 1] - [5, 5]) / [7, 4]
    if kind == "one for all":  # the same place within each photo's box
        assert np.abs(shares[0] - shares[1]).max() < 0.34


def test_the_same_seed_draws_the_same_and_a_file_says_what_a_dict_says(tmp_path):
    (tmp_path / "parts.json").write_text(json.dumps(PARTS))
    once = correspondence(network(), pictures(), PARTS, seed=4)
    again = correspondence(network(), pictures(), tmp_path / "parts.json", seed=4)
    other = correspondence(network(), pictures(), PARTS, seed=5)
    assert_same(once.delta, again.delta)
    assert (once.delta != other.delta).any()
    assert once.photos == ["photo 0", "photo 2"]
    assert len(once.figure().axes) == 2 + 2 and "random, anywhere" in str(once)


def test_the_built_in_sneakers_are_used_when_nothing_is_named():
    result = correspondence(mc.VGG16(include_top=False, input_shape=(32, 32, 3)), draws=2,
                            layer="block2_conv2")
    assert result.parts[:3] == ["toe", "heel", "sole"]
    assert len(result.photos) >= 5 and np.isfinite(result.active).all()


@pytest.mark.parametrize("parts, words", [
    ({"photo 0": {"eye": [1, 1]}}, ["two photos"]),
    ([], ["parts"]),
    ({"photo 0": {"eye": [1, 1]}, "dog": {"eye": [1, 1]}}, ["'dog'", "photo 0"]),
    ({"photo 0": {"eye": [1, 1]}, "photo 1": {"ear": [1, 1]}}, ["eye", "ear", "'photo 1'"]),
    ({"photo 0": {"eye": [1, 1]}, "photo 1": {"eye": [16, 1]}}, ["[15, 11]", "[16, 1]"]),
    ({"photo 0": {"eye": [1, 1]}, "photo 1": {"eye": [1.5, 1]}}, ["[1.5, 1]"]),
])
def test_parts_that_do_not_fit_are_refused(parts, words, tmp_path):
    with assert_refused(*words):
        correspondence(network(), pictures(), parts)
    (tmp_path / "p.json").write_text(json.dumps(parts))
    with assert_refused("p.json", *words[1:]):
        correspondence(network(), pictures(), tmp_path / "p.json")


def test_features_that_are_not_finite_are_refused():
    model = network()
    model["c1"].params["b"][0] = np.nan
    with assert_refused("c2", "finite"):
        correspondence(model, pictures(), PARTS)


def test_files_that_are_no_parts_are_refused(tmp_path):
    with assert_refused("none.json", "No such file"):
        correspondence(network(), pictures(), tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with assert_refused("bad.json", "JSON"):
        correspondence(network(), pictures(), tmp_path / "bad.json")
    with assert_refused("draws", "2"):
        correspondence(network(), pictures(), PARTS, draws=1)


def test_places_that_the_network_does_not_see_are_refused_and_never_drawn():
    wide = np.random.default_rng(0).integers(0, 256, (2, 16, 40, 3), np.uint8)  # sees 14 … 25
    parts = {f"photo {n}": {"eye": [np.int64(3), 14], "nose": [9, 25]} for n in (0, 1)}
    result = correspondence(network(), wide, parts, "c1", size=2, draws=4)
    assert (result.delta > 0).all() and np.isfinite(result.active).all()
    parts["photo 1"]["nose"] = [9, 26]
    with assert_refused("'photo 1'", "(16, 40)", "[0, 14]", "[15, 25]", "[9, 26]"):
        correspondence(network(), wide, parts)
