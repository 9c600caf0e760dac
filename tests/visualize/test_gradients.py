"""Attributions by gradients against Captum, on the same network in PyTorch; in float64."""

import captum.attr as captum
import numpy as np
import pytest
import torch
from reference import assert_close, assert_refused
from visualize.twins import both, nchw, nhwc, photo

import minicnn as mc
from minicnn.visualize import Unit
from minicnn.visualize.attribution.gradients import (
    gradient,
    gradient_x_input,
    guided_backprop,
    integrated_gradients,
    smooth_grad,
)
from minicnn.visualize.attribution.result import Attribution
from minicnn.visualize.propagation import score_gradient
from minicnn.visualize.target import score_of

pytestmark = pytest.mark.filterwarnings("ignore:Setting (forward|backward|full)")


def test_the_two_networks_are_the_same():
    model, net = both()
    assert_close(model.forward(photo()[None]), net(nchw(photo())).detach().numpy())


@pytest.mark.parametrize("ours, theirs, options", [
    (gradient, captum.Saliency, {"abs": False}), (gradient_x_input, captum.InputXGradient, {}),
    (guided_backprop, captum.GuidedBackprop, {})])
@pytest.mark.parametrize("target", [0, 3])
def test_attribution_equals_captums(ours, theirs, options, target):
    model, net = both()
    result = ours(model, photo(), target)
    expected = theirs(net).attribute(nchw(photo()), target=target, **options)
    assert_close(result.values, nhwc(expected))
    assert_close(np.array(result.score), net(nchw(photo()))[0, target].detach().numpy())


def test_deconvnet_rule_equals_captums_deconvolution():
    model, net = both()
    x = photo()[None]
    _, down = score_gradient(score_of(model, x, 1), x, "deconvnet")
    expected = captum.Deconvolution(net).attribute(nchw(photo()), target=1)
    assert_close(down[0], nhwc(expected))


@pytest.mark.parametrize("baseline", [None, photo(9)])
def test_integrated_gradients_by_midpoints_equal_captums(baseline):
    model, net = both()
    result = integrated_gradients(model, photo(), 2, steps=10, baseline=baseline, rule="midpoint",
                                  batch_size=3)
    start = torch.zeros(1, 3, 12, 10).double() if baseline is None else nchw(baseline).detach()
    expected = captum.IntegratedGradients(net).attribute(
        nchw(photo()), start, target=2, n_steps=10, method="riemann_middle")
    assert_close(result.values, nhwc(expected), 1e-7)  # Captum's alphas are float32


@pytest.fixture(scope="module")
def integrals():
    """Six networks, photos and integrals by 5,000 midpoints of Captum's."""
    found = []
    for seed in range(6):
        model, net = both(seed=seed)
        found.append((model, photo(seed), nhwc(captum.IntegratedGradients(net).attribute(
            nchw(photo(seed)), target=1, n_steps=5000, method="riemann_middle",
            internal_batch_size=500))))
    return found


RULES = ("adaptive", "midpoint")


def off(result, exact):
    """Relative error of the pixels."""
    return np.abs(result.values - exact).sum() / np.abs(exact).sum()


def test_adaptive_nodes_come_nearer_to_the_integral_than_as_many_midpoints(integrals):
    """On the mean of six networks: each alone may be lucky."""
    errors = {rule: np.mean([off(integrated_gradients(model, x, 1, rule=rule), exact)
                             for model, x, exact in integrals]) for rule in RULES}
    assert errors["adaptive"] < errors["midpoint"] and errors["adaptive"] < 0.01


@pytest.mark.parametrize("steps", [16, 64])
def test_spread_has_the_order_of_the_pixels_error_which_the_gap_has_not(integrals, steps):
    for model, x, exact in integrals:
        result = integrated_gradients(model, x, 1, steps=steps)
        assert 1 / 5 < off(result, exact) / result.spread < 5
    model, x, exact = integrals[1]
    result = integrated_gradients(model, x, 1, steps=2)
    assert result.gap < 1e-9 * abs(result.change) and off(result, exact) > 0.2 < result.spread
    assert integrated_gradients(model, x, 1, rule="midpoint").spread is None


@pytest.mark.parametrize("seed", range(6))
def test_gap_stays_under_a_thousandth_of_the_change_at_64_steps(seed):
    model, net = both(seed=seed)
    result = integrated_gradients(model, photo(seed), 1)
    ends = net(torch.cat([torch.zeros(1, 3, 12, 10).double(), nchw(photo(seed))]))[:, 1].detach()
    change = float(ends[1] - ends[0])
    assert len(result.alphas) == 64
    assert abs(result.values.sum() - change) < 1e-3 * abs(change)
    assert abs(result.gap - abs(result.values.sum() - change)) < 1e-12


def test_gap_on_the_true_vgg16_stays_under_a_thousandth():
    model = mc.VGG16(include_top=False, input_shape=(32, 32, 3))
    image = mc.data.read_image(mc.data.photos()["chelsea"])
    result = integrated_gradients(model, image)
    assert result.change > 1 and result.gap < 1e-3 * result.change


def test_smooth_grad_is_the_mean_of_gradients_of_noisy_copies():
    model, net = both()
    x = photo()
    rng, total = np.random.default_rng(5), 0
    for _ in range(6):
        noisy = x + 0.1 * (x.max() - x.min()) * rng.standard_normal((1, *x.shape))[0]
        total = total + nhwc(captum.Saliency(net).attribute(nchw(noisy), 1, abs=False))
    result = smooth_grad(model, x, 1, samples=6, noise=0.1, seed=5, batch_size=4)
    assert_close(result.values, total / 6)
    assert_close(smooth_grad(model, x, 1, samples=1, noise=0).values, gradient(model, x, 1).values)


@pytest.mark.parametrize("method", [gradient, gradient_x_input, smooth_grad, integrated_gradients])
def test_one_sigmoid_output_gives_class_0_the_negative_of_class_1(method):
    model, net = both(units=1)
    model.layers.append(mc.Sigmoid())
    no, yes = method(model, photo(), 0), method(model, photo(), 1)
    assert_close(no.values, -yes.values)
    z = float(net(nchw(photo())).detach()[0, 0])
    assert_close(np.array([no.score, yes.score]), np.array([-z, z]))


def test_gradient_of_class_1_of_one_sigmoid_raises_its_logit():
    model, net = both(units=1)
    model.layers.append(mc.Sigmoid())
    step = 1e-4 * gradient(model, photo(), 1).values
    assert net(nchw(photo() + step)) > net(nchw(photo()))
    assert net(nchw(photo() + 1e-4 * gradient(model, photo(), 0).values)) < net(nchw(photo()))


def test_a_feature_map_as_target():
    model, net = both()
    expected = captum.Saliency(lambda x: net[:5](x)[:, 4].sum(dim=(1, 2))).attribute(
        nchw(photo()), abs=False)
    assert_close(gradient(model, photo(), Unit("conv2", 4)).values, nhwc(expected))


def test_signs_show_their_parts():
    values = np.array([[[1.0, -3, 0]], [[2, 0, 5]]])
    expected = {"both": [-2, 7], "positive": [0, 7], "negative": [2, 0], "absolute": [4, 7]}
    for sign, heat in expected.items():
        found = Attribution("a", "b", np.zeros((2, 1, 3), np.uint8), values, 0.0, sign).heat()
        assert found.ravel().tolist() == heat


def test_guided_backprop_carries_its_warning():
    assert "Adebayo" in str(guided_backprop(both()[0], photo()))


def test_picture_says_so_where_the_map_is_zero(tmp_path):
    model, _ = both()
    model["logits"].params["W"][:] = 0
    result = gradient(model, photo(), 0)
    assert "zero everywhere" in str(result)
    texts = [text.get_text() for ax in result.figure().axes for text in ax.texts]
    assert any("zero everywhere" in text for text in texts)
    assert integrated_gradients(model, photo(), 0).gap == 0


def test_pictures_are_written(tmp_path):
    path = integrated_gradients(both()[0], photo(), steps=4).save(tmp_path / "a.png")
    assert path.stat().st_size > 10_000
    assert set(np.load(gradient(both()[0], photo()).save(tmp_path / "a.npz"))) >= {"values"}


@pytest.mark.parametrize("words, method, options", [
    (("sign", "red"), gradient, {"sign": "red"}), (("steps",), integrated_gradients, {"steps": 1}),
    (("midpoint",), integrated_gradients, {"rule": "simpson"}),
    (("12, 10, 3", "4, 4, 3"), integrated_gradients, {"baseline": np.ones((4, 4, 3))}),
    (("samples",), smooth_grad, {"samples": 0}), (("noise",), smooth_grad, {"noise": -1}),
    (("0 to 3",), gradient, {"target": 4})])
def test_bad_arguments_are_refused(words, method, options):
    with assert_refused(*words):
        method(both()[0], photo(), **options)


@pytest.mark.parametrize("function, keyword", [(smooth_grad, "samples"),
                                               (integrated_gradients, "steps")])
def test_progress_counts_the_gradients(function, keyword):
    seen = []
    function(both()[0], photo(), batch_size=4, progress=lambda *state: seen.append(state),
             **{keyword: 10})
    assert seen[-1] == (10, 10) and [n for n, _ in seen] == sorted({n for n, _ in seen})
