"""Batch normalization on a processor: ops/reference/normalization.py in blocks of rows, which
stay in the cache, on all cores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .threads import chunk_slices, num_threads, parallel_map

BLOCK_ELEMENTS = 1 << 14  # of a block of rows


def as_rows(x: np.ndarray) -> np.ndarray:
    """(…, C) -> (M, C)."""
    return x.reshape(-1, x.shape[-1])


def map_blocks(work: Callable[[slice], np.ndarray | None], M: int, C: int) -> list:
    """[work(rows), …] for all blocks of M rows, always in the same order."""
    workers = num_threads()
    blocks = chunk_slices(M, BLOCK_ELEMENTS // C, workers)
    parts = parallel_map(lambda items: [work(rows) for rows in items], blocks, workers)
    return [result for part in parts for result in part]


def sum_blocks(work: Callable[[slice], np.ndarray], M: int, C: int) -> np.ndarray:
    """The sum of map_blocks; 0 of no rows."""
    return np.sum(map_blocks(work, M, C) or [work(slice(0, 0))], axis=0)


def batch_moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x (…, C) -> mean and (biased) variance (C,)."""
    X = as_rows(x)
    M, C = X.shape
    mean = sum_blocks(lambda rows: np.einsum("nf->f", X[rows]), M, C) / M

    def squares(rows: slice) -> np.ndarray:
        centred = X[rows] - mean
        return np.einsum("nf,nf->f", centred, centred)

    return mean, sum_blocks(squares, M, C) / M


def batch_norm(x: np.ndarray, mean: np.ndarray, std: np.ndarray, gamma: np.ndarray,
               beta: np.ndarray) -> np.ndarray:
    """y = γ (x − μ) / σ + β."""
    X, y, scale = as_rows(x), np.empty(x.shape, x.dtype), gamma / std
    Y = as_rows(y)

    def normalize(rows: slice) -> None:
        np.subtract(X[rows], mean, out=Y[rows])
        Y[rows] *= scale
        Y[rows] += beta

    map_blocks(normalize, *X.shape)
    return y


def batch_norm_param_grads(dy: np.ndarray, x: np.ndarray, mean: np.ndarray, std: np.ndarray
                           ) -> tuple[np.ndarray, np.ndarray]:
    """dγ = Σ dy · (x − μ) / σ, dβ = Σ dy."""
    dY, X = as_rows(dy), as_rows(x)

    def sums(rows: slice) -> np.ndarray:
        part = dY[rows]
        return np.stack([np.einsum("nf,nf->f", part, X[rows] - mean), np.einsum("nf->f", part)])

    dgamma, dbeta = sum_blocks(sums, *X.shape)
    return dgamma / std, dbeta


def batch_norm_input_grad(dy: np.ndarray, x: np.ndarray, mean: np.ndarray, std: np.ndarray,
                          gamma: np.ndarray, dgamma: np.ndarray, dbeta: np.ndarray) -> np.ndarray:
    """dx = γ/σ · (dy − dβ/M − x̂ dγ/M), x̂ = (x − μ) / σ."""
    dY, X, dx = as_rows(dy), as_rows(x), np.empty(dy.shape, dy.dtype)
    M, C = X.shape
    dX, scale, mean_dy, slope = as_rows(dx), gamma / std, dbeta / M, dgamma / (M * std)

    def gradient(rows: slice) -> None:
        np.subtract(X[rows], mean, out=dX[rows])
        dX[rows] *= -slope
        dX[rows] += dY[rows]
        dX[rows] -= mean_dy
        dX[rows] *= scale

    map_blocks(gradient, M, C)
    return dx
