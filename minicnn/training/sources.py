"""Where the loop's batches come from: arrays, photos decoded ahead, features computed once."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..data import Dataset, batches
from ..errors import ShapeError
from ..model import Sequential

Data = Dataset | tuple[np.ndarray, np.ndarray]  # photos with labels, or (x, t)
Batches = Iterator[tuple[np.ndarray, np.ndarray]]


def network_batches(model: Sequential, data: Data, order: Sequence[int],
                    batch_size: int) -> Batches:
    """(x, t) in the given order: x as `model` takes it, preprocessed by its own recipe.

    data: a Dataset, or (images, targets) with uint8 images or floats that are network input.
    """
    if isinstance(data, Dataset):
        recipe = model.preprocessing
        crop_fraction = recipe.crop_fraction if recipe else 1.0
        for pixels, t, _ in batches(data, order, batch_size, model.input_shape[:2], crop_fraction):
            yield model.to_input(pixels), t
        return
    x, t = data
    for i in range(0, len(order), batch_size):
        picked = order[i:i + batch_size]
        yield model.to_input(x[picked]), t[picked]


class Source:
    """Batches of what the trainable part of a network takes, out of data for all of it.

    model:  the whole network, whose recipe turns pixels into x.
    frozen: its frozen prefix; every x passes through it on the way, keeping nothing.
    """

    def __init__(self, model: Sequential, frozen: Sequential, data: Data) -> None:
        if not isinstance(data, Dataset):
            x, t = np.asarray(data[0]), np.asarray(data[1])
            model.check(x)
            if len(x) != len(t):
                raise ShapeError(f"fit: expected one target for each of {len(x)} images, "
                                 f"received {len(t)}.")
            data = x, t
        self.model, self.frozen, self.data = model, frozen, data
        self.size = len(data) if isinstance(data, Dataset) else len(data[0])
        if self.size == 0:
            raise ShapeError("fit: expected at least one photo, received none.")

    def batches(self, order: Sequence[int], batch_size: int) -> Batches:
        """(output of the frozen prefix, t) for the photos of `order`."""
        for x, t in network_batches(self.model, self.data, order, batch_size):
            yield self.frozen.forward(x, keep=False), t

    def computed_once(self, batch_size: int, budget: int,
                      progress: Callable[[int, int], None]) -> Source:
        """A source with the same batches whose features are all computed now.

        They stay in memory, or in a temporary file above `budget` bytes. Nothing random is in the
        frozen prefix, so an epoch sees the very same numbers as without.
        """
        shape = (self.size, *self.frozen.shapes()[-1])
        features, targets, done = None, [], 0
        for x, t in self.batches(np.arange(self.size), batch_size):
            if features is None:
                features = _storage(shape, x.dtype, budget)
            features[done:done + len(x)] = x
            targets.append(t)
            done += len(x)
            progress(done, self.size)
        nothing = Sequential([], shape[1:])
        return Source(nothing, nothing, (features, np.concatenate(targets)))


def _storage(shape: tuple[int, ...], dtype: np.dtype, budget: int) -> np.ndarray:
    if np.prod(shape, dtype=np.int64) * dtype.itemsize <= budget:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile(prefix="minicnn-features-") as file:  # gone when the array is
        return np.memmap(file, dtype, "w+", shape=shape)
