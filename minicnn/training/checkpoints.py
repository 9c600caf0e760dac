"""Where a training stands, kept in files so that it can go on exactly there."""

from __future__ import annotations

import copy
import json
import os
import reprlib
import shutil
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FileError
from ..files import room_for
from ..layers import Layer
from ..model import Sequential
from ..ops import to_cpu
from ..weights import new_h5, opened
from ..weights.hdf5 import dataset, judge, member, values
from .best import set_weights, weights_of
from .callbacks import Callback

if TYPE_CHECKING:
    from ..optimizers import Optimizer
    from .loop import Place

    Groups = Sequence[tuple[Optimizer, Any]]

EVERY = 15.0  # seconds between two checkpoints,
TIMES = 20    # and at least so many times what one takes
KEPT = 2


class Checkpoints(Callback):
    """The states of a training in a folder, the two last of each of its parts.

    folder: made where it is not there. part: "head", "finetune", …: one call of fit each.
    known: what else the training depends on (options, split); a state that was written with
    something else is refused.
    A state holds weights, the optimizers' state, the random generators', history, callbacks, known,
    and the place: epoch and batch. fit(…, checkpoints=…) begins with the last one that can be read,
    and comes to the same weights and history, bit for bit, as without the interruption.

    stop() asks the training to end after the step it is at: its state is written, and
    KeyboardInterrupt raised. Raises FileError where the folder cannot be made.
    """

    def __init__(self, folder: str | os.PathLike, part: str = "training",
                 known: dict | None = None) -> None:
        self.folder, self.part, self.known = Path(folder), part, known or {}
        self.asked = [False]  # shared with other parts
        self.due, self.settings = time.monotonic() + EVERY, {}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise FileError(f"{folder}: expected a folder for checkpoints, received: "
                            f"{problem.strerror}. Choose another.") from problem

    def of(self, part: str) -> Checkpoints:
        """Those of a part of this part, in the same folder; stop() stops both."""
        other = copy.copy(self)
        other.part = f"{self.part}-{part}"
        return other

    def stop(self) -> None:
        """Ends the training after this step; may be called by a signal or another thread."""
        self.asked[0] = True

    def on_batch_end(self, stage: str, done: int, total: int) -> None:
        """While features are computed there is nothing to write yet."""
        if self.asked[0] and "features" in stage:
            raise KeyboardInterrupt

    def any(self) -> bool:
        """Is there one, of any part?"""
        return any(self.folder.glob("*.h5"))

    def remove(self) -> None:
        """Takes the folder away, once the training and all that follows from it is done."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def files(self) -> list[Path]:
        """Those of this part, the oldest first."""
        return sorted(self.folder.glob(f"{self.part}-[0-9]*-[0-9]*.h5"))

    def check_room(self, learning: Iterable[Layer], whole: Iterable[Layer] = ()) -> None:
        """Raises FileError where the disk has no room for the states of these layers, and for two
        files of a whole model."""
        a, b = (sum(p.nbytes for layer in layers for p in layer.params.values())
                for layers in (learning, whole))
        room_for(self.folder, 4 * a, KEPT + 1)  # weights, the best ones, two moments of Adam
        room_for(self.folder, b, 2)

    def restore(self, network: Sequential, groups: Groups, callbacks: Sequence[Callback],
                place: Place, settings: dict) -> None:
        """Puts the last state into what fit works with; changes nothing where there is none.

        settings: what a training must have in common with the one that goes on.
        Raises FileError where no state can be read, where they belong to another training, or where
        the disk has no room for them.
        """
        learning = [layer for layer in network.layers if layer.trainable]
        self.settings = {**self.known, **settings, "layers": {
            f"{layer.name}/{key}": list(p.shape) for layer in learning
            for key, p in layer.params.items()}}
        self.check_room(learning)
        problem = None
        for file in reversed(self.files()):
            try:
                state = read_state(file)
                break
            except FileError as error:  # a disk may lose what it had; the one before will do
                problem = problem or error
        else:
            if problem:
                raise problem
            return
        for key, value in self.settings.items():
            if (found := state["settings"].get(key)) != value:
                raise FileError(f"{file}: expected the state of this training, {key} "
                                f"{reprlib.repr(value)}, received {reprlib.repr(found)}. Begin "
                                f"another folder.")
        set_weights(network, state["weights"])
        for (optimizer, _), kept in zip(groups, state["optimizers"], strict=False):
            optimizer.state = kept
            optimizer.to(network.network.device)
        for layer in network.layers:
            if state["generators"].get(layer.name):
                layer.generator = np.random.default_rng()
                layer.generator.bit_generator.state = state["generators"][layer.name]
        for callback, kept in zip(callbacks, state["callbacks"], strict=True):
            callback.set_state(kept)
        place.set_state(state["place"])

    def after_step(self, network: Sequential, groups: Groups, callbacks: Sequence[Callback],
                   place: Place, last: bool = False) -> None:
        """Writes the state where it is time for it, where it is the last, or where stop() asks."""
        if not (last or self.asked[0] or time.monotonic() >= self.due):
            return
        began = time.monotonic()
        generators = {layer.name: layer.generator.bit_generator.state for layer in network.layers
                      if layer.random and layer.generator is not None}
        write_state(self.folder / f"{self.part}-{place.epoch:05}-{place.batch:06}.h5", {
            "settings": self.settings, "weights": weights_of(network), "generators": generators,
            "optimizers": [] if last else [optimizer.state for optimizer, _ in groups],
            "callbacks": [callback.state() for callback in callbacks], "place": place.state()})
        for file in self.files()[:-KEPT]:
            file.unlink(missing_ok=True)
        self.due = time.monotonic() + max(EVERY, TIMES * (time.monotonic() - began))
        if self.asked[0]:
            raise KeyboardInterrupt


def write_state(path: Path, state: dict) -> None:
    """Dicts and lists of arrays, numbers and text into one HDF5 file. Raises FileError."""
    arrays: list[np.ndarray] = []

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {"dict": {key: plain(part) for key, part in value.items()}}
        if isinstance(value, (list, tuple)):
            return [plain(part) for part in value]
        if np.ndim(value):
            arrays.append(to_cpu(value))
            return {"array": len(arrays) - 1}
        return value

    text = np.frombuffer(json.dumps(plain(state)).encode(), np.uint8)
    content = {"state": text, **{f"arrays/{k}": one for k, one in enumerate(arrays)}}
    with new_h5(path) as file:
        for name, one in content.items():  # with checksums, so that damage is seen
            file.create_dataset(name, data=one, chunks=True, fletcher32=True)


def read_state(path: Path) -> dict:
    """What write_state has written, arrays as NumPy's. Raises FileError."""
    def whole(value: Any) -> Any:
        if isinstance(value, list):
            return [whole(part) for part in value]
        if not isinstance(value, dict):
            return value
        if "dict" in value:
            return {key: whole(part) for key, part in value["dict"].items()}
        data = dataset(file["arrays"], str(value["array"]), path)
        judge([data], path)
        return values(data)  # finite or not: a moment may overflow while the training goes on

    with opened(path) as (file, _):
        state = member(file, "state", path)
        judge([state], path)
        return whole(json.loads(state[()].tobytes()))
