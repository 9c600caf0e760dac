"""The first layer's figures: by hand, and by Fourier sums written out."""

import cmath
import math

import numpy as np
import pytest
from makers import random_pixels
from reference import assert_close, assert_refused, assert_same

import minicnn as mc
from minicnn.preprocessing import Preprocessing
from minicnn.visualize.features.first_layer import bands, first_layer

SHAPE = 16, 12, 3
RECIPE = Preprocessing("BGR", (100.0, 110.0, 120.0), 0.02)


def first_and_second(rng, filters=4, size=(3, 2), second=True):
    layers = [mc.Conv2D(filters, size, padding="same", activation="relu", name="c1"),
              mc.MaxPool2D(2), mc.Conv2D(3, 3, padding="same", activation="relu", name="c2")]
    model = mc.Sequential(layers if second else layers[:1], SHAPE, preprocessing=RECIPE)
    for name in ("c1", "c2")[:1 + second]:
        W = model[name].params["W"]
        model[name].params["W"] = rng.normal(size=W.shape).astype(np.float32) * 0.2
    return model


def band(f):
    return 0 if f < 1 / 6 else 1 if f < 1 / 3 else 2


def folded(k, size):
    """Frequency number k of `size`, in cycles a pixel from 0 to 1/2."""
    return min(k, size - k) / size


def spectrum_shares(pictures, H, Wd):
    """Shares of Σ |Σ_{p,q} w e^{−2πi(up/H + vq/Wd)}|² in the three bands, for pictures (h, w)."""
    sums = [0.0, 0.0, 0.0]
    for u, v in np.ndindex(H, Wd):
        where = band(math.hypot(folded(u, H), folded(v, Wd)))
        for w in pictures:
            value = sum(w[p, q] * cmath.exp(-2j * math.pi * (u * p / H + v * q / Wd))
                        for p, q in np.ndindex(w.shape))
            sums[where] += abs(value) ** 2
    return np.array(sums) / sum(sums)


def test_kernels_are_drawn_in_red_green_blue_and_their_rms_is_the_formulas(rng):
    model = first_and_second(rng)
    W = model["c1"].params["W"]
    W[..., 2] *= 0.1
    result = first_layer(model)
    assert_same(result.kernels, np.stack([W[:, :, ::-1, f] for f in range(4)]))  # BGR before
    for f in range(4):
        values = [float(v) for v in W[..., f].flat]
        expected = math.sqrt(sum(v * v for v in values) / 18)
        assert result.rms[f] == pytest.approx(expected)
        assert result.clipped[f] == (expected > 0.1)
    assert result.clipped.tolist() == [True, True, False, True]
    assert result.dead is None and result.aliasing is None
    assert "without photos" in str(result)


def test_the_bands_of_a_kernel_are_those_of_its_fourier_sum(rng):
    model = first_and_second(rng, filters=2)
    result = first_layer(model)
    W = model["c1"].params["W"].astype(float)
    for f in range(2):
        expected = spectrum_shares([W[:, :, c, f] for c in range(3)], 32, 32)
        assert_close(result.bands[f], expected, 1e-8)


def test_one_pixel_is_flat_a_constant_is_low_a_chequerboard_high():
    sign = np.indices((12, 12)).sum(axis=0) % 2 * 2 - 1.0
    ramp = np.cos(2 * np.pi * np.arange(12) * 3 / 12)[:, None] * np.ones(12)  # 1/4 cycle a pixel
    for picture, where in [(np.ones((12, 12)), 0), (ramp, 1), (sign, 2)]:
        shares = bands(np.abs(np.fft.fft2(picture)) ** 2)
        assert_close(shares, np.eye(3)[where], 1e-10)
    model = mc.Sequential([mc.Conv2D(1, 3, name="c")], (8, 8, 3))
    model["c"].params["W"] = np.zeros((3, 3, 3, 1))
    model["c"].params["W"][1, 2, 0, 0] = 7
    result = first_layer(model)
    assert_close(result.bands[0], result.flat, 1e-10)
    counts = np.zeros(3)
    for u, v in np.ndindex(32, 32):
        counts[band(math.hypot(folded(u, 32), folded(v, 32)))] += 1
    assert_close(result.flat, counts / 1024)


def test_a_filter_is_dead_when_no_place_of_any_photo_excites_it(rng):
    model = first_and_second(rng)
    model["c1"].params["W"][..., 1] = 0
    model["c1"].params["W"][..., 3] = 0
    model["c1"].params["W"][1, 0, 2, 3] = 1  # the last channel of BGR is red
    model["c1"].params["b"][3] = -2.6  # (red − 120) · 0.02 > 2.6: red above 250
    pictures = np.minimum(random_pixels(5, *SHAPE), 240)
    assert first_layer(model, pictures).dead.tolist() == [False, True, False, True]
    pictures[4, 9, 3, 0] = 255
    result = first_layer(model, pictures, batch_size=2)
    assert result.dead.tolist() == [False, True, False, False]
    assert result.maxima[3] == pytest.approx(135 * 0.02 - 2.6, abs=1e-5)
    assert "dead over 5 photos: 1 (1)" in str(result)


def test_aliasing_is_the_high_share_of_the_maps_of_both_layers(rng):
    model, pictures = first_and_second(rng, filters=2), random_pixels(3, *SHAPE)
    result = first_layer(model, pictures, batch_size=2)
    maps = model.activations(model.to_input(pictures), ["c1", "c2"])
    for row, name in enumerate(["c1", "c2"]):
        y = maps[name].astype(float)
        flat = [y[m, ..., k] - y[m, ..., k].mean() for m in range(3) for k in range(y.shape[-1])]
        expected = spectrum_shares(flat, *y.shape[1:3])[2]
        assert result.aliasing[row] == pytest.approx(expected, rel=1e-4)
    assert result.layers == ["c1", "c2"]


def test_a_stride_that_is_too_coarse_shows_up_as_high_frequencies_in_layer_2():
    shares = {}
    stripes = np.zeros((2, 32, 32, 3), np.uint8)
    stripes[0, :, ::9], stripes[1, ::9] = 255, 255  # fine lines
    for stride, width in [(4, 1), (1, 9)]:  # one place of four; or first smoothed, and every place
        model = mc.Sequential([mc.Conv2D(1, width, stride, "same", "relu", name="c1"),
                               mc.Conv2D(1, 1, activation="relu", name="c2")], (32, 32, 3),
                              preprocessing=Preprocessing("RGB", (0, 0, 0), 1.0))
        for layer in model.layers:
            layer.params["W"] = np.ones_like(layer.params["W"])
        shares[stride] = first_layer(model, stripes).aliasing[1]
    assert shares[4] > 2 * shares[1]


def test_one_convolution_has_no_second_layer_and_flat_maps_say_so(rng):
    model = first_and_second(rng, second=False)
    assert first_layer(model, random_pixels(5, *SHAPE)).aliasing.shape == (1,)
    model["c1"].params["W"][:] = 0
    result = first_layer(model, random_pixels(5, *SHAPE))
    assert np.isnan(result.aliasing).all() and result.dead.all()
    assert (result.bands == 0).all()
    assert "maps are flat" in str(result)


@pytest.mark.parametrize("given, panels", [(False, 3), (True, 4)])
def test_the_figure_marks_what_it_finds(given, panels, rng):
    model = first_and_second(rng)
    model["c1"].params["W"][..., 0] = 0
    figure = first_layer(model, random_pixels(5, *SHAPE) if given else None).figure()
    assert len(figure.axes) == panels
    labels = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
    assert ("dead" in labels) == given


def test_bad_input_is_refused(rng):
    with assert_refused("convolution"):
        first_layer(mc.Sequential([mc.Flatten(), mc.Dense(2)], (8, 8, 3)))
    model = first_and_second(rng)
    with assert_refused("at least one photo"):
        first_layer(model, [])
    model["c2"].params["b"][0] = np.inf
    with assert_refused("c2", "finite activations"):
        first_layer(model, random_pixels(5, *SHAPE))
    model["c1"].params["W"][0, 0, 0, 0] = np.nan
    with assert_refused("c1", "finite weights"):
        first_layer(model)
