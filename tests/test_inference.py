"""Inference takes a convolution and the pooling after it at once, and large images in bands of
rows: nobody sees a difference but in the last bits."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from reference import array, assert_same, geometries, pads_of

import minicnn as mc
from minicnn.inference import bands, fused_conv, groups
from minicnn.inference.fused_conv import window_on_rows
from minicnn.ops import Window, fast, to_cpu, to_device, use
from minicnn.ops.algorithms import use_algorithm
from minicnn.ops.fast import conv
from minicnn.ops.window import offset_view, pad

POOLED = dict(activation="relu", padding="same")


@pytest.fixture(params=["winograd", "im2col", "implicit_gemm"])
def algorithm(request):
    with use_algorithm(request.param):
        yield request.param


def conv_and_pool(H, Wd, conv, pool=None):
    return mc.Sequential([mc.Conv2D(5, 3, **conv), pool or mc.MaxPool2D(2)], (H, Wd, 3))


def one_by_one(model, x):
    for layer in model.layers:
        x = layer.forward(x, keep=False)
    return x


@pytest.mark.parametrize("algorithm", ["winograd", "im2col"])
@given(st.integers(0, 3), st.integers(2, 19), st.integers(2, 19), st.sampled_from([None, "relu"]),
       st.sampled_from([np.float32, np.float64]), st.booleans())
def test_the_numbers_are_those_of_the_layers_one_by_one(algorithm, N, H, Wd, activation, dtype,
                                                        rotated):
    model = conv_and_pool(H, Wd, {**POOLED, "activation": activation})
    x = np.random.default_rng(0).normal(size=(N, H, Wd, 3)).astype(dtype)
    x = x[:, ::-1, ::-1] if rotated else x
    with use_algorithm(algorithm):
        assert_same(model.forward(x, keep=False), one_by_one(model, x))


def test_what_the_convolution_gives_is_never_asked_for(monkeypatch):
    model = conv_and_pool(8, 8, POOLED)
    monkeypatch.setattr(fast, "max_pool2d", None)
    monkeypatch.setattr(conv, "max_pool2d", None)
    monkeypatch.setattr(mc.MaxPool2D, "forward", None)
    with use_algorithm("winograd"):
        assert model.forward(np.zeros((1, 8, 8, 3), np.float32), keep=False).shape == (1, 4, 4, 5)


@pytest.mark.parametrize("conv, pool", [
    (dict(activation="sigmoid"), mc.MaxPool2D(2)), (dict(activation="softmax"), mc.MaxPool2D(2)),
    ({}, mc.AveragePool2D(2))])
def test_other_pairs_stay_two_layers(conv, pool):
    model = conv_and_pool(9, 7, {**POOLED, **conv}, pool)
    x = np.random.default_rng(0).normal(size=(2, 9, 7, 3)).astype(np.float32)
    assert fused_conv.fuse(model.layers) == model.layers
    assert_same(model.forward(x, keep=False), one_by_one(model, x))


@pytest.mark.parametrize("pool", [mc.MaxPool2D(3), mc.MaxPool2D(2, strides=1),
                                  mc.MaxPool2D(2, padding="same"), mc.MaxPool2D(2, padding=1)])
def test_any_max_pooling_joins_the_convolution_before_it(pool, algorithm):
    model = conv_and_pool(9, 7, POOLED, pool)
    x = np.random.default_rng(0).normal(size=(2, 9, 7, 3)).astype(np.float32)
    assert len(fused_conv.fuse(model.layers)) == 1
    assert_same(model.forward(x, keep=False), one_by_one(model, x))


def test_a_method_that_a_reader_has_exchanged_is_called():
    model, called = conv_and_pool(8, 8, POOLED), []
    for layer in model.layers:
        def forward(*args, own=layer.forward, **options):
            called.append(1)
            return own(*args, **options)
        layer.forward = forward
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    assert model.forward(x, keep=False).shape == (2, 4, 4, 5) and called == [1, 1]


def normalized_network(*after, bias=True, activation=None):
    """A convolution, a normalization with numbers of its own, and what comes after."""
    model = mc.Sequential([mc.Conv2D(5, 3, activation=activation, use_bias=bias),
                           mc.BatchNormalization(), *after], (9, 7, 3))
    rng = np.random.default_rng(1)
    for layer in model.layers:
        for key, p in layer.params.items():
            layer.params[key] = rng.uniform(0.5, 2, p.shape).astype(np.float32)
    return model


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("after", [(), (mc.ReLU(),), (mc.MaxPool2D(2),),
                                   (mc.ReLU(), mc.MaxPool2D(2))], ids=str)
def test_a_batch_normalization_is_folded_into_the_convolution_before_it(after, bias, algorithm,
                                                                        monkeypatch):
    model = normalized_network(*after, bias=bias)
    for layer in model.layers:
        layer.params |= {key: p.astype(float) for key, p in layer.params.items()}
    x = np.random.default_rng(0).normal(size=(2, 9, 7, 3))
    expected = one_by_one(model, x)
    assert len(fused_conv.fuse(model.layers)) == 1
    monkeypatch.setattr(mc.BatchNormalization, "forward", None)
    np.testing.assert_allclose(model.forward(x, keep=False), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("layers", [
    lambda: [mc.Conv2D(4, 3, activation="relu"), mc.BatchNormalization()],
    lambda: [mc.Conv2D(4, 3, activation="sigmoid"), mc.BatchNormalization()],
    lambda: [mc.MaxPool2D(2), mc.BatchNormalization()]])
def test_a_batch_normalization_after_anything_else_stays_a_layer(layers):
    model = mc.Sequential(layers(), (9, 7, 3))
    assert fused_conv.fuse(model.layers) == model.layers


def test_what_follows_is_taken_in_the_order_of_the_layers(rng):
    model = normalized_network(mc.MaxPool2D(2), mc.BatchNormalization(), mc.ReLU())
    model.layers[3].params["moving_mean"][...] = 3
    x = rng.normal(size=(2, 9, 7, 3)).astype(np.float32)
    assert len(fused_conv.fuse(model.layers)) == 3
    np.testing.assert_allclose(model.forward(x, keep=False), one_by_one(model, x), rtol=1e-4,
                               atol=1e-5)


def test_in_a_training_step_the_batch_decides_and_nothing_is_folded(rng):
    model = normalized_network(mc.ReLU())
    x = 9 + rng.normal(size=(4, 9, 7, 3)).astype(np.float32)
    y = model.forward(x, training=True, keep=False)
    assert_same(y, normalized_network(mc.ReLU()).forward(x, training=True))
    assert len(fused_conv.fuse(model.layers, training=True)) == 3
    model.freeze()
    assert len(fused_conv.fuse(model.layers, training=True)) == 1


class Absolute(mc.ReLU):
    """An activation that does not keep the order of numbers."""

    def forward(self, x, training=False, keep=True):
        return np.abs(x)


def test_an_activation_of_a_readers_own_comes_before_the_maximum():
    model = conv_and_pool(8, 8, POOLED)
    model.layers[0].activation = Absolute()
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    assert_same(model.forward(x, keep=False), one_by_one(model, x))


class Centred(mc.ReLU):
    """A layer whose photos see each other."""

    def forward(self, x, training=False, keep=True):
        return x - x.mean(axis=0)


@pytest.mark.parametrize("layer, most", [(mc.Sigmoid(), 2), (Centred(), 5)])
def test_a_batch_is_cut_only_where_no_layer_could_mix_its_photos(layer, most, monkeypatch):
    model = mc.Sequential([mc.Conv2D(5, 3), layer], (8, 8, 3))
    x = np.random.default_rng(0).normal(size=(5, 8, 8, 3)).astype(np.float32)
    whole, sizes, convolve = one_by_one(model, x), [], type(model.layers[0]).forward

    def forward(self, x, *args, **options):
        sizes.append(len(x))
        return convolve(self, x, *args, **options)

    monkeypatch.setattr(mc.Conv2D, "forward", forward)
    monkeypatch.setitem(groups.MAX_ELEMENTS, "cpu", 2 * 8 * 8 * 3)
    assert_same(model.forward(x, keep=False), whole)
    assert max(sizes) == most


@pytest.mark.parametrize("N, seen", [
    (9, ([2, 1, 2, 2, 2], [5, 4], [9])), (3, ([2, 1], [3], [3])), (2, ([2], [2], [2])),
    (1, ([1], [1], [1])), (0, ([0], [0], [0]))])
def test_the_last_layers_compute_more_images_at_once_than_the_first_ones(N, seen, monkeypatch):
    model = mc.Sequential([mc.Sigmoid(), mc.AveragePool2D(2), mc.ReLU(), mc.AveragePool2D(2),
                           mc.Softmax()], (8, 8, 3))
    x = np.random.default_rng(0).normal(size=(N, 8, 8, 3))
    whole, sizes = one_by_one(model, x), ([], [], [])

    def watched(kept, forward):
        return lambda x, *args, **options: (kept.append(len(x)), forward(x, *args, **options))[1]

    for kept, layer in zip(sizes, model.layers[::2], strict=True):
        layer.forward = watched(kept, layer.forward)
    monkeypatch.setitem(groups.MAX_ELEMENTS, "cpu", 2 * 8 * 8 * 3)
    monkeypatch.setattr(groups, "is_samplewise", lambda *_: True)  # exchanged methods might mix
    assert_same(model.forward(x, keep=False), whole)
    assert sizes == seen


@given(geometries(), st.data())
def test_windows_on_some_rows_see_what_they_saw_of_the_whole_image(geometry, data):
    shape, kernel, strides, padding = geometry
    window = Window(kernel, strides, pads_of(padding, shape[1:3], kernel, strides), shape[1:3])
    x = array(np.random.default_rng(0), *shape)
    padded = pad(x, window.pads, np.nan)
    seeing = [i for i in range(window.output_size[0])  # a row of the image
              if 0 < i * strides[0] - window.pads[0][0] + kernel[0]
              and i * strides[0] - window.pads[0][0] < shape[1]]
    assume(seeing)
    first = data.draw(st.sampled_from(seeing))
    rows = slice(first, data.draw(st.sampled_from(seeing[seeing.index(first):])) + 1)
    image_rows, on_rows = window_on_rows(window, rows)
    part = pad(x[:, image_rows], on_rows.pads, np.nan)
    assert on_rows.output_size == (rows.stop - rows.start, window.output_size[1])
    for p, q in np.ndindex(kernel):
        assert_same(offset_view(part, p, q, on_rows), offset_view(padded, p, q, window)[:, rows])


def test_windows_on_rows_in_the_middle_see_no_padding_above_or_below():
    """Row i of 3 × 3 windows, strides 2, sees the rows 2i − 1 … 2i + 1 of 10."""
    window = Window((3, 3), (2, 2), ((1, 1), (1, 1)), (10, 8))
    assert window_on_rows(window, slice(1, 3)) == (
        slice(1, 6), Window((3, 3), (2, 2), ((0, 0), (1, 1)), (5, 8)))
    assert window_on_rows(window, slice(0, 5)) == (
        slice(0, 10), Window((3, 3), (2, 2), ((1, 0), (1, 1)), (10, 8)))


@pytest.fixture
def small_bands(monkeypatch):
    """Bands of 4 rows, the smallest there are, however many rows they compute twice."""
    for device in bands.BAND_ELEMENTS:
        monkeypatch.setitem(bands.BAND_ELEMENTS, device, 1)
    monkeypatch.setattr(bands, "MAX_ROWS_TWICE", np.inf)


def heights_of(monkeypatch, name):
    """The heights of the images that an operation of `fast` gets from now on."""
    heights, operation = [], getattr(fast, name)

    def watched(x, *args, **options):
        heights.append(x.shape[1])
        return operation(x, *args, **options)

    monkeypatch.setattr(fast, name, watched)
    return heights


def chain(first, second, pool, size):
    """Two convolutions and a pooling, with numbers of their own."""
    model = mc.Sequential([mc.Conv2D(4, **first), mc.BatchNormalization(), mc.ReLU(),
                           mc.Conv2D(5, activation="relu", **second), pool, mc.Sigmoid()],
                          (*size, 3))
    rng = np.random.default_rng(1)
    for layer in model.layers:
        layer.params = {key: rng.uniform(0.5, 2, p.shape) * rng.choice([-1, 1], p.shape)
                        if key != "moving_variance" else rng.uniform(0.5, 2, p.shape)
                        for key, p in layer.params.items()}
    return model


@pytest.mark.parametrize("first", [dict(kernel_size=3, padding="same"), dict(kernel_size=(5, 2)),
                                   dict(kernel_size=4, padding=(2, 1), strides=(2, 1)),
                                   dict(kernel_size=1, strides=3)], ids=str)
@pytest.mark.parametrize("second", [dict(kernel_size=3, padding="same"), dict(kernel_size=2),
                                    dict(kernel_size=4, padding=2, strides=2)], ids=str)
@pytest.mark.parametrize("pool", [mc.MaxPool2D(2), mc.MaxPool2D(3, strides=1, padding="same"),
                                  mc.MaxPool2D(3, strides=2, padding=1)], ids=["2", "3/1", "3/2"])
def test_bands_of_a_large_image_give_what_it_gives_as_a_whole(first, second, pool, small_bands):
    model = chain(first, second, pool, (83, 9))
    x = np.random.default_rng(0).normal(size=(1, 83, 9, 3))
    np.testing.assert_allclose(model.forward(x, keep=False), one_by_one(model, x), rtol=1e-10,
                               atol=1e-12)


@pytest.mark.parametrize("name", ["cpu", "cuda-sim"])
def test_bands_on_the_kernels_and_by_winograd(name, small_bands, rng):
    same = dict(kernel_size=3, padding="same", activation="relu")
    model = mc.Sequential([mc.Conv2D(32, **same), mc.Conv2D(32, **same), mc.MaxPool2D(2)],
                          (26, 16, 3))
    x = rng.normal(size=(1, 26, 16, 3)).astype(np.float32)
    expected = one_by_one(model, x)
    y = model.to(name).forward(to_device(x, name), keep=False)
    assert y.dtype == np.float32
    np.testing.assert_allclose(to_cpu(y), expected, rtol=1e-4, atol=1e-5)


def test_a_convolution_whose_border_sees_nothing_but_padding_is_in_no_bands():
    """Its first windows see no rows at all, which a slice cannot say."""
    far, near = mc.Conv2D(4, 2, padding=(2, 0)), mc.Conv2D(4, 2, padding=(1, 0))
    assert bands.up_to_pooling([far, near]) == []
    assert len(bands.up_to_pooling([near, far])) == 1
    assert len(bands.up_to_pooling([near, near, mc.ReLU(), near])) == 2


def test_bands_that_would_compute_many_rows_twice_are_not_made(monkeypatch):
    """Of 64 rows, 2 bands of n 3 × 3 convolutions see 2 n rows twice: a quarter with n = 8.
    Of 9, the first one is computed alone."""
    monkeypatch.setitem(bands.BAND_ELEMENTS, "cpu", 64 * 4 * 5 // 2)
    for n, count in (8, 16), (9, 1 + 16):
        model = mc.Sequential([mc.Conv2D(5, 3, padding="same") for _ in range(n)], (64, 4, 1))
        with use("fast"):
            heights = heights_of(monkeypatch, "conv2d")
            model.forward(np.zeros((1, 64, 4, 1), np.float32), keep=False)
        assert len(heights) == count


def test_bands_overlap_by_what_the_kernels_see(small_bands, monkeypatch):
    """Of 24 rows, pooled to 12: three bands of 4, from 8 rows of the second convolution; of its
    input it sees one more above and below, except on the borders, and the first one another."""
    same = dict(kernel_size=3, padding="same")
    model = mc.Sequential([mc.Conv2D(4, activation="relu", **same), mc.Conv2D(5, **same),
                           mc.MaxPool2D(2)], (24, 9, 3))
    x = np.random.default_rng(0).normal(size=(1, 24, 9, 3)).astype(np.float32)
    expected = one_by_one(model, x)
    with use("fast"):
        first, last = heights_of(monkeypatch, "conv2d"), heights_of(monkeypatch, "conv2d_max_pool")
        y = model.forward(x, keep=False)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    assert first == [10, 12, 10] and last == [9, 10, 9]


@pytest.mark.parametrize("height, count", [(128, 1), (256, 2), (257, 3), (1024, 8)])
def test_there_are_as_many_bands_as_the_largest_array_needs(height, count, monkeypatch):
    """With 32 filters and 8 columns a row has 256 numbers; a band at most 256 · 128."""
    monkeypatch.setitem(bands.BAND_ELEMENTS, "cpu", 256 * 128)
    model = mc.Sequential([mc.Conv2D(32, 1), mc.Conv2D(32, 1), mc.MaxPool2D(1)], (height, 8, 1))
    with use("fast"):
        heights = heights_of(monkeypatch, "conv2d")
        model.forward(np.zeros((1, height, 8, 1), np.float32), keep=False)
    assert len(heights) == count and sum(heights) == height
    assert all(rows % 4 == 0 for rows in heights[:-1])


def test_bands_take_less_memory(monkeypatch):
    """16 · 256 · 128 numbers, 2 MB, lie between the convolutions; in bands a sixteenth of them."""
    model = mc.Sequential([mc.Conv2D(16, 1, activation="relu"), mc.Conv2D(16, 1),
                           mc.MaxPool2D(4)], (256, 128, 1))
    x = np.zeros((1, 256, 128, 1), np.float32)

    def peak():
        model.forward(x, keep=False)  # what is made once is there
        tracemalloc.start()
        model.forward(x, keep=False)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    with use("fast"):
        whole = peak()
        monkeypatch.setitem(bands.BAND_ELEMENTS, "cpu", 16 * 256 * 128 // 16)
        assert whole > 2**21 and peak() < 2**21 / 2


def test_two_convolutions_without_a_pooling_have_bands_and_one_alone_has_none(small_bands,
                                                                              monkeypatch, rng):
    """Of 12 rows, bands of 4: the second convolution sees 5, 6 and 5, the first 6, 8 and 6."""
    same = dict(kernel_size=3, padding="same")
    model = mc.Sequential([mc.MaxPool2D(2), mc.Conv2D(4, **same), mc.Conv2D(4, **same),
                           mc.AveragePool2D(2), mc.Conv2D(4, **same), mc.Flatten()], (24, 8, 2))
    x = rng.normal(size=(1, 24, 8, 2)).astype(np.float32)
    expected = one_by_one(model, x)
    with use("fast"):
        heights = heights_of(monkeypatch, "conv2d")
        y = model.forward(x, keep=False)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    assert heights == [6, 5, 8, 6, 6, 5, 6]


def test_on_the_kernels_the_pair_gives_the_same(rng):
    model = conv_and_pool(9, 7, POOLED)
    x = rng.normal(size=(2, 9, 7, 3)).astype(np.float32)
    expected = one_by_one(model, x)
    on_kernels = to_cpu(model.to("cuda-sim").forward(to_device(x, "cuda-sim"), keep=False))
    np.testing.assert_allclose(on_kernels, expected, rtol=1e-5, atol=1e-6)


def test_nothing_is_kept_and_what_was_kept_is_forgotten():
    model = conv_and_pool(8, 8, POOLED)
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    model.forward(x)
    kept = [*model.layers, model.layers[0].activation]
    assert all(layer.cache is not None for layer in kept)
    model.forward(x, keep=False)
    assert all(layer.cache is None for layer in kept)
