"""Is there a GPU, and what do CuPy's errors mean?"""

from __future__ import annotations

from typing import Any

from .errors import ArgumentError


def find_cupy() -> Any:
    """The module, or a sentence: which of CuPy and a GPU is missing."""
    try:
        import cupy
    except ImportError as error:
        raise ArgumentError(
            f"cuda: expected CuPy, found none ({error}). Install minicnn with the extra cuda12 or "
            f'cuda13, as in pip install -e ".[cuda12]"; without a GPU use cuda-sim.') from error
    try:
        cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise ArgumentError(
            f"cuda: expected an NVIDIA GPU with its driver, found CuPy but no GPU, or a driver "
            f"that is too old ({error}). Use cpu, or cuda-sim to try the kernels.") from error
    return cupy


def explained(error: BaseException) -> str | None:
    """An error of CuPy's as a sentence that says what helps; None for any other error."""
    if type(error).__module__.partition(".")[0] not in ("cupy", "cupy_backends"):
        return None
    said = " ".join(str(error).split()).rstrip(".")
    full = isinstance(error, MemoryError) or any(
        name in said for name in ("cudaErrorMemoryAllocation", "ALLOC_FAILED"))
    if full:
        return (f"cuda: expected enough memory on the GPU, received: {said}. Take fewer photos at "
                f"a time (--batch-size) or smaller ones (--size), or end what else uses the GPU.")
    return (f"cuda: expected a GPU that does what it is asked, received: {said}. Run it again with "
            f"MINICNN_SYNC=1 in the environment, and the kernel that failed is named.")
