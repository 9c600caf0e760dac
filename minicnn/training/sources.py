"""Where the loop's batches come from: photos decoded ahead, arrays, features computed once."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ..data import Dataset, batches
from ..errors import ArgumentError, ShapeError
from ..files import reserved
from ..losses import CategoricalCrossEntropy, Loss
from ..model import Sequential
from ..ops import module_of, to_cpu, to_device
from .finite import finite, not_finite

Data = Dataset | tuple[np.ndarray, np.ndarray]  # photos with labels, or (x, targets)


def outputs(network: Sequential, data: Data, order: Sequence[int],
            batch_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(y, targets) for the photos of `order`, a batch at a time; y = network(x), keeping nothing.

    data: a Dataset, whose photos are cut to size by data.resize_and_crop and decoded by threads
          ahead of need; or (images, targets), images being uint8 pixels or floats.
    Pixels go through the network's own preprocessing. A network without layers gives x itself.
    Raises NotFiniteError where y is not finite.
    """
    for pixels, targets in copy_ahead(_batches(network, data, order, batch_size), network.device):
        x = network.to_input(pixels)
        with np.errstate(over="ignore", invalid="ignore"):
            y = network.forward(x, keep=False)
        if network.layers and not finite(y):
            raise not_finite(network, x, "features")
        yield y, targets


def _batches(network: Sequential, data: Data, order: Sequence[int],
             batch_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    if isinstance(data, Dataset):
        recipe = network.preprocessing
        size, crop_fraction = network.input_shape[:2], recipe.crop_fraction if recipe else 1.0
        for pixels, targets, _ in batches(data, order, batch_size, size, crop_fraction):
            yield pixels, targets
        return
    images, targets = data
    for i in range(0, len(order), batch_size):
        picked = order[i:i + batch_size]
        x = images[picked]
        let_go(images)
        yield x, targets[picked]


def targets_of(data: Data) -> np.ndarray:
    """The labels of a Dataset, the targets of (images, targets)."""
    return data.labels if isinstance(data, Dataset) else data[1]


def smoothed(t: np.ndarray, y: np.ndarray, loss: Loss, epsilon: float) -> np.ndarray:
    """Targets t for outputs y, moved by a share ε towards all classes alike: (1 − ε) t + ε / K, or
    with one class an output (1 − ε) t + ε / 2. Source: Szegedy et al. 2016, section 7."""
    if not epsilon:
        return t
    if not isinstance(loss, CategoricalCrossEntropy):
        return (1 - epsilon) * t + epsilon / 2
    K = y.shape[1]
    rows = np.eye(K)[t] if t.ndim == 1 else t  # (N, K)
    return (1 - epsilon) * rows + epsilon / K


def checked(network: Sequential, data: Data, loss: Loss | None = None,
            classes: list[str] | None = None) -> tuple[Data, int]:
    """(data with its arrays as NumPy's, number of photos).

    Raises ShapeError or ArgumentError where data does not fit the network, the loss, or the order
    of the classes: those given, else the network's.
    """
    if not isinstance(data, Dataset):
        if not isinstance(data, (tuple, list)) or len(data) != 2:
            raise ArgumentError(f"fit: expected a Dataset or (images, targets), received a "
                                f"{type(data).__name__}. Weights belong to the loss.")
        data = to_cpu(data[0]), to_cpu(data[1])
        network.check(data[0])
        if len(data[1]) != len(data[0]):
            raise ShapeError(f"fit: expected one target for each of {len(data[0])} images, "
                             f"received {len(data[1])}.")
    elif (classes or network.classes or data.classes) != data.classes:
        raise ArgumentError(f"{network.name}: expected photos of {classes or network.classes}, in "
                            f"this order, received {data.classes}. Labels are places in that list.")
    size = len(targets_of(data))
    if size == 0:
        raise ShapeError("fit: expected at least one photo, received none.")
    if loss is not None:
        outputs_like = np.broadcast_to(np.float32(0), (size, *network.shapes()[-1]))
        loss.targets(outputs_like, targets_of(data))
    return data, size


def features(network: Sequential, data: Data, *, batch_size: int = 32, memory_budget: int = 1 << 30,
             progress: Callable[[int, int], None] = lambda done, total: None,
             ) -> tuple[np.ndarray, np.ndarray]:
    """(network's outputs for all photos, in their order; targets), computed once.

    They stay in memory, or in a temporary file above memory_budget bytes. progress(done, total) is
    called after each batch.
    """
    data, size = checked(network, data)
    shape, done, kept, targets = (size, *network.shapes()[-1]), 0, None, []
    for y, t in outputs(network, data, np.arange(size), batch_size):
        if kept is None:
            kept = storage(shape, y.dtype, memory_budget)
        kept[done:done + len(y)] = to_cpu(y)
        let_go(kept)
        targets.append(t)
        done += len(y)
        progress(done, size)
    return kept, np.concatenate(targets)


def storage(shape: tuple[int, ...], dtype: np.dtype, memory_budget: int) -> np.ndarray:
    """An empty array: in memory, or in a temporary file above memory_budget bytes.

    The file has no name, so that nothing stays where the process is killed. It lies where TMPDIR
    says, else in /var/tmp, since /tmp is memory on many systems. Raises FileError.
    """
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if size <= memory_budget:
        return np.empty(shape, dtype)
    large = "TMPDIR" not in os.environ and os.access("/var/tmp", os.W_OK)
    with reserved("/var/tmp" if large else tempfile.gettempdir(), size, "Make room, let TMPDIR "
                  "name a folder on another disk, or allow more memory (--memory-budget).") as file:
        return np.memmap(file, dtype, "r+", shape=shape)


def bytes_held(x: np.ndarray) -> int:
    """Bytes of memory that an array of `storage` takes; none where it lies in a file."""
    return 0 if _file_of(x) else x.nbytes


def let_go(x: np.ndarray) -> None:
    """Pages of an array in a file that have come into memory may leave it (Linux, macOS)."""
    file = _file_of(x)
    if file and hasattr(file, "madvise"):
        file.madvise(mmap.MADV_DONTNEED)


def _file_of(x: np.ndarray) -> mmap.mmap | None:
    """The mapped file that an array or the array it is a view of lies in."""
    while isinstance(x, np.ndarray):
        x = x.base
    return x if isinstance(x, mmap.mmap) else None


def copy_ahead(batches: Iterable[tuple], device: str) -> Iterator[tuple]:
    """The batches (x, …) with x on `device`, each copied while the one before it is worked on.

    To a GPU the copy goes from pinned memory on a stream of its own, beside the kernels. It waits
    for work that was queued before it, which may still use the memory that x gets.
    """
    if device != "cuda":
        for x, *rest in batches:
            yield to_device(x, device), *rest
        return
    cupy = module_of("cuda")
    import cupyx

    stream = cupy.cuda.Stream(non_blocking=True)

    def started(x: np.ndarray, *rest: Any) -> tuple:
        pinned = cupyx.empty_pinned(x.shape, x.dtype)
        pinned[...] = x
        y = cupy.empty(x.shape, x.dtype)
        stream.wait_event(cupy.cuda.get_current_stream().record())
        y.set(pinned, stream)
        return pinned, stream.record(), y, rest

    coming = None
    try:
        for batch in batches:
            before, coming = coming, started(*batch)
            if before:
                yield _arrived(*before)
        if coming:
            yield _arrived(*coming)
    finally:
        stream.synchronize()  # a copy that nobody waits for any more still needs its memory


def _arrived(pinned: np.ndarray, copied: Any, y: Any, rest: tuple) -> tuple:
    copied.synchronize()  # on the host, so that the pinned memory may go
    return y, *rest
