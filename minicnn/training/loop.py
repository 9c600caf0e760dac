"""The training loop, to be read aloud."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ArgumentError, whole
from ..losses import Loss
from ..model import Sequential
from ..optimizers import Optimizer
from .best import set_weights, weights_of
from .callbacks import Callback, teller
from .data_parallel import DataParallel
from .finite import all_finite, not_finite
from .fusing import fuse
from .history import History
from .schedules import Schedule, constant, grouped, scaled
from .sources import Data, bytes_held, checked, features, outputs, smoothed, targets_of

if TYPE_CHECKING:
    from .checkpoints import Checkpoints


def fit(model: Sequential, train_data: Data, loss: Loss,
        optimizer: Optimizer | dict[str, Optimizer], *, epochs: int = 10, batch_size: int = 32,
        validation_data: Data | None = None,
        callbacks: Sequence[Callback] = (), seed: int = 0, schedule: Schedule = constant,
        epochs_done: int = 0,
        label_smoothing: float = 0.0, views: int | None = None, cache_features: bool = True,
        memory_budget: int = 1 << 30, checkpoints: Checkpoints | None = None) -> History:
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
    checkpoints:    where the training is kept; it goes on from what lies there.
    Returns {"loss": […], "accuracy": […], "val_loss": […], "val_accuracy": […]}, an entry an epoch;
    accuracy where the loss has classes, val_ where there is validation_data.
    A model without classes takes those of a Dataset. Raises, before anything is changed, for a
    frozen network, a loss that does not fit the last layer, and photos, labels or classes that do
    not fit the network. Raises NotFiniteError where a loss, a gradient or a weight is no longer
    finite; the weights are then the last finite ones, those before that step.
    """
    whole(epochs, "fit, epochs")
    whole(batch_size, "fit, batch_size")
    frozen, rest = model.split()
    if not rest.layers or not any(layer.trainable and layer.params for layer in rest.layers):
        raise ArgumentError(f"{model.name}: expected a trainable layer, found all frozen. "
                            f"Use model.unfreeze(since=…) or model.replace_head(…).")
    layers, loss = fuse(rest.layers, loss)
    network = DataParallel(model.view(layers, rest.input_shape))
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
        nonlocal memory_budget
        if not (cache_features and frozen.layers):
            return frozen, data
        found = features(frozen, data, batch_size=batch_size, memory_budget=memory_budget,
                         progress=teller(callbacks, stage))
        memory_budget -= bytes_held(found[0])
        return model.view([], rest.input_shape), found

    if checkpoints:
        callbacks = [*callbacks, checkpoints]
    before, train_data = prepared(train_data, "features")
    if validation_data is not None:
        _, validation_data = prepared(validation_data, "validation features")
    place, batches = Place(np.random.default_rng(seed)), -(-size // batch_size)
    if checkpoints:
        checkpoints.restore(network, groups, callbacks, place, {
            "epochs": epochs, "batch_size": batch_size, "photos": size, "views": views})
    while place.epoch < epochs and not place.ended:
        count, order = epochs_done + place.epoch + 1, place.order(size, views)
        tally = place.tally
        for x, t in outputs(before, train_data, order[place.batch * batch_size:], batch_size):
            last = weights_of(network)
            with np.errstate(over="ignore", invalid="ignore"):  # checked here
                y = network.forward(x, training=True)
                wanted = smoothed(t, y, loss, label_smoothing)
                value = loss.forward(y, wanted)
                network.backward(loss.backward(), input_gradient=False)
                fine = all_finite(network, value, "grads")
                if fine:
                    factor = schedule((place.epoch * batches + place.batch) / (epochs * batches))
                    with scaled(groups, factor):
                        for one, part in groups:
                            one.step(part)
                    fine = all_finite(network, value, "params")
            if not fine:
                problem = not_finite(network, x, f"epoch {count}, batch {place.batch + 1}", wanted,
                                     loss, training=True)
                set_weights(network, last)
                raise problem
            tally.add(value, loss.correct(y, t), len(x))
            place.batch += 1
            teller(callbacks, f"epoch {count}")(tally.count, size)
            if checkpoints and place.batch < batches:
                checkpoints.after_step(network, groups, callbacks, place)
        logs = tally.means()
        if validation_data is not None:
            seen = evaluate(before, network, validation_data, loss, batch_size,
                            f"epoch {count}, validation")
            logs |= {f"val_{key}": value for key, value in seen.items()}
        place.ended = any([callback.on_epoch_end(count, logs) for callback in callbacks])
        place.next_epoch(logs)
        if checkpoints:
            checkpoints.after_step(network, groups, callbacks, place,
                                   last=place.ended or place.epoch == epochs)
    return place.history


def evaluate(before: Sequential, network: Sequential, data: Data, loss: Loss,
             batch_size: int, when: str) -> dict[str, float]:
    """{"loss": …, "accuracy": …} of network(before(x)): nothing random, nothing shuffled.
    Raises NotFiniteError, which says when."""
    tally = Tally()
    for x, t in outputs(before, data, np.arange(len(targets_of(data))), batch_size):
        with np.errstate(over="ignore", invalid="ignore"):
            y = network.forward(x, keep=False)
            value = loss.forward(y, t)
        if not np.isfinite(value):
            raise not_finite(network, x, when, t, loss)
        tally.add(value, loss.correct(y, t), len(x))
    return tally.means()


class Tally:
    """Means over batches of different size."""

    def __init__(self) -> None:
        self.count, self.loss, self.right = 0, 0.0, 0.0

    def add(self, loss: float, correct: np.ndarray | None, n: int) -> None:
        """One batch of n: its mean loss, and which samples are right."""
        self.count += n
        self.loss += float(loss) * n
        self.right += np.nan if correct is None else int(correct.sum())

    def means(self) -> dict[str, float]:
        """loss, and accuracy where there is one."""
        means = {"loss": self.loss / self.count, "accuracy": self.right / self.count}
        return {key: value for key, value in means.items() if key == "loss" or not np.isnan(value)}


@dataclass
class Place:
    """How far a training has come: epochs that are done, batches of the next one, what they gave.

    dice: the random generator's state at the beginning of this epoch, from which its order follows.
    ended: a callback has said that it is enough.
    """

    rng: np.random.Generator
    epoch: int = 0
    batch: int = 0
    ended: bool = False
    tally: Tally = field(default_factory=Tally)
    history: History = field(default_factory=History)

    def __post_init__(self) -> None:
        self.dice = self.rng.bit_generator.state

    def order(self, size: int, views: int) -> np.ndarray:
        """The photos of this epoch, (size,): each in one of its views."""
        order = self.rng.permutation(size)
        return order + size * self.rng.integers(views, size=size) if views > 1 else order

    def next_epoch(self, logs: dict[str, float]) -> None:
        """Notes the figures of this epoch."""
        for key, value in logs.items():
            self.history.setdefault(key, []).append(value)
        self.epoch, self.batch, self.tally = self.epoch + 1, 0, Tally()
        self.dice = self.rng.bit_generator.state

    def state(self) -> dict:
        """For a checkpoint."""
        return {"epoch": self.epoch, "batch": self.batch, "ended": self.ended, "dice": self.dice,
                "tally": vars(self.tally), "history": self.history}

    def set_state(self, state: dict) -> None:
        """Goes on from there."""
        self.epoch, self.batch, self.ended = state["epoch"], state["batch"], state["ended"]
        self.rng.bit_generator.state = self.dice = state["dice"]
        vars(self.tally).update(state["tally"])
        self.history = History(state["history"])
