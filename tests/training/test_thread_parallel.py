"""A training step whose photos are shared out among threads is the same training step."""

import copy

import numpy as np
import pytest
import torch
from reference import assert_close, assert_same

import minicnn as mc
from minicnn.ops import use
from minicnn.ops.fast import threads
from minicnn.training.thread_parallel import ThreadParallel


@pytest.fixture(params=[2, 3, 7])
def workers(request, monkeypatch):
    monkeypatch.setattr(threads, "num_threads", lambda: request.param)
    for limit in ("MIN_WORK", "MIN_WORK_NATIVE"):
        monkeypatch.setattr(f"minicnn.training.thread_parallel.{limit}", 0)
    return request.param


def shared_out(*more, H=13, Wd=11):
    return ThreadParallel(mc.Sequential([
        mc.Conv2D(6, 3, padding="same", activation="relu"), mc.MaxPool2D(2),
        mc.Conv2D(5, (3, 2), strides=(2, 1)), mc.ReLU(), mc.AveragePool2D(2), mc.Flatten(), *more,
        mc.Dense(7, activation="relu"), mc.Dense(3)], (H, Wd, 3)))


def batch(N, dtype=np.float64):
    rng = np.random.default_rng(0)
    x = np.round(rng.normal(size=(N, 11, 13, 3)), 1).astype(dtype)  # maxima that are equal, too
    return x.swapaxes(1, 2), rng.normal(size=(N, 3)).astype(dtype)


def step(model, x, dy, input_gradient=True):
    y = model.forward(x, training=True)
    dx = model.backward(dy, input_gradient)
    return [y, dx, *(g.copy() for layer in model.layers for g in layer.grads.values())]


def one_list(model, x, dy):
    """The same without threads of its own."""
    alone = copy.deepcopy(model)
    y = x
    for layer in alone.layers:
        y = layer.forward(y, training=True)
    for layer in reversed(alone.layers):
        dy = layer.backward(dy)
    return [y, dy, *(g for layer in alone.layers for g in layer.grads.values())]


@pytest.mark.parametrize("N", [28, 29, 64])
def test_the_step_is_that_of_one_list_of_layers_and_the_same_to_the_bit_again(N, workers):
    model, (x, dy) = shared_out(), batch(N)
    first, again = step(model, x, dy), step(model, x, dy)
    assert len(model.replicas) == workers
    for a, b, c in zip(one_list(model, x, dy), first, again, strict=True):
        assert_close(a, b, rtol=1e-12)
        assert_same(b, c)


def test_its_gradients_are_pytorchs(workers):
    model, (x, dy) = mc.SmallCNN(3, (13, 11, 3)), batch(40, np.float32)
    model = ThreadParallel(model.view(model.layers[:-1], model.input_shape))
    step(model, x, dy)
    assert len(model.replicas) == workers
    leaves = {f"{layer.name}/{key}": torch.tensor(p, dtype=torch.float64, requires_grad=True)
              for layer in model.layers for key, p in layer.params.items()}
    h = torch.tensor(x, dtype=torch.float64).permute(0, 3, 1, 2)
    for name in ("conv2d", "conv2d_1"):
        h = torch.nn.functional.conv2d(h, leaves[f"{name}/W"].permute(3, 2, 0, 1),
                                       leaves[f"{name}/b"], padding=1)
        h = torch.nn.functional.max_pool2d(h.relu(), 2)
    h = h.permute(0, 2, 3, 1).flatten(1) @ leaves["dense/W"] + leaves["dense/b"]
    (h.relu() @ leaves["dense_1/W"] + leaves["dense_1/b"]).backward(torch.tensor(dy).double())
    for layer in model.layers:
        for key, g in layer.grads.items():
            assert_close(g, leaves[f"{layer.name}/{key}"].grad.numpy(), rtol=1e-5)


def test_a_frozen_layer_gets_no_gradient_and_without_input_gradient_no_dx(workers):
    model, (x, dy) = shared_out(), batch(32)
    model.network.freeze("maxpool2d")
    expected = one_list(model, x, dy)
    y, dx, *grads = step(model, x, dy, input_gradient=False)
    assert model.replicas and dx is None and model.layers[0].grads == {}
    for a, b in zip(expected[2:], grads, strict=True):
        assert_close(a, b, rtol=1e-12)


class Mixing(mc.ReLU):
    """A layer whose photos see each other, as a batch normalisation's do."""

    def forward(self, x, training=False, keep=True):
        return super().forward(x - x.mean(axis=0), training, keep)


def test_where_photos_could_be_mixed_or_dice_thrown_there_is_one_list(workers):
    x, _ = batch(64)
    assert shared_out().forward(x, training=True) is not None
    assert shared_out().replicate(x)
    assert not shared_out(Mixing()).replicate(x)
    assert not shared_out(mc.Dropout(0.5)).replicate(x)
    assert not shared_out().replicate(x[:4 * workers - 1])  # few photos
    assert not shared_out(mc.Dense(1000), mc.Dense(1000)).replicate(x)  # many weights


def test_a_method_that_a_reader_has_exchanged_is_called_and_the_gradients_stay_right(workers):
    model, (x, dy), called = shared_out(), batch(32), []
    expected = one_list(model, x, dy)
    forward = model.layers[2].forward
    model.layers[2].forward = lambda *args, **options: called.append(1) or forward(*args, **options)
    for a, b in zip(expected, step(model, x, dy), strict=True):
        assert_close(a, b, rtol=1e-12)
    assert called == [1] and not model.replicas


def test_only_fit_shares_so_that_a_loop_of_ones_own_finds_every_cache(workers):
    model, (x, dy) = shared_out(), batch(64)
    model = model.network
    model.forward(x, training=True)
    for layer in reversed(model.layers):
        dy = layer.backward(dy)
    assert dy.shape == x.shape


def test_one_thread_needs_no_parts(monkeypatch):
    monkeypatch.setattr(threads, "num_threads", lambda: 1)
    assert not shared_out().replicate(batch(64)[0])


def test_forgetting_and_errors_are_those_of_one_list(workers):
    model, (x, dy) = shared_out(), batch(32)
    model.forward(x)  # each layer keeps something
    model.forward(x, training=True)
    kept = [*model.layers, *(one.activation for one in model.layers
                             if getattr(one, "activation", None))]
    assert len(kept) > len(model.layers)
    assert all(layer.cache is None for layer in kept)  # of that batch nothing more
    with pytest.raises(mc.MiniCNNError, match="expected dy of the shape of y"):
        model.backward(dy[:5])
    model.forward(x, keep=False)
    with pytest.raises(mc.MiniCNNError, match="needs the cache"):
        model.backward(dy)
    with pytest.raises(mc.MiniCNNError, match="expected x of shape"):
        model.forward(x[..., :2], training=True)


def test_an_empty_batch_passes(workers):
    model = shared_out()
    assert model.forward(batch(0)[0], training=True).shape == (0, 3)


def test_a_step_of_little_work_is_done_by_one_thread(monkeypatch):
    """A head on features: waking a second thread takes longer than its share of the products."""
    monkeypatch.setattr(threads, "num_threads", lambda: 2)
    head = ThreadParallel(mc.Sequential([mc.Flatten(), mc.Dense(1)], (3, 3, 512)))
    head.forward(np.zeros((32, 3, 3, 512), np.float32), training=True)
    assert not head.replicas
    small, x = ThreadParallel(mc.SmallCNN(10)), np.zeros((64, 28, 28, 3), np.float32)
    with use("fast"):
        small.forward(x, training=True)
        assert len(small.replicas) == 2


@pytest.mark.cpu_only
def test_native_shares_the_samples_of_larger_work_only(monkeypatch):
    """Its threads share the work of each operation without Python's lock."""
    monkeypatch.setattr(threads, "num_threads", lambda: 2)
    small, x = ThreadParallel(mc.SmallCNN(10)), np.zeros((64, 28, 28, 3), np.float32)
    with use("native"):
        assert not small.replicate(x) and len(small.replicate(np.concatenate([x] * 4))) == 2
        for layers in ([mc.Conv2D(16, 3, padding="same", activation="sigmoid")],
                       [mc.Conv2D(16, 3, padding="same"), mc.LeakyReLU()]):
            other = ThreadParallel(mc.Sequential([*layers, mc.MaxPool2D(2)], (28, 28, 3)))
            assert len(other.replicate(x)) == 2  # what NumPy computes on one thread alone
