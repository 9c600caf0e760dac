"""ReLU's gradient by kernels/relu.cu, the bias's by kernels/products.cpp."""

from __future__ import annotations

import numpy as np

from ..fast import elementwise as fast
from ..fast.threads import shares
from .flat import each, fits
from .library import library, workers_for


def relu_grad(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy · [y > 0]."""
    if not fits((), (dy, y)):
        return fast.relu_grad(dy, y)
    dx = np.empty_like(dy)
    each("relu_backward", (dy, y, dx))
    return dx


def bias_grad(dz: np.ndarray) -> np.ndarray:
    """dz (…, F) -> db (F,): the sum of all rows; each thread sums some of them."""
    if not fits((), (dz,)):
        return fast.bias_grad(dz)
    F = dz.shape[-1]
    rows = dz.reshape(-1, F)
    parts = shares(len(rows), workers_for(dz.size))
    sums = np.empty((len(parts), F), dz.dtype)
    library(dz.dtype.name).on_threads([
        [("sum_rows", rows[part], sums[k], part.stop - part.start, F)]
        for k, part in enumerate(parts)])
    return sums.sum(axis=0)
