"""TrainingState: everything that a training works with and how far it is, given to each
callback."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ..data import Dataset
from ..losses import Loss
from ..model import Sequential
from ..ops import device_of, to_device
from ..optimizers import Optimizer, ParamGroups
from ..utils.arrays import IntArray
from ..utils.errors import NotFiniteError
from .batches import ArrayDataset, epoch_order, forward_batches
from .history import History
from .locate_nan import not_finite_error
from .thread_parallel import ThreadParallel

Weights = dict[str, dict[str, np.ndarray]]  # {layer: {parameter: array}} of the trainable layers


def get_weights(network: Sequential | ThreadParallel) -> Weights:
    """Copies of the trainable layers' parameters."""
    return {layer.name: {key: p.copy() for key, p in layer.params.items()}
            for layer in network.layers if layer.trainable and layer.params}


def set_weights(network: Sequential | ThreadParallel, weights: Weights) -> None:
    """Puts them back, into the same arrays, on whatever device these are."""
    for layer in network.layers:
        for key, value in weights.get(layer.name, {}).items():
            p = layer.params[key]
            p[...] = to_device(value, device_of(p))


@dataclass
class AverageMeter:
    """Loss and accuracy averaged over batches of different sizes: sums over the samples so far.

    correct stays on the network's device until it is read, so that nothing waits for a GPU.
    """

    count: int = 0
    loss: float = 0.0
    correct: float | np.ndarray = 0.0  # () on a GPU; NaN if the loss has no classes

    def update(self, loss: float, correct: np.ndarray | None, n: int) -> None:
        """One batch of n samples: its mean loss, and which samples are classified correctly (n,);
        None if the loss has no classes."""
        self.count += n
        self.loss += float(loss) * n
        self.correct = self.correct + (np.nan if correct is None else correct.sum())

    def sums(self) -> dict[str, float]:
        """{"count": …, "loss": …, "correct": …}."""
        return vars(self) | {"correct": float(self.correct)}

    def averages(self) -> dict[str, float]:
        """{"loss": …, "accuracy": …}; no accuracy without classes."""
        averages, correct = {"loss": self.loss / self.count}, float(self.correct)
        if not np.isnan(correct):
            averages["accuracy"] = correct / self.count
        return averages


class Hooks(Protocol):
    """A callback as the state knows it: on_… are called by name; callbacks/base.py has them."""

    def on_features_batch_end(self, stage: str, done: int, total: int) -> None:
        """The features of `done` of `total` images are computed."""

    def state_dict(self) -> dict:
        """What a checkpoint has to store."""

    def load_state_dict(self, state: dict) -> None:
        """Continues from there."""


@dataclass
class TrainingState:
    """What fit works with, and how far it is.

    model:      the whole model. base: its first, frozen layers, which each batch still has to pass;
                none once FeatureCache has computed their outputs.
    network:    the layers that are trained. If the last activation is computed by the loss, it ends
                before that, and its outputs are logits.
    loss:       of the network's outputs; validation_loss: the same without label smoothing.
    optimizer, train_data, validation_data, epochs, batch_size, initial_epoch, callbacks, rng: as
                they were given to fit; the data checked, the callbacks with those of prepare.

    epoch:      epochs that are finished, so in on_epoch_end the number of this one, from 1.
    batch:      batches of the next epoch that are finished.
    x, t, batch_loss: input of the network, targets and loss of the latest batch; before the first
                one empty arrays and NaN.
    held_out_data: of HeldOut, if it is among the callbacks.
    meter:      the averages of this epoch so far. logs: loss, accuracy, val_loss, val_accuracy,
                held_out_loss, held_out_accuracy of the last epoch. history: of all epochs.
    stop_training: a callback sets it to True to end the training after this epoch.
    error:      in on_train_end, what has ended the training early; else None.
    """

    model: Sequential
    base: Sequential
    network: ThreadParallel
    loss: Loss
    validation_loss: Loss
    optimizer: Optimizer | ParamGroups
    train_data: Dataset | ArrayDataset
    validation_data: Dataset | ArrayDataset | None
    epochs: int
    batch_size: int
    initial_epoch: int
    callbacks: Sequence[Hooks]
    rng: np.random.Generator

    epoch: int
    rng_state: Mapping  # when this epoch began: its order follows from it
    held_out_data: Dataset | ArrayDataset | None = None
    batch: int = 0
    stop_training: bool = False
    error: BaseException | None = None
    x: np.ndarray = field(default_factory=lambda: np.empty(0))
    t: np.ndarray = field(default_factory=lambda: np.empty(0))
    batch_loss: float = float("nan")
    meter: AverageMeter = field(default_factory=AverageMeter)
    logs: dict[str, float] = field(default_factory=dict)
    history: History = field(default_factory=History)

    @property
    def images_per_epoch(self) -> int:
        """Images of an epoch, each in one of its views."""
        return len(self.train_data) // self.train_data.views

    @property
    def batches_per_epoch(self) -> int:
        """Batches of an epoch; the last one may be smaller."""
        return -(-self.images_per_epoch // self.batch_size)

    @property
    def progress(self) -> float:
        """The fraction of this training that is done, 0 … 1."""
        finished = (self.epoch - self.initial_epoch) * self.batches_per_epoch + self.batch
        return finished / ((self.epochs - self.initial_epoch) * self.batches_per_epoch)

    @property
    def position(self) -> str:
        """How far it is: "after 3 of 60 epochs and 1 of 2 batches"."""
        if self.epoch == self.initial_epoch and self.batch == 0:
            return "before its first step"  # such as while features are computed
        return (f"after {self.epoch} of {self.epochs} epochs and {self.batch} of "
                f"{self.batches_per_epoch} batches")

    # Callbacks

    def notify(self, event: str) -> None:
        """Calls on_{event}(state) of every callback, in their order."""
        for callback in self.callbacks:
            getattr(callback, f"on_{event}")(self)

    @contextmanager
    def notifying(self, event: str) -> Iterator[None]:
        """on_{event}_begin before the block, on_{event}_end after it, after an error too."""
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # TerminateOnNaN looks for them
                self.notify(f"{event}_begin")
                yield
        except KeyboardInterrupt as error:  # anew, without the frames of the threads
            self.error = error
            raise KeyboardInterrupt(str(error) or f"training stopped {self.position}") from None
        except BaseException as error:
            self.error = error
            raise
        finally:
            self.notify(f"{event}_end")

    # The steps of an epoch

    def remaining_batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(x, t) of this epoch's batches that are not finished yet: every image once, in random
        order."""
        order = epoch_order(self.rng, self.train_data)[self.batch * self.batch_size:]
        for x, t in forward_batches(self.base, self.train_data, order, self.batch_size):
            self.x, self.t = x, t
            yield x, t

    def end_batch(self, y: np.ndarray) -> None:
        """Counts the batch whose outputs were y."""
        self.batch += 1
        self.update_meter(self.meter, self.loss, self.batch_loss, y, self.t)

    def batches_of(self, data: Dataset | ArrayDataset, order: IntArray
                   ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(x, t) of these images, as the network takes them, in batches."""
        return forward_batches(self.base, data, order, self.batch_size)

    def update_meter(self, meter: AverageMeter, loss: Loss, value: float, y: np.ndarray,
                     t: np.ndarray) -> None:
        """Adds a batch, whose loss is `value`, to the averages."""
        meter.update(value, loss.correct(y, t), len(y))

    def not_finite_error(self, x: np.ndarray, when: str, t: np.ndarray, loss: Loss,
                         training: bool = False) -> NotFiniteError:
        """The error for a batch that has led to NaN or infinity, which names the first such array.
        """
        return not_finite_error(self.network, x, when, t, loss, training)

    def validate(self) -> dict[str, float]:
        """{"val_loss": …, "val_accuracy": …, "held_out_loss": …, "held_out_accuracy": …}, of the
        data that there are. Raises NotFiniteError."""
        parts = {"val": self.validation_data, "held_out": self.held_out_data}
        return {f"{part}_{key}": value for part, data in parts.items() if data is not None
                for key, value in self.measure(data, part).items()}

    def measure(self, data: Dataset | ArrayDataset, part: str) -> dict[str, float]:
        """{"loss": …, "accuracy": …}: nothing random, nothing shuffled, no smoothed labels. part:
        of the data, for errors."""
        meter, loss = AverageMeter(), self.validation_loss
        for x, t in self.batches_of(data, np.arange(len(data))):
            y = self.network.forward(x, keep=False)
            value = loss.forward(y, t)
            if not np.isfinite(value):
                name = {"val": "validation", "held_out": "held-out data"}[part]
                when = f"epoch {self.epoch + 1}, {name}"
                raise self.not_finite_error(x, when, t, loss)
            self.update_meter(meter, loss, value, y, t)
        return meter.averages()

    def end_epoch(self, validation_logs: dict[str, float]) -> None:
        """Records the averages of this epoch, and counts it."""
        self.logs = self.meter.averages() | validation_logs
        for key, value in self.logs.items():
            self.history.setdefault(key, []).append(value)
        self.epoch, self.batch, self.meter = self.epoch + 1, 0, AverageMeter()
        self.rng_state = self.rng.bit_generator.state

    # Checkpoints

    def state_dict(self) -> dict:
        """How far the training is."""
        return {"epoch": self.epoch, "batch": self.batch, "stop_training": self.stop_training,
                "rng_state": self.rng_state, "meter": self.meter.sums(), "history": self.history}

    def load_state_dict(self, state: dict) -> None:
        """Continues from there."""
        self.epoch, self.batch = state["epoch"], state["batch"]
        self.stop_training, self.rng_state = state["stop_training"], state["rng_state"]
        self.rng.bit_generator.state = self.rng_state
        self.meter = AverageMeter(**state["meter"])
        self.history = History(state["history"])
        if self.validation_data is None:  # until 0.2 held-out data were called validation data
            self.history = self.history.with_held_out_names()
