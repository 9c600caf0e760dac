"""Checkpoint: the state of a training, kept in files so that it can continue exactly from there."""

from __future__ import annotations

import copy
import os
import reprlib
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ...layers import Layer
from ...utils.errors import FileError
from ...utils.files import check_free_space
from ...utils.ranks import current_ranks
from ..state import Hooks, TrainingState, get_weights, set_weights
from ..state_files import read_state, write_state
from .base import Callback

MIN_SECONDS = 15.0  # between two checkpoints,
MIN_TIMES = 20      # and at least so many times what writing one takes
KEPT_FILES = 2


@dataclass
class SharedState:
    """What a Checkpoint and those of its parts, made by of(), have in common.

    requested: when the training is to end, by stop() of this process; None: it is to go on.
    stop_after: the same, once all ranks know of it, so that they end after the same step. by_ranks:
    whether there are others. in_epoch: False while features are computed, of which nothing can be
    kept.
    """

    requested: Literal["step", "epoch"] | None = None
    stop_after: Literal["step", "epoch"] | None = None
    by_ranks: bool = False
    in_epoch: bool = False


class Checkpoint(Callback):
    """Stores the state of a training in a folder, so that an interrupted one can continue.

    fit(…, callbacks=[Checkpoint(folder)]) continues from the last file that can be read, and
    reaches the same weights and history, bit for bit, as without the interruption. A file holds
    weights, the optimizer's state, random generators, history, what the callbacks remember, epoch
    and batch; the last two files of each part are kept.

    folder: created if it does not exist. part: of the files' names, one for each call of fit.
    known:  what else the training depends on (options, split). A file that was written with
            something else is refused.

    stop() asks the training to end after this step, stop("epoch") after this epoch: its state is
    written, and KeyboardInterrupt raised. Raises FileError if the folder cannot be made, or its
    files are of another training.
    """

    def __init__(self, folder: str | os.PathLike, part: str = "training",
                 known: dict | None = None) -> None:
        self.folder, self.part, self.known = Path(folder), part, known or {}
        self.settings: dict = {}
        self.shared = SharedState()
        self.next_time = time.monotonic() + MIN_SECONDS
        if not current_ranks().is_first:
            return  # it does not write
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise FileError(f"{folder}: expected a folder for checkpoints, received: "
                            f"{problem.strerror}. Choose another.") from problem

    def of(self, part: str) -> Checkpoint:
        """A Checkpoint for a part of this part, in the same folder; stop() stops both."""
        other = copy.copy(self)
        other.part = f"{self.part}-{part}"
        return other

    def stop(self, after: Literal["step", "epoch"] = "step") -> None:
        """Ends the training after this "step" or "epoch"; may be called by a signal or another
        thread. Of several ranks all end, once they have met in the next step."""
        self.shared.requested = after
        if not self.shared.by_ranks:
            self.shared.stop_after = after

    def raise_if_stopped(self) -> None:
        """Raises KeyboardInterrupt if stop() has been called: where there is no state to write."""
        if self.shared.stop_after:
            raise KeyboardInterrupt

    # The folder

    def any(self) -> bool:
        """Whether the folder holds a checkpoint, of any part."""
        return any(self.folder.glob("*.h5"))

    def remove(self) -> None:
        """Removes the folder, once the training and all that follows from it is done."""
        if current_ranks().is_first:
            shutil.rmtree(self.folder, ignore_errors=True)

    def files(self) -> list[Path]:
        """The files of this part, the oldest first."""
        return sorted(self.folder.glob(f"{self.part}-[0-9]*-[0-9]*.h5"))

    def check_free_space(self, trained: Iterable[Layer], model: Iterable[Layer] = ()) -> None:
        """Raises FileError if the disk has no room for the checkpoints of the trained layers, and
        for two files of a whole model."""
        trained_bytes, model_bytes = (sum(p.nbytes for layer in layers
                                          for p in layer.params.values())
                                      for layers in (trained, model))
        def check() -> None:
            # Each holds the weights, the best ones, and two moments of Adam.
            check_free_space(self.folder, 4 * trained_bytes, KEPT_FILES + 1)
            check_free_space(self.folder, model_bytes, 2)

        current_ranks().from_first(check)

    # Hooks

    def on_features_batch_end(self, stage: str, done: int, total: int) -> None:
        """While features are computed there is nothing to write yet."""
        self.shared.in_epoch = False
        if self.shared.requested:
            raise KeyboardInterrupt

    def on_train_begin(self, state: TrainingState) -> None:
        """Continues from the last file, if there is one."""
        self.shared.in_epoch = True
        trained = [layer for layer in state.network.layers if layer.trainable]
        self.check_free_space(trained)
        self.settings = self.settings_of(state, trained)
        file, saved = current_ranks().from_first(self.read_last)
        if file is None:
            return
        for key, value in self.settings.items():
            if (other := saved["settings"].get(key)) != value:
                raise FileError(f"{file}: expected the state of this training, {key} "
                                f"{reprlib.repr(value)}, received {reprlib.repr(other)}. Begin "
                                f"another folder.")
        restore(state, saved)

    def on_batch_end(self, state: TrainingState) -> None:
        """After the last batch of an epoch, on_epoch_end writes, once the validation is done."""
        if state.batch < state.batches_per_epoch:
            self.save_if_due(state)

    def on_epoch_end(self, state: TrainingState) -> None:
        """The last state is always written."""
        self.save_if_due(state, last=state.stop_training or state.epoch == state.epochs)

    # What they do

    def settings_of(self, state: TrainingState, trained: Sequence[Layer]) -> dict:
        """What a training must have in common with the one that it continues."""
        optimizers = getattr(state.optimizer, "groups", {"": state.optimizer})
        return {**self.known, "epochs": state.epochs, "initial_epoch": state.initial_epoch,
                "batch_size": state.batch_size,
                "optimizers": {key: type(optimizer).__name__
                               for key, optimizer in optimizers.items()},
                "photos": state.images_per_epoch, "views": state.train_data.views,
                "layers": {f"{layer.name}/{key}": list(p.shape) for layer in trained
                           for key, p in layer.params.items()},
                "callbacks": sorted(states_of(state.callbacks))}

    def read_last(self) -> tuple[Path | None, dict]:
        """(the last file that can be read, what it holds); (None, {}) if there is no file. Raises
        FileError if there are files and none can be read."""
        problem = None
        for file in reversed(self.files()):
            try:
                return file, read_state(file)
            except FileError as error:  # a disk may lose what it had; the file before it will do
                problem = problem or error
        if problem:
            raise problem
        return None, {}

    def save_if_due(self, state: TrainingState, last: bool = False) -> None:
        """Writes the state if it is due, if it is the last one, or if stop() was called. Of several
        ranks the first one writes: they have the same state."""
        after = self.shared.stop_after
        stop = after == "step" or (after == "epoch" and state.batch == 0)
        if current_ranks().is_first and (last or stop or time.monotonic() >= self.next_time):
            self.save(state, last)
        if stop:
            current_ranks().wait_for_all()
            raise KeyboardInterrupt

    def save(self, state: TrainingState, last: bool) -> None:
        """Writes the state, and removes files before the last two."""
        began = time.monotonic()
        file = self.folder / f"{self.part}-{state.epoch:05}-{state.batch:06}.h5"
        write_state(file, {"settings": self.settings, **collect(state, last)})
        for older in self.files()[:-KEPT_FILES]:
            older.unlink(missing_ok=True)
        now = time.monotonic()
        self.next_time = now + max(MIN_SECONDS, MIN_TIMES * (now - began))


class StopWhenAsked(Callback):
    """Ends a training that writes no checkpoint itself, by KeyboardInterrupt, once stop() of this
    Checkpoint has been called."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint

    def on_batch_end(self, state: TrainingState) -> None:
        """After this step, unless the epoch is to end."""
        if self.checkpoint.shared.stop_after == "step":
            raise KeyboardInterrupt

    def on_epoch_end(self, state: TrainingState) -> None:
        """After this epoch."""
        self.checkpoint.raise_if_stopped()


def collect(state: TrainingState, last: bool = False) -> dict:
    """What a file holds of a training; after the last step the optimizer's state is not needed."""
    generators = {layer.name: layer.generator.bit_generator.state for layer in state.network.layers
                  if layer.random and layer.generator is not None}
    return {"training": state.state_dict(), "weights": get_weights(state.network),
            "optimizer": {} if last else state.optimizer.state, "generators": generators,
            "callbacks": states_of(state.callbacks)}


def restore(state: TrainingState, saved: dict) -> None:
    """Puts what collect has gathered back into a training."""
    state.load_state_dict(saved["training"])
    set_weights(state.network, saved["weights"])
    state.optimizer.state = saved["optimizer"]
    state.optimizer.to(state.model.device)
    for layer in state.network.layers:
        if layer.name in saved["generators"]:
            if layer.generator is None:
                layer.generator = np.random.default_rng()
            layer.generator.bit_generator.state = saved["generators"][layer.name]
    for name, callback in named(state.callbacks).items():
        if name in saved["callbacks"]:
            callback.load_state_dict(saved["callbacks"][name])


def named(callbacks: Sequence[Hooks]) -> dict[str, Hooks]:
    """The callbacks by class and number: {"EarlyStopping-0": …}."""
    counts: dict[str, int] = {}
    names = {}
    for callback in callbacks:
        kind = type(callback).__name__
        names[f"{kind}-{counts.get(kind, 0)}"] = callback
        counts[kind] = counts.get(kind, 0) + 1
    return names


def states_of(callbacks: Sequence[Hooks]) -> dict[str, dict]:
    """What the callbacks have to remember; those that have nothing are left out."""
    states = {name: callback.state_dict() for name, callback in named(callbacks).items()}
    return {name: state for name, state in states.items() if state}
