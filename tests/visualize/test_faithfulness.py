"""Average drop, increase in confidence, deletion and insertion, on a network known by heart."""

import numpy as np
import pytest
from reference import assert_close, assert_refused, assert_same

import minicnn as mc
from minicnn.preprocessing import Preprocessing
from minicnn.visualize import Unit
from minicnn.visualize.attribution.cam import grad_cam
from minicnn.visualize.attribution.faithfulness import (
    area_under,
    blur,
    faithfulness,
    mask_photo,
    replace_pixels,
)
from minicnn.visualize.attribution.result import Attribution


def bright_spot_net():
    """p(bright) = σ(8 · x[0, 0] − 4), x = pixels / 255, red: the first pixel decides alone."""
    model = mc.Sequential([mc.Flatten(), mc.Dense(1), mc.Sigmoid()], (4, 5, 3), name="net",
                          preprocessing=Preprocessing("RGB", (0, 0, 0), 1 / 255),
                          classes=["dark", "bright"])
    W = np.zeros((60, 1), np.float32)
    W[0] = 8
    model.layers[1].params = {"W": W, "b": np.array([-4], np.float32)}
    return model


PHOTO = np.zeros((4, 5, 3), np.uint8)
PHOTO[0, 0] = 255


def pointing_at(*places):
    def method(model, image, target=None):
        heat = np.zeros((4, 5))
        for rank, place in enumerate(places):
            heat[place] = 1 - rank / 10
        return Attribution("stub", str(target), PHOTO, heat, 0.0, "both")
    return method


def sigma(z):
    return 1 / (1 + np.exp(-z))


def test_a_map_of_the_pixel_that_decides_has_no_drop_and_falls_at_once():
    result = faithfulness(bright_spot_net(), PHOTO, pointing_at((0, 0)), steps=20)
    assert result.average_drop == 0 and result.increase == 0
    assert result.targets == ["bright"]
    mean = round(255 / 20) / 255  # of the photo, in the place of the pixel
    gone = sigma(8 * mean - 4)
    assert_close(result.deletion[0], np.array([sigma(4)] + [gone] * 20), 1e-6)
    assert_close(result.deletion_area, np.array([(sigma(4) + gone) / 2 + 19 * gone]) / 20, 1e-6)
    assert_close(result.insertion[0, 1:], np.full(20, sigma(4)), 1e-6)
    own = 1 / (1 + np.exp(-1 / (2 * 0.4 ** 2))) ** 2  # σ = 0.4 pixel: two neighbours count, by hand
    assert result.insertion[0, 0] == pytest.approx(sigma(8 * round(255 * own) / 255 - 4), rel=1e-6)


def test_equal_values_of_the_map_come_back_in_the_order_in_which_they_were_deleted():
    result = faithfulness(bright_spot_net(), PHOTO, pointing_at((2, 2)), steps=20)  # (0, 0) second
    bright = sigma(4)
    assert_close(result.deletion[0, :2], np.array([bright, bright]), 1e-6)
    assert (result.deletion[0, 2:] < bright / 2).all()
    assert (result.insertion[0, :2] < bright - 0.01).all()  # blurred
    assert_close(result.insertion[0, 2:], np.full(19, bright), 1e-6)


def test_a_map_of_another_pixel_loses_the_class():
    right, wrong = (faithfulness(bright_spot_net(), PHOTO, pointing_at(place))
                    for place in ((0, 0), (3, 4)))
    assert wrong.average_drop == pytest.approx(100 * (1 - sigma(-4) / sigma(4)), rel=1e-5)
    assert wrong.insertion_area[0] < right.insertion_area[0]
    assert wrong.deletion_area[0] >= right.deletion_area[0]


def test_for_class_0_of_one_sigmoid_the_probability_is_the_other():
    result = faithfulness(bright_spot_net(), PHOTO, pointing_at((3, 4)), 0)
    assert result.targets == ["dark"]
    assert_close(result.probability, np.array([sigma(-4)]), 1e-6)
    assert_close(result.masked, np.array([sigma(4)]), 1e-6)
    assert result.increase == 100 and result.average_drop == 0


def test_probabilities_are_the_networks_own_for_a_softmax(rng):
    model = mc.SmallCNN(3, (8, 8, 3))
    photos = rng.integers(0, 256, (3, 8, 8, 3)).astype(np.uint8)

    def method(model, image, target):
        return Attribution("stub", "", image, image.sum(axis=-1) * 1.0, 0.0, "both")

    result = faithfulness(model, photos, method, 1, steps=4, batch_size=2)
    p = model.predict(photos)[:, 1]
    assert_close(result.probability, p.astype(float), 1e-5)
    assert_close(result.deletion[:, 0], p.astype(float), 1e-5)
    assert_close(result.insertion[:, -1], p.astype(float), 1e-5)
    masked = model.predict(np.stack([mask_photo(one, one.sum(axis=-1)) for one in photos]))[:, 1]
    assert result.average_drop == pytest.approx(
        100 * np.mean([max(a - b, 0) / a for a, b in zip(p, masked, strict=True)]), rel=1e-4)
    assert result.increase == pytest.approx(100 * np.mean(masked > p))
    assert "average drop" in str(result) and len(result.figure().axes) == 2


def test_deleted_takes_the_highest_first(rng):
    pixels = rng.integers(1, 256, (3, 4, 3)).astype(np.uint8)
    heat = rng.permutation(12).reshape(3, 4)
    for k, one in enumerate(replace_pixels(pixels, heat, np.arange(13) / 12, pixels * 0)):
        assert_same(one, np.where((heat >= 12 - k)[..., None], 0, pixels))


def test_masking_by_hand_cuts_off_the_negative_part():
    pixels = np.full((1, 3, 3), 200, np.uint8)
    assert mask_photo(pixels, np.array([[-5.0, 1, 2]]))[0, :, 0].tolist() == [0, 100, 200]


def test_blur_keeps_a_flat_photo_and_spreads_a_point_evenly():
    assert_same(blur(np.full((20, 30, 3), 77, np.uint8)), np.full((20, 30, 3), 77, np.uint8))
    point = np.zeros((21, 21, 3), np.uint8)
    point[10, 10] = 255
    spread = blur(point)
    assert_same(spread, spread[::-1])
    assert_same(spread, spread.transpose(1, 0, 2))
    assert spread[10, 10, 0] == round(255 / (2 * np.pi * 2.1 ** 2))


def test_area_of_a_straight_line_is_its_mean():
    curves = np.array([[1, 0.75, 0.5, 0.25, 0], [1, 1, 1, 1, 1.0]])
    assert_close(area_under(curves), np.array([0.5, 1]))


def test_flat_maps_are_left_out_with_the_reason_and_none_left_is_refused():
    def method(model, image, target):
        return pointing_at(*[(0, 0)] * int(image.max() > 100))(model, image, target)

    result = faithfulness(bright_spot_net(), [PHOTO, PHOTO // 3], method)
    assert result.names == ["photo 0"]
    assert result.left_out == ["photo 1: the map is zero everywhere"]
    assert "zero everywhere" in str(result)
    with assert_refused("zero everywhere"):
        faithfulness(bright_spot_net(), [PHOTO // 3], method)


def test_bad_input_is_refused():
    net, method = bright_spot_net(), pointing_at((0, 0))
    with assert_refused("class", "Unit"):
        faithfulness(net, PHOTO, method, Unit("dense", 0))
    with assert_refused("class"):
        faithfulness(mc.VGG16(include_top=False, weights=None, input_shape=(32, 32, 3)), PHOTO,
                     method)
    with assert_refused("steps", "0"):
        faithfulness(net, PHOTO, method, steps=0)
    with assert_refused("photos"):
        faithfulness(net, [], method)
    with assert_refused("uint8"):
        faithfulness(net, [PHOTO / 255], method)


@pytest.mark.parametrize("batch_size", [0, -1, 1.5])
def test_batches_of_less_than_one_photo_are_refused(batch_size):
    pixels = np.random.default_rng(0).integers(0, 256, (1, 28, 28, 3), np.uint8)
    with assert_refused("batch_size", str(batch_size)):
        faithfulness(mc.SmallCNN(2), pixels, grad_cam, batch_size=batch_size)
