"""The modules that arrays of a GPU, or of its simulator, come from; what CuPy's errors mean."""

from __future__ import annotations

from typing import Any

from ...utils.errors import ArgumentError
from ..compiler import compiler


def gpu_module(device: str) -> Any:
    """CuPy for "cuda", the simulator's NumPy for "cuda-sim".

    Raises ArgumentError or KernelError if there is no GPU, or no compiler for the simulator.
    """
    if device == "cuda":
        return find_cupy()
    from . import simulator

    compiler()
    return simulator.xp


def find_cupy() -> Any:
    """The module cupy; raises ArgumentError, which says whether CuPy or a GPU is missing."""
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


def describe_error(error: BaseException) -> str | None:
    """What a CuPy error means and what to do about it; None for errors of other origin."""
    if type(error).__module__.partition(".")[0] not in ("cupy", "cupy_backends"):
        return None
    message = " ".join(str(error).split()).rstrip(".")
    out_of_memory = isinstance(error, MemoryError) or any(
        name in message for name in ("cudaErrorMemoryAllocation", "ALLOC_FAILED"))
    if out_of_memory:
        return (f"cuda: expected enough memory on the GPU, received: {message}. Use a smaller "
                f"--batch-size or --size, or stop other programs that use the GPU.")
    return (f"cuda: expected the GPU to complete its work, received: {message}. Set MINICNN_SYNC=1 "
            f"in the environment and run again: the error then names the kernel.")
