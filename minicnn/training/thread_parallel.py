"""Data parallelism: the samples of a training step shared among the threads.

Threads that share the work of one layer wait for each other after every layer, and work that is too
small to share is done by one thread alone; what a thread has written in one layer, another may need
in the next. Here each thread takes some samples
through all layers, forward and back, with a replica of the layers: the same weights, but caches and
gradients of its own. The threads meet twice: at the loss, and where their gradients are added,
always in the same order, so that every run with as many threads gives the same bits. It pays when
the weights, of which each replica has its own gradients, are few compared with the activations.

Source: Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ..layers import Conv2D, Dense, Flatten, Layer, MaxPool2D, ReLU, Sigmoid, Softmax
from ..layers.samplewise import is_samplewise
from ..layers.sharing import copy_layers
from ..model import Sequential
from ..ops import device_of, fast, ops_for, reference
from ..ops.fast import threads
from ..utils.errors import ShapeError

MIN_SAMPLES = 4   # for each thread
MIN_NUMBERS = 4   # activations of the network for each weight
MIN_WORK = 1 << 20  # activations of all samples: about a millisecond of work
MIN_WORK_NATIVE = 1 << 22  # where native's threads share each operation, at less cost


class ThreadParallel:
    """The network as the training loop uses it: layers, forward and backward as a Sequential's.

    A training step is shared among the threads when that pays, else the network computes it alone.
    Either way network.layers hold the gradients afterwards. The caches are internal: if a step was
    shared, the replicas have them.
    """

    def __init__(self, network: Sequential) -> None:
        self.network, self.layers, self.name = network, network.layers, network.name
        self.replicas: list[Sequential] = []  # of the last forward, one per thread
        self.output_shape: tuple[int, ...] = ()  # of its y

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x (N, *input_shape) -> y, as Sequential.forward."""
        self.replicas = self.replicate(x) if training and keep else []
        if not self.replicas:
            return self.network.forward(x, training, keep)
        self.network.check(x)

        def forward_shards(shards: Sequence[tuple[Sequential, slice]]) -> list[np.ndarray]:
            return [replica.forward(x[rows], training=True) for replica, rows in shards]

        y = np.concatenate(self.map_shards(forward_shards, len(x)))
        self.output_shape = y.shape
        return y

    def backward(self, dy: np.ndarray, input_gradient: bool = True,
                 layer_done: Callable[[Layer], None] = lambda layer: None) -> np.ndarray | None:
        """dL/dy -> dL/dx, or None; every trainable layer gets the sum of its replicas' gradients.
        layer_done: as Sequential.backward has it, if the threads share the step after them all.
        """
        if not self.replicas:
            return self.network.backward(dy, input_gradient, layer_done)
        if np.shape(dy) != self.output_shape:
            raise ShapeError(f"{self.name}: expected dy of the shape of y, {self.output_shape}, "
                             f"received {np.shape(dy)}. Is it the gradient of another batch?")

        def backward_shards(shards: Sequence[tuple[Sequential, slice]]) -> list:
            return [replica.backward(dy[rows], input_gradient) for replica, rows in shards]

        dx = self.map_shards(backward_shards, len(dy))
        for k, layer in reversed(list(enumerate(self.layers))):
            first, *others = [replica.layers[k].grads for replica in self.replicas]
            for key, gradient in first.items():
                for grads in others:
                    gradient = gradient + grads[key]
                layer.grads[key] = gradient
            layer_done(layer)
        return np.concatenate(dx) if input_gradient else None

    def replicate(self, x: np.ndarray) -> list[Sequential]:
        """A replica of the network for each thread; [] when one thread alone should compute x: on a
        GPU or the reference backend, for few samples or many weights, or with layers that might mix
        the samples of a batch or draw random numbers."""
        by_threads = device_of(x) == "cpu" and ops_for(x) is not reference
        workers = threads.num_threads() if by_threads else 1
        if workers < 2 or len(x) < MIN_SAMPLES * workers:
            return []
        weights = sum(p.size for layer in self.layers for p in layer.params.values())
        numbers = len(x) * sum(math.prod(shape) for shape in self.network.shapes())
        by_operations = ops_for(x) is not fast and all(map(has_shared_operation, self.layers))
        min_work = MIN_WORK_NATIVE if by_operations else MIN_WORK
        if numbers < max(MIN_NUMBERS * weights, min_work) or not all(
                is_samplewise(layer, training=True) for layer in self.layers):
            return []
        for layer in self.layers:  # what an earlier batch has left would only take memory
            layer.cache = None
            if layer.activation is not None:
                layer.activation.cache = None
        return [self.network.view(copy_layers(self.layers), self.network.input_shape)
                for _ in range(workers)]

    def map_shards(self, work: Callable[[Sequence], list], N: int) -> list:
        """The results of work([(replica, rows), …]) for all shards of N samples, in their order;
        each thread does one replica's."""
        slices = threads.chunk_slices(N, N, len(self.replicas))
        shards = list(zip(self.replicas, slices, strict=True))
        results = threads.parallel_map(work, shards, len(shards))
        return [result for part in results for result in part]


def has_shared_operation(layer: Layer) -> bool:
    """Whether native's threads share the layer's work, or it has next to none, as what comes after
    a Dense. Other activations are NumPy's, on one thread."""
    if isinstance(layer, Conv2D):
        return layer.activation is None or isinstance(layer.activation, ReLU)
    return isinstance(layer, (Dense, Flatten, MaxPool2D, ReLU, Sigmoid, Softmax))
