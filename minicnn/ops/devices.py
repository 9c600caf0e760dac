"""Where an array lives: "cpu" (NumPy), "cuda" (CuPy), "cuda-sim" (our kernels on the processor).

An array's type says its device; no flag does. xp_of(x) is the module that computes with x, NumPy
or CuPy, and `xp.exp(x)` then reads the same for both.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArgumentError
from .cuda import simulator
from .cuda.cupy_module import find_cupy
from .cuda.simulator import SimArray

DEVICES = ("cpu", "cuda", "cuda-sim")


def device_of(x: Any) -> str:
    """The device of an array; numbers and lists count as "cpu"."""
    if isinstance(x, SimArray):
        return "cuda-sim"
    return "cuda" if type(x).__module__.partition(".")[0] == "cupy" else "cpu"


def xp_of(*arrays: Any) -> Any:
    """NumPy, CuPy or the simulator's NumPy: the module of the device that all arrays are on."""
    devices = list(dict.fromkeys(map(device_of, arrays)))
    if len(devices) > 1:
        raise ArgumentError(f"xp_of: expected all arrays on one device, received one on "
                            f"{devices[0]} and one on {devices[1]}. Move one of them with "
                            f"to_device.")
    if devices == ["cuda-sim"]:
        return simulator.xp  # the array is here, so nobody need look for a compiler again
    return module_of(devices[0])


def module_of(device: str) -> Any:
    """The module that computes on `device`; a sentence where this machine has no such device."""
    if device == "cuda":
        return find_cupy()
    if device not in DEVICES:
        raise ArgumentError(f"device: expected one of {', '.join(DEVICES)}, received {device!r}.")
    if device == "cuda-sim":
        simulator.compiler()  # or the sentence that there is none
    return np if device == "cpu" else simulator.xp


def to_device(x: Any, device: str) -> Any:
    """x on `device`, the same numbers; x itself where it is there already."""
    here = device_of(x)
    if here == device:
        return x
    xp = module_of(device)
    return to_cpu(x) if device == "cpu" else xp.array(to_cpu(x), order="C")


def to_cpu(x: Any) -> np.ndarray:
    """x as a NumPy array; x itself where it is one."""
    here = device_of(x)
    return x.get() if here == "cuda" else np.array(x) if here == "cuda-sim" else np.asarray(x)
