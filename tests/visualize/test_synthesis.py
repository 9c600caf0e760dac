"""Images that are made: the pieces against formulas and differences, the wholes by their aim."""

import functools

import numpy as np
import pytest
import torch
from makers import random_pixels, two_convolutions
from PIL import Image
from reference import assert_close, assert_refused, assert_same

import minicnn as mc
from minicnn.optimizers import SGD
from minicnn.preprocessing import Preprocessing
from minicnn.visualize import Unit
from minicnn.visualize.synthesis import dream, inversion, maximise
from minicnn.visualize.synthesis.ascent import (
    Regularisation,
    apply_along_axes,
    ascend,
    blur_matrix,
    mean_image,
    octave_sizes,
    resize,
    resize_matrix,
    to_image,
    to_input,
    variation,
)

RECIPES = [None, Preprocessing("RGB", (120.0, 110.0, 100.0), 0.02),
           Preprocessing("BGR", (100.0, 110.0, 120.0), 1.0)]
with_logits = functools.partial(two_convolutions, units=3, filters=(5, 6), shape=(32, 28, 3),
                                seed=1, padding="same", preprocessing=RECIPES[1])


def picture(seed=0):
    return random_pixels(32, 28, 3, seed=seed)


# The pieces


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_way_to_the_network_and_its_derivative_belong_together(recipe, rng):
    model = with_logits(preprocessing=recipe)
    p, dp = rng.random((32, 28, 3)), rng.normal(size=(32, 28, 3))
    dx = rng.normal(size=(1, 32, 28, 3))
    moved = to_input(model, p + dp) - to_input(model, p)  # linear but for a constant
    assert float((moved * dx).sum()) == pytest.approx(float((dp * to_image(model, dx)).sum()))
    if recipe:
        pixels = picture()
        assert_close(to_input(model, pixels / 255), recipe(pixels[None]).astype(float), 1e-6)
    assert np.abs(to_input(model, mean_image(model, (32, 28)).astype(float))).max() < 1e-4


def test_the_variation_is_the_formulas_and_its_gradient_that_of_differences(rng):
    p = rng.random((4, 5, 3))
    total = 0.0
    for i, j in np.ndindex(4, 5):
        below = p[i + 1, j] - p[i, j] if i < 3 else 0 * p[i, j]
        right = p[i, j + 1] - p[i, j] if j < 4 else 0 * p[i, j]
        total += np.sqrt((below ** 2).sum() + (right ** 2).sum() + 1e-6)
    found, slope = variation(p)
    assert found == pytest.approx(total)
    for place in np.ndindex(p.shape):
        step = np.zeros_like(p)
        step[place] = 1e-6
        expected = (variation(p + step)[0] - variation(p - step)[0]) / 2e-6
        assert slope[place] == pytest.approx(expected, abs=1e-6)


def test_sampling_is_torchs_bilinear_resizing(rng):
    p = rng.random((9, 7, 3))
    for size in [(13, 20), (18, 14)]:  # enlarged: torch, too, takes the two nearest then
        theirs = torch.nn.functional.interpolate(torch.tensor(p.transpose(2, 0, 1)[None]), size,
                                                 mode="bilinear", align_corners=False)
        assert_close(resize(p, size), theirs[0].permute(1, 2, 0).numpy(), 1e-6)


def test_sampling_shifts_zooms_and_leaves_as_it_is():
    line = np.arange(10.0)[:, None, None] ** 2
    one = np.ones((1, 1))
    assert_same(apply_along_axes(line, resize_matrix(10, 10), one), line)
    assert_same(apply_along_axes(line, resize_matrix(10, 10, shift=3), one)[3:], line[:-3])
    ramp = np.arange(11.0)[:, None, None]
    assert_close(apply_along_axes(ramp, resize_matrix(11, 11, zoom=2), one)[:, 0, 0],
                 5 + (np.arange(11) - 5) / 2, 1e-6)


def test_through_and_its_transposes_are_adjoint(rng):
    A, B = resize_matrix(8, 12, 1.1, 0.7).astype(float), blur_matrix(9, 1.3).astype(float)
    p, q = rng.normal(size=(12, 9, 3)), rng.normal(size=(8, 9, 3))
    assert float((apply_along_axes(p, A, B) * q).sum()) == pytest.approx(
        float((p * apply_along_axes(q, A.T, B.T)).sum()), rel=1e-12)


def test_a_gaussian_keeps_the_mean_level_and_narrows_with_sigma():
    G = blur_matrix(21, 2.0)
    assert_close(G.sum(axis=1), np.ones(21), 1e-6)
    assert G[10, 12] / G[10, 10] == pytest.approx(np.exp(-4 / 8), rel=1e-5)


def test_octaves_grow_by_the_ratio_to_the_size_and_none_is_too_small():
    assert octave_sizes((90, 180), 3, 1.5).tolist() == [[40, 80], [60, 120], [90, 180]]
    assert octave_sizes((32, 28), 3, 1.5).tolist() == [[32, 28]]
    with assert_refused("ratio", "above 1"):
        octave_sizes((90, 90), 3, 1.0)


def test_a_climb_on_a_hill_ends_on_its_top_and_the_brakes_pull_away(rng):
    top = np.full((6, 5, 1), 0.8)

    def uphill(p):
        return -float(((p - top) ** 2).sum()) / 2, top - p

    start, args = np.full((6, 5, 1), 0.3), (400, Regularisation(), rng)
    p, scores, frames = ascend(start, uphill, SGD(0.01), *args)
    assert np.abs(p - top).max() < 0.02 and len(scores) == 400 and len(frames) == 12
    assert scores[0] == pytest.approx(-30 * 0.25 / 2) and (start == 0.3).all()
    # the gradient has a root mean square of 1, so decay 4 holds where 4 |p − mean| = 1
    p, _, _ = ascend(start, uphill, SGD(0.01), 400, Regularisation(decay=4), rng,
                     mean=np.full((6, 5, 1), 0.3))
    assert_close(p, np.full((6, 5, 1), 0.55), 0.03)


def test_a_climb_blurs_every_tenth_step_but_not_at_the_end(rng):
    noise = rng.normal(0.5, 0.1, (20, 20, 1))

    def still(p):
        return 0.0, np.zeros_like(p)

    blurred = apply_along_axes(noise, *[blur_matrix(20, 1.5)] * 2)
    for steps, expected in ((9, noise), (18, noise), (19, blurred), (28, blurred),
                            (29, apply_along_axes(blurred, *[blur_matrix(20, 1.5)] * 2))):
        p, _, _ = ascend(noise, still, SGD(0.01), steps, Regularisation(blur=1.5), rng)
        assert_close(p, expected, 1e-6)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("brakes", [Regularisation(shift=3), Regularisation(zoom=0.5)])
def test_a_climb_shows_the_network_other_rows_and_columns_each_step(axis, brakes, rng):
    ramp = np.tile(np.linspace(0, 1, 12)[:, None, None], (1, 12, 1)).swapaxes(0, axis)
    seen = []

    def looked_at(q):
        seen.append(q[4, 4, 0])
        return 0.0, np.zeros_like(q)

    ascend(ramp, looked_at, SGD(0.01), 6, brakes, rng)
    assert len(set(seen)) == 6 and np.ptp(seen) > 0.01


def test_the_score_of_a_map_is_its_mean_over_the_places():
    model = with_logits(units=0)
    result = maximise(model, Unit("conv1", 3), steps=1, octaves=1, shift=0, zoom=0, lr=1e-9)
    x = model.to_input(result.pixels[None])
    mean = model.activations(x, ["conv1"])["conv1"][0, ..., 3].mean()
    assert result.scores[0] == pytest.approx(float(mean), rel=0.02)


def test_without_a_recipe_the_image_and_the_photo_are_compared_on_one_scale():
    model = with_logits(units=0, preprocessing=None)
    x = np.random.default_rng(0).uniform(-0.5, 0.5, (32, 28, 3)).astype(np.float32)
    result = inversion(model, x, ["conv1"], steps=3)
    assert_same(result.photo, np.rint(255 * (x + 1) / 2).astype(np.uint8))


# The wholes


@pytest.mark.parametrize("target", ["b", 2, Unit("conv1", 3), Unit("conv2", 2, (4, 5)),
                                    Unit("logits", 0)])
def test_the_target_answers_more_to_the_image_than_to_any_photo(target):
    model = with_logits()
    made = maximise(model, target, steps=40, shift=1)
    photos = np.stack([picture(seed) for seed in range(8)])
    layer = target.layer if isinstance(target, Unit) else "logits"
    values = []
    for pixels in (made.pixels[None], photos):
        y = model.activations(model.to_input(pixels), [layer])[layer]
        if layer == "logits":
            k = target.unit if isinstance(target, Unit) else {"b": 1, 2: 2}[target]
            values.append(y[:, k])
        elif target.position:
            values.append(y[:, 4, 5, 2])
        else:
            values.append(y[..., 3].mean(axis=(1, 2)))
    assert values[0][0] > values[1].max()
    assert made.scores[-1] > made.scores[0]


@pytest.mark.parametrize("target", [0, 1])
def test_one_sigmoid_goes_up_for_class_1_and_down_for_class_0(target):
    model = mc.Sequential([mc.Conv2D(4, 3, activation="relu"), mc.Flatten(), mc.Dense(1),
                           mc.Sigmoid()], (16, 16, 3), 3, preprocessing=RECIPES[1])
    made = maximise(model, target, steps=40).pixels
    p = model.predict(model.to_input(np.stack([made, *(picture(k)[:16, :16] for k in range(8))])))
    assert (p[0] > p[1:].max()) if target else (p[0] < p[1:].min())


def test_the_gif_holds_the_frames(tmp_path):
    made = maximise(with_logits(), Unit("conv2", 1), steps=12)
    with Image.open(made.save(tmp_path / "grows.gif")) as gif:
        assert gif.n_frames == len(made.frames) == 12
        assert gif.size == (280, 320)
    assert len(made.figure().axes) == 1 + 5 + 1
    assert_same(made.frames[-1], made.pixels)


def test_the_same_seed_makes_the_same_image_and_one_channel_becomes_grey():
    model = with_logits(shape=(32, 28, 1), preprocessing=None)
    once, again, other = (maximise(model, "a", steps=6, seed=seed) for seed in (1, 1, 2))
    assert_same(once.pixels, again.pixels)
    assert (once.pixels != other.pixels).any()
    assert (once.pixels[..., 0] == once.pixels[..., 2]).all()


@pytest.mark.parametrize("unit", [None, 2])
def test_a_dream_answers_more_than_its_photo(unit):
    model = with_logits(units=0)
    result = dream(model, picture(), "conv2", unit, octaves=1)
    activity = []
    for pixels in (picture(), result.pixels):
        y = model.activations(model.to_input(pixels[None]), ["conv2"])["conv2"]
        activity.append(0.5 * (y[..., unit] ** 2 if unit else y ** 2).mean())
    assert result.before == pytest.approx(float(activity[0]), rel=1e-5)
    assert result.after == pytest.approx(float(activity[1]), rel=0.02)  # pixels are rounded
    assert activity[1] > 1.5 * activity[0]
    assert_same(result.photo, picture())
    assert len(result.figure().axes) == 2 and "conv2" in str(result)


def test_a_dream_without_steps_worth_the_name_leaves_the_photo_with_all_its_detail():
    photo = np.random.default_rng(0).integers(0, 256, (96, 80, 3), np.uint8)
    model = mc.Sequential([mc.Conv2D(4, 3, activation="relu", name="c")], photo.shape, 0,
                          preprocessing=RECIPES[1])
    result = dream(model, photo, steps=1, octaves=4, lr=1e-9)
    assert len(result.sizes) == 4
    assert_same(result.pixels, photo)


def test_the_first_layer_gives_the_photo_back_and_the_distance_is_the_images_own():
    model = with_logits(units=0)
    photo = np.kron(np.random.default_rng(0).integers(40, 216, (4, 4, 3)),
                    np.ones((8, 7, 1))).astype(np.uint8)
    result = inversion(model, photo, ["conv1", "conv2"], steps=150, tv=0.001)
    for k, name in enumerate(result.layers):
        f, f0 = (model.activations(model.to_input(x[None]), [name])[name]
                 for x in (result.pixels[k], photo))
        d = np.sqrt(((f - f0) ** 2).sum() / (f0 ** 2).sum())
        assert result.distances[k] == pytest.approx(float(d), abs=0.01)
        assert d < 0.15
        error = np.sqrt(((result.pixels[k].astype(float) - photo) ** 2).mean())
        assert result.errors[k] == pytest.approx(error)
    grey = np.sqrt(((photo - np.array([120.0, 110, 100])) ** 2).mean())
    assert result.errors[0] < 0.4 * grey
    assert len(result.figure().axes) == 3


def test_bad_input_is_refused():
    model = with_logits()
    for function in (dream, inversion):
        with assert_refused("steps", "at least"):
            function(model, picture(), steps=0)
    for call in (lambda: maximise(model, Unit("conv1", 5)),
                 lambda: dream(model, picture(), "conv1", 5)):
        with assert_refused("conv1", "0 to 4", "5"):
            call()
    with assert_refused("'con1'", "conv1"):
        dream(model, picture(), "con1")
    with assert_refused("logits", "feature maps"):
        inversion(model, picture(), ["logits"])
    with assert_refused("tv", "-1"):
        maximise(model, "a", tv=-1)
    with assert_refused("tv", "-1"):
        inversion(model, picture(), tv=-1)
    with assert_refused("images (H, W, C)"):
        maximise(mc.Sequential([mc.Dense(2)], (7,)))
    dead = with_logits()
    dead["conv1"].params["b"][3] = -1e6
    with assert_refused("conv1, map 3", "zero gradient", "dead"):
        maximise(dead, Unit("conv1", 3), steps=2)
    broken = with_logits()
    broken["conv1"].params["b"][:] = np.nan
    with assert_refused("a", "finite", "nan"):
        maximise(broken, "a")
    with assert_refused("3 channels", "2"):
        dream(with_logits(shape=(32, 28, 2), preprocessing=None), np.zeros((32, 28, 2), np.float32))
    model["conv1"].params["W"][:] = 0
    with assert_refused("conv1", "positive activity"):
        dream(model, picture(), "conv1")
    with assert_refused("conv1", "not all zero"):
        inversion(model, picture(), ["conv1"])
