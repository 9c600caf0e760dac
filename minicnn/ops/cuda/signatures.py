"""The validation of a launch against the kernel's signature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...utils.errors import ArgumentError, ShapeError, is_int
from .. import array_module, device_of
from ..kernel_files import Kernel

# Blocks along x, y, z: CUDA C++ Programming Guide, table of limits.
MAX_GRID = 2**31 - 1, 65535, 65535
ALLOWED: dict[str, tuple[np.dtype, ...]] = {  # the dtypes of real* and switch_t*
    "real": (np.dtype(np.float32), np.dtype(np.float64)),
    "switch_t": (np.dtype(np.uint8), np.dtype(np.int32))}
MATRICES = ("x", "z", "y", "a", "dy", "dx", "products")  # (rows, F); the other arrays are (F,)
INTEGERS = {"int": (np.int32, -2**31, 2**31 - 1), "int64": (np.int64, -2**63, 2**63 - 1)}

def validate_arguments(kernel: Kernel, values: tuple) -> tuple[list, np.dtype, np.dtype, str]:
    """(values as the kernel takes them, the dtype of its floats (real), that of its pooling
    switches (switch_t), the device)."""
    if len(values) != len(kernel.parameters):
        raise ArgumentError(f"{kernel.name}: expected {len(kernel.parameters)} arguments "
                            f"({', '.join(name for _, name in kernel.parameters)}), received "
                            f"{len(values)}.")
    arguments = list(values)
    types: dict[str, np.dtype] = {"switch_t": ALLOWED["switch_t"][0]}
    arrays = [values[k] for k, *_ in kernel.arrays]
    if not arrays:
        raise ArgumentError(f"{kernel.name}: expected a kernel with an array, whose device it then "
                            f"runs on, found none. Add an array to its parameters.")
    device = device_of(arrays[0])
    if device == "cpu" or any(device_of(value) != device for value in arrays):
        array_module(*arrays)  # if they are on two devices, its error names both
        raise ArgumentError(f"{kernel.name}: expected arrays on cuda or cuda-sim, received them on "
                            f"cpu. Use to_device.")
    for k, name, what, const in kernel.arrays:
        arguments[k] = _array(kernel, name, what, const, values[k], types)
    real = types.get("real", ALLOWED["real"][1])
    for k, name, kind in kernel.numbers:
        arguments[k] = _number(kernel, name, kind, values[k], real)
    return arguments, real, types["switch_t"], device


def _array(kernel: Kernel, name: str, what: str, const: bool, value: Any, types: dict) -> Any:
    """The array as the kernel takes it, made contiguous if const; records its dtype in `types`."""
    if value.dtype not in ALLOWED[what]:
        raise ArgumentError(f"{kernel.name}: expected {name} as one of "
                            f"{[dtype.name for dtype in ALLOWED[what]]}, received {value.dtype}. "
                            f"Use .astype.")
    if what == "real" and types.get("real", value.dtype) != value.dtype:
        raise ArgumentError(f"{kernel.name}: expected all arrays as {types['real']}, received "
                            f"{name} as {value.dtype}. Use .astype.")
    types[what] = value.dtype
    if value.flags.c_contiguous:
        return value
    if not const:
        raise ArgumentError(f"{kernel.name}: expected {name} contiguous, since it is written, "
                            f"received strides {value.strides}. Use xp.ascontiguousarray.")
    return array_module(value).ascontiguousarray(value)


def _number(kernel: Kernel, name: str, kind: str, value: Any, real: np.dtype) -> np.generic:
    """The number in the type that the kernel declares."""
    if kind == "real":
        if not isinstance(value, (int, float, np.integer, np.floating)):
            raise ArgumentError(f"{kernel.name}: expected a number as {name}, received {value!r}.")
        return real.type(value)
    number, minimum, maximum = INTEGERS[kind]
    if not (is_int(value, minimum) and value <= maximum):
        raise ArgumentError(f"{kernel.name}: expected {name} as a whole number within {kind}, "
                            f"received {value!r}.")
    return number(value)


def check_grid(kernel: Kernel, grid: tuple[int, ...], block: tuple[int, ...]) -> None:
    """Raises ArgumentError if CUDA cannot launch such a grid or such blocks."""
    fits = (len(grid) == len(block) == 3
            and all(is_int(n, 0) and n <= limit for n, limit in zip(grid, MAX_GRID, strict=True))
            and all(is_int(n, 1) for n in block) and block[0] * block[1] * block[2] <= 1024)
    if not fits:
        raise ArgumentError(f"{kernel.name}: expected a grid of at most {MAX_GRID} blocks of 1 "
                            f"to 1024 threads, received {grid} of {block}. Launch it in parts.")


def check_sizes(kernel: Kernel, values: tuple) -> None:
    """Raises if an array of ours is not as large as the numbers beside it say.

    NumPy would notice; a GPU would read what lies behind it, or compute the wrong thing.
    """
    arrays = {name: values[k] for k, name, *_ in kernel.arrays}
    n = {name: int(values[k]) for k, name, _ in kernel.numbers}
    expected: Mapping[str, int | None]
    if "size" in n:
        expected = dict.fromkeys(arrays, n["size"]) | {"any": 1}
    elif "K" in n:
        expected = dict.fromkeys(arrays, n["rows"] * n["K"]) | {"l": n["rows"]}
    elif "kernels" in n:  # winograd_kernels, winograd_weight_grads
        expected = {**dict.fromkeys(("W", "dW"), 9 * n["kernels"]),
                    **dict.fromkeys(("U", "dU"), 36 * n["matrix"])}
    elif "TH" in n:  # winograd_tiles, winograd_outputs, winograd_gradient_tiles
        expected = {"b": n.get("F"), **dict.fromkeys(("V", "M", "dM"), 36 * n["matrix"])}
    elif "PH" in n:  # pad
        images = n["rows"] // n["PH"]
        expected = {"x": images * n["H"] * n["Wd"] * n["C"],
                    "padded": n["rows"] * n["PW"] * n["C"]}
    elif "OH" not in n:  # those that keep to a column: column_sums, batch_norm, …
        expected = {name: n["F"] * (n["rows"] if name in MATRICES else 1)
                    for name in arrays if name != "sums"}
    else:
        inner, outer = n["H"] * n["Wd"] * n["C"], n["OH"] * n["OW"]  # of an image, of its windows
        columns = n["KH"] * n["KW"] * n["C"]
        if "M" in n:
            expected = {"x": n["M"] // outer * inner, "W": columns * n["F"], "z": n["M"] * n["F"]}
        elif "parts" in n:  # direct_weight_grads
            expected = {"x": n["images"] * inner, "dz": n["images"] * outer * n["F"],
                        "dW": n["parts"] * columns * n["F"]}
        elif "relu" in n:  # direct_convolution
            expected = {"W": columns * n["F"], "b": n["F"]}
        elif "first" in n:
            expected = {"cols": n["rows"] * n["OW"] * columns}
        else:
            backward = list(arrays)[-1] in ("x", "dx")
            images = n["rows"] // (n["H"] if backward else n["OH"])
            expected = {name: images * (inner if name in ("x", "dx") else outer * n["C"])
                        for name in arrays}
    for name, array in arrays.items():
        if array.size != expected.get(name, array.size):
            raise ShapeError(f"{kernel.name}: expected {name} of {expected[name]} elements, "
                             f"received shape {array.shape}. Does it belong to the same batch?")
    shapes = {array.shape for name, array in arrays.items() if name != "any"}
    if "size" in n and len(shapes) > 1:
        raise ShapeError(f"{kernel.name}: expected arrays of one shape, received "
                         f"{' and '.join(map(str, sorted(shapes)))}. Are they of one layer?")
