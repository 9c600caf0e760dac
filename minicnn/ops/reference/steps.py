"""The optimizers' steps. p, v, s, m are changed in place; g is the gradient of p."""

from __future__ import annotations

import numpy as np


def sgd_step(p: np.ndarray, g: np.ndarray, lr: float) -> None:
    """p ← p − lr · g."""
    p -= lr * g


def momentum_step(p: np.ndarray, g: np.ndarray, v: np.ndarray, lr: float, momentum: float,
                  nesterov: bool = False) -> None:
    """v ← μ v + g; p ← p − lr · v, or with nesterov p ← p − lr · (g + μ v)."""
    v *= momentum
    v += g
    p -= lr * (g + momentum * v if nesterov else v)


def rmsprop_step(p: np.ndarray, g: np.ndarray, s: np.ndarray, v: np.ndarray | None, lr: float,
                 alpha: float, eps: float, momentum: float = 0.0) -> None:
    """s ← α s + (1 − α) g²; p ← p − lr · g / (√s + ε), or with momentum (v given) that step's."""
    s *= alpha
    s += (1 - alpha) * g * g
    scaled = g / (np.sqrt(s) + eps)
    if v is None:
        sgd_step(p, scaled, lr)
    else:
        momentum_step(p, scaled, v, lr, momentum)


def adam_step(p: np.ndarray, g: np.ndarray, m: np.ndarray, s: np.ndarray, t: int, lr: float,
              beta1: float, beta2: float, eps: float) -> None:
    """m ← β₁ m + (1 − β₁) g; s ← β₂ s + (1 − β₂) g²; p ← p − lr · m̂ / (√ŝ + ε).

    Bias correction: m̂ = m / (1 − β₁ᵗ) and ŝ = s / (1 − β₂ᵗ) make up for m and s starting at 0; t ≥
    1 is the number of the step. (s is often called v, which here is momentum's velocity.)
    """
    m *= beta1
    m += (1 - beta1) * g
    s *= beta2
    s += (1 - beta2) * g * g
    m_hat = m / (1 - beta1**t)
    s_hat = s / (1 - beta2**t)
    p -= lr * m_hat / (np.sqrt(s_hat) + eps)
