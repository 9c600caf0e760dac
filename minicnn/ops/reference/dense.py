"""The fully connected layer's matrix products, and the gradient of a bias."""

from __future__ import annotations

import numpy as np


def dense(x: np.ndarray, W: np.ndarray, b: np.ndarray, relu: bool = False) -> np.ndarray:
    """x (N, D), W (D, units), b (units,) -> y (N, units): Z = X @ W + b; with relu max(Z, 0)."""
    Z = x @ W + b
    return np.maximum(Z, 0) if relu else Z


def dense_weight_grad(x: np.ndarray, dz: np.ndarray) -> np.ndarray:
    """x (N, D), dz (N, units) -> dW (D, units). dL = <dZ, X @ dW>, hence dW = Xᵀ @ dZ."""
    return x.T @ dz


def dense_input_grad(dz: np.ndarray, W: np.ndarray) -> np.ndarray:
    """dz (N, units), W (D, units) -> dx (N, D). dL = <dZ, dX @ W>, hence dX = dZ @ Wᵀ."""
    return dz @ W.T


def bias_grad(dz: np.ndarray) -> np.ndarray:
    """dz (…, F) -> db (F,): b is added to every row, so db is the sum of all rows of dz."""
    return dz.reshape(-1, dz.shape[-1]).sum(axis=0)
