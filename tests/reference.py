"""The oracles: every formula once more, in plain Python loops, slow and obvious.

No formula here comes from minicnn, and every oracle computes with NumPy, wherever its arguments
are. Images are NHWC, kernels (KH, KW, C, F), gradients are called d + name, as in the engine;
`pads` is ((top, bottom), (left, right)).
"""

import contextlib
import functools
import math
import re

import numpy as np
import pytest
from hypothesis import strategies as st

from minicnn.ops import Window, array_module, device_of, ops_for, to_cpu, to_device
from minicnn.utils.errors import MiniCNNError

DEVICE = "cpu"  # of the running test: the fixture `device` of conftest.py sets it

# Making, comparing, refusing


def on_device(x):
    """Numbers, or an array of NumPy's, as an array on the device of the running test."""
    return to_device(np.asarray(x), DEVICE)


def array(rng, *shape, dtype=np.float64):
    """Random numbers, the same on every device."""
    return on_device(rng.normal(size=shape).astype(dtype))


def assert_close(actual, expected, rtol=1e-10):
    """Same shape, and |actual − expected| ≤ rtol · max |expected| everywhere; NaN never passes."""
    actual, expected = to_cpu(actual), to_cpu(expected)
    assert actual.shape == expected.shape
    error, bound = np.abs(actual - expected), rtol * np.abs(expected).max(initial=0)
    assert (error <= bound).all(), f"off by {error.max()}, allowed {bound}"


def assert_same(actual, expected):
    """Same shape and the same numbers to the last bit; NaN equals NaN."""
    actual, expected = to_cpu(actual), to_cpu(expected)
    assert actual.shape == expected.shape
    np.testing.assert_array_equal(actual, expected)


def assert_predicts_like(theirs, model, spread=1e-4):
    """A model of minicnn's predicts what Keras' model does: numbers that differ, by `spread`."""
    x = np.random.default_rng(1).normal(size=(3, *model.input_shape)).astype(np.float32)
    expected = np.asarray(theirs.predict(x, verbose=0))
    assert np.ptp(expected) > spread
    np.testing.assert_allclose(model.predict(x), expected, rtol=1e-5, atol=1e-6)


@contextlib.contextmanager
def assert_refused(*words):
    """The block must raise a MiniCNNError: one line, where, what was expected, and these words."""
    with pytest.raises(MiniCNNError) as caught:
        yield
    sentence = str(caught.value)
    assert re.match(r"[\w/].*: expected .*[.?]$", sentence), sentence
    for word in words:
        assert word in sentence, sentence


def running_ops():
    """The backend that computes in the running test."""
    return ops_for(on_device(0.0))


@contextlib.contextmanager
def blocks_of(elements):
    """Convolutions cut their column matrix into blocks of about that many elements."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("minicnn.ops.fast.im2col_blocks.BLOCK_ELEMENTS", elements)
        patch.setattr("minicnn.ops.cuda.im2col_blocks.BLOCK_ELEMENTS", elements)
        yield


def oracle(formula):
    """The formula, of NumPy's arrays whatever it is given."""
    @functools.wraps(formula)
    def on_cpu(*arguments):
        return formula(*(to_cpu(a) if device_of(a) != "cpu" else a for a in arguments))
    return on_cpu


def numeric_gradient(f, x, eps=1e-6):
    """df/dx by central differences; f() reads x, which is moved in place and put back."""
    dx = np.zeros(x.shape)
    for k in np.ndindex(x.shape):
        value = float(x[k])
        x[k] = value + eps
        above = f()
        x[k] = value - eps
        below = f()
        x[k] = value
        dx[k] = (above - below) / (2 * eps)
    return dx


# Drawing shapes and memory layouts


@st.composite
def geometries(draw, pooling=False):
    """x of shape (N, H, Wd, C), a window, strides and a padding for it, odd ones too."""
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    strides = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    most = (kernel[0] - 1, kernel[1] - 1) if pooling else (3, 3)
    amounts = st.tuples(st.integers(0, most[0]), st.integers(0, most[1]))
    padding = draw(st.one_of(st.sampled_from(["same", "valid"]), amounts,
                             st.integers(0, min(most))))
    least = (1, 1) if padding == "same" else kernel  # kernel also with padding: room to spare
    H, Wd = (draw(st.integers(size, size + 5)) for size in least)
    N, C = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    return (N, H, Wd, C), kernel, strides, padding


LAYOUTS = ["contiguous", "Fortran", "channels first", "every other pixel", "backwards", "broadcast"]


def laid_out(x, layout):
    """x (N, H, Wd, C) arranged otherwise in memory; same numbers, but for "broadcast"."""
    xp = array_module(x)
    if layout == "Fortran":
        return xp.asfortranarray(x)
    if layout == "channels first":
        return xp.ascontiguousarray(x.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    if layout == "every other pixel":
        return xp.repeat(xp.repeat(x, 2, axis=1), 2, axis=2)[:, ::2, ::2]
    if layout == "backwards":
        return xp.ascontiguousarray(x[:, ::-1, ::-1])[:, ::-1, ::-1]
    if layout == "broadcast":
        return xp.broadcast_to(x[:, :1], x.shape)  # stride 0, and read-only
    return x


# Windows


def same_pads(size, kernel, strides):
    """What Keras adds for "same": OH = ceil(H / s), and an odd pixel below and to the right."""
    pads = []
    for H, K, s in zip(size, kernel, strides, strict=True):
        OH = math.ceil(H / s)
        missing = max((OH - 1) * s + K - H, 0)  # the last window ends at (OH − 1)·s + K
        pads.append((missing // 2, missing - missing // 2))
    return tuple(pads)


def pads_of(padding, size, kernel, strides):
    """((top, bottom), (left, right)) for each way to write a padding."""
    if padding == "same":
        return same_pads(size, kernel, strides)
    if padding == "valid":
        padding = 0
    above, left = (padding, padding) if isinstance(padding, int) else padding
    return (above, above), (left, left)


def count(H, K, s, before, after):
    """How many windows fit: tried one by one."""
    places = 0
    while places * s + K <= before + H + after:
        places += 1
    return places


def output_shape(shape, kernel, strides, pads):
    """(N, OH, OW, C) for x of shape (N, H, Wd, C)."""
    OH, OW = (count(shape[axis], kernel[axis - 1], strides[axis - 1], *pads[axis - 1])
              for axis in (1, 2))
    return shape[0], OH, OW, shape[3]


def seen(i, j, p, q, strides, pads):
    """The pixel that place (p, q) of window (i, j) looks at; outside the image where padded."""
    return i * strides[0] + p - pads[0][0], j * strides[1] + q - pads[1][0]


def window_of(geometry):
    """The engine's Window for a drawn geometry."""
    shape, kernel, strides, padding = geometry
    return Window(kernel, strides, pads_of(padding, shape[1:3], kernel, strides), shape[1:3])


@oracle
def im2col(x, kernel, strides, pads):
    """cols (N, OH, OW, KH, KW, C): the window of each output pixel, zeros where padded."""
    N, OH, OW, C = output_shape(x.shape, kernel, strides, pads)
    cols = np.zeros((N, OH, OW, *kernel, C))
    for n, i, j, p, q in np.ndindex(cols.shape[:5]):
        h, w = seen(i, j, p, q, strides, pads)
        if 0 <= h < x.shape[1] and 0 <= w < x.shape[2]:
            cols[n, i, j, p, q] = x[n, h, w]
    return cols


@oracle
def conv2d(x, W, b, dy, strides, pads):
    """y, dx, dW, db: z[n,i,j,f] = b[f] + Σ x[n, i·s+p−P, j·s+q−P, c] · W[p,q,c,f]."""
    y, dx, dW, db = np.zeros(dy.shape), np.zeros(x.shape), np.zeros(W.shape), np.zeros(b.shape)
    for n, i, j, f in np.ndindex(dy.shape):
        y[n, i, j, f] += b[f]
        db[f] += dy[n, i, j, f]
        for p, q, c in np.ndindex(W.shape[:3]):
            h, w = seen(i, j, p, q, strides, pads)
            if 0 <= h < x.shape[1] and 0 <= w < x.shape[2]:
                y[n, i, j, f] += x[n, h, w, c] * W[p, q, c, f]
                dx[n, h, w, c] += dy[n, i, j, f] * W[p, q, c, f]
                dW[p, q, c, f] += dy[n, i, j, f] * x[n, h, w, c]
    return y, dx, dW, db


def by_torch(x, W, b, dz, strides, pads):
    """y, dx, dW, db of a convolution by PyTorch, padded by hand."""
    import torch

    x, W, b, dz = (torch.tensor(np.ascontiguousarray(to_cpu(a))) for a in (x, W, b, dz))
    for leaf in (x, W, b):
        leaf.requires_grad_()
    (top, bottom), (left, right) = pads
    padded = torch.nn.functional.pad(x.permute(0, 3, 1, 2), (left, right, top, bottom))
    kernel = W.permute(3, 2, 0, 1).contiguous()  # (F, C, KH, KW)
    y = torch.nn.functional.conv2d(padded.contiguous(), kernel, b, strides).permute(0, 2, 3, 1)
    y.backward(dz)
    return [a.detach().numpy() for a in (y, x.grad, W.grad, b.grad)]


@oracle
def pool2d(kind, x, dy, kernel, strides, pads):
    """y, dx for kind "max" (the first maximum gets dy) or "average" (all real pixels share it)."""
    y, dx = np.zeros(dy.shape), np.zeros(x.shape)
    for n, i, j, c in np.ndindex(dy.shape):
        places = [seen(i, j, p, q, strides, pads) for p, q in np.ndindex(kernel)]
        places = [(h, w) for h, w in places if 0 <= h < x.shape[1] and 0 <= w < x.shape[2]]
        if kind == "max":
            winner = max(places, key=lambda hw: x[n, hw[0], hw[1], c])  # max() keeps the first
            places = [winner]
        for h, w in places:
            y[n, i, j, c] += x[n, h, w, c] / len(places)
            dx[n, h, w, c] += dy[n, i, j, c] / len(places)
    return y, dx


@oracle
def unpool(y, switches, shape, kernel, strides, pads):
    """x of `shape`: each y stands where its switch p·KW + q names; where several meet, their sum.
    What a switch sends into the padding is gone."""
    x = np.zeros(shape)
    for n, i, j, c in np.ndindex(y.shape):
        h, w = seen(i, j, *divmod(int(switches[n, i, j, c]), kernel[1]), strides, pads)
        if 0 <= h < shape[1] and 0 <= w < shape[2]:
            x[n, h, w, c] += y[n, i, j, c]
    return x


# Rows


@oracle
def dense(x, W, b, dy):
    """y, dx, dW, db of y = x·W + b."""
    y, dx, dW, db = np.zeros(dy.shape), np.zeros(x.shape), np.zeros(W.shape), np.zeros(b.shape)
    for n, u in np.ndindex(dy.shape):
        y[n, u] = b[u] + sum(x[n, d] * W[d, u] for d in range(x.shape[1]))
        db[u] += dy[n, u]
        for d in range(x.shape[1]):
            dx[n, d] += dy[n, u] * W[d, u]
            dW[d, u] += dy[n, u] * x[n, d]
    return y, dx, dW, db


@oracle
def relu(x, dy):
    """y, dx; the derivative at 0 is 0."""
    y, dx = np.zeros(x.shape), np.zeros(x.shape)
    for k in np.ndindex(x.shape):
        y[k], dx[k] = (x[k], dy[k]) if x[k] > 0 else (0, 0)
    return y, dx


@oracle
def sigmoid(x, dy):
    """y, dx, the derivative in its other form 1 / (2 cosh(x/2))²."""
    y, dx = np.zeros(x.shape), np.zeros(x.shape)
    for k in np.ndindex(x.shape):
        y[k] = 1 / (1 + math.exp(-x[k]))
        dx[k] = dy[k] / (2 * math.cosh(x[k] / 2)) ** 2
    return y, dx


@oracle
def softmax(x, dy):
    """y, dx over the last axis, by the whole Jacobian ∂y_j/∂x_k = y_j (δ_jk − y_k)."""
    y, dx = np.zeros(x.shape), np.zeros(x.shape)
    for row in np.ndindex(x.shape[:-1]):
        total = math.fsum(math.exp(v) for v in x[row])
        for k in range(x.shape[-1]):
            y[row][k] = math.exp(x[row][k]) / total
        for j, k in np.ndindex(x.shape[-1], x.shape[-1]):
            dx[row][k] += dy[row][j] * y[row][j] * ((j == k) - y[row][k])
    return y, dx


# Losses: the mean over all terms of weight · l


@oracle
def binary_cross_entropy(p, t, sample_weight, class_weight):
    """From probabilities and targets of shape (N, K)."""
    terms = [sample_weight[n] * class_weight[int(t[n, k])] *
             -math.log(p[n, k] if t[n, k] == 1 else 1 - p[n, k]) for n, k in np.ndindex(p.shape)]
    return math.fsum(terms) / len(terms)


@oracle
def categorical_cross_entropy(p, labels, sample_weight, class_weight):
    """From probabilities (N, K) and class numbers (N,)."""
    terms = [sample_weight[n] * class_weight[label] * -math.log(p[n, label])
             for n, label in enumerate(labels)]
    return math.fsum(terms) / len(terms)


@oracle
def mean_squared_error(y, t, sample_weight):
    """Of two arrays of shape (N, K)."""
    terms = [sample_weight[n] * (y[n, k] - t[n, k]) ** 2 for n, k in np.ndindex(y.shape)]
    return math.fsum(terms) / len(terms)
