"""The fully connected layer on a GPU: its matrix products come from the GPU's library."""

from __future__ import annotations

import numpy as np

from .elementwise import add_bias_relu
from .products import matmul


def dense(x: np.ndarray, W: np.ndarray, b: np.ndarray, relu: bool = False) -> np.ndarray:
    """x (N, D), W (D, units), b (units,) -> y (N, units): Z = X @ W + b; with relu max(Z, 0)."""
    z = matmul(x, W)
    add_bias_relu(z, b, relu)
    return z


def dense_weight_grad(x: np.ndarray, dz: np.ndarray) -> np.ndarray:
    """dW = Xᵀ @ dZ (D, units)."""
    return matmul(x.T, dz)


def dense_input_grad(dz: np.ndarray, W: np.ndarray) -> np.ndarray:
    """dX = dZ @ Wᵀ (N, D)."""
    return matmul(dz, W.T)
