"""Class activation maps against Captum and against loops written from the papers' formulas."""

import captum.attr as captum
import numpy as np
import pytest
import torch
from reference import assert_close, assert_refused
from torch.nn import functional as F
from visualize.twins import both, nchw, nhwc, photo

import minicnn as mc
from minicnn.visualize import Unit
from minicnn.visualize.attribution.cam import (
    decision_map,
    enlarge,
    grad_cam,
    grad_cam_pp,
    guided_grad_cam,
    hires_cam,
    layer_cam,
    score_cam,
)
from minicnn.visualize.attribution.gradients import guided_backprop

pytestmark = pytest.mark.filterwarnings("ignore:Setting (forward|backward|full)")
ALL = [grad_cam, grad_cam_pp, layer_cam, hires_cam, guided_grad_cam, score_cam]
RELU = {"conv1": 1, "conv2": 4}  # of the network in PyTorch


def enlarged(cam):
    """(OH, OW) -> (12, 10) by PyTorch."""
    cam = torch.tensor(cam)[None, None]
    return F.interpolate(cam, (12, 10), mode="bilinear", align_corners=False)[0, 0].numpy()


def maps_and_gradients(net, layer, target):
    """A and dS/dA, (OH, OW, K), by PyTorch."""
    A = net[:RELU[layer] + 1](nchw(photo())).detach().requires_grad_()
    net[RELU[layer] + 1:](A)[0, target].backward()
    return nhwc(A), nhwc(A.grad)


@pytest.mark.parametrize("shape, size", [((3, 4), (12, 10)), ((1, 1), (5, 3)), ((2, 5), (7, 5)),
                                         ((6, 6), (4, 9))])
def test_enlarging_equals_pytorchs_bilinear(shape, size, rng):
    maps = rng.normal(size=(*shape, 2))
    expected = F.interpolate(nchw(maps), size, mode="bilinear", align_corners=False)
    assert_close(enlarge(maps, size), nhwc(expected))
    assert_close(enlarge(maps[..., 0], size), nhwc(expected)[..., 0])


@pytest.mark.parametrize("layer", ["conv1", "conv2"])
@pytest.mark.parametrize("target", [0, 1, 2, 3])
def test_grad_cam_equals_captums(layer, target):
    model, net = both()
    cam = captum.LayerGradCam(net, net[RELU[layer]]).attribute(nchw(photo()), target)
    cam = captum.LayerAttribution.interpolate(cam, (12, 10), "bilinear")[0, 0].detach().numpy()
    result = grad_cam(model, photo(), target, layer=layer)
    assert_close(result.values, cam)
    assert_close(result.heat(), np.maximum(cam, 0))
    assert grad_cam(model, photo(), target).values.tolist() == grad_cam(
        model, photo(), target, layer="conv2").values.tolist()


@pytest.mark.parametrize("target", [0, 1, 2, 3])
def test_guided_grad_cam_equals_captums_enlarged_bilinearly(target):
    model, net = both(seed=1)
    expected = captum.GuidedGradCam(net, net[4]).attribute(
        nchw(photo()), target, interpolate_mode="bilinear")
    result = guided_grad_cam(model, photo(), target)
    assert_close(result.values, nhwc(expected))
    assert "Adebayo" in result.warning and "Adebayo" in str(result)


def test_guided_grad_cam_test_sees_more_than_zeros():
    assert any(np.abs(guided_grad_cam(both(seed=1)[0], photo(), k).values).max() > 0
               for k in range(4))


@pytest.mark.parametrize("layer", ["conv1", "conv2"])
def test_layer_cam_weights_each_place_by_its_positive_gradient(layer):
    model, net = both()
    A, G = maps_and_gradients(net, layer, 1)
    cam = np.zeros(A.shape[:2])
    for i, j, k in np.ndindex(A.shape):
        cam[i, j] += max(G[i, j, k], 0) * A[i, j, k]
    assert cam.max() > 0
    assert_close(layer_cam(model, photo(), 1, layer=layer).values, enlarged(cam))


@pytest.mark.parametrize("layer", ["conv1", "conv2"])
def test_grad_cam_pp_follows_equation_19_of_the_paper(layer):
    model, net = both()
    A, G = maps_and_gradients(net, layer, 1)
    cam = np.zeros(A.shape[:2])
    for k in range(A.shape[2]):
        weight = 0
        for i, j in np.ndindex(cam.shape):
            g, below = G[i, j, k], 0
            if g != 0:
                below = 2 * g ** 2 + sum(A[a, b, k] * g ** 3 for a, b in np.ndindex(cam.shape))
                weight += g ** 2 / below * max(g, 0)
        cam += weight * A[:, :, k]
    assert cam.max() > 0
    assert_close(grad_cam_pp(model, photo(), 1, layer=layer).values, enlarged(cam), 1e-8)


def test_score_cam_weights_maps_by_the_score_of_the_photo_they_let_through():
    model, net = both()
    model["conv2"].params["W"][..., 0], model["conv2"].params["b"][0] = 0, -1  # a dead map
    with torch.no_grad():
        net[3].weight[0], net[3].bias[0] = 0, -1
    A, _ = maps_and_gradients(net, "conv2", 3)
    scores, live = [], []
    for k in range(6):
        if A[..., k].max() == A[..., k].min():
            continue
        mask = enlarged(A[..., k])
        mask = (mask - mask.min()) / (mask.max() - mask.min())
        live.append(k)
        scores.append(float(net(nchw(photo() * mask[..., None])).detach()[0, 3]))
    weights = torch.tensor(scores, dtype=torch.float64).softmax(0).numpy()
    cam = sum(w * A[..., k] for w, k in zip(weights, live, strict=True))
    seen = []
    result = score_cam(model, photo(), 3, batch_size=2, progress=lambda *at: seen.append(at))
    assert_close(result.values, enlarged(cam))
    assert 2 < len(live) < 6 and seen[0] == (2, len(live)) and seen[-1] == (len(live),) * 2


def test_one_sigmoid_output_gives_class_0_the_negative_grad_cam_of_class_1():
    model, net = both(units=1)
    model.layers.append(mc.Sigmoid())
    no, yes = grad_cam(model, photo(), 0), grad_cam(model, photo(), 1)
    assert np.abs(yes.values).max() > 0
    assert_close(no.values, -yes.values)
    z = float(net(nchw(photo())).detach()[0, 0])
    assert_close(np.array([no.score, yes.score]), np.array([-z, z]))
    expected = captum.LayerGradCam(net, net[4]).attribute(nchw(photo()), 0)[0, 0].detach().numpy()
    assert_close(yes.values, enlarged(expected))


@pytest.mark.parametrize("method", [*ALL, guided_backprop])
def test_class_0_of_one_sigmoid_output_asks_for_the_negative_logit(method):
    model, _ = both(units=1)
    model.layers.append(mc.Sigmoid())
    other, _ = both(units=1)
    other.layers.append(mc.Sigmoid())
    other["logits"].params = {key: -p for key, p in other["logits"].params.items()}
    found = method(model, photo(), 0)
    assert np.abs(found.values).max() > 0
    assert_close(found.values, method(other, photo(), 1).values)


@pytest.mark.parametrize("method", ALL)
def test_every_map_has_the_size_of_the_photo_and_a_picture(method, tmp_path):
    model, _ = both(softmax=True)
    result = method(model, photo())
    assert result.values.shape[:2] == (12, 10) and np.isfinite(result.values).all()
    assert result.save(tmp_path / "a.png").stat().st_size > 10_000
    assert result.method in str(result)


@pytest.mark.parametrize("method", ALL)
def test_a_dead_layer_says_so_instead_of_a_picture(method):
    model, _ = both()
    model["conv2"].params["W"][:], model["conv2"].params["b"][:] = 0, -1
    assert "zero everywhere" in str(method(model, photo(), 1))


def test_looking_disturbs_no_training_step():
    model, _ = both()
    model.forward(photo(1)[None])
    before = model["conv2"].cache
    for method in ALL:
        method(model, photo(2))
    assert model["conv2"].cache is before and not model["conv2"].grads


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("words, asked", [
    (("nearest", "conv2"), {"layer": "conv"}), (("feature maps",), {"layer": "dense"}),
    (("later", "conv1"), {"target": Unit("conv1", 0), "layer": "conv2"}),
    (("sign",), {"sign": "up"})])
def test_bad_arguments_are_refused(method, words, asked):
    with assert_refused(*[word.replace("nearest", "Nearest") for word in words]):
        method(both()[0], photo(), **asked)


@pytest.mark.parametrize("method", ALL)
def test_a_network_without_convolution_is_refused(method):
    with assert_refused("convolution"):
        method(mc.Sequential([mc.Flatten(), mc.Dense(2)], (4, 4, 1)), np.ones((4, 4, 1)))


@pytest.mark.parametrize("cam", [grad_cam, grad_cam_pp, score_cam, layer_cam, guided_grad_cam])
def test_a_relu_as_a_layer_of_its_own_gives_the_same_map(cam):
    fused, _ = both()
    layers = []
    for layer in fused.layers:
        if isinstance(layer, mc.Conv2D):
            own = mc.Conv2D(layer.filters, 3, padding="same", name=layer.name)
            own.params = layer.params
            layers += [own, mc.ReLU(name=f"{layer.name}_relu")]
        else:
            layers.append(layer)
    apart = mc.Sequential(layers, fused.input_shape)
    assert_close(cam(apart, photo(), 2).values, cam(fused, photo(), 2).values, 1e-12)


def test_score_cam_of_a_network_of_nan_says_so():
    model, _ = both()
    model["conv2"].params["W"] = model["conv2"].params["W"] * np.nan
    assert "not finite" in str(score_cam(model, photo(), 1))


def test_hires_cam_adds_up_to_the_logit_where_one_dense_follows():
    model = mc.Sequential([mc.Conv2D(5, 3, padding="same"), mc.ReLU(), mc.MaxPool2D(2),
                           mc.Flatten(), mc.Dense(1), mc.Sigmoid()], (8, 6, 3), 3)
    model["dense"].params["b"][:] = 0.7
    x = np.random.default_rng(0).normal(size=(8, 6, 3)).astype(np.float32)
    p = float(model.predict(x[None])[0, 0])
    logit = np.log(p / (1 - p))
    found = [hires_cam(model, x, target).values for target in (0, 1)]
    assert found[1].sum() == pytest.approx(logit - 0.7, rel=1e-4)
    assert_close(found[0], -found[1])
    assert abs(grad_cam(model, x, 1).values.sum() - found[1].sum()) > 1e-3  # Grad-CAM does not


@pytest.mark.parametrize("layer", RELU)
def test_hires_cam_is_gradient_times_map_place_by_place(layer):
    model, net = both()
    A, G = maps_and_gradients(net, layer, 1)
    assert_close(hires_cam(model, photo(), 1, layer=layer).values,
                 enlarged((A * G).sum(axis=-1)), 1e-4)


def averaging(*between):
    """A network whose maps go through `between` and a global average."""
    return mc.Sequential([mc.Conv2D(5, 3, padding="same"), mc.ReLU(), *between,
                          mc.GlobalAveragePool2D(), mc.Dense(3), mc.Softmax()], (8, 6, 3), 3)


@pytest.mark.parametrize("between", [(), (mc.Dropout(0.5),)])
def test_after_a_global_average_the_decision_map_is_grad_cam_and_equals_hires_cam(between):
    model, x = averaging(*between), photo(shape=(8, 6, 3))
    result = decision_map(model, x, 1)
    assert result.method == "Grad-CAM" and not result.warning
    assert result.values.min() < 0 < result.values.max() and result.sign == "both"
    assert_close(result.values, hires_cam(model, x, 1).values)
    assert not grad_cam(model, x, 1).warning


@pytest.mark.parametrize("model", [averaging(mc.MaxPool2D(2)), both()[0]])
def test_on_any_other_head_the_decision_map_is_hires_cam_and_grad_cam_warns(model):
    x = photo(shape=model.input_shape)
    result = decision_map(model, x, 1)
    assert result.method == "HiResCAM"
    assert result.values.tolist() == hires_cam(model, x, 1).values.tolist()
    for method in (grad_cam, grad_cam_pp):
        warned = method(model, x, 1)
        assert "opposite" in str(warned) and "HiResCAM" in warned.warning
    assert not result.warning and not layer_cam(model, x, 1).warning


@pytest.mark.parametrize("method", [grad_cam, grad_cam_pp, layer_cam, hires_cam, guided_grad_cam])
def test_a_map_is_not_explained_by_itself(method):
    model, _ = both()
    with assert_refused("conv2, map 2", "that map itself", "layer below"):
        method(model, photo(), Unit("conv2", 2))
    base = mc.Sequential([mc.Conv2D(2, 3), mc.Conv2D(3, 3)], (8, 6, 3))
    with assert_refused("network with classes", "feature-maps"):
        method(base, photo(shape=(8, 6, 3)))
    assert method(base, photo(shape=(8, 6, 3)), layer="conv2d").values.any()
