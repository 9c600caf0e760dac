"""The sum of all ranks' gradients, while the backward pass is still computing.

The loss is a mean over the N samples of the global batch, of which rank r has n_r, whose mean loss
is L_r: L = Σ_r n_r/N · L_r, so its gradient is a sum over the ranks, dL/dW = Σ_r n_r/N · dL_r/dW.
Rank r computes its term, since its backward begins with n_r/N · dL_r/dy (shared_loss.py).

The gradients lie in one flat buffer, in the order in which backward computes them, that is from the
last layer down. As soon as a bucket of layers is complete, its sum begins (Iallreduce), while the
layers below are computed; only what backward computes last is waited for.

                 last layer                                      first layer
    buffer   | dW, db | dW, db | dW, db |   dW, db   |  dW, db  |
    buckets  |    summing …             | summing …  | computing

Every rank gets the same bits, since MPI adds in an order that depends on the number of ranks and
the size of the bucket only; so all make the same step. Weights are sent once, those of rank 0 to
all before the first step.

Source: Li et al. 2020, PyTorch Distributed: experiences on accelerating data parallel training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..layers import Layer
from ..ops import device_of, module_of, to_cpu, to_device
from .nccl import NCCL

# Of a bucket, at least: each sum costs a latency, so many small ones are slow.
BUCKET_BYTES = 1 << 20


class GradientSums:
    """The sums of one network's gradients: start(layer) for each, the last layer first; wait().

    layers: of the network. comm: of mpi4py, NCCL, or whatever has Iallreduce. takes_gpu_arrays:
    whether it adds up arrays of a GPU where they are. flat: the buffer, beside the gradients if it
    does, else on the processor; page-locked if the device is a GPU, which then copies straight into
    it.
    """

    def __init__(self, layers: Sequence[Layer], comm: Any, bucket_bytes: int = BUCKET_BYTES,
                 takes_gpu_arrays: bool = False) -> None:
        self.comm, self.bucket_bytes = comm, bucket_bytes
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
        device = device_of(*params[:1])
        self.on_gpu = takes_gpu_arrays and device == "cuda"
        self.page_locked = device == "cuda" and not self.on_gpu
        self.flat = buffer(end, np.result_type(*params), device, self.on_gpu)
        self.ready = self.sent = 0  # numbers in the buffer, and those whose sum has begun
        self.requests: list[Any] = []

    def start(self, layer: Layer) -> None:
        """Takes a layer's gradients; begins the sum of a bucket, if it is full."""
        for key, part in self.parts[layer.name][1].items():
            g: Any = layer.grads[key]
            if self.page_locked:  # begins the copy, for which send() waits
                g.astype(self.flat.dtype, copy=False).get(
                    out=self.flat[part].reshape(g.shape), blocking=False)
            else:
                self.flat[part] = (g if self.on_gpu else to_cpu(g)).ravel()
            self.ready = part.stop
        if (self.ready - self.sent) * self.flat.itemsize >= self.bucket_bytes:
            self.send()
        for request in self.requests:
            request.Test()  # MPI goes on with a sum only while it is called

    def send(self) -> None:
        """Begins the sum of what is ready."""
        from mpi4py import MPI

        bucket = self.flat[self.sent:self.ready]
        # MPI does not wait for the GPU's kernels and copies; NCCL's sum follows them by itself.
        if self.page_locked or (self.on_gpu and not isinstance(self.comm, NCCL)):
            module_of("cuda").cuda.get_current_stream().synchronize()
        self.requests.append(self.comm.Iallreduce(MPI.IN_PLACE, bucket, MPI.SUM))
        self.sent = self.ready

    def wait(self) -> None:
        """Waits for all sums, which are then the layers' gradients: views of the buffer, or copies
        on the device."""
        if self.ready > self.sent:
            self.send()
        for request in self.requests:
            request.Wait()
        for layer, slices in self.parts.values():
            for key, part in slices.items():
                p = layer.params[key]
                summed = self.flat[part].reshape(p.shape)
                if self.page_locked:
                    on_device = module_of("cuda").empty(p.shape, summed.dtype)
                    on_device.set(summed)
                    layer.grads[key] = on_device
                else:
                    layer.grads[key] = to_device(summed, device_of(p))
        self.ready = self.sent = 0
        self.requests = []


def buffer(size: int, dtype: np.dtype, device: str, on_gpu: bool) -> np.ndarray:
    """size numbers: on the GPU, or on the processor, page-locked for copies of a GPU."""
    if device != "cuda":
        return np.empty(size, dtype)
    cupy = module_of(device)  # raises if there is none
    if on_gpu:
        return cupy.empty(size, dtype)
    import cupyx

    return cupyx.empty_pinned(size, dtype)
