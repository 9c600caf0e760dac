"""Every operation of every backend is the reference's, on drawn geometries in float64.

That the reference is right is shown elsewhere, against loops, PyTorch and formulas; here the others
are held to it, so that what a student reads is what runs.
"""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from reference import array, assert_close, geometries, on_device, running_ops, window_of

from minicnn.ops import Window, reference, to_cpu
from minicnn.ops.algorithms import use_algorithm


def compare(name, *arguments, rtol=1e-10, **options):
    """Calls the operation of the running backend and the reference's; returns the reference's."""
    mine = getattr(running_ops(), name)(*arguments, **options)
    plain = [to_cpu(a) if hasattr(a, "dtype") else a for a in arguments]
    expected = getattr(reference, name)(*plain, **options)
    pairs = zip(mine, expected, strict=True) if isinstance(mine, tuple) else [(mine, expected)]
    for got, want in pairs:
        assert (got is None) == (want is None)
        if got is not None:
            assert got.dtype == want.dtype
            assert_close(got, want, rtol)
    return expected


@given(geometries(), st.integers(1, 40), st.integers(1, 40), st.booleans())
def test_convolutions(geometry, C, F, relu):
    (N, H, Wd, _), kernel, strides, padding = geometry
    window = window_of(((N, H, Wd, C), kernel, strides, padding))
    rng = np.random.default_rng(0)
    x, W, b = array(rng, N, H, Wd, C), array(rng, *kernel, C, F), array(rng, F)
    y = compare("conv2d", x, W, b, window, relu=relu)
    dz = array(rng, *y.shape)
    compare("conv2d_weight_grad", x, dz, window)
    compare("conv2d_input_grad", dz, W, x.shape, window)
    compare("bias_grad", dz)
    pool = Window.on_image(window.output_size, (2, 2), (2, 2), "same")
    compare("conv2d_max_pool", x, W, b, window, pool, relu=relu)


@given(st.integers(1, 3), st.integers(3, 17), st.integers(3, 17), st.booleans(), st.booleans())
def test_convolutions_of_many_channels_which_winograds_algorithm_computes(N, H, Wd, same, relu):
    window = Window.on_image((H, Wd), (3, 3), (1, 1), "same" if same else "valid")
    rng = np.random.default_rng(0)
    x, W, b = array(rng, N, H, Wd, 33), array(rng, 3, 3, 33, 34), array(rng, 34)
    # However few the tiles: the rule would leave small images to im2col.
    with use_algorithm("winograd"):
        y = compare("conv2d", x, W, b, window, relu=relu)
        dz = array(rng, *y.shape)
        compare("conv2d_weight_grad", x, dz, window)
        compare("conv2d_input_grad", dz, W, x.shape, window)
        if min(window.output_size) >= 2:
            pool = Window.on_image(window.output_size, (2, 2), (2, 2))
            compare("conv2d_max_pool", x, W, b, window, pool, relu=relu)


@given(geometries(pooling=True), st.booleans())
def test_poolings(geometry, ties):
    rng, window = np.random.default_rng(0), window_of(geometry)
    numbers = rng.integers(-2, 3, geometry[0]) if ties else rng.normal(size=geometry[0])
    x = on_device(numbers.astype(float))
    y, switches = compare("max_pool2d", x, window)
    compare("max_pool2d", x, window, with_switches=False)
    dy = array(rng, *y.shape)
    compare("max_unpool2d", dy, on_device(switches), x.shape, window)
    compare("average_pool2d", x, window)
    compare("average_pool2d_grad", dy, x.shape, window)


@given(st.integers(1, 9), st.integers(2, 30), st.integers(1, 30), st.booleans())
def test_rows(N, D, units, relu):
    rng = np.random.default_rng(0)
    x, W, b, dz = array(rng, N, D), array(rng, D, units), array(rng, units), array(rng, N, units)
    compare("dense", x, W, b, relu=relu)
    compare("dense_weight_grad", x, dz)
    compare("dense_input_grad", dz, W)
    dy, t = array(rng, N, D), on_device(rng.dirichlet(np.ones(D), N))
    for name in ("relu", "sigmoid", "softmax"):
        y = compare(name, x)
        compare(f"{name}_grad", dy, on_device(y))
    y = compare("tanh", x)
    compare("tanh_grad", dy, on_device(y))
    for name in ("elu", "leaky_relu"):
        y = compare(name, x, 0.3)
        compare(f"{name}_grad", dy, on_device(y), 0.3)
    y = compare("clipped_line", x, 0.3, 0.5, 0.75)
    compare("clipped_line_grad", dy, on_device(y), 0.3, 0.75)
    for name in ("silu", "softplus"):
        compare(name, x)
        compare(f"{name}_grad", dy, x)
    compare("sigmoid_cross_entropy", x, t)
    compare("softmax_cross_entropy", x, t)


@given(st.integers(1, 70), st.integers(1, 4), st.integers(1, 4), st.integers(1, 40), st.booleans(),
       st.booleans())
def test_prelu(N, H, Wd, C, share_rows, share_columns):
    rng = np.random.default_rng(0)
    x, dy = array(rng, N, H, Wd, C), array(rng, N, H, Wd, C)
    alpha = array(rng, 1 if share_rows else H, 1 if share_columns else Wd, C)
    compare("prelu", x, alpha)
    compare("prelu_grad", dy, x, alpha)
    rows, slopes = x.reshape(N, -1), array(rng, H * Wd * C)
    compare("prelu", rows, slopes)
    compare("prelu_grad", dy.reshape(N, -1), rows, slopes)


@given(st.integers(1, 5), st.integers(1, 90), st.integers(1, 70), st.booleans())
def test_batch_normalization(N, H, C, images):
    rng = np.random.default_rng(0)
    shape = (N, H, 3, C) if images else (N * H, C)
    x, dy = 3 + array(rng, *shape), array(rng, *shape)
    gamma, beta, dgamma, dbeta = (array(rng, C) for _ in range(4))
    mean, variance = (on_device(a) for a in compare("batch_moments", x))
    std = np.sqrt(variance + 0.1)
    compare("batch_norm", x, mean, std, gamma, beta)
    compare("batch_norm_param_grads", dy, x, mean, std)
    compare("batch_norm_input_grad", dy, x, mean, std, gamma, dgamma, dbeta)


@given(st.integers(1, 60), st.booleans(), st.integers(1, 5))
def test_steps(size, flag, t):
    def arrays():
        rng = np.random.default_rng(0)
        p, g = array(rng, size), array(rng, size)
        return p, g, array(rng, size), abs(array(rng, size))

    calls = {
        "sgd_step": lambda ops, p, g, v, s: ops.sgd_step(p, g, 0.1),
        "momentum_step": lambda ops, p, g, v, s: ops.momentum_step(p, g, v, 0.1, 0.9, flag),
        "rmsprop_step": lambda ops, p, g, v, s: ops.rmsprop_step(
            p, g, s, v if flag else None, 0.1, 0.9, 1e-8, 0.8 if flag else 0.0),
        "adam_step": lambda ops, p, g, v, s: ops.adam_step(p, g, v, s, t, 0.1, 0.9, 0.99, 1e-8)}
    for step in calls.values():
        mine, theirs = arrays(), [to_cpu(a).copy() for a in arrays()]
        before = theirs[0].copy()
        step(running_ops(), *mine)
        step(reference, *theirs)
        for a, b in zip(mine, theirs, strict=True):
            assert_close(a, b, rtol=1e-10)
        assert (theirs[0] != before).any()
