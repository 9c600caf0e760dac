"""The matrix product of a GPU's own library, cuBLAS, in float32 or in TF32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...utils.errors import ArgumentError
from .. import array_module, device_of
from ..precision import current_precision
from .simulator import plain, wrapped

TF32_MATH = 3  # cuBLAS' CUBLAS_TF32_TENSOR_OP_MATH, for which CuPy has no name


def matmul(a: np.ndarray, b: np.ndarray, out: np.ndarray | None = None) -> Any:
    """a (…, M, K) @ b (…, K, F) -> (…, M, F), in `out` if given; as use_precision says."""
    xp = array_module(a, b)
    if current_precision() == "float32" or a.dtype != np.float32:
        return xp.matmul(a, b, out=out)
    if device_of(a) == "cuda-sim":
        return xp.matmul(round_to_tf32(a), round_to_tf32(b), out=out)
    with tf32_math():
        return xp.matmul(a, b, out=out)


@contextmanager
def tf32_math() -> Iterator[None]:
    """cuBLAS may use TF32 in this block. Both of CuPy's products, of two and of three dimensions,
    obey the mode of the handle; CUPY_TF32, CuPy's own switch, reaches those of two only."""
    import cupy

    cuda = cupy.cuda
    capability = cuda.Device().compute_capability  # "75" for 7.5
    if int(capability) < 80:
        raise ArgumentError(f"precision tf32: expected a GPU of compute capability 8.0 or higher, "
                            f"received {capability[:-1]}.{capability[-1]}. Use float32, the "
                            f"default.")
    cublas, handle = cuda.cublas, cuda.get_cublas_handle()
    before = cublas.getMathMode(handle)
    cublas.setMathMode(handle, TF32_MATH)
    try:
        yield
    finally:
        cublas.setMathMode(handle, before)


def round_to_tf32(x: np.ndarray) -> np.ndarray:
    """A simulated float32 array, rounded to 10 bits behind the leading one, halves away from 0."""
    numbers = np.ascontiguousarray(plain(x))
    bits = (numbers.view(np.int32) + 0x1000) & ~0x1FFF  # 23 − 10 = 13 bits go
    return wrapped(np.where(np.isfinite(numbers), bits.view(np.float32), numbers))
