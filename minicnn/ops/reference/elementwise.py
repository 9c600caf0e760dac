"""Activations and their gradients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def relu(x: np.ndarray) -> np.ndarray:
    """max(x, 0), of x's shape."""
    return np.maximum(x, 0)


def relu_grad(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy · [y > 0]: y > 0 exactly where x > 0, and there dy/dx is 1."""
    return np.where(y > 0, dy, 0)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + e⁻ˣ) = e^x / (1 + e^x), of x's shape. Only e^(−|x|) ≤ 1 is computed: no overflow."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def sigmoid_grad(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy · y · (1 − y), since σ' = σ (1 − σ)."""
    return dy * y * (1 - y)


def tanh(x: np.ndarray) -> np.ndarray:
    """(eˣ − e⁻ˣ) / (eˣ + e⁻ˣ), of x's shape."""
    return np.tanh(x)


def tanh_grad(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy · (1 − y²), since tanh' = 1 − tanh²."""
    return dy * (1 - y * y)


def elu(x: np.ndarray, alpha: float) -> np.ndarray:
    """x where x > 0, else α (eˣ − 1)."""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def elu_grad(dy: np.ndarray, y: np.ndarray, alpha: float) -> np.ndarray:
    """dy where y > 0, else dy · α eˣ = dy · (y + α)."""
    return np.where(y > 0, dy, dy * (y + alpha))


def leaky_relu(x: np.ndarray, slope: float) -> np.ndarray:
    """x where x > 0, else slope · x."""
    return np.where(x > 0, x, slope * x)


def leaky_relu_grad(dy: np.ndarray, y: np.ndarray, slope: float) -> np.ndarray:
    """dy where y > 0, else slope · dy."""
    return np.where(y > 0, dy, slope * dy)


def clipped_line(x: np.ndarray, slope: float, shift: float, limit: float) -> np.ndarray:
    """min(max(slope · x + shift, 0), limit), of x's shape."""
    return np.minimum(np.maximum(slope * x + shift, 0), limit)


def clipped_line_grad(dy: np.ndarray, y: np.ndarray, slope: float, limit: float) -> np.ndarray:
    """slope · dy · [0 < y < limit]."""
    return np.where((y > 0) & (y < limit), slope * dy, 0)


def silu(x: np.ndarray) -> np.ndarray:
    """x σ(x), of x's shape; σ is the sigmoid."""
    return x * sigmoid(x)


def silu_grad(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
    """dy · (σ + x σ'), with σ' = σ (1 − σ)."""
    s = sigmoid(x)
    return dy * (s + x * s * (1 - s))


def softplus(x: np.ndarray) -> np.ndarray:
    """log(1 + eˣ) = max(x, 0) + log(1 + e^(−|x|)), of x's shape: no overflow."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def softplus_grad(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
    """dy · σ(x), since the derivative is eˣ / (1 + eˣ)."""
    return dy * sigmoid(x)


def prelu(x: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """x where x > 0, else alpha · x; alpha as x without N, or 1 along some axes."""
    return np.where(x > 0, x, alpha * x)


def prelu_grad(dy: np.ndarray, x: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """dx = dy where x > 0, else alpha · dy; dalpha = the sum of dy · x where x ≤ 0, over all that
    share an alpha."""
    dx = np.where(x > 0, dy, alpha * dy)
    dalpha = np.where(x > 0, 0, dy * x).sum(axis=0)  # of x's shape without N
    shared = tuple(axis for axis, size in enumerate(alpha.shape) if size == 1)
    return dx, dalpha.sum(axis=shared, keepdims=True)


def softmax(x: np.ndarray) -> np.ndarray:
    """e^{x_k} / Σ_j e^{x_j} over the last axis; subtracting the maximum changes nothing."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_grad(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dx_k = y_k (dy_k − Σ_j dy_j y_j), since ∂y_j/∂x_k = y_j (δ_jk − y_k)."""
    return y * (dy - (dy * y).sum(axis=-1, keepdims=True))


def all_finite(arrays: Sequence[np.ndarray]) -> bool:
    """Whether no array holds a NaN or an infinity."""
    return all(bool(np.isfinite(x).all()) for x in arrays)
