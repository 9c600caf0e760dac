"""Batch normalization: moments of each channel, and what is computed with them."""

from __future__ import annotations

import numpy as np


def channel_sum(x: np.ndarray) -> np.ndarray:
    """x (…, C) -> (C,). Axis by axis: rounding grows with N + H + Wd, not with N·H·Wd."""
    while x.ndim > 1:
        x = x.sum(axis=-2)
    return x


def batch_moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x (…, C) -> mean and variance (C,), over the M numbers of each channel.

    μ = Σ x / M, v = Σ (x − μ)² / M
    """
    M = x.size // x.shape[-1]
    mean = channel_sum(x) / M
    return mean, channel_sum((x - mean) ** 2) / M


def batch_norm(x: np.ndarray, mean: np.ndarray, std: np.ndarray, gamma: np.ndarray,
               beta: np.ndarray) -> np.ndarray:
    """y = γ (x − μ) / σ + β."""
    return (x - mean) * (gamma / std) + beta


def batch_norm_param_grads(dy: np.ndarray, x: np.ndarray, mean: np.ndarray, std: np.ndarray
                           ) -> tuple[np.ndarray, np.ndarray]:
    """dγ = Σ dy · (x − μ) / σ, dβ = Σ dy."""
    return channel_sum(dy * (x - mean)) / std, channel_sum(dy)


def batch_norm_input_grad(dy: np.ndarray, x: np.ndarray, mean: np.ndarray, std: np.ndarray,
                          gamma: np.ndarray, dgamma: np.ndarray, dbeta: np.ndarray) -> np.ndarray:
    """dx = γ/σ · (dy − dβ/M − x̂ dγ/M), x̂ = (x − μ) / σ, for the μ and σ of batch_moments."""
    M = x.size // x.shape[-1]
    return gamma / std * (dy - dbeta / M - (x - mean) / std * (dgamma / M))
