"""The whole engine against PyTorch: every layer, and a network trained by both from one start."""

import copy

import numpy as np
import pytest
import reference
import torch
from layers.cases import LAYERS, built, run, trained
from makers import in_float64
from reference import array, assert_close, pads_of
from torch.nn import functional as F

from minicnn.layers import AveragePool2D, Conv2D, Dense, Dropout, Flatten, MaxPool2D, ReLU
from minicnn.losses import CategoricalCrossEntropy
from minicnn.model import Sequential
from minicnn.ops import to_cpu
from minicnn.optimizers import SGD, Adam, RMSprop

ACTIVATIONS = {"relu": torch.relu, "sigmoid": torch.sigmoid, "softmax": lambda x: x.softmax(-1),
               "tanh": torch.tanh, "elu": F.elu, "leaky_relu": lambda x: F.leaky_relu(x, 0.2),
               "relu6": F.relu6,  # F.hardsigmoid takes 1/6 in float32
               **dict.fromkeys(("hard_sigmoid", "hardsigmoid"), lambda x: F.relu6(x + 3) / 6),
               "selu": F.selu, "silu": F.silu, "softplus": F.softplus, None: lambda x: x}


def in_torch(layer, x, params):
    """The same function of an NHWC tensor, in PyTorch's words."""
    kind = type(layer).__name__
    if kind in ("Conv2D", "MaxPool2D", "AveragePool2D"):
        kernel = layer.kernel_size if kind == "Conv2D" else layer.pool_size
        (top, bottom), (left, right) = pads_of(layer.padding, x.shape[1:3], kernel, layer.strides)

        def pad(a, value=0.0):
            a = a.permute(0, 3, 1, 2).contiguous()
            return F.pad(a, (left, right, top, bottom), value=value)

        if kind == "Conv2D":
            y = F.conv2d(pad(x), params["W"].permute(3, 2, 0, 1).contiguous(),
                         params.get("b"), layer.strides)
        elif kind == "MaxPool2D":
            y = F.max_pool2d(pad(x, -np.inf), kernel, layer.strides)
        else:
            y = (F.avg_pool2d(pad(x), kernel, layer.strides)
                 / F.avg_pool2d(pad(torch.ones_like(x)), kernel, layer.strides))
        y = y.permute(0, 2, 3, 1)
        return ACTIVATIONS[layer.activation_name](y) if kind == "Conv2D" else y
    if kind == "Dense":
        return ACTIVATIONS[layer.activation_name](F.linear(x, params["W"].T, params.get("b")))
    if kind == "BatchNormalization":
        moving = [params[key].detach().clone() for key in ("moving_mean", "moving_variance")]
        y = F.batch_norm(x.movedim(-1, 1), *moving, params.get("gamma"), params.get("beta"),
                         training=True, eps=layer.epsilon)
        return y.movedim(1, -1)
    if kind in ("Dropout", "SpatialDropout2D"):  # the one mask that only the layer knows
        mask = copy.deepcopy(layer).forward(np.ones(x.shape), training=True) > 0
        return x * torch.tensor(mask) / (1 - layer.rate)
    if kind in ("GaussianDropout", "GaussianNoise"):  # its numbers, at x = 1 or x = 0
        at = np.full(x.shape, float(kind == "GaussianDropout"))
        drawn = torch.tensor(copy.deepcopy(layer).forward(at, training=True), dtype=x.dtype)
        return x * drawn if kind == "GaussianDropout" else x + drawn
    if kind == "Reshape":
        return x.reshape(len(x), *layer.target_shape)
    if kind == "Permute":
        return x.permute(0, *layer.dims)
    if kind == "ZeroPadding2D":
        (top, bottom), (left, right) = layer.padding
        return F.pad(x, (0, 0, left, right, top, bottom))
    if kind == "CenterCrop":
        return x[:, 0:4, 1:4]  # of 5 × 6 pixels: (5 - 4) // 2, (6 - 3) // 2
    if kind == "Resizing":
        return x * 1
    if kind == "Rescaling":
        return x * torch.tensor(layer.scale, dtype=x.dtype) + torch.tensor(layer.offset,
                                                                           dtype=x.dtype)
    if kind == "Normalization":
        mean, variance = (torch.tensor(a, dtype=x.dtype) for a in (layer.mean, layer.variance))
        return (x - mean) / variance.sqrt()
    if kind == "ELU":
        return F.elu(x, layer.alpha)
    if kind == "LeakyReLU":
        return F.leaky_relu(x, layer.negative_slope)
    if kind == "PReLU":
        alpha = params["alpha"].expand(x.shape[1:]).reshape(-1)  # one a "channel" of (N, D)
        return F.prelu(x.flatten(1), alpha).reshape(x.shape)
    if kind == "GlobalMaxPool2D":
        return x.amax((1, 2))
    if kind == "GlobalAveragePool2D":
        return x.mean((1, 2))
    return x.flatten(1) if kind == "Flatten" else ACTIVATIONS[kind.lower()](x)


def leaf(a):
    return torch.tensor(np.ascontiguousarray(to_cpu(a)), requires_grad=True)


@pytest.mark.parametrize("make, shape", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("dtype, rtol", [(np.float64, 1e-10), (np.float32, 1e-5)])
def test_forward_and_every_gradient_match_pytorch(make, shape, dtype, rtol, rng):
    layer = built(make(), shape, rng, dtype)
    x = array(rng, *shape, dtype=dtype)
    dy = array(rng, shape[0], *layer.output_shape(shape[1:]), dtype=dtype)
    x_torch, params = leaf(x), {key: leaf(p) for key, p in layer.params.items()}
    y = in_torch(layer, x_torch, params)
    y.backward(torch.tensor(to_cpu(dy)))
    expected = [y.detach(), x_torch.grad, *(params[key].grad for key in trained(layer))]
    for a, b in zip(run(layer, x, dy), expected, strict=True):
        assert_close(a, b.numpy(), rtol)


def every_kind_of_layer():
    """Every kind of layer that trains or shapes, odd sizes, in float64."""
    model = in_float64(Sequential([
        Conv2D(4, (3, 2), strides=(1, 2), padding="same", activation="relu"),
        MaxPool2D(3, 2, "same"), Conv2D(5, 3, padding=1), ReLU(), AveragePool2D(2, 1, "same"),
        Flatten(), Dropout(0.3), Dense(8, activation="sigmoid"), Dense(3)], (9, 8, 2), seed=3))
    for layer in model.layers:
        layer.trainable = layer.name != "dropout"  # its dice are not PyTorch's
    return model.to(reference.DEVICE)


@pytest.mark.parametrize("ours, theirs", [
    (SGD(0.2, 0.9, nesterov=True, weight_decay=1e-3),
     lambda p: torch.optim.SGD(p, 0.2, 0.9, nesterov=True, weight_decay=1e-3)),
    (Adam(0.01), lambda p: torch.optim.Adam(p, 0.01)),
    (RMSprop(0.01), lambda p: torch.optim.RMSprop(p, 0.01))],
    ids=["SGD", "Adam", "RMSprop"])
@pytest.mark.parametrize("frozen", [None, "maxpool2d"])
def test_a_network_trained_for_50_steps_ends_with_pytorchs_weights(ours, theirs, frozen, rng):
    model = every_kind_of_layer()
    loss = CategoricalCrossEntropy(from_logits=True, class_weight=[1, 2, 0.5])
    ours.state = {}
    if frozen:
        model.freeze(until=frozen)
    start = [{key: p.copy() for key, p in layer.params.items()} for layer in model.layers]
    params = [{key: leaf(p) for key, p in layer.params.items()} for layer in model.layers]
    trained = [p for layer, tensors in zip(model.layers, params, strict=True)
               for p in tensors.values() if layer.trainable]
    optimizer = theirs(trained)
    x, t, first = array(rng, 7, 9, 8, 2), rng.integers(0, 3, 7), None
    for _ in range(50):
        L = loss.forward(model.forward(x, training=True), t)
        model.backward(loss.backward(), input_gradient=False)
        ours.step(model)

        y = torch.tensor(to_cpu(x))
        for layer, tensors in zip(model.layers, params, strict=True):
            y = y if layer.name == "dropout" else in_torch(layer, y, tensors)
        weights = torch.tensor([1, 2, 0.5], dtype=y.dtype)[torch.tensor(t)]
        L_torch = (F.cross_entropy(y, torch.tensor(t), reduction="none") * weights).mean()
        optimizer.zero_grad()
        L_torch.backward()
        optimizer.step()
        assert_close(L, L_torch.item(), rtol=1e-6)
        first = first or L
    assert L < 0.9 * first  # it did learn
    assert model.device == reference.DEVICE
    for layer, tensors, before in zip(model.layers, params, start, strict=True):
        for key, p in layer.params.items():
            assert_close(p, tensors[key].detach().numpy(), rtol=1e-6)
            assert (p == before[key]).all() == (not layer.trainable)
