"""Where an array lives: "cpu" (NumPy), "cuda" (CuPy), "cuda-sim" (our kernels on the processor).

An array's type says its device; no flag does. `xp = array_module(x)` is the module that computes
with x, NumPy or CuPy, and `xp.exp(x)` then reads the same for both.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArgumentError

DEVICES = ("cpu", "cuda", "cuda-sim")


def device_of(x: Any) -> str:
    """The device of an array; numbers and lists count as "cpu"."""
    module = type(x).__module__
    if module.partition(".")[0] == "cupy":
        return "cuda"
    return "cuda-sim" if module == "minicnn.ops.cuda.simulator" else "cpu"


def common_device(*arrays: Any) -> str:
    """The device that all arrays are on; ArgumentError if there are several."""
    devices = list(dict.fromkeys(map(device_of, arrays)))
    if len(devices) > 1:
        raise ArgumentError(f"device: expected all arrays on one device, received one on "
                            f"{devices[0]} and one on {devices[1]}. Move one of them with "
                            f"to_device.")
    return devices[0]


def array_module(*arrays: Any) -> Any:
    """NumPy, CuPy or the simulator's NumPy: the module of the device that all arrays are on."""
    device = common_device(*arrays)
    if device == "cuda-sim":  # the array is here, so a compiler was found already
        from .cuda import simulator

        return simulator.xp
    return module_of(device)


def module_of(device: str) -> Any:
    """The array module of `device`. Raises ArgumentError if it is not available here."""
    if device == "cpu":
        return np
    if device == "cuda":
        from .cuda.cupy_module import find_cupy

        return find_cupy()
    if device not in DEVICES:
        raise ArgumentError(f"device: expected one of {', '.join(DEVICES)}, received {device!r}.")
    from .cuda import simulator

    simulator.compiler()  # raises if there is none
    return simulator.xp


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
