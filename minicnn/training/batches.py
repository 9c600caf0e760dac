"""Where the training loop's batches come from: images decoded ahead of need, or arrays."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..data import Dataset, batches
from ..losses import Loss
from ..model import Sequential
from ..models import image_size
from ..ops import to_cpu
from ..preprocessing import crop_fraction_of
from ..utils.arrays import IntArray
from ..utils.errors import ArgumentError, ShapeError, check_int
from ..utils.mapped_arrays import release_pages
from .locate_nan import is_finite, not_finite_error
from .prefetch import prefetch_to_gpu


@dataclass
class ArrayDataset:
    """Arrays as a data set for fit.

    x:      (views · N, …): uint8 pixels, network input as floats, or features.
    labels: (views · N, …): class numbers or other targets, as the loss wants them.
    views:  how many views of each of the N images x holds: first all images in their first view,
            then all in their second. An epoch takes each image once, in one of its views.
    file:   the file that x is mapped from, if it is (features.storage).
    Raises ShapeError if the numbers of x, labels and views do not fit.
    """

    x: np.ndarray
    labels: np.ndarray
    views: int = 1
    file: mmap.mmap | None = None

    def __post_init__(self) -> None:
        self.x, self.labels = to_cpu(self.x), to_cpu(self.labels)
        if len(self.labels) != len(self.x):
            raise ShapeError(f"ArrayDataset: expected one target for each of {len(self.x)} images, "
                             f"received {len(self.labels)}.")
        if len(self.x) % check_int(self.views, "ArrayDataset, views"):
            raise ShapeError(f"ArrayDataset: expected {self.views} views of each image, received "
                             f"{len(self.x)} images, which {self.views} does not divide.")

    def __len__(self) -> int:
        return len(self.x)


Data = Dataset | ArrayDataset | tuple[np.ndarray, np.ndarray]  # the tuple is (images, targets)


def validate_data(model: Sequential, data: Data, loss: Loss | None = None,
                  classes: list[str] | None = None) -> Dataset | ArrayDataset:
    """The data as a Dataset or ArrayDataset.

    Raises ShapeError or ArgumentError if they do not fit the model, the loss, or the order of the
    classes: those given, else the model's.
    """
    if isinstance(data, (tuple, list)) and len(data) == 2:
        data = ArrayDataset(*data)
    if isinstance(data, ArrayDataset):
        check = model.check if model.preprocessing is None else model.check_images
        check(data.x)
    elif not isinstance(data, Dataset):
        raise ArgumentError(f"fit: expected a Dataset, an ArrayDataset or (images, targets), "
                            f"received a {type(data).__name__}. Weights belong to the loss.")
    elif (classes or model.classes or data.classes) != data.classes:
        raise ArgumentError(f"{model.name}: expected photos of {classes or model.classes}, in "
                            f"this order, received {data.classes}. Labels are indices into it.")
    if isinstance(data, Dataset):
        image_size(model)  # raises if it takes no images
    N = len(data.labels)
    if N == 0:
        raise ShapeError("fit: expected at least one photo, received none.")
    if loss is not None:
        outputs_like = np.broadcast_to(np.float32(0), (N, *model.shapes()[-1]))
        t = loss.targets(outputs_like, data.labels)
        if loss.label_smoothing:
            loss.smooth_labels(t)
        if loss.class_weight is not None:
            loss.class_weights(t, loss.class_weight)
    return data


def epoch_order(rng: np.random.Generator, data: Dataset | ArrayDataset) -> IntArray:
    """The indices of one epoch (N,): each image once, at random, in one of its views."""
    N = len(data.labels) // data.views
    order = rng.permutation(N)
    if data.views > 1:
        order = order + N * rng.integers(data.views, size=N)
    return order


def forward_batches(network: Sequential, data: Dataset | ArrayDataset, order: IntArray,
                    batch_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(network(x), targets) of the images of `order`, batch by batch, keeping no caches.

    The images of a Dataset are brought to size as the recipe says and decoded by threads ahead of
    need. Pixels go through the network's preprocessing. A network without layers gives x itself.
    Raises NotFiniteError if an output is not finite.
    """
    raw = _raw_batches(network, data, order, batch_size)
    if network.device == "cuda":
        raw = prefetch_to_gpu(raw)
    for images, targets in raw:
        x = network.to_input(images)  # on the network's device
        if not network.layers:
            yield x, targets
            continue
        with np.errstate(over="ignore", invalid="ignore"):  # the next line looks for them
            y = network.forward(x, keep=False)
        if not is_finite(y):
            raise not_finite_error(network, x, "features")
        yield y, targets


def _raw_batches(network: Sequential, data: Dataset | ArrayDataset, order: IntArray,
                 batch_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(images, targets) as the data set holds them."""
    if isinstance(data, Dataset):
        yield from _decoded_batches(network, data, order, batch_size)
        return
    for start in range(0, len(order), batch_size):
        rows = order[start:start + batch_size]
        x = data.x[rows]
        if data.file is not None:
            release_pages(data.file)
        yield x, data.labels[rows]


def _decoded_batches(network: Sequential, data: Dataset, order: IntArray, batch_size: int
                     ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(images, labels) of a Dataset, decoded ahead: pixels, uint8; or network input, if the recipe
    resizes as Keras does, since the pixels are no whole numbers then."""
    recipe = network.preprocessing
    for images, labels, _ in batches(data, order, batch_size, image_size(network),
                                     crop_fraction_of(recipe), recipe=recipe):
        if recipe is not None and images.dtype != np.uint8:
            images = recipe(images)
        yield images, labels
