"""The native backend's direct convolutions and poolings against PyTorch and by hand."""

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from reference import assert_close, assert_same

from minicnn import ops
from minicnn.ops import Window, fast
from minicnn.ops.algorithms import input_gradient_window, use_algorithm
from minicnn.ops.native import conv, direct, library, pooling

pytestmark = pytest.mark.cpu_only
CHANNELS = st.sampled_from([1, 3, 4, 7, 16, 19, 33])  # vectors hold 2 to 16 numbers
SAME = Window((3, 3), (1, 1), ((1, 1), (1, 1)), (9, 10))


@st.composite
def cases(draw):
    """(x, W, b, dz, window): any geometry whose windows fit."""
    N, KH, KW, SH, SW = (draw(st.integers(1, n)) for n in (3, 4, 5, 3, 3))
    pads = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(2))
    size = tuple(max(K - sum(pad), 1) + draw(st.integers(0, 17))
                 for K, pad in zip((KH, KW), pads, strict=True))
    window, C, F = Window((KH, KW), (SH, SW), pads, size), draw(CHANNELS), draw(CHANNELS)
    rng = np.random.default_rng(0)
    return (rng.normal(size=(N, *size, C)), rng.normal(size=(KH, KW, C, F)), rng.normal(size=F),
            rng.normal(size=(N, *window.output_size, F)), window)


def same(C, F, dtype=np.float64, N=2):
    """x, W, b, dz for SAME."""
    rng = np.random.default_rng(1)
    return tuple(rng.normal(size=shape).astype(dtype) for shape in (
        (N, 9, 10, C), (3, 3, C, F), (F,), (N, 9, 10, F)))


@pytest.fixture
def workers(monkeypatch):
    """Sets the number of threads."""
    def use(number):
        for module in (direct, library.threads):
            monkeypatch.setattr(module, "num_threads", lambda: number)
    return use


# Direct convolution


@given(cases(), st.integers(1, 3), st.sampled_from([1, 64, 1 << 13]))
def test_any_geometry_is_pytorchs(case, workers, block):
    x, W, b, dz, window = case
    y, dx, dW, _ = reference.by_torch(x, W, b, dz, window.strides, window.pads)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(direct, "num_threads", lambda: workers)
        patch.setattr(direct, "BLOCK_ELEMENTS", block)
        assert_close(direct.conv2d_direct(x, W, b, window), y, rtol=1e-12)
        assert_close(direct.conv2d_direct(x, W, b, window, relu=True), np.maximum(y, 0), rtol=1e-12)
        assert_close(direct.weight_grad_direct(x, dz, window), dW, rtol=1e-12)
        if gradient_window := input_gradient_window(window):
            W_rot180 = W[::-1, ::-1].swapaxes(2, 3)
            assert_close(direct.conv2d_direct(dz, W_rot180, None, gradient_window), dx, rtol=1e-12)


def test_in_float32_it_errs_by_a_few_roundings():
    x, W, b, dz = same(3, 32, np.float32, N=64)
    exact, _, dW, _ = reference.by_torch(*(a.astype(float) for a in (x, W, b, dz)), (1, 1),
                                         SAME.pads)
    y = direct.conv2d_direct(x, W, b, SAME)
    assert y.dtype == np.float32
    assert_close(y, exact, rtol=1e-6)
    assert_close(direct.weight_grad_direct(x, dz, SAME), dW, rtol=3e-6)


def test_nan_comes_out_as_nan_and_where_it_is_seen_only():
    x, W, b, _ = same(3, 32)
    x[0, 0, 0, 0] = np.nan
    y = direct.conv2d_direct(x, W, b, SAME, relu=True)
    seen = np.zeros((2, 9, 10), bool)
    seen[0, :2, :2] = True
    assert np.array_equal(np.isnan(y).all(axis=3), seen)
    assert np.array_equal(np.isnan(y).any(axis=3), seen)


def test_arrays_that_are_not_contiguous_and_a_bias_of_another_dtype():
    x, W, b, dz = same(4, 16, np.float32)
    expected = direct.conv2d_direct(x, W, b, SAME)
    dW = direct.weight_grad_direct(x, dz, SAME)
    unpadded = Window((3, 3), (1, 1), ((0, 0), (0, 0)), (9, 10))
    inner = direct.conv2d_direct(x, W, b, unpadded)
    for x_, W_ in ((x[::-1].copy()[::-1], np.asfortranarray(W)), (np.asfortranarray(x), W)):
        assert_same(direct.conv2d_direct(x_, W_, b.astype(float), SAME), expected)
        assert_same(direct.conv2d_direct(x_, W_, b, unpadded), inner)
        assert_same(direct.weight_grad_direct(x_, np.asfortranarray(dz), SAME), dW)


def test_runs_are_the_same_to_the_bit_and_the_convolution_with_any_number_of_threads(workers):
    x, W, b, dz = same(4, 16, np.float32, N=5)
    results = []
    for number in (1, 2, 3, 3, 7):
        workers(number)
        results.append((direct.conv2d_direct(x, W, b, SAME),
                        direct.weight_grad_direct(x, dz, SAME)))
    assert all(np.array_equal(y, results[0][0]) for y, _ in results)
    assert_same(results[2][1], results[3][1])


def test_no_images_have_no_outputs_and_no_gradient():
    x, W, b, dz = (a[:0] if a.ndim == 4 and a.shape[1] == 9 else a for a in same(3, 16))
    assert direct.conv2d_direct(x, W, b, SAME).shape == (0, 9, 10, 16)
    assert_same(direct.weight_grad_direct(x, dz, SAME), np.zeros_like(W))


# When it is selected


@pytest.mark.parametrize("C, F, kernel, width, algorithm", [
    (3, 64, 3, 28, "direct"), (16, 32, 3, 28, "direct"), (1, 16, 5, 28, "direct"),
    (64, 64, 3, 28, "winograd"), (64, 64, 3, 7, "winograd"),
    (64, 64, 5, 28, None),  # too many weights
    (3, 10, 3, 28, None), (3, 64, 3, 6, None), (3, 64, 1, 28, None)])
def test_it_is_selected_for_few_channels(C, F, kernel, width, algorithm):
    window = Window.on_image((width, width), (kernel, kernel), (1, 1), "same")
    x, W = np.zeros((1, width, width, C)), np.zeros((kernel, kernel, C, F))
    assert conv.by_kernels(x, W.shape, W, window) == algorithm


def test_where_it_is_selected_the_kernels_compute_all(monkeypatch):
    for name in ("conv2d", "conv2d_max_pool", "conv2d_weight_grad", "conv2d_input_grad"):
        monkeypatch.setattr(conv.fast, name, lambda *_: pytest.fail("fast computes"))
    x, W, b, dz = same(16, 16)
    y, dx, dW, _ = reference.by_torch(x, W, b, dz, (1, 1), SAME.pads)
    assert_close(conv.conv2d(x, W, b, SAME), y, rtol=1e-12)
    assert_close(conv.conv2d_weight_grad(x, dz, SAME), dW, rtol=1e-12)
    assert_close(conv.conv2d_input_grad(dz, W, x.shape, SAME), dx, rtol=1e-12)
    pool = Window((2, 2), (2, 2), ((0, 0), (0, 0)), (9, 10))
    pooled = np.maximum(y, 0)[:, :8].reshape(2, 4, 2, 5, 2, 16).max(axis=(2, 4))
    assert_close(conv.conv2d_max_pool(x, W, b, SAME, pool, relu=True), pooled, rtol=1e-12)


def test_what_it_is_not_selected_for_fast_computes(monkeypatch):
    for name in ("conv2d_direct", "weight_grad_direct"):
        monkeypatch.setattr(conv.direct, name, lambda *_: pytest.fail("direct computes"))
    x, W, b, dz = same(4, 16)
    with use_algorithm("im2col"):
        assert_close(conv.conv2d(x, W, b, SAME), fast.conv2d(x, W, b, SAME), rtol=1e-12)
    window = Window((3, 2), (1, 1), ((1, 1), (0, 1)), (9, 10))  # runs of 8: no sums of 3 at once
    assert conv.by_kernels(x, (3, 2, 4, 16), W, window) == "direct"
    assert_close(conv.conv2d_weight_grad(x, dz, window), fast.conv2d_weight_grad(x, dz, window),
                 rtol=1e-12)


def test_rows_that_the_kernels_cannot_count_in_32_bits_are_left_to_fast():
    """The arrays are never touched."""
    for width, C, fits in ((2**24 - 11, 64, True), (2**24, 64, False), (2**20, 3, True)):
        window = Window.on_image((2, width), (3, 3), (1, 1), "same")
        x = np.broadcast_to(np.float32(0), (1, 2, width, C))
        W = np.broadcast_to(np.float32(0), (3, 3, C, 32))
        assert (conv.by_kernels(x, W.shape, W, window) is not None) == fits
        pool = Window.on_image((2, width), (2, 2), (2, 2))
        assert pooling.has_kernel(x, pool) == (fits and C > 3)


def test_no_rows_and_no_filters_give_what_the_reference_gives():
    window = Window((3, 3), (1, 1), ((0, 0), (1, 1)), (2, 14))  # no window fits
    x, W, b = np.zeros((2, 2, 14, 16)), np.zeros((3, 3, 16, 16)), np.zeros(16)
    for backend in (ops.reference, ops.native, fast):
        assert backend.conv2d(x, W, b, window).shape == (2, 0, 14, 16)
    assert not direct.pays_off(3, 0, SAME)


# Pooling


@given(cases(), st.integers(1, 3))
def test_any_pooling_is_that_of_the_definition(case, workers):
    x, *_, window = case
    KH, KW = window.kernel
    pads = tuple((min(a, K - 1), min(b, K - 1)) for (a, b), K in zip(
        window.pads, (KH, KW), strict=True))
    size = tuple(max(H, K - sum(pad)) for H, K, pad in zip(window.size, (KH, KW), pads,
                                                           strict=True))
    window = Window(window.kernel, window.strides, pads, size)
    x = np.round(2 * np.random.default_rng(0).normal(size=(len(x), *size, x.shape[3])))  # with ties
    dy = np.random.default_rng(2).normal(size=(len(x), *window.output_size, x.shape[3]))
    y, dx = reference.pool2d("max", x, dy, *window[:3])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pooling, "MIN_CHANNELS", 1)
        patch.setattr(library, "MIN_PART", 1)
        patch.setattr(library.threads, "num_threads", lambda: workers)
        patch.setattr(pooling.fast, "max_pool2d", lambda *_: pytest.fail("fast computes"))
        patch.setattr(pooling.fast, "max_unpool2d", lambda *_: pytest.fail("fast computes"))
        maxima, switches = pooling.max_pool2d(x, window)
        assert_same(maxima, y)
        assert_close(pooling.max_unpool2d(dy, switches, x.shape, window), dx, rtol=1e-12)
        assert_same(pooling.max_pool2d(x.astype(np.float32), window, with_switches=False)[0], y)
        floats = dy.astype(np.float32)
        assert_close(pooling.max_unpool2d(floats, switches, x.shape, window), dx, rtol=1e-6)


def test_threads_share_the_images_only_where_they_are_worth_it(monkeypatch):
    used = []
    monkeypatch.setattr(library.threads, "num_threads", lambda: 8)
    monkeypatch.setattr(library, "run_parts", lambda parts: used.append(len(parts)))
    for N, side in ((1, 8), (8, 16), (8, 32), (32, 32)):  # 2^9, 2^14, 2^16, 2^18 numbers
        x = np.zeros((N, side, side, 8), np.float32)
        pooling.max_pool2d(x, Window((2, 2), (2, 2), ((0, 0), (0, 0)), (side, side)))
    assert used == [1, 1, 4, 8]


def test_nan_and_infinities_are_pooled_as_the_reference_pools_them():
    x = np.random.default_rng(0).normal(size=(2, 6, 8, 16))
    x[0, :2, :2] = -np.inf
    x[0, 2, 2] = np.nan
    x[1, 1, 1], x[1, 2:4, :2] = np.inf, np.nan
    window = Window((2, 2), (2, 2), ((0, 0), (0, 0)), (6, 8))
    for a, b in zip(pooling.max_pool2d(x, window), ops.reference.max_pool2d(x, window),
                    strict=True):
        assert_same(a, b)


def test_what_the_kernels_cannot_pool_fast_does(monkeypatch):
    computed = []
    for name in ("max_pool2d", "max_unpool2d"):
        monkeypatch.setattr(pooling.fast, name, lambda *_, name=name: computed.append(name))
    x, window = np.zeros((1, 20, 20, 8)), Window((2, 2), (2, 2), ((0, 0), (0, 0)), (20, 20))
    wide = Window((17, 17), (1, 1), ((0, 0), (0, 0)), (20, 20))  # 289 places: not in a byte
    for wrong, where in ((x, wide), (x[..., :7], window), (x.astype(np.float16), window),
                         (x.astype(">f8"), window), (x[:, :10], window)):
        pooling.max_pool2d(wrong, where)
    assert computed == ["max_pool2d"] * 5
    computed.clear()
    y, switches = np.zeros((1, 10, 10, 8)), np.zeros((1, 10, 10, 8), np.uint8)
    for arguments in ((y[:, :9], switches, x.shape, window), (y, switches[:0], x.shape, window),
                      (y, switches.astype(int), x.shape, window),
                      (y, switches, (1, 22, 20, 8), window), (y, switches, (2, 20, 20, 8), window)):
        pooling.max_unpool2d(*arguments)
    assert computed == ["max_unpool2d"] * 5
