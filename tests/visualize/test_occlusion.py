"""Occlusion against Captum, and against a loop that hides one square after the other."""

import captum.attr as captum
import numpy as np
import pytest
import torch
from reference import assert_close, assert_refused
from visualize.twins import both, photo

import minicnn as mc
from minicnn.visualize import Unit
from minicnn.visualize.attribution.occlusion import occlusion


def test_pixel_drops_equal_captums_where_strides_divide():
    model, net = both()
    x = photo()
    result = occlusion(model, x, 2, size=4, stride=2, fill=51, batch_size=5)
    baseline = float(x.min() + 0.2 * (x.max() - x.min()))
    expected = captum.Occlusion(net).attribute(
        torch.tensor(x.transpose(2, 0, 1)[None]), sliding_window_shapes=(3, 4, 4),
        strides=(3, 2, 2), target=2, baselines=baseline)
    assert_close(result.values, expected[0, 0].numpy(), 1e-6)  # Captum counts in float32


def by_hand(model, x, size, tops, lefts, grey):
    """The output of the network and of conv2, with the square at each place, one by one."""
    found = []
    for top in tops:
        for left in lefts:
            one = x.copy()
            one[top:top + size, left:left + size] = grey
            found.append((model.forward(one[None], keep=False)[0],
                          model.activations(one[None], ["conv2"])["conv2"][0].sum(axis=(0, 1))))
    p, maps = (np.array(part) for part in zip(*found, strict=True))
    return p, maps


def test_maps_hold_probability_activity_and_label_of_every_position():
    model, _ = both(softmax=True)
    x = photo()
    result = occlusion(model, x, 1, size=5, stride=3, fill=0)
    assert list(result.tops) == [0, 3, 6, 7] and list(result.lefts) == [0, 3, 5]  # 12 × 10
    p, maps = by_hand(model, x, 5, [0, 3, 6, 7], [0, 3, 5], x.min())
    assert_close(result.probabilities, p[:, 1].reshape(4, 3))
    untouched = model.activations(x[None], ["conv2"])["conv2"].sum(axis=(0, 1, 2))
    assert result.unit == untouched.argmax() and result.clear == pytest.approx(untouched.max())
    assert_close(result.activity, maps[:, result.unit].reshape(4, 3))
    assert (result.labels == p.argmax(axis=1).reshape(4, 3)).all()
    assert_close(np.array(result.probability), model.forward(x[None])[0, 1])


def test_classes_0_and_1_of_one_sigmoid_are_mirror_images():
    model, _ = both(units=1)
    model.replace_head([mc.Dense(1), mc.Sigmoid()], classes=["no", "yes"])
    no, yes = (occlusion(model, photo(), name, size=4) for name in ("no", "yes"))
    assert_close(no.scores, -yes.scores)
    assert_close(no.values, -yes.values)
    assert_close(no.probabilities + yes.probabilities, np.ones(no.scores.shape))
    assert_close(yes.probabilities, 1 / (1 + np.exp(-yes.scores)))
    assert (yes.labels == (yes.probabilities > 0.5)).all()


def test_a_unit_as_target_has_a_score_and_labels_but_no_probability():
    model, _ = both(softmax=True)
    result = occlusion(model, photo(), Unit("conv2", 1), size=4)
    assert result.probabilities is None and result.labels is not None
    _, maps = by_hand(model, photo(), 4, result.tops, result.lefts,
                      photo().min() + 128 / 255 * np.ptp(photo()))
    assert_close(result.scores, maps[:, 1].reshape(result.scores.shape))


def test_grey_is_brought_to_input_by_the_recipe():
    model = mc.SmallCNN(3)
    image = np.full((28, 28, 3), 128, np.uint8)
    result = occlusion(model, image, 0)
    assert_close(result.scores, np.full(result.scores.shape, result.score), 1e-5)
    assert np.ptp(occlusion(model, image, 0, fill=0).scores) > 1e-3


def test_photo_stays_as_it_is_and_progress_reaches_the_end():
    model, _ = both()
    x, seen = photo(), []
    before = x.copy()
    result = occlusion(model, x, size=4, batch_size=7, progress=lambda *at: seen.append(at))
    assert (x == before).all()
    assert seen[-1] == (result.scores.size,) * 2


def test_picture_and_text(tmp_path):
    for softmax in (False, True):
        result = occlusion(both(softmax=softmax)[0], photo(), 1, size=4)
        assert result.save(tmp_path / f"{softmax}.png").stat().st_size > 10_000
    assert f"p(1) {result.probability:.4g}" in str(result)
    assert "conv2, map" in str(result)


@pytest.mark.parametrize("words, options", [
    (("at most 10", "11"), {"size": 11}), (("at least 1",), {"stride": 0}),
    (("at most the size, 2", "3"), {"size": 2, "stride": 3}),
    (("0 (black)",), {"fill": 300}), (("conv2",), {"layer": "conv3"}),
    (("feature maps",), {"layer": "dense"}), (("batch_size",), {"batch_size": 0})])
def test_bad_arguments_are_refused(words, options):
    with assert_refused(*words):
        occlusion(both()[0], photo(), **options)


def test_a_network_without_convolution_is_refused():
    with assert_refused("convolution"):
        occlusion(mc.Sequential([mc.Flatten(), mc.Dense(2)], (4, 4, 1)), np.ones((4, 4, 1)))


def test_a_network_of_nan_is_said_to_be_one():
    model, _ = both()
    model["conv2"].params["W"] = model["conv2"].params["W"] * np.nan
    text = str(occlusion(model, photo(), 1, size=4, fill=0))
    assert "not finite" in text and "kept" not in text


@pytest.mark.parametrize("target", [1, Unit("conv1", 0)])
def test_looking_disturbs_no_training_step(target):
    model, _ = both(softmax=True)
    y = model.forward(photo()[None])
    occlusion(model, photo(), target, size=4, fill=0)
    assert model.backward(y).shape == (1, 12, 10, 3)


def test_the_figure_shows_the_square_that_was_used():
    result = occlusion(both()[0], photo(), 1, size=4, stride=4, fill=255)
    picture = np.asarray(result.figure().axes[0].images[0].get_array())
    changed = (picture != result.pixels).any(axis=-1)
    top, left = (places.min() for places in np.nonzero(changed))
    assert changed.sum() == 16 and (picture[top:top + 4, left:left + 4] == 255).all()


def sees_the_left_half():
    """p of class 1 grows with the mean of the left half of a photo of 8 × 8 pixels."""
    model = mc.Sequential([mc.Conv2D(1, 1, name="conv"), mc.Flatten(), mc.Dense(1, name="dense"),
                           mc.Sigmoid()], (8, 8, 3), classes=["no", "yes"],
                          preprocessing=mc.Preprocessing("RGB", (0, 0, 0), 1 / 255))
    model["conv"].params["W"][:] = 1 / 3
    weights = np.zeros((8, 8))
    weights[:, :4] = 0.2
    model["dense"].params["W"][:, 0] = weights.ravel()
    model["dense"].params["b"][:] = -2
    return model


def test_the_figure_is_red_where_the_probability_falls_on_a_scale_of_few_steps():
    white = np.full((8, 8, 3), 255, np.uint8)
    result = occlusion(sees_the_left_half(), white, 1, size=4, stride=4, fill=0)
    left = result.figure().axes[1]
    image = left.images[-1]  # p = σ(4.4) = 0.988; a hidden left quarter leaves σ(1.2) = 0.769
    np.testing.assert_allclose(np.asarray(image.get_array())[:, 0], [21.9, 21.9], atol=0.1)
    np.testing.assert_allclose(np.asarray(image.get_array())[:, 1], 0, atol=1e-4)
    assert image.get_clim() == (-50, 50)
    red, _, blue, _ = image.cmap(image.norm(21.9))
    assert red > blue and "largest drop 21.9 %" in left.get_title()
    assert list(image.get_extent()) == [-0.5, 7.5, 7.5, -0.5]  # squares centred at 1.5, 5.5


def test_panels_that_say_nothing_new_are_left_out():
    white = np.full((8, 8, 3), 255, np.uint8)
    figure = occlusion(sees_the_left_half(), white, 1, size=4, stride=4, fill=0).figure()
    assert "most probable at every position: yes" in figure.get_suptitle()
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert len(titles) == 3 and not any("label" in title for title in titles)
    base = mc.Sequential([mc.Conv2D(2, 1, name="conv")], (8, 8, 3), 1)
    figure = occlusion(base, photo(shape=(8, 8, 3)), size=4, stride=4).figure()
    assert len([ax for ax in figure.axes if ax.get_title()]) == 2  # the score is the activity
