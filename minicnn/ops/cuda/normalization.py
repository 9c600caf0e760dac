"""Batch normalization on a GPU: kernels/batch_norm.cu."""

from __future__ import annotations

import numpy as np

from .. import array_module
from .elementwise import bias_grad, column_grid
from .launch import launch


def _launch_columns(kernel: str, *arrays: np.ndarray) -> np.ndarray:
    """A new array like the first one, (…, C), filled by threads that keep to their columns."""
    out = array_module(*arrays).empty(arrays[0].shape, arrays[0].dtype)
    C = out.shape[-1]
    rows = out.size // C
    launch(kernel, column_grid(rows, C), *arrays, out, rows, C, block=(32, 8, 1))
    return out


def _covariance(a: np.ndarray, a_mean: np.ndarray, x: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Σ (a − ā)(x − x̄) of each column, (C,): some rows by each of many blocks, then their sums."""
    C = x.shape[-1]
    rows = x.size // C
    grid = column_grid(min(rows, 1 << 16), C)  # at most 1,024 blocks, one below the other
    sums = array_module(a, x).empty((grid[1], C), x.dtype)
    launch("column_covariance", grid, a, a_mean, x, mean, sums, rows, C, block=(32, 8, 1))
    return bias_grad(sums)


def batch_moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x (…, C) -> mean and (biased) variance (C,)."""
    M = x.size // x.shape[-1]
    mean = bias_grad(x) / M
    return mean, _covariance(x, mean, x, mean) / M


def batch_norm(x: np.ndarray, mean: np.ndarray, std: np.ndarray, gamma: np.ndarray,
               beta: np.ndarray) -> np.ndarray:
    """y = γ (x − μ) / σ + β."""
    return _launch_columns("batch_norm", x, mean, gamma / std, beta)


def batch_norm_param_grads(dy: np.ndarray, x: np.ndarray, mean: np.ndarray, std: np.ndarray
                           ) -> tuple[np.ndarray, np.ndarray]:
    """dγ = Σ dy · (x − μ) / σ, dβ = Σ dy."""
    zero = array_module(dy).zeros(mean.shape, mean.dtype)
    return _covariance(dy, zero, x, mean) / std, bias_grad(dy)


def batch_norm_input_grad(dy: np.ndarray, x: np.ndarray, mean: np.ndarray, std: np.ndarray,
                          gamma: np.ndarray, dgamma: np.ndarray, dbeta: np.ndarray) -> np.ndarray:
    """dx = γ/σ · (dy − dβ/M − x̂ dγ/M), x̂ = (x − μ) / σ."""
    M = x.size // x.shape[-1]
    return _launch_columns("batch_norm_backward", dy, x, mean, gamma / std, dbeta / M,
                           dgamma / (M * std))
