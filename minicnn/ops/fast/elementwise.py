"""The elementwise operations that NumPy computes several times as fast in another way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def where_mask(mask: np.ndarray, x: np.ndarray) -> np.ndarray:
    """np.where(mask, x, 0), several times as fast: all bits of x or none."""
    if x.ndim == 0 or x.dtype not in (np.float32, np.float64):
        return np.where(mask, x, 0)
    bits = (-mask.view(np.int8)).astype(np.int32 if x.dtype == np.float32 else np.int64)
    return np.bitwise_and(bits, x.view(bits.dtype), out=bits).view(x.dtype)


def relu_grad(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy · [y > 0]."""
    return where_mask(y > 0, dy)


def bias_grad(dz: np.ndarray) -> np.ndarray:
    """dz (…, F) -> db (F,): the sum of all rows; einsum is up to five times as fast as sum."""
    return np.einsum("nf->f", dz.reshape(-1, dz.shape[-1]))


def all_finite(arrays: Sequence[np.ndarray]) -> bool:
    """Whether no array holds a NaN or an infinity.

    If not, its sum is finite, which is faster to check. The sum of finite numbers may overflow, so
    if it is not finite, the elements decide.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return all(bool(np.isfinite(x.sum())) or bool(np.isfinite(x).all()) for x in arrays)
