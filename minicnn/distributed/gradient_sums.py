"""The sum of all ranks' gradients, while the backward pass is still computing.

The loss is a mean over the N samples of the global batch, of which rank r has n_r, whose mean loss
is L_r: L = Σ_r n_r/N · L_r, so its gradient is a sum over the ranks, dL/dW = Σ_r n_r/N · dL_r/dW.
Rank r computes its term, since its backward begins with n_r/N · dL_r/dy (shared_loss.py).

The gradients lie in one flat buffer, in the order in which backward computes them, that is from the
last layer down. As soon as a bucket of layers is complete, its sum begins, while the layers below
are computed; only what backward computes last is waited for. Where the buffer is and who adds it up
is another matter (allreduce.py).

                 last layer                                      first layer
    buffer   | dW, db | dW, db | dW, db |   dW, db   |  dW, db  |
    buckets  |    summing …             | summing …  | computing

Every rank gets the same bits, so all make the same step. MPI adds a bucket up in an order that
depends on the number of ranks and its size only; NCCL's depends on how the GPUs are connected, too.
Weights are sent once, those of rank 0 to all before the first step.

Source: Li et al. 2020, PyTorch Distributed: experiences on accelerating data parallel training.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..layers import Layer
from .allreduce import MPIAllreduce
from .nccl import NCCLAllreduce

# Of a bucket, at least: each sum costs a latency, so many small ones are slow.
BUCKET_BYTES = 1 << 20


class GradientSums:
    """The sums of one network's gradients: start(layer) for each, the last layer first; wait().

    layers: of the network. allreduce: the way to add up. flat: its buffer, of all gradients.
    """

    def __init__(self, layers: Sequence[Layer], allreduce: MPIAllreduce | NCCLAllreduce,
                 bucket_bytes: int = BUCKET_BYTES) -> None:
        self.allreduce, self.bucket_bytes = allreduce, bucket_bytes
        self.parts: dict[str, tuple[Layer, dict[str, slice]]] = {}
        end, params = 0, []
        for layer in reversed(layers):
            slices = {}
            for key, p in layer.params.items():
                if layer.trainable and key not in layer.non_trainable:
                    slices[key] = slice(end, end + p.size)
                    end += p.size
                    params.append(p)
            self.parts[layer.name] = layer, slices
        self.flat = allreduce.buffer(end, np.result_type(*params))
        self.ready = self.sent = 0  # numbers in the buffer, and those whose sum has begun

    def start(self, layer: Layer) -> None:
        """Takes a layer's gradients; begins the sum of a bucket, if it is full."""
        for key, part in self.parts[layer.name][1].items():
            self.allreduce.put(layer.grads[key], self.flat[part])
            self.ready = part.stop
        if (self.ready - self.sent) * self.flat.itemsize >= self.bucket_bytes:
            self.send()
        self.allreduce.progress()

    def send(self) -> None:
        """Begins the sum of what is ready."""
        self.allreduce.begin(self.flat[self.sent:self.ready])
        self.sent = self.ready

    def wait(self) -> None:
        """Waits for all sums, which are then the layers' gradients."""
        if self.ready > self.sent:
            self.send()
        self.allreduce.wait()
        for layer, slices in self.parts.values():
            for key, part in slices.items():
                layer.grads[key] = self.allreduce.take(self.flat[part], layer.params[key])
        self.ready = self.sent = 0
