"""benchmarks.flops counts by hand, and what NumPy is really asked to multiply."""

import numpy as np
import pytest

import minicnn as mc
from benchmarks import flops
from benchmarks.flops import Flops
from minicnn.inference import groups
from minicnn.ops import use
from minicnn.ops.fast import conv, im2col_blocks, winograd
from minicnn.ops.native import library


@pytest.fixture
def multiplied(monkeypatch):
    """A list of the operations of each product that NumPy or a compiled kernel computes from now
    on: 2·M·K·N."""
    counted, matmul, packer = [], np.matmul, library.Library.packer

    def spy(a, b, out):
        counted.append(2 * out.size * a.shape[-1])
        return matmul(a, b, out=out)

    def spy_on_kernels(self, kernel):
        def pack(*values):
            if kernel == "winograd_products":
                *_, T, C, filters, _, _, _ = values
                counted.append(2 * 36 * T * C * filters)
            if kernel == "direct_convolution":
                _, W, _, _, _, rows, _, _, _, _, OW, *_ = values
                counted.append(2 * rows * OW * W.size)
            return packer(self, kernel)(*values)
        return pack

    monkeypatch.setattr(np, "matmul", spy)
    monkeypatch.setattr(library.Library, "packer", spy_on_kernels)
    return counted


@pytest.fixture(params=[1, 2])
def workers(request, monkeypatch):
    """How many threads compute."""
    for module in (conv, im2col_blocks, winograd):
        monkeypatch.setattr(module, "num_threads", lambda: request.param)
    return request.param


def convolution(filters, kernel, shape, padding="same"):
    """A built Conv2D for photos of this shape."""
    return mc.Sequential([mc.Conv2D(filters, kernel, padding=padding)], shape).layers[0]


def test_winograd_by_hand():
    # 8 photos of 16 × 16: 16 tiles each, so T = 128; C = 32, F = 64.
    layer = convolution(64, (3, 3), (16, 16, 32))
    assert flops.convolution(8, (16, 16, 32), layer, 1, "fast") == Flops(
        definition=75_497_472,  # 2 · 8·16·16 · 9·32 · 64
        products=18_874_368,    # 2 · 36 · 128·32·64: a quarter
        # 2·36·36·128·32 in, 2·36·9·32·64 of the kernels, 2·16·36·128·64 out
        transforms=10_616_832 + 1_327_104 + 9_437_184)
    assert flops.convolution(8, (16, 16, 32), layer, 1, "native") == Flops(
        definition=75_497_472, products=18_874_368,
        # 2·264·128·32 in, 2·126·32·64 of the kernels, 2·180·128·64 out
        transforms=2_162_688 + 516_096 + 2_949_120)


def test_im2col_by_hand():
    layer = convolution(8, (5, 5), (12, 12, 3), "valid")
    counted = flops.convolution(2, (12, 12, 3), layer, workers=1)
    assert counted == Flops(153_600, 153_600, 0)  # 2 · 2·8·8 · 5·5·3 · 8
    assert counted.done == 153_600


def test_the_definition_of_vgg16s_convolutions_is_the_published_number():
    # 15,346,630,656 multiply-adds a photo: Simonyan & Zisserman's D at 224 pixels, without Dense
    model = mc.VGG16(weights=None, include_top=False, input_shape=(224, 224, 3))
    assert flops.forward(model, 1, workers=1).definition == 2 * 15_346_630_656
    assert flops.forward(model, 8, workers=1).definition == 16 * 15_346_630_656


@pytest.mark.parametrize("N, C, F, size, algorithm", [
    (8, 32, 64, 16, "winograd"),    # kernels transformed once
    (8, 512, 512, 14, "winograd"),  # by each thread, for each block of tiles
    (2, 256, 512, 28, "winograd"),
    (1, 512, 512, 14, "im2col"),    # too few tiles for fast
    (2, 3, 64, 32, "im2col")])      # too few channels
def test_a_layer_multiplies_as_much_as_is_counted(N, C, F, size, algorithm, workers, multiplied):
    layer, shape = convolution(F, (3, 3), (size, size, C)), (size, size, C)
    assert conv.select_algorithm(N, C, F, layer.window(shape)) == algorithm
    with use("fast"):
        layer.forward(np.ones((N, *shape), np.float32), keep=False)
        assert sum(multiplied) == flops.convolution(N, shape, layer, workers).done > 0
    multiplied.clear()
    with use("native"):
        layer.forward(np.ones((N, *shape), np.float32), keep=False)
        assert sum(multiplied) == flops.convolution(N, shape, layer, workers).products > 0


def test_a_network_multiplies_as_much_as_is_counted(multiplied, monkeypatch):
    model = mc.Sequential([mc.Conv2D(32, (3, 3), padding="same", activation="relu"),
                           mc.Conv2D(64, (3, 3), padding="same"), mc.MaxPool2D((2, 2)),
                           mc.Conv2D(32, (3, 3), padding="same")], (32, 32, 3))
    monkeypatch.setitem(groups.MAX_ELEMENTS, "cpu", 3 * 32 * 32 * 64)  # of 5: 3 and 2
    assert flops.groups_of_layers([32 * 32 * 64, 32 * 32 * 64, 16 * 16 * 64], 5) == [
        [3, 2], [3, 2], [5]]
    with use("fast"):
        model.forward(np.ones((5, 32, 32, 3), np.float32), keep=False)
        assert sum(multiplied) == flops.forward(model, 5, workers=1).done > 0
