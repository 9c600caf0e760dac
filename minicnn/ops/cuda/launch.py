"""From Python to the kernels of kernels/*.cu: arguments checked, grid chosen, launched.

CuPy compiles and launches them on a GPU; minicnn.simulator does on the processor. The kernel's own
signature, read from its source, says what to expect: a wrong argument is a sentence, never a crash.
"""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ArgumentError, KernelError, ShapeError, is_whole
from .. import array_module, device_of
from . import simulator

PACKAGE = Path(__file__).resolve().parents[2]  # minicnn/
KERNELS = next(p for p in (PACKAGE / "kernels", PACKAGE.parent / "kernels") if p.is_dir())
THREADS = 256  # of a block
MOST = 2**31 - 1, 65535, 65535  # blocks along x, y, z (CUDA C++ Programming Guide, table of limits)
C_NAMES = {"float32": "float", "float64": "double", "uint8": "unsigned char", "int32": "int"}


@dataclass(frozen=True)
class Kernel:
    """A __global__ function: its name, file, and parameters ((type, name), …)."""

    name: str
    file: Path
    parameters: tuple[tuple[str, str], ...]


def read_kernels(file: Path) -> dict[str, Kernel]:
    """The kernels of a .cu file by their names."""
    found = re.findall(r"__global__\s+void\s+(\w+)\(([^)]*)\)", file.read_text(encoding="utf-8"))
    return {name: Kernel(name, file, tuple(_parameter(file, name, " ".join(p.split()))
                                           for p in text.split(","))) for name, text in found}


def _parameter(file: Path, kernel: str, text: str) -> tuple[str, str]:
    """"const real *x" -> ("const real*", "x")."""
    found = re.fullmatch(r"((?:const )?(?:real|place) ?\*|int64|int|real) ?\b(\w+)", text)
    if not found:
        raise KernelError(f"{file}: expected the parameters of {kernel} as (const) real* or "
                          f"place*, int, int64 or real, received {text!r}. Change its signature.")
    return found[1].replace(" *", "*"), found[2]


@functools.cache
def _names(file: Path, version: str) -> tuple[str, ...]:
    return tuple(read_kernels(file))


@functools.cache
def kernels(folder: Path) -> dict[str, Kernel]:
    """All kernels of a folder by their names."""
    return {name: kernel for file in sorted(folder.glob("*.cu"))
            for name, kernel in read_kernels(file).items()}


def flat(size: int) -> tuple[int, int, int]:
    """A grid with a thread for each of `size` elements; where it ends, threads take several."""
    return min(-(-size // THREADS), 1 << 20), 1, 1


def by_rows(rows: int, size: int) -> tuple[int, int, int]:
    """A grid for `rows` rows of `size` elements: EACH_ROW and EACH_IN_ROW of common.h."""
    if size >= 2**30:
        raise ArgumentError(f"launch: expected rows of fewer than 2**30 elements, whose places fit "
                            f"32 bits, received {size}. Use smaller images.")
    return -(-size // THREADS), min(rows, MOST[1]), 1


def block_each(rows: int) -> tuple[int, int, int]:
    """A grid with a block for each row."""
    return min(rows, MOST[1]), 1, 1


def launch(kernel: str | Kernel, grid: tuple[int, int, int], *values: Any,
           block: tuple[int, int, int] = (THREADS, 1, 1)) -> None:
    """Runs a kernel on the device of its arrays. values: as in its signature, each checked.

    Const arrays are made contiguous; those that are written must be. A grid without blocks is an
    empty batch: nothing happens. Raises ArgumentError, or KernelError where it does not compile.
    """
    if isinstance(kernel, str):
        if kernel not in kernels(KERNELS):
            raise ArgumentError(f"launch: expected one of {', '.join(kernels(KERNELS))}, received "
                                f"{kernel!r}. Give it a Kernel of your own by read_kernels.")
        kernel = kernels(KERNELS)[kernel]
    arguments, types = checked(kernel, values)
    if (not len(grid) == len(block) == 3 or not all(is_whole(n, 1) for n in block)
            or not all(is_whole(n, 0) and n <= most for n, most in zip(grid, MOST, strict=True))
            or np.prod(block) > 1024):
        raise ArgumentError(f"{kernel.name}: expected a grid of at most {MOST} blocks of 1 to 1024 "
                            f"threads, received {grid} of {block}. Launch it in parts.")
    if 0 in grid:
        return
    if kernel.file.parent == KERNELS:
        check_sizes(kernel, arguments)
    version = digest(kernel.file)
    if any(device_of(value) == "cuda" for value in arguments):
        module = _module(kernel.file, options(**types), version)
        return module.get_function(kernel.name)(grid, block, tuple(arguments))
    code = simulator.library(kernel.file, _names(kernel.file, version), (
        *options(**types), "-include", str(KERNELS / "simulator.h")), version)
    named = [(name, value, not kind.startswith("const"))
             for (kind, name), value in zip(kernel.parameters, arguments, strict=True)]
    simulator.run(code, kernel.name, grid, block, named)


def checked(kernel: Kernel, values: tuple) -> tuple[list, dict[str, np.dtype]]:
    """(values as the kernel takes them, {"real": …, "place": …} the dtypes of its arrays)."""
    if len(values) != len(kernel.parameters):
        raise ArgumentError(f"{kernel.name}: expected {len(kernel.parameters)} arguments "
                            f"({', '.join(name for _, name in kernel.parameters)}), received "
                            f"{len(values)}.")
    types = {"real": None, "place": np.dtype(np.uint8)}
    pairs = list(zip(kernel.parameters, values, strict=True))
    arrays = [(kind.split()[-1].rstrip("*"), kind.startswith("const"), name, value)
              for (kind, name), value in pairs if "*" in kind]
    xp = array_module(*(value for *_, value in arrays))
    if xp is np:
        raise ArgumentError(f"{kernel.name}: expected arrays on cuda or cuda-sim, received them on "
                            f"cpu. Use to_device.")
    allowed = {"real": (np.float32, np.float64), "place": (np.uint8, np.int32)}
    for kind, const, name, value in arrays:
        if value.dtype not in allowed[kind]:
            raise ArgumentError(f"{kernel.name}: expected {name} as one of "
                                f"{[np.dtype(t).name for t in allowed[kind]]}, received "
                                f"{value.dtype}. Use .astype.")
        if kind == "real" and types["real"] not in (None, value.dtype):
            raise ArgumentError(f"{kernel.name}: expected all arrays as {types['real']}, received "
                                f"{name} as {value.dtype}. Use .astype.")
        types[kind] = value.dtype
        if not const and not value.flags.c_contiguous:
            raise ArgumentError(f"{kernel.name}: expected {name} contiguous, since it is written, "
                                f"received strides {value.strides}. Use xp.ascontiguousarray.")
    arguments = []
    for (kind, name), value in pairs:
        if "*" in kind:
            arguments.append(xp.ascontiguousarray(value))
        elif kind == "real":
            if not isinstance(value, (int, float, np.integer, np.floating)):
                raise ArgumentError(f"{kernel.name}: expected a number as {name}, received "
                                    f"{value!r}.")
            arguments.append(types["real"].type(value))
        else:
            number = {"int": np.int32, "int64": np.int64}[kind]
            if not (is_whole(value, np.iinfo(number).min) and value <= np.iinfo(number).max):
                raise ArgumentError(f"{kernel.name}: expected {name} as a whole number within "
                                    f"{kind}, received {value!r}.")
            arguments.append(number(value))
    return arguments, types


def check_sizes(kernel: Kernel, arguments: list) -> None:
    """Raises where an array of ours is not as large as the numbers beside it say.

    NumPy would notice; a GPU would read what lies behind it, or compute the wrong thing.
    """
    given = {name: value for (_, name), value in zip(kernel.parameters, arguments, strict=True)}
    arrays = {name: given[name] for kind, name in kernel.parameters if "*" in kind}
    n = {name: int(value) for name, value in given.items() if name not in arrays}
    if "size" in n:
        expected = dict.fromkeys(arrays, n["size"]) | {"b": n.get("F")}
    elif "K" in n:
        expected = dict.fromkeys(arrays, n["rows"] * n["K"]) | {"l": n["rows"]}
    elif "OH" not in n:  # column_sums
        expected = {"x": n["rows"] * n["F"]}
    else:
        inner, outer = n["H"] * n["Wd"] * n["C"], n["OH"] * n["OW"]  # of an image, of its windows
        columns = n["KH"] * n["KW"] * n["C"]
        if "M" in n:
            expected = {"x": n["M"] // outer * inner, "W": columns * n["F"], "z": n["M"] * n["F"]}
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
    shapes = {array.shape for name, array in arrays.items() if name != "b"}
    if "size" in n and len(shapes) > 1:
        raise ShapeError(f"{kernel.name}: expected arrays of one shape, received "
                         f"{' and '.join(map(str, sorted(shapes)))}. Are they of one layer?")


def options(real: np.dtype, place: np.dtype | type = np.uint8) -> tuple[str, ...]:
    """What the compiler is told, on a GPU and in the simulator: types, and where common.h is."""
    return (f"-DREAL={C_NAMES[np.dtype(real).name]}",
            f"-DSWITCH={C_NAMES[np.dtype(place).name]}", f"-I{KERNELS}")


def digest(file: Path) -> str:
    """A hash of all that the kernels of a file are made of."""
    sources = (file, *sorted(KERNELS.glob("*.h")))
    return _hash(sources, tuple(source.stat().st_mtime_ns for source in sources))


@functools.cache
def _hash(sources: tuple[Path, ...], changed: tuple[int, ...]) -> str:
    return hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()


@functools.cache
def _module(file: Path, given: tuple[str, ...], version: str) -> Any:
    """CuPy's module of a .cu file; `version` gives a changed common.h a new place in its cache."""
    import cupy

    text = f'// {version}\n#line 1 "{file.as_posix()}"\n{file.read_text(encoding="utf-8")}'
    # CuPy writes the text to a file in the locale's encoding, which may lack − and Σ.
    module = cupy.RawModule(code=text.encode("ascii", "replace").decode(), options=given)
    try:
        module.compile()
    except (cupy.cuda.compiler.CompileException, RuntimeError) as error:  # no CUDA headers
        raise KernelError(f"{file}: expected a kernel that compiles, received from the compiler: "
                          f"{simulator.first_error(str(error))}. Mend that line.") from error
    return module
