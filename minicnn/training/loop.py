"""The training loop, to be read aloud."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..errors import ArgumentError, whole
from ..losses import Loss
from ..model import Sequential
from ..optimizers import Optimizer
from .fusing import fuse
from .schedules import Schedule, constant, grouped, scaled
from .sources import Data, checked, features, outputs, smoothed, targets_of

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


def fit(model: Sequential, train_data: Data, loss: Loss,
        optimizer: Optimizer | dict[str, Optimizer], *, epochs: int = 10, batch_size: int = 32,
        validation_data: Data | None = None,
        callbacks: Sequence[Callback] = (), seed: int = 0, schedule: Schedule = constant,
        epochs_done: int = 0,
        label_smoothing: float = 0.0, views: int | None = None, cache_features: bool = True,
        memory_budget: int = 1 << 30) -> History:
    """Trains the trainable layers of `model` in place.

    train_data:     a Dataset, or (images, targets): uint8 pixels or floats (N, *input_shape).
    optimizer:      one for all layers, or several by the beginning of the layers' names, the first
                    that fits: {"block5": Adam(1e-5), "": Adam(1e-3)}.
    epochs_done:    by an earlier call: the callbacks' count goes on from there.
    schedule:       share of the training that is done -> factor of the step size (schedules.py).
    label_smoothing: ε of the targets, (1 − ε) t + ε / K; not of the validation's.
    views:          train_data holds so many views of each photo, first all photos in their first
                    view; an epoch takes one of each photo's, at random. None: as Augmented says.
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
    if not 0 <= label_smoothing < 1:
        raise ArgumentError(f"fit: expected a label_smoothing from 0 to below 1, received "
                            f"{label_smoothing!r}.")
    views = whole(getattr(train_data, "views", 1) if views is None else views, "fit, views")
    train_data, size = checked(model, train_data, loss)
    if size % views:
        raise ArgumentError(f"fit: expected {views} views of each photo, received {size} photos, "
                            f"which {views} does not divide.")
    groups, size = grouped(network, optimizer), size // views
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
    rng, history, steps_done = np.random.default_rng(seed), {}, 0
    steps = epochs * -(-size // batch_size)
    for epoch in range(1, epochs + 1):
        tally, order = Tally(), rng.permutation(size)
        if views > 1:
            order = order + size * rng.integers(views, size=size)
        for x, t in outputs(before, train_data, order, batch_size):
            y = network.forward(x, training=True)
            value = loss.forward(y, smoothed(t, y, loss, label_smoothing))
            tally.add(value, loss.correct(y, t), len(x))
            network.backward(loss.backward(), input_gradient=False)
            with scaled(groups, schedule(steps_done / steps)):
                for one, part in groups:
                    one.step(part)
            steps_done += 1
            teller(callbacks, f"epoch {epochs_done + epoch}")(tally.count, size)
        logs, count = tally.means(), epochs_done + epoch
        if validation_data is not None:
            seen = evaluate(before, network, validation_data, loss, batch_size)
            logs |= {f"val_{key}": value for key, value in seen.items()}
        for key, value in logs.items():
            history.setdefault(key, []).append(value)
        if any([callback.on_epoch_end(count, logs) for callback in callbacks]):
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
