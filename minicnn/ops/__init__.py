"""Who computes: the seam between the mathematics and the machinery.

Layers, losses and optimizers ask here for the operations they are made of:

    y = ops_for(x).conv2d(x, W, b, window, relu=True)

Four backends compute what operations.py lists: `reference` (NumPy, one formula per line: the one to
read), `fast` (the same in blocks and on all cores), `native` (fast, with kernels/*.cu compiled for
the processor) and `cuda` (kernels/*.cu on a GPU, or simulated). The array decides which: CuPy's and
simulated ones get `cuda`, NumPy's `native` where there is a C++ compiler, otherwise `fast`; unless
MINICNN_BACKEND=reference at the start, or `with use("reference"): …`, says otherwise.

The type of an array tells where it lives, not a flag: "cpu" (NumPy), "cuda" (CuPy), "cuda-sim" (our
kernels on the processor). `xp = array_module(x)` is the module that computes with x, NumPy or CuPy,
and `xp.exp(x)` then reads the same for both. In hints np.ndarray stands for all three.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..utils.errors import ArgumentError
from .window import Window

if TYPE_CHECKING:
    from .operations import Operations

__all__ = ["BACKENDS", "DEVICES", "Window", "array_module", "device_of", "module_of", "ops_for",
           "to_cpu", "to_device", "use"]

BACKENDS = ("reference", "fast", "native")  # for NumPy's arrays
AUTOMATIC = "automatic"  # native or fast
DEVICES = ("cpu", "cuda", "cuda-sim")
DEVICE_OF_MODULE = {"cupy": "cuda", f"{__name__}.cuda.simulator": "cuda-sim"}  # of an array's type
_chosen = ContextVar("minicnn_backend", default=os.environ.get("MINICNN_BACKEND") or AUTOMATIC)


def ops_for(*arrays: np.ndarray) -> Operations:
    """The backend that computes with these arrays, a module.

    Raises ArgumentError if they are on several devices, if the reference is asked to compute on a
    GPU, or if MINICNN_BACKEND names no backend.
    """
    device, backend = device_of(*arrays), _chosen.get()
    if backend not in (*BACKENDS, AUTOMATIC):
        raise ArgumentError(f"MINICNN_BACKEND: expected one of {', '.join(BACKENDS)}, received "
                            f"{backend!r}. Unset it, or set one of these.")
    if device != "cpu" and backend == "reference":
        raise ArgumentError(f"ops: expected NumPy arrays for the reference backend, received one "
                            f"on {device}. Move it with to_cpu, or leave out MINICNN_BACKEND.")
    if device == "cpu" and backend != "reference":
        backend = _prepared(backend)
    name = f"{__name__}.{backend if device == 'cpu' else 'cuda'}"
    return cast("Operations", sys.modules.get(name) or import_module(name))


@cache
def _prepared(name: str) -> str:
    """"native" or "fast", compiled and measured (tuning.py); automatic: native if it compiles."""
    if name != "fast":
        native = import_module(".native.library", __name__)
        name = "native" if native.is_available(required=name == "native") else "fast"
    import_module(".tuning", __name__).constants(name)
    return name


@contextmanager
def use(backend: str) -> Iterator[None]:
    """Within this block the backend of NumPy's arrays is "reference", "fast" or "native" (which
    raises KernelError if there is no C++ compiler)."""
    if backend not in BACKENDS:
        raise ArgumentError(f"ops.use: expected one of {', '.join(BACKENDS)}, received "
                            f"{backend!r}. Arrays on a GPU choose their backend themselves.")
    if backend == "native":
        _prepared(backend)
    token = _chosen.set(backend)
    try:
        yield
    finally:
        _chosen.reset(token)


def device_of(*arrays: Any) -> str:
    """The device that all arrays are on; numbers and lists count as "cpu". Raises ArgumentError if
    they are on several."""
    devices = [DEVICE_OF_MODULE.get(type(x).__module__, "cpu") for x in arrays]
    if len(set(devices)) > 1:
        raise ArgumentError(f"device: expected all arrays on one device, received them on "
                            f"{' and '.join(dict.fromkeys(devices))}. Move them with to_device.")
    return devices[0]


def array_module(*arrays: Any) -> Any:
    """NumPy, CuPy or the simulator's NumPy: the module of the arrays' device."""
    return module_of(device_of(*arrays))


def module_of(device: str) -> Any:
    """The array module of `device`. Raises ArgumentError if it is not available here."""
    if device not in DEVICES:
        raise ArgumentError(f"device: expected one of {', '.join(DEVICES)}, received {device!r}.")
    if device == "cpu":
        return np
    return import_module(".cuda.array_modules", __name__).gpu_module(device)


def to_device(x: Any, device: str) -> Any:
    """x on `device`, the same numbers; x itself if it is there already."""
    if device_of(x) == device:
        return x
    return to_cpu(x) if device == "cpu" else module_of(device).array(to_cpu(x), order="C")


def to_cpu(x: Any) -> np.ndarray:
    """x as a NumPy array; x itself if it is one."""
    device = device_of(x)
    if device == "cuda":
        return x.get()
    return np.array(x) if device == "cuda-sim" else np.asarray(x)


def __getattr__(name: str) -> Any:
    """ops.reference, ops.fast, ops.native, ops.cuda and ops.precision, imported when first used."""
    if name in (*BACKENDS, "cuda", "precision"):
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
