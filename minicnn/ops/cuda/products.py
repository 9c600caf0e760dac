"""The matrix product of a GPU's own library, cuBLAS."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import array_module


def matmul(a: np.ndarray, b: np.ndarray, out: np.ndarray | None = None) -> Any:
    """a (…, M, K) @ b (…, K, F) -> (…, M, F), in `out` if given."""
    return array_module(a, b).matmul(a, b, out=out)
