"""From Python to the kernels of kernels/*.cu: arguments checked, grid chosen, launched.

CuPy compiles and launches them on a GPU, simulator.py on the processor. The kernel's own
signature, read from its source, says what to expect: a wrong argument raises ArgumentError.

Small networks are bound by the Python time of a launch (python -m benchmarks.launches), so whatever
does not change between launches is cached: a kernel is looked up and compiled once per dtype. A
kernel of your own is compiled again when its file, or a header of kernels/, has changed; the files
of kernels/ itself are read once per process.

A GPU reports a fault in a kernel late, at some later call. With MINICNN_SYNC=1 in the environment
each launch waits for its kernel, and the error names it.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ...utils.errors import ArgumentError, KernelError, is_int
from ..compiler import first_error
from ..kernel_files import C_NAMES, KERNELS, Kernel, read_kernels
from . import simulator
from .signatures import MAX_GRID, check_grid, check_sizes, validate_arguments

THREADS = 256  # of a block


@functools.cache
def kernels(folder: Path) -> dict[str, Kernel]:
    """All kernels of a folder by their names."""
    return {name: kernel for file in sorted(folder.glob("*.cu"))
            for name, kernel in read_kernels(file).items()}


def flat(size: int) -> tuple[int, int, int]:
    """A grid with a thread for each of `size` elements; if it is too small, threads take
    several."""
    return min(-(-size // THREADS), 1 << 20), 1, 1


def by_rows(rows: int, size: int) -> tuple[int, int, int]:
    """A grid for `rows` rows of `size` elements: EACH_ROW and EACH_IN_ROW of common.h."""
    if size >= 2**30:
        raise ArgumentError(f"launch: expected rows of fewer than 2**30 elements, whose places fit "
                            f"32 bits, received {size}. Use smaller images.")
    return -(-size // THREADS), min(rows, MAX_GRID[1]), 1


def block_each(rows: int) -> tuple[int, int, int]:
    """A grid with a block for each row."""
    return min(rows, MAX_GRID[1]), 1, 1


def launch(kernel: str | Kernel, grid: tuple[int, int, int], *values: Any,
           block: tuple[int, int, int] = (THREADS, 1, 1), shared_memory: int = 0) -> None:
    """Runs a kernel on the device of its arrays. values: as in its signature, each checked.

    Const arrays are made contiguous; those that are written must be. A grid without blocks is an
    empty batch: nothing happens. shared_memory: the bytes of the kernel's `extern __shared__`
    array, if it has one. Raises ArgumentError, or KernelError if it does not compile.
    """
    if isinstance(kernel, str):
        if kernel not in kernels(KERNELS):
            raise ArgumentError(f"launch: expected one of {', '.join(kernels(KERNELS))}, received "
                                f"{kernel!r}. Give it a Kernel of your own by read_kernels.")
        kernel = kernels(KERNELS)[kernel]
    arguments, real, switch, device = validate_arguments(kernel, values)
    check_grid(kernel, grid, block)
    if 0 in grid:
        return
    if kernel == kernels(KERNELS).get(kernel.name):  # one of ours
        check_sizes(kernel, values)
        version = digest_of_ours(kernel.file)
    else:
        version = digest(kernel.file)
    run = compiled(kernel, device, real, switch, version)
    if shared_memory:
        reserve_shared_memory(kernel, run, device, shared_memory)
        run(grid, block, tuple(arguments), shared_mem=shared_memory)
    else:
        run(grid, block, tuple(arguments))
    if device == "cuda" and os.environ.get("MINICNN_SYNC") == "1":
        wait_for(kernel)


@functools.cache
def compiled(kernel: Kernel, device: str, real: np.dtype, switch: np.dtype, version: str
             ) -> Callable[..., None]:
    """The kernel as a function (grid, block, arguments, shared_mem=0), compiled for these dtypes.

    version: the digest of its source. Raises KernelError if it does not compile, or if its
    signature has changed since the kernel was read.
    """
    if read_kernels(kernel.file).get(kernel.name) != kernel:
        raise KernelError(f"{kernel.file}: expected {kernel.name} with the signature it had when "
                          f"it was read, found another one. Call read_kernels again.")
    if device == "cuda":
        return _module(kernel.file, options(real, switch), version).get_function(kernel.name)
    source = (kernel.file, tuple(read_kernels(kernel.file)), options(real, switch), KERNELS,
              version)
    simulator.library(*source, False)  # so that a kernel that does not compile is refused here
    written = [(name, not kind.startswith("const")) for kind, name in kernel.parameters]

    def simulate(grid: tuple, block: tuple, arguments: tuple, shared_mem: int = 0) -> None:
        values = [(name, value, may_write)
                  for (name, may_write), value in zip(written, arguments, strict=True)]
        code = simulator.library(*source, simulator.log is not None)
        simulator.run(code, kernel.name, grid, block, values, shared_memory=shared_mem)
    return simulate


def reserve_shared_memory(kernel: Kernel, run: Any, device: str, size: int) -> None:
    """Allows the kernel a dynamic shared memory of `size` bytes.

    Raises ArgumentError if a block of this card cannot have that much besides what the kernel
    declares with a size of its own.
    """
    limit, card = simulator.SHARED_MEMORY, "an H100, which the simulator follows,"
    if device == "cuda":
        import cupy

        attributes = cupy.cuda.Device().attributes
        limit = attributes["MaxSharedMemoryPerBlockOptin"] - run.shared_size_bytes
        card = "this GPU"
    if not is_int(size, 0) or size > limit:
        raise ArgumentError(f"{kernel.name}: expected at most {limit} bytes of dynamic shared "
                            f"memory, all that {card} has for a block, received {size!r}. Use "
                            f"smaller tiles.")
    if device == "cuda" and size > run.max_dynamic_shared_size_bytes:
        run.max_dynamic_shared_size_bytes = size  # 48 kB need no permission


def wait_for(kernel: Kernel) -> None:
    """Waits until the GPU is done. Raises KernelError if the kernel has failed."""
    import cupy

    try:
        cupy.cuda.get_current_stream().synchronize()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise KernelError(f"{kernel.name}: expected a kernel that keeps to its arrays, received "
                          f"from the GPU: {error}. Restart Python to use the GPU again, and run "
                          f"the kernel on cuda-sim to see the thread and the array.") from error


def options(real: np.dtype, switch: np.dtype | type = np.uint8) -> tuple[str, ...]:
    """The compiler's options, on a GPU and in the simulator: types, and where common.h is."""
    return (f"-DREAL={C_NAMES[np.dtype(real).name]}",
            f"-DSWITCH={C_NAMES[np.dtype(switch).name]}", f"-I{KERNELS}")


def digest(file: Path) -> str:
    """A hash of the file and the headers it may include, computed again when one has changed."""
    sources = (str(file), *headers(KERNELS))
    if file.parent != KERNELS:
        sources += headers(file.parent)
    # At each launch of a reader's kernel: os.stat takes half of Path.stat's time.
    return _hash(sources, tuple(os.stat(source).st_mtime_ns for source in sources))  # noqa: PTH116


digest_of_ours = functools.cache(digest)  # kernels/ is assumed not to change


@functools.cache
def headers(folder: Path) -> tuple[str, ...]:
    """The header files of a folder of kernels."""
    return tuple(map(str, sorted(folder.glob("*.h"))))


@functools.cache
def _hash(sources: tuple[str, ...], changed: tuple[int, ...]) -> str:
    return hashlib.sha256(b"\0".join(Path(source).read_bytes() for source in sources)).hexdigest()


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
        if any(word in str(error) for word in ("gpu-architecture", "UNSUPPORTED_PTX_VERSION",
                                               "NO_BINARY_FOR_GPU")):
            raise KernelError(
                f"{file}: expected a GPU and a driver that fit the installed CUDA compiler, "
                f"received: {first_error(str(error))}. Update NVIDIA's driver, or "
                f"install minicnn with the other of the extras cuda12 and cuda13.") from error
        raise KernelError(f"{file}: expected a kernel that compiles, received from the compiler: "
                          f"{first_error(str(error))}. Fix that line.") from error
    return module
