"""The activations beside ReLU, Sigmoid and Softmax: values by hand, also where they are cut off."""

import numpy as np
import pytest
import torch
from reference import array, assert_close, on_device
from torch.nn import functional as F

from minicnn.layers import SELU, HardSigmoid, ReLU6, SiLU, Softplus
from minicnn.ops import to_cpu

X = [-100.0, -3.5, -3.0, -1.5, 0.0, 1.5, 3.0, 5.0, 6.0, 7.0, 100.0]
IN_TORCH = {  # but hardsigmoid, whose gradient takes 1/6 in float32
    ReLU6: F.relu6, HardSigmoid: lambda x: F.relu6(x + 3) / 6, SELU: F.selu, SiLU: F.silu,
    Softplus: lambda x: F.softplus(x, threshold=50)}


@pytest.mark.parametrize("kind, expected", [
    (ReLU6, [0, 0, 0, 0, 0, 1.5, 3, 5, 6, 6, 6]),
    (HardSigmoid, [0, 0, 0, 0.25, 0.5, 0.75, 1, 1, 1, 1, 1])])
def test_clipped_activations_are_straight_pieces(kind, expected):
    assert_close(kind().forward(on_device(np.array([X]))), [expected], rtol=1e-15)


@pytest.mark.parametrize("kind, slopes", [
    (ReLU6, [0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0]),
    (HardSigmoid, [0, 0, 0, 1 / 6, 1 / 6, 1 / 6, 0, 0, 0, 0, 0])])
def test_no_gradient_passes_where_a_clipped_activation_is_flat(kind, slopes, rng):
    layer, dy = kind(), array(rng, 1, len(X))
    layer.forward(on_device(np.array([X])))
    assert_close(layer.backward(dy), to_cpu(dy) * slopes, rtol=1e-15)


@pytest.mark.parametrize("kind", IN_TORCH)
def test_far_from_zero_they_are_pytorchs_too(kind, rng):
    x = np.array([[v for v in (*X, -800.0, 800.0, 1e-9) if v not in (-3, 0, 3, 6)]])
    layer, dy = kind(), array(rng, *x.shape)
    theirs = torch.tensor(x, requires_grad=True)
    y = IN_TORCH[kind](theirs)
    y.backward(torch.tensor(to_cpu(dy)))
    np.testing.assert_allclose(to_cpu(layer.forward(on_device(x))), y.detach(), 1e-10, 1e-15)
    np.testing.assert_allclose(to_cpu(layer.backward(dy)), theirs.grad, 1e-10, 1e-15)


def test_selu_keeps_mean_0_and_variance_1():
    x = np.random.default_rng(0).normal(size=(1000, 200))
    y = to_cpu(SELU().forward(on_device(x)))
    assert abs(y.mean()) < 0.01 and abs(y.std() - 1) < 0.01
