"""The training loop, to be read aloud."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..errors import ArgumentError, whole
from ..losses import Loss
from ..model import Sequential
from ..optimizers import Optimizer
from .fusing import fuse
from .sources import Data, checked, features, outputs, targets_of

History = dict[str, list[float]]


class Callback:
    """Told what happens during fit; override what you need."""

    def on_batch_end(self, stage: str, done: int, total: int) -> None:
        """stage: "features", "epoch 3", …; done of total photos."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> bool | None:
        """epoch counts from 1; logs: loss, accuracy, val_loss, val_accuracy. True ends training."""


def teller(callbacks: Sequence[Callback], stage: str) -> Callable[[int, int], None]:
    """progress(done, total) of one stage, passed on to every callback."""
    def progress(done: int, total: int) -> None:
        for callback in callbacks:
            callback.on_batch_end(stage, done, total)
    return progress


def fit(model: Sequential, train_data: Data, loss: Loss, optimizer: Optimizer, *, epochs: int = 10,
        batch_size: int = 32, validation_data: Data | None = None,
        callbacks: Sequence[Callback] = (), seed: int = 0, cache_features: bool = True,
        memory_budget: int = 1 << 30) -> History:
    """Trains the trainable layers of `model` in place.

    train_data:     a Dataset, or (images, targets): uint8 pixels or floats (N, *input_shape).
    cache_features: compute the frozen prefix once per photo instead of once per epoch; the weights
                    come out the same. Above memory_budget bytes features lie in a temporary file.
    seed:           of the order of the photos; each epoch sees every photo once.
    Returns {"loss": […], "accuracy": […], "val_loss": […], "val_accuracy": […]}, an entry an epoch;
    accuracy where the loss has classes, val_ where there is validation_data.
    A model without classes takes those of a Dataset. Raises, before anything is changed, for a
    frozen network, a loss that does not fit the last layer, and photos, labels or classes that do
    not fit the network.
    """
    whole(epochs, "fit, epochs")
    whole(batch_size, "fit, batch_size")
    frozen, rest = model.split()
    if not rest.layers or not any(layer.trainable and layer.params for layer in rest.layers):
        raise ArgumentError(f"{model.name}: expected a trainable layer, found all frozen. "
                            f"Use model.unfreeze(since=…) or model.replace_head(…).")
    layers, loss = fuse(rest.layers, loss)
    network = model.view(layers, rest.input_shape)
    train_data, size = checked(model, train_data, loss)
    classes = model.classes or getattr(train_data, "classes", None)
    if validation_data is not None:
        validation_data, _ = checked(model, validation_data, loss, classes)
    model.classes = classes

    def prepared(data: Data, stage: str) -> tuple[Sequential, Data]:
        """The network that batches of data still have to pass, and the data."""
        if not (cache_features and frozen.layers):
            return frozen, data
        return model.view([], network.input_shape), features(
            frozen, data, batch_size=batch_size, memory_budget=memory_budget,
            progress=teller(callbacks, stage))

    before, train_data = prepared(train_data, "features")
    if validation_data is not None:
        _, validation_data = prepared(validation_data, "validation features")
    rng, history = np.random.default_rng(seed), {}
    for epoch in range(1, epochs + 1):
        tally = Tally()
        for x, t in outputs(before, train_data, rng.permutation(size), batch_size):
            y = network.forward(x, training=True)
            tally.add(loss.forward(y, t), loss.correct(y, t), len(x))
            network.backward(loss.backward(), input_gradient=False)
            optimizer.step(network)
            teller(callbacks, f"epoch {epoch}")(tally.count, size)
        logs = tally.means()
        if validation_data is not None:
            seen = evaluate(before, network, validation_data, loss, batch_size)
            logs |= {f"val_{key}": value for key, value in seen.items()}
        for key, value in logs.items():
            history.setdefault(key, []).append(value)
        if any([callback.on_epoch_end(epoch, logs) for callback in callbacks]):
            break
    return history


def evaluate(before: Sequential, network: Sequential, data: Data, loss: Loss,
             batch_size: int) -> dict[str, float]:
    """{"loss": …, "accuracy": …} of network(before(x)): nothing random, nothing shuffled."""
    tally = Tally()
    for x, t in outputs(before, data, np.arange(len(targets_of(data))), batch_size):
        y = network.forward(x, keep=False)
        tally.add(loss.forward(y, t), loss.correct(y, t), len(x))
    return tally.means()


class Tally:
    """Means over batches of different size."""

    def __init__(self) -> None:
        self.count, self.loss, self.right = 0, 0.0, 0.0

    def add(self, loss: float, correct: np.ndarray | None, n: int) -> None:
        """One batch of n: its mean loss, and which samples are right."""
        self.count += n
        self.loss += loss * n
        self.right += np.nan if correct is None else int(correct.sum())

    def means(self) -> dict[str, float]:
        """loss, and accuracy where there is one."""
        means = {"loss": self.loss / self.count, "accuracy": self.right / self.count}
        return {key: value for key, value in means.items() if key == "loss" or not np.isnan(value)}
