"""Winograd's convolution against PyTorch and im2col, on every geometry, any number of threads."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial import polynomial
from reference import assert_close, assert_refused, assert_same

import minicnn as mc
from minicnn.ops import Window, to_device
from minicnn.ops.algorithms import use_algorithm
from minicnn.ops.fast import conv, im2col_blocks, threads, winograd
from minicnn.ops.fast.winograd import conv2d_winograd
from minicnn.ops.winograd import pays_off

pytestmark = pytest.mark.cpu_only  # test_winograd_on_gpus.py has the others
SHAPES = st.tuples(st.integers(1, 3), st.integers(3, 14), st.integers(3, 14), st.integers(1, 6))
PADS = st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * 2)


def drawn(shape, F, dtype=np.float64):
    rng = np.random.default_rng(0)
    return (rng.normal(size=shape).astype(dtype),
            rng.normal(size=(3, 3, shape[3], F)).astype(dtype))


def by_torch(x, W, pads):
    (top, bottom), (left, right) = pads
    x = torch.nn.functional.pad(torch.tensor(x).permute(0, 3, 1, 2), (left, right, top, bottom))
    z = torch.nn.functional.conv2d(x.contiguous(), torch.tensor(W).permute(3, 2, 0, 1).contiguous())
    return z.permute(0, 2, 3, 1).numpy()


def computed(x, W, pads, b=None, **options):
    return conv2d_winograd(x, W, b, Window((3, 3), (1, 1), pads, x.shape[1:3]), **options)


def test_the_matrices_multiply_polynomials():
    """y_i = Σ_j d_{i+j} g_j is the adjoint of the product a(t) g(t), so <y, a> = <d, a g>."""
    rng = np.random.default_rng(0)
    d, g, a = rng.normal(size=6), rng.normal(size=3), rng.normal(size=4)
    y = winograd.A_T @ ((winograd.B_T @ d) * (winograd.G @ g))
    assert_close(y @ a, d @ polynomial.polymul(a, g), rtol=1e-12)
    assert_close(y, np.correlate(d, g, "valid"), rtol=1e-12)


@given(SHAPES, st.integers(1, 6), PADS, st.sampled_from([1, 3000, 1 << 21]),
       st.sampled_from([1, 100, 1 << 21]))
def test_any_geometry_in_blocks_of_any_size_is_pytorchs(shape, F, pads, block, kernels):
    x, W = drawn(shape, F)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd, "BLOCK_ELEMENTS", block)
        patch.setattr(winograd, "KERNEL_ELEMENTS", kernels)
        assert_close(computed(x, W, pads), by_torch(x, W, pads), rtol=1e-12)


@pytest.mark.parametrize("shape, F", [((1, 56, 56, 64), 64), ((2, 28, 30, 256), 256)])
def test_in_float32_it_errs_by_a_few_1e_5_of_the_largest_output(shape, F):
    x, W = drawn(shape, F, np.float32)
    exact = by_torch(x.astype(float), W.astype(float), ((1, 1), (1, 1)))
    error = np.abs(computed(x, W, ((1, 1), (1, 1))) - exact).max() / np.abs(exact).max()
    assert 1e-7 < error < 3e-5


def test_every_group_of_filters_gets_its_own_biases():
    x, W = drawn((2, 9, 7, 40), 70)
    b = np.arange(70.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd, "KERNEL_ELEMENTS", 36 * 40 * 20)  # four groups of filters
        z = computed(x, W, ((1, 1), (1, 1)), b)
        y = computed(x, W, ((1, 1), (1, 1)), b, relu=True)
    expected = by_torch(x, W, ((1, 1), (1, 1))) + b
    assert_close(z, expected, rtol=1e-12)
    assert_close(y, np.maximum(expected, 0), rtol=1e-12)


@pytest.mark.parametrize("algorithm", ["im2col", "winograd"])
@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_threads_change_nothing_but_rounding_and_runs_are_the_same_to_the_bit(
        algorithm, workers, monkeypatch):
    layer = mc.Conv2D(33, 3, padding="same", activation="relu")
    mc.Sequential([layer], (13, 11, 32))
    x, dy = drawn((5, 13, 11, 32), 1)[0], drawn((5, 13, 11, 33), 1)[0]

    def results():
        with use_algorithm(algorithm):
            return [layer.forward(x), layer.backward(dy), layer.grads["W"].copy()]
    expected = results()
    for module in (conv, im2col_blocks, threads, winograd):
        monkeypatch.setattr(module, "num_threads", lambda: workers)
    monkeypatch.setattr(im2col_blocks, "BLOCK_ELEMENTS", 9000)
    monkeypatch.setattr(winograd, "BLOCK_ELEMENTS", 20000)
    once, again = results(), results()
    for a, b, c in zip(expected, once, again, strict=True):
        assert_close(a, b, rtol=1e-12)
        assert_same(b, c)


@pytest.mark.parametrize("x, W, strides, expected", [  # multiplications 36 (T + 32) against 9 NOHOW
    ((1, 224, 224, 64), (3, 3, 64, 64), (1, 1), "winograd"),  # 36 · 3168 against 9 · 50176
    ((1, 28, 28, 512), (3, 3, 512, 512), (1, 1), "winograd"),  # 36 · 81 against 9 · 784: 2.4
    ((1, 14, 14, 512), (3, 3, 512, 512), (1, 1), "im2col"),  # 36 · 48 against 9 · 196: 1.02
    ((4, 14, 14, 512), (3, 3, 512, 512), (1, 1), "winograd"),  # 36 · 96 against 9 · 784: 2.04
    ((1, 224, 224, 3), (3, 3, 3, 64), (1, 1), "im2col"),  # three channels
    ((1, 224, 224, 32), (3, 3, 32, 64), (1, 1), "winograd"),
    ((1, 224, 224, 64), (3, 3, 64, 31), (1, 1), "im2col"),
    ((1, 224, 224, 64), (3, 3, 64, 64), (2, 2), "im2col"),
    ((1, 224, 224, 64), (5, 5, 64, 64), (1, 1), "im2col"),
    ((1, 56, 56, 64), (1, 1, 64, 64), (1, 1), "implicit_gemm")])
def test_the_rule(x, W, strides, expected):
    window = Window.on_image(x[1:3], W[:2], strides, "same")
    assert conv.select_algorithm(x[0], *W[2:], window) == expected


@pytest.mark.parametrize("padding", ["same", "valid", (2, 1)])
def test_training_with_it_has_pytorchs_gradients(padding):
    layer = mc.Conv2D(4, 3, padding=padding)
    mc.Sequential([layer], (9, 10, 3))
    x, W = drawn((2, 9, 10, 3), 4)
    layer.params["W"] = W
    pads = layer.window(x.shape).pads
    with use_algorithm("winograd"):
        y = layer.forward(x)
    dy = np.random.default_rng(1).normal(size=y.shape)
    leaf, kernel = (torch.tensor(a, requires_grad=True) for a in (x, W))
    (top, bottom), (left, right) = pads
    padded = torch.nn.functional.pad(leaf.permute(0, 3, 1, 2), (left, right, top, bottom))
    torch.nn.functional.conv2d(padded, kernel.permute(3, 2, 0, 1)).permute(0, 2, 3, 1).backward(
        torch.tensor(dy))
    with use_algorithm("winograd"):
        assert_close(layer.backward(dy), leaf.grad.numpy(), rtol=1e-11)
    assert_close(layer.grads["W"], kernel.grad.numpy(), rtol=1e-11)


@pytest.mark.parametrize("device", ["cpu", "cuda-sim"])
@pytest.mark.parametrize("arguments, words", [
    (dict(strides=2), ["'winograd'", "(2, 2)"]),
    (dict(kernel_size=(3, 1)), ["'winograd'", "(3, 1)"])])
def test_what_it_cannot_compute_is_refused(device, arguments, words):
    layer = mc.Conv2D(**{"filters": 2, "kernel_size": 3, **arguments})
    mc.Sequential([layer], (5, 5, 3)).to(device)
    x = to_device(np.zeros((1, 5, 5, 3), np.float32), device)
    with use_algorithm("winograd"), assert_refused("use_algorithm", *words):
        layer.forward(x)
    assert layer.forward(x).shape[0] == 1  # outside of the block it is selected again


def test_an_algorithm_that_does_not_exist_is_refused():
    with (assert_refused("use_algorithm", "'fft'", "implicit_gemm", "winograd"),
          use_algorithm("fft")):
        pass


@given(SHAPES, st.integers(1, 6), PADS, st.sampled_from([1, 60, 1 << 14]))
def test_with_pool_it_gives_the_largest_of_each_2_by_2_to_the_last_bit(shape, F, pads, block):
    x, W = drawn(shape, F, np.float32)
    x = np.round(x)  # equal maxima, too
    b = np.arange(-3, F - 3, dtype=np.float32)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd, "BLOCK_ELEMENTS", block)
        z = computed(x, W, pads, b, relu=True)
        pooled = computed(x, W, pads, b, relu=True, pool=True)
    N, OH, OW, _ = z.shape
    z = z[:, :OH // 2 * 2, :OW // 2 * 2].reshape(N, OH // 2, 2, OW // 2, 2, F)
    assert_same(pooled, z.max(axis=(2, 4)))


@pytest.mark.parametrize("N, C, F, size, pays", [
    (1, 32, 32, (20, 20), False),   # 25 tiles: 36 · 57 = 2,052 against 9 · 400 / 2 = 1,800
    (1, 32, 32, (24, 24), True),    # 36 tiles: 36 · 68 = 2,448 against 2,592
    (2, 32, 32, (16, 16), True),    # 32 tiles: 36 · 64 = 2,304 against 2,304
    (1, 32, 32, (17, 30), False),   # 40 tiles: 36 · 72 = 2,592 against 2,295
    (1, 32, 32, (30, 17), False),   # the same
    (1, 31, 32, (24, 24), False), (1, 32, 31, (24, 24), False)])
def test_it_pays_off_where_it_saves_half_of_the_multiplications(N, C, F, size, pays):
    window = Window((3, 3), (1, 1), ((1, 1), (1, 1)), size)
    assert window.output_size == size
    assert pays_off(N, C, F, window) == pays
    assert not pays_off(N, C, F, window._replace(kernel=(3, 5), pads=((1, 1), (2, 2))))
    assert not pays_off(4 * N, C, F, window._replace(strides=(2, 2)))
