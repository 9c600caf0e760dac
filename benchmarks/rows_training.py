"""Rows: training steps against PyTorch, and k-fold cross-validation against one training."""

import numpy as np

import minicnn as mc
from benchmarks import engines
from benchmarks.measuring import Row, fastest, in_turn
from minicnn.ops.fast import threads
from minicnn.training import TransferConfig, cross_validate, transfer
from minicnn.training.thread_parallel import ThreadParallel

FOLDS = 5


def steps(model, x, t, optimizer, torch_optimizer):
    """(a training step of ours, {layout: PyTorch's})."""
    import torch

    from benchmarks.peers import torch_network

    torch.set_num_threads(threads.num_threads())
    loss = mc.losses.CategoricalCrossEntropy(from_logits=True)
    network = ThreadParallel(model)  # as fit has it: the threads share the photos if that pays

    def ours():
        loss.forward(network.forward(x, training=True), t)
        network.backward(loss.backward(), input_gradient=False)
        optimizer.step(network)

    def theirs(channels_last):
        network, images = torch_network(model, x, channels_last)
        labels, update = torch.tensor(t), torch_optimizer(network.parameters())

        def step():
            update.zero_grad()
            torch.nn.functional.cross_entropy(network(images), labels).backward()
            update.step()
        return step
    return ours, {"torch-contiguous": theirs(False), "torch-channels-last": theirs(True)}


def against_torch(case, ours, layouts, pairs):
    """The row against the faster layout."""
    ours()  # warm
    best = fastest(layouts)
    comparison = in_turn(ours, {best: layouts[best]}, pairs)[best]
    return Row(case, engines.PYTORCH.title(best), comparison,
               f"{comparison.ours:.3g} s against {comparison.theirs:.3g} s")


def training_step(args, folder):
    """All layers of the base are trained on 16 photos."""
    if engines.PYTORCH.missing():
        return
    import torch

    model = mc.VGG16(include_top=False, input_shape=(64, 64, 3))
    model.replace_head([mc.Dense(10)])
    x = np.random.default_rng(0).normal(size=(16, 64, 64, 3)).astype(np.float32)
    ours, layouts = steps(model, x, np.arange(16) % 10, mc.optimizers.SGD(1e-7),
                          lambda p: torch.optim.SGD(p, 1e-7))
    yield against_torch("VGG16 base, a training step, all layers, 64 px, batch 16", ours, layouts,
                        args.pairs)


def small_network(args, folder):
    """The small network of the course, 94 steps of 64 photos: an epoch of 6,000."""
    if engines.PYTORCH.missing():
        return
    import torch

    model = mc.SmallCNN(10)
    model = model.view(model.layers[:-1], model.input_shape)  # to the logits
    x = np.random.default_rng(0).normal(size=(64, 28, 28, 3)).astype(np.float32)
    ours, layouts = steps(model, x, np.arange(64) % 10, mc.optimizers.Adam(1e-5),
                          lambda p: torch.optim.Adam(p, 1e-5))

    def epoch(step):
        def run():
            for _ in range(94):
                step()
        return run
    yield against_torch("small course network, an epoch of 6,000 photos 28 × 28, batch 64",
                        epoch(ours), {name: epoch(step) for name, step in layouts.items()},
                        args.pairs)


def cross_validation(args, folder):
    """`minicnn train --kfold 5` against one training with one of these folds for the test: both
    see the same photos, and both begin with the features of all of them."""
    data = mc.data.sample("clouds", "train", ["cirrus", "cumulus"], per_class=40)
    config = TransferConfig(size=96)
    fold = data.folds(FOLDS, config.seed)
    train, test = data.subset(np.flatnonzero(fold != 0)), data.subset(np.flatnonzero(fold == 0))

    def folds():
        cross_validate(data, config, FOLDS)

    def training():
        transfer(train, test, config)

    training()  # warm
    comparison = in_turn(folds, {"one training": training}, args.pairs)["one training"]
    yield Row(f"{FOLDS}-fold cross-validation, frozen base, {len(data)} photos, 96 px",
              "one training", comparison,
              f"{comparison.ours:.3g} s against {comparison.theirs:.3g} s")
