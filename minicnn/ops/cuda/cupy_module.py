"""Is there a GPU?"""

from __future__ import annotations

from typing import Any

from ...errors import ArgumentError


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
