"""The seam between the mathematics and the machinery.

Layers, losses and optimizers ask here for the operations they are made of:

    ops = ops_for(x)
    y = ops.conv2d(x, W, b, window, relu=True)

Three backends compute the same: `reference` (NumPy, a formula a line: the one to read), `fast`
(the same on a processor, in blocks and on all cores) and `cuda` (kernels/*.cu on a GPU, or in the
simulator). The array says which: NumPy's get `fast`, CuPy's and simulated ones get `cuda`.

    with use("reference"): …          or MINICNN_BACKEND=reference in the environment

takes the reference for NumPy's arrays. `Operations` lists what a backend has to offer.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import Any, Protocol, cast

import numpy as np

from ..errors import ArgumentError
from .devices import (
    DEVICES,
    array_module,
    common_device,
    device_of,
    module_of,
    to_cpu,
    to_device,
)
from .window import Window, padding_amounts

__all__ = ["BACKENDS", "DEVICES", "Operations", "Window", "array_module", "backend_for",
           "device_of", "module_of", "ops_for", "padding_amounts", "to_cpu", "to_device", "use"]

BACKENDS = ("reference", "fast")  # for NumPy's arrays
_chosen: ContextVar[str | None] = ContextVar("minicnn_backend", default=None)


def ops_for(*arrays: np.ndarray) -> Operations:
    """The backend that computes with these arrays: the module that backend_for names."""
    return cast(Operations, import_module(f"{__name__}.{backend_for(*arrays)}"))


def backend_for(*arrays: np.ndarray) -> str:
    """"reference", "fast" or "cuda".

    Raises ArgumentError if they are on several devices, if the reference is asked to compute on a
    GPU, or if MINICNN_BACKEND names no backend.
    """
    device = common_device(*arrays)
    backend = _chosen.get() or os.environ.get("MINICNN_BACKEND") or "fast"
    if backend not in BACKENDS:
        raise ArgumentError(f"MINICNN_BACKEND: expected {' or '.join(BACKENDS)}, received "
                            f"{backend!r}. Unset it, or set one of these.")
    if device != "cpu":
        if backend == "reference":
            raise ArgumentError(f"ops: expected NumPy arrays for the reference backend, received "
                                f"one on {device}. Move it with to_cpu, or leave out "
                                f"use(\"reference\").")
        return "cuda"
    return backend


@contextmanager
def use(backend: str) -> Iterator[None]:
    """Within this block NumPy's arrays are computed with by "reference" or by "fast"."""
    if backend not in BACKENDS:
        raise ArgumentError(f"ops.use: expected {' or '.join(BACKENDS)}, received {backend!r}. "
                            f"Arrays on a GPU choose their backend themselves.")
    token = _chosen.set(backend)
    try:
        yield
    finally:
        _chosen.reset(token)


class Operations(Protocol):
    """What every backend offers, with these signatures. Nothing changes its arguments but the
    optimizers' steps, and nothing is kept between calls."""

    def conv2d(self, x: np.ndarray, W: np.ndarray, b: np.ndarray, window: Window,
               relu: bool = False) -> np.ndarray:
        """x (N, H, Wd, C), W (KH, KW, C, F), b (F,) -> y (N, OH, OW, F)."""

    def conv2d_weight_grad(self, x: np.ndarray, dz: np.ndarray, window: Window) -> np.ndarray:
        """x (N, H, Wd, C), dz (N, OH, OW, F) -> dW (KH, KW, C, F)."""

    def conv2d_input_grad(self, dz: np.ndarray, W: np.ndarray, input_shape: tuple[int, ...],
                          window: Window) -> np.ndarray:
        """dz (N, OH, OW, F) -> dx of input_shape (N, H, Wd, C)."""

    def conv2d_max_pool(self, x: np.ndarray, W: np.ndarray, b: np.ndarray, window: Window,
                        pool_window: Window, relu: bool = False) -> np.ndarray:
        """max_pool2d(conv2d(…)) if nothing is kept for backward."""

    def dense(self, x: np.ndarray, W: np.ndarray, b: np.ndarray, relu: bool = False) -> np.ndarray:
        """x (N, D), W (D, units), b (units,) -> y (N, units)."""

    def dense_weight_grad(self, x: np.ndarray, dz: np.ndarray) -> np.ndarray:
        """x (N, D), dz (N, units) -> dW (D, units)."""

    def dense_input_grad(self, dz: np.ndarray, W: np.ndarray) -> np.ndarray:
        """dz (N, units), W (D, units) -> dx (N, D)."""

    def bias_grad(self, dz: np.ndarray) -> np.ndarray:
        """dz (…, F) -> db (F,)."""

    def max_pool2d(self, x: np.ndarray, window: Window, with_switches: bool = True
                   ) -> tuple[np.ndarray, np.ndarray | None]:
        """x (N, H, Wd, C) -> y, switches (N, OH, OW, C)."""

    def max_unpool2d(self, y: np.ndarray, switches: np.ndarray, input_shape: tuple[int, ...],
                     window: Window) -> np.ndarray:
        """y, switches (N, OH, OW, C) -> x of input_shape; the gradient of max pooling."""

    def average_pool2d(self, x: np.ndarray, window: Window) -> np.ndarray:
        """x (N, H, Wd, C) -> y (N, OH, OW, C)."""

    def average_pool2d_grad(self, dy: np.ndarray, input_shape: tuple[int, ...], window: Window
                            ) -> np.ndarray:
        """dy (N, OH, OW, C) -> dx of input_shape."""

    def relu(self, x: np.ndarray) -> np.ndarray:
        """x -> y of one shape, as the next five."""

    def relu_grad(self, dy: np.ndarray, y: np.ndarray) -> np.ndarray:
        """dy, y -> dx."""

    def sigmoid(self, x: np.ndarray) -> np.ndarray:
        """x -> y."""

    def sigmoid_grad(self, dy: np.ndarray, y: np.ndarray) -> np.ndarray:
        """dy, y -> dx."""

    def softmax(self, x: np.ndarray) -> np.ndarray:
        """x -> y, over the last axis."""

    def softmax_grad(self, dy: np.ndarray, y: np.ndarray) -> np.ndarray:
        """dy, y -> dx."""

    def sigmoid_cross_entropy(self, z: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits z, targets t -> l, dl/dz, all of one shape."""

    def softmax_cross_entropy(self, z: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits z, targets t (N, K) -> l (N,), dl/dz (N, K)."""

    def sgd_step(self, p: np.ndarray, g: np.ndarray, lr: float) -> None:
        """p moves by its gradient g."""

    def momentum_step(self, p: np.ndarray, g: np.ndarray, v: np.ndarray, lr: float,
                      momentum: float, nesterov: bool = False) -> None:
        """p and v move."""

    def rmsprop_step(self, p: np.ndarray, g: np.ndarray, s: np.ndarray, v: np.ndarray | None,
                     lr: float, alpha: float, eps: float, momentum: float = 0.0) -> None:
        """p, s and v (if given) move."""

    def adam_step(self, p: np.ndarray, g: np.ndarray, m: np.ndarray, s: np.ndarray, t: int,
                  lr: float, beta1: float, beta2: float, eps: float) -> None:
        """p, m and s move; t counts the steps from 1."""


def __getattr__(name: str) -> Any:
    """The backends as attributes, imported when first used: ops.reference, ops.fast, ops.cuda."""
    if name in ("reference", "fast", "cuda"):
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
